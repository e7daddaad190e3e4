//! From measured latencies to percentiles with an honest confidence interval.
//!
//! Here, and not in one adapter, because every telemetry source needs it and the core's step path
//! must not pay for it.

use planner_core::stats::percentile;
use planner_core::{Latencies, Latency};
use statrs::distribution::{Binomial, DiscreteCDF};

/// Share of the samples below the percentile that is reported.
const P95: f64 = 0.95;
/// Probability with which the interval holds the true p95, split evenly over both ends.
const CONFIDENCE: f64 = 0.95;

/// Collects the latencies of one window's successful requests.
#[derive(Clone, Debug, Default)]
pub struct LatencySummary {
    millis: Vec<f64>,
}

impl LatencySummary {
    /// Most latencies kept for one window; beyond it every further one is counted as seen by the
    /// caller but not kept, and the window's coverage says so.
    pub const CAPACITY: usize = 200_000;

    /// Adds one latency in milliseconds. Returns whether it was kept: a value that is no latency,
    /// or one beyond [`LatencySummary::CAPACITY`], is not.
    pub fn record(&mut self, millis: f64) -> bool {
        let kept = self.millis.len() < Self::CAPACITY && Latency::from_millis(millis).is_some();
        if kept {
            self.millis.push(millis);
        }
        kept
    }

    /// How many latencies are kept.
    pub fn len(&self) -> usize {
        self.millis.len()
    }

    /// Whether no latency is kept.
    pub fn is_empty(&self) -> bool {
        self.millis.is_empty()
    }

    /// The percentiles, and an empty summary from here on. `None` when nothing was recorded.
    /// O(n log n).
    pub fn take(&mut self) -> Option<Latencies> {
        summarise(&mut std::mem::take(&mut self.millis))
    }
}

/// Percentiles, mean, and the 95 % confidence interval of the p95 of latencies in milliseconds.
///
/// The interval's ends are order statistics: the number of samples below the true p95 is
/// binomial with n and 0.95, whatever the distribution of the latencies (David and Nagaraja,
/// *Order Statistics*, 2003, section 7.1). Where the samples are too few to bound an end, that
/// end is absent: the upper end needs 72 samples.
///
/// `None` for an empty sample or one with a value that is no latency. Sorts the sample.
pub fn summarise(millis: &mut [f64]) -> Option<Latencies> {
    millis.sort_unstable_by(f64::total_cmp);
    let at = |share| percentile(millis, share).and_then(Latency::from_millis);
    let mean = millis.iter().sum::<f64>() / millis.len() as f64;
    // The first and the last value are latencies, so all between them are.
    Latency::from_millis(*millis.first()?)?;
    let p95 = Latency::from_millis(*millis.last()?).and_then(|_| at(P95))?;
    let (low, high) = p95_ranks(millis.len());
    let ranked = |rank: Option<usize>| {
        millis.get(rank?.checked_sub(1)?).copied().and_then(Latency::from_millis)
    };
    Some(
        Latencies::from_p95(p95)
            .with_p95_interval(ranked(low), ranked(high))
            .with_p50_and_avg(at(0.5), Latency::from_millis(mean)),
    )
}

/// One-based ranks of the order statistics that bound the true p95 of `samples` values, each
/// missed with a probability of at most 2.5 %.
fn p95_ranks(samples: usize) -> (Option<usize>, Option<usize>) {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let Ok(below) = Binomial::new(P95, samples as u64) else {
        return (None, None);
    };
    let rank = |count: u64| usize::try_from(count).ok().filter(|rank| (1..=samples).contains(rank));
    // The true p95 lies under the rank-th value when fewer than `rank` samples lie below it.
    let low = below.inverse_cdf(tail);
    let high = below.inverse_cdf(1.0 - tail) + 1;
    (rank(low), rank(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_window_has_no_percentile() {
        assert_eq!(summarise(&mut []), None);
        assert_eq!(LatencySummary::default().take(), None);
    }

    #[test]
    fn a_value_that_is_no_latency_is_not_recorded() {
        let mut summary = LatencySummary::default();
        assert!(!summary.record(f64::NAN));
        assert!(!summary.record(-1.0));
        assert!(summary.record(20.0));
        assert_eq!(summary.len(), 1);
        assert_eq!(summarise(&mut [20.0, f64::NAN]), None);
    }

    #[test]
    fn few_samples_leave_the_upper_end_open() {
        assert_eq!(p95_ranks(20), (Some(17), None));
        assert_eq!(p95_ranks(71).1, None);
        assert_eq!(p95_ranks(72).1, Some(72));
    }

    #[test]
    fn the_interval_of_two_hundred_samples_is_ranks_184_and_197() {
        // 2.5 % and 97.5 % points of a binomial with n = 200 and p = 0.95, upper end plus one.
        assert_eq!(p95_ranks(200), (Some(184), Some(197)));
    }

    #[test]
    fn the_interval_holds_the_true_percentile_as_often_as_it_says() {
        // Goal: coverage of at least 95 % on a known distribution. Method: 2 000 windows of 120
        // uniform values from a fixed generator, whose true p95 is 0.95.
        let mut state = 0x1234_5678_9abc_def0_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut held = 0;
        for _ in 0..2_000 {
            let mut window: Vec<f64> = (0..120).map(|_| uniform()).collect();
            let latencies = summarise(&mut window).expect("120 latencies");
            let low = latencies.p95_low().expect("low end").as_millis();
            let high = latencies.p95_high().expect("high end").as_millis();
            held += usize::from(low <= P95 && P95 <= high);
        }
        assert!(held >= 1_880, "held in {held} of 2000 windows");
    }
}
