//! What a policy really sees of an interval: samples instead of all requests, late, with gaps.
//!
//! A step of its own behind the queue, so that the same run can be seen through different eyes.
//! It adds no load: probes are drawn from what requests met, not sent as requests.

use std::collections::VecDeque;
use std::time::Duration;

use planner_core::{Window, WindowError};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Binomial, Distribution};
use serde::{Deserialize, Serialize};

use super::error::within;
use super::interval::Seen;
use super::units::{nanos, whole};
use super::{Histogram, Interval, QueueError};

/// The most windows that are on their way; older ones are lost.
const PENDING_MAX: usize = 4_096;
/// The most probes of one interval.
const PROBES_MAX: f64 = 1e6;

/// How a service is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a meter")]
pub struct TelemetrySpec {
    /// Whose outcomes are known.
    pub sampling: Sampling,
    /// Whether arrivals, completions and requests under way are counted.
    pub traffic: bool,
    /// Whether the use of the slots is measured, as the use of CPU.
    pub cpu: bool,
    /// From the end of a window until a policy can have it: 0 to 3600 seconds.
    pub delay_s: f64,
    /// How likely a window is lost: 0 to 1.
    pub missing_share: f64,
    /// How likely the source tells the last window again instead of a new one: 0 to 1.
    pub stale_share: f64,
}

impl Default for TelemetrySpec {
    /// Everything, at once, without gaps; no use of CPU.
    fn default() -> Self {
        Self {
            sampling: Sampling::Census,
            traffic: true,
            cpu: false,
            delay_s: 0.0,
            missing_share: 0.0,
            stale_share: 0.0,
        }
    }
}

/// Whose outcomes are known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Sampling {
    /// Those of every attempt.
    Census,
    /// Those of probes at an even rate; each meets what an attempt of the interval met, any
    /// equally likely. Where none ended, a probe learns nothing.
    Probes {
        /// Probes a second: 0 to 1000.
        per_s: f64,
    },
    /// Those of a part of the attempts: each is kept with this probability, as every k-th is for
    /// a share of 1 ÷ k.
    Sampled {
        /// The share that is kept: 0 to 1.
        share: f64,
    },
}

/// The eyes of a policy.
///
/// ```
/// use planner_lab::queue::telemetry::{Sampling, Telemetry, TelemetrySpec};
/// use planner_lab::queue::{Queue, QueueSpec, ServiceTime};
///
/// let mut queue = Queue::new(QueueSpec::of(ServiceTime::Exponential { mean_s: 0.02 }), 2, 1)?;
/// let probes = Sampling::Probes { per_s: 10.0 };
/// let spec = TelemetrySpec { sampling: probes, traffic: false, ..TelemetrySpec::default() };
/// let mut telemetry = Telemetry::new(spec, 1)?;
/// let window = telemetry.observe(&queue.advance(3.0, 50.0)?)?;
/// assert_eq!(window.map(|window| window.samples()), Some(30));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Telemetry {
    spec: TelemetrySpec,
    rng: Xoshiro256PlusPlus,
    seq: u64,
    /// Probes that are due, as a number with a fraction.
    probes_due: f64,
    /// Windows on their way, the oldest first.
    pending: VecDeque<Window>,
    /// The window that was seen last.
    last: Option<Window>,
}

impl Telemetry {
    /// A meter of that kind.
    ///
    /// # Errors
    ///
    /// [`QueueError::OutOfRange`] names the setting, its value and the rule.
    pub fn new(spec: TelemetrySpec, seed: u64) -> Result<Self, QueueError> {
        let share = "a share from 0 to 1";
        match spec.sampling {
            Sampling::Census => {}
            Sampling::Probes { per_s } => {
                let rule = "a rate from 0 to 1000 a second";
                within("sampling.per_s", per_s, 0.0..=1e3, rule)?;
            }
            Sampling::Sampled { share: kept } => {
                within("sampling.share", kept, 0.0..=1.0, share)?;
            }
        }
        within("delay_s", spec.delay_s, 0.0..=3_600.0, "a time from 0 to 3600 seconds")?;
        within("missing_share", spec.missing_share, 0.0..=1.0, share)?;
        within("stale_share", spec.stale_share, 0.0..=1.0, share)?;
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        Ok(Self { spec, rng, seq: 0, probes_due: 0.0, pending: VecDeque::new(), last: None })
    }

    /// Measures an interval and tells what a policy has new at its end: this window or, with a
    /// delay, an earlier one; the last once more when the source is stale; or nothing. Windows
    /// are numbered from 1, lost ones included.
    ///
    /// # Errors
    ///
    /// [`WindowError`] when a number is beyond what a window takes.
    pub fn observe(&mut self, interval: &Interval) -> Result<Option<Window>, WindowError> {
        self.seq += 1;
        let window = self.measure(interval)?;
        // Both are always drawn, so that one share does not change what the other does.
        let (lost, repeated): (f64, f64) = (self.rng.random(), self.rng.random());
        if lost >= self.spec.missing_share {
            self.pending.push_back(window);
        }
        if self.pending.len() > PENDING_MAX {
            self.pending.pop_front();
        }
        let delay = Duration::from_nanos(nanos(self.spec.delay_s));
        let mut due = None;
        while let Some(window) = self.pending.front()
            && window.end().saturating_add(delay) <= interval.end
        {
            due = self.pending.pop_front();
        }
        let Some(fresh) = due else { return Ok(None) };
        let seen = match self.last.take() {
            Some(last) if repeated < self.spec.stale_share => last,
            _ => fresh,
        };
        self.last = Some(seen.clone());
        Ok(Some(seen))
    }

    fn measure(&mut self, interval: &Interval) -> Result<Window, WindowError> {
        let all = [interval.completions, interval.timeouts, interval.failures];
        let sampled;
        let (outcomes, latency) = match self.spec.sampling {
            Sampling::Census => (all, &interval.latency),
            Sampling::Probes { per_s } => {
                self.probes_due += (per_s * interval.seconds()).min(PROBES_MAX);
                let probes = whole(self.probes_due.floor());
                self.probes_due -= probes as f64;
                sampled = self.probe(probes, interval);
                (sampled.0, &sampled.1)
            }
            Sampling::Sampled { share } => {
                sampled = self.thin(share, interval);
                (sampled.0, &sampled.1)
            }
        };
        let [completions, timeouts, failures] = outcomes;
        let seen = Seen {
            completions,
            timeouts,
            failures,
            latency,
            is_census: self.spec.sampling == Sampling::Census,
            traffic: self.spec.traffic,
            cpu: self.spec.cpu,
        };
        seen.window(interval, self.seq)
    }

    /// What so many probes met: outcomes of the interval, drawn with replacement.
    fn probe(&mut self, probes: u64, interval: &Interval) -> ([u64; 3], Histogram) {
        let (mut outcomes, mut latency) = ([0; 3], Histogram::default());
        let (ok, timeouts) = (interval.completions, interval.timeouts);
        let all = ok + timeouts + interval.failures;
        if all == 0 {
            return (outcomes, latency);
        }
        let mut answered = Vec::new();
        for _ in 0..probes {
            let drawn = (u128::from(self.rng.next_u64()) * u128::from(all)) >> 64;
            let met = u64::try_from(drawn).unwrap_or(0);
            if met < ok {
                answered.push(met);
            } else {
                outcomes[if met < ok + timeouts { 1 } else { 2 }] += 1;
            }
        }
        outcomes[0] = answered.len() as u64;
        answered.sort_unstable();
        let (mut classes, mut class_ns, mut below) = (interval.latency.classes(), 0, 0);
        for rank in answered {
            while rank >= below
                && let Some((middle_ns, count)) = classes.next()
            {
                class_ns = middle_ns;
                below += u64::from(count);
            }
            latency.record(class_ns);
        }
        (outcomes, latency)
    }

    /// What is left when every outcome is kept with the same probability.
    fn thin(&mut self, share: f64, interval: &Interval) -> ([u64; 3], Histogram) {
        let mut latency = Histogram::default();
        let mut kept = 0;
        for (middle_ns, count) in interval.latency.classes() {
            let left = self.keep(u64::from(count), share);
            if left > 0 {
                // A class counts in 32 bits, so what is left of it fits.
                latency.record_many(middle_ns, super::units::count(left));
                kept += left;
            }
        }
        let timeouts = self.keep(interval.timeouts, share);
        let failures = self.keep(interval.failures, share);
        ([kept, timeouts, failures], latency)
    }

    fn keep(&mut self, count: u64, share: f64) -> u64 {
        Binomial::new(count, share).map_or(0, |kept| kept.sample(&mut self.rng))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Queue, QueueSpec, ServiceTime};

    fn queue() -> Queue {
        let spec = QueueSpec::of(ServiceTime::Exponential { mean_s: 0.05 });
        Queue::new(spec, 4, 3).expect("a spec")
    }

    fn seen(spec: TelemetrySpec, windows: u32) -> Vec<Option<Window>> {
        let (mut queue, mut telemetry) = (queue(), Telemetry::new(spec, 9).expect("a spec"));
        let mut next = || {
            let interval = queue.advance(3.0, 60.0).expect("a rate");
            telemetry.observe(&interval).expect("a window")
        };
        (0..windows).map(|_| next()).collect()
    }

    #[test]
    fn a_share_that_is_none_is_refused_by_name() {
        let spec = TelemetrySpec { stale_share: 1.5, ..TelemetrySpec::default() };
        let text = Telemetry::new(spec, 1).expect_err("out of range").to_string();
        assert_eq!(text, "stale_share: 1.5 is not a share from 0 to 1; change it");
        let sampling = Sampling::Probes { per_s: -1.0 };
        assert!(Telemetry::new(TelemetrySpec { sampling, ..spec }, 1).is_err());
    }

    #[test]
    fn probes_learn_nothing_where_nobody_was_answered() {
        let sampling = Sampling::Probes { per_s: 10.0 };
        let spec = TelemetrySpec { sampling, ..TelemetrySpec::default() };
        let mut telemetry = Telemetry::new(spec, 9).expect("a spec");
        let interval = queue().advance(3.0, 0.0).expect("a rate");
        let window = telemetry.observe(&interval).expect("a window").expect("no delay");
        assert_eq!((window.samples(), window.latencies()), (0, None));
    }

    #[test]
    fn a_census_is_the_window_of_a_perfect_meter() {
        let interval = queue().advance(3.0, 60.0).expect("a rate");
        let mut telemetry = Telemetry::new(TelemetrySpec::default(), 9).expect("a spec");
        let window = telemetry.observe(&interval).expect("a window");
        assert_eq!(window, Some(interval.window(1).expect("a window")));
        assert!(window.is_some_and(|window| window.is_census()));
    }

    #[test]
    fn only_a_census_says_that_it_is_one() {
        for sampling in [Sampling::Probes { per_s: 10.0 }, Sampling::Sampled { share: 1.0 }] {
            let spec = TelemetrySpec { sampling, cpu: true, ..TelemetrySpec::default() };
            let window = seen(spec, 1).remove(0).expect("no delay");
            assert!(!window.is_census() && window.cpu_share().is_some());
        }
    }

    #[test]
    fn a_delay_shows_windows_late_and_in_order() {
        let spec = TelemetrySpec { delay_s: 4.0, ..TelemetrySpec::default() };
        let seqs: Vec<_> = seen(spec, 5).iter().map(|it| it.as_ref().map(Window::seq)).collect();
        assert_eq!(seqs, [None, None, Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn lost_and_stale_windows_come_as_often_as_told() {
        let spec =
            TelemetrySpec { missing_share: 0.2, stale_share: 0.3, ..TelemetrySpec::default() };
        let windows = seen(spec, 2_000);
        let lost = windows.iter().filter(|window| window.is_none()).count();
        let told: Vec<u64> = windows.iter().flatten().map(Window::seq).collect();
        let stale = told.windows(2).filter(|pair| pair[0] == pair[1]).count();
        // Within four standard deviations of 400 and of 30 % of those that came.
        assert!(lost.abs_diff(400) < 72, "{lost}");
        assert!(stale.abs_diff(told.len() * 3 / 10) < 74, "{stale} of {}", told.len());
        assert!(told.is_sorted());
    }

    #[test]
    fn a_tenth_of_the_requests_has_the_latencies_of_all() {
        let interval = queue().advance(600.0, 60.0).expect("a rate");
        let all = interval.window(1).expect("a window");
        let sampling = Sampling::Sampled { share: 0.1 };
        let spec = TelemetrySpec { sampling, ..TelemetrySpec::default() };
        let mut telemetry = Telemetry::new(spec, 9).expect("a spec");
        let part = telemetry.observe(&interval).expect("a window").expect("no delay");
        let share = f64::from(part.samples()) / f64::from(all.samples());
        assert!((share - 0.1).abs() < 0.01, "{share}");
        let p95 = |window: &Window| window.latencies().map(|it| it.p95().as_millis());
        let ratio = p95(&part).zip(p95(&all)).map(|(part, all)| part / all).expect("latencies");
        assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
    }
}
