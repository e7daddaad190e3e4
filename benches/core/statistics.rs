//! The rolling median and MAD at four sizes on five streams.

use hampel::Window as Hampel;
use planner_benches::clock::{Contestant, measure as race};
use planner_benches::streams::Stream;
use planner_benches::yardsticks::{MoveOnly, Naive};
use planner_core::stats::RollingMedian;
use watermill::quantile::RollingQuantile;
use watermill::stats::Univariate;

use crate::Report;

/// Steps of a stream that are measured, over and over.
const STEPS: usize = 40_000;
const SIZES: [usize; 4] = [60, 600, 6_000, 60_000];

/// Prints the table, adds the figures.
pub(crate) fn measure(report: &mut Report) {
    report.say("CPU ns an update: median and MAD of the last n (watermill: median only)");
    report.say(&format!(
        "{:<8}{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "n", "stream", "ours", "moveonly", "naive", "watermill", "hampel"
    ));
    let mut at_60 = [0.0; 3];
    let (mut ours_60_000, mut worst) = (0.0, 0.0_f64);
    for n in SIZES {
        let mut lognormal = 0.0;
        for stream in Stream::ALL {
            let values = stream.values(n + STEPS);
            exact(n, &values);
            let [ours, moveonly, naive] = contest(report, n, stream, &values);
            if stream == Stream::Lognormal {
                lognormal = ours;
                if n == 60 {
                    at_60 = [ours, moveonly, naive];
                }
                if n == 60_000 {
                    ours_60_000 = ours;
                }
            }
            worst = worst.max(ours / lognormal);
        }
    }
    let [ours, moveonly, naive] = at_60;
    report.say("");
    report.figure("update_over_moveonly_n60", ours / moveonly, true, 3.0);
    report.figure("naive_over_update_n60", naive / ours, false, 12.0);
    report.figure("update_n60000_over_n60", ours_60_000 / ours, true, 13.0);
    report.figure("worst_stream_over_lognormal", worst, true, 1.7);
}

/// Ours against naive, bit for bit, warm-up included.
fn exact(n: usize, values: &[f64]) {
    let mut ours = RollingMedian::new(n);
    for (index, value) in values[..n].iter().enumerate() {
        ours.push(*value);
        let seen = &values[..=index];
        if index < 100 {
            let median = planner_core::stats::median(seen);
            assert_eq!(ours.median().map(f64::to_bits), median.map(f64::to_bits));
            let mad = median.and_then(|median| planner_core::stats::mad(seen, median));
            assert_eq!(ours.mad().map(f64::to_bits), mad.map(f64::to_bits));
        }
    }
    let mut naive = Naive::new(&values[..n]);
    let checked = (2_000_000 / n).min(STEPS);
    for value in &values[n..n + checked] {
        ours.push(*value);
        let (median, mad) = naive.update(*value);
        assert_eq!(ours.median().map(f64::to_bits), Some(median.to_bits()), "n = {n}");
        assert_eq!(ours.mad().map(f64::to_bits), Some(mad.to_bits()), "n = {n}");
    }
}

/// Walks through the measured part of a stream again and again.
struct Walk<'a> {
    values: &'a [f64],
    next: usize,
}

impl Walk<'_> {
    fn step(&mut self) -> f64 {
        let value = self.values[self.next];
        self.next = if self.next + 1 == self.values.len() { 0 } else { self.next + 1 };
        value
    }
}

fn contest(report: &Report, n: usize, stream: Stream, values: &[f64]) -> [f64; 3] {
    let walk = || Walk { values: &values[n..], next: 0 };
    let mut ours = RollingMedian::new(n);
    values[..n].iter().for_each(|value| ours.push(*value));
    let mut moveonly = MoveOnly::new(n, values);
    let mut naive = Naive::new(&values[..n]);
    let mut watermill =
        RollingQuantile::new(0.5, n).expect("a quantile between 0 and 1 of a window");
    values[..n].iter().for_each(|value| watermill.update(*value));
    let mut hampel = Hampel::<f64, 60>::new(values[0], 3.0);
    let (mut w0, mut w1, mut w2, mut w3, mut w4) = (walk(), walk(), walk(), walk(), walk());
    // A slow peer gets fewer steps.
    let steps = if n > 6_000 { 10_000 } else { STEPS };
    let few = (1_200_000 / n).max(20).min(steps);
    let mut contestants = vec![
        Contestant::new(steps, |steps| {
            for _ in 0..steps {
                ours.push(w0.step());
                std::hint::black_box(ours.median_and_mad());
            }
        }),
        Contestant::new(steps, |steps| {
            for _ in 0..steps {
                moveonly.update(w1.step());
            }
        }),
        Contestant::new(few, |steps| {
            for _ in 0..steps {
                std::hint::black_box(naive.update(w2.step()));
            }
        }),
        Contestant::new(steps, |steps| {
            for _ in 0..steps {
                watermill.update(w3.step());
                std::hint::black_box(watermill.get());
            }
        }),
    ];
    if n == 60 {
        contestants.push(Contestant::new(few, |steps| {
            for _ in 0..steps {
                std::hint::black_box(hampel.update(w4.step()));
            }
        }));
    }
    race(&mut contestants, if n == 60 { 25 } else { 7 });
    let [ours, moveonly, naive, watermill] =
        [0, 1, 2, 3].map(|index: usize| contestants[index].ns());
    let hampel = contestants.get(4).map_or_else(|| "-".into(), |it| format!("{:.0}", it.ns()));
    report.say(&format!(
        "{n:<8}{:<12}{ours:>10.1}{moveonly:>10.1}{naive:>10.0}{watermill:>10.0}{hampel:>10}",
        stream.name()
    ));
    [ours, moveonly, naive]
}
