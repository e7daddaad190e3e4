//! Averages of samples over time, in buckets of one second.
//!
//! Buckets are aligned to the origin of [`Timestamp`]: with an origin at a whole second of Unix
//! time they are those of the original.

mod linear;
mod ring;
mod stored;
mod weighted;

use core::time::Duration;

use linear::Linear;
use planner_core::Timestamp;
pub use stored::StoredWindowError;
use weighted::Weighted;

/// How samples of one window become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Aggregation {
    /// The mean of the seconds since the first sample, at most of the window; rounded to six
    /// decimals.
    #[default]
    Linear,
    /// A sum that weighs each second less than the one after it, so that the weights of a whole
    /// window add up to 0.9999; each second at least 20 % less.
    WeightedExponential,
}

/// A window over the last seconds, and its average.
///
/// Samples of the same second add up. Recording and asking take constant time on average; only a
/// question long after the last sample walks through buckets.
///
/// ```
/// use core::time::Duration;
/// use planner_core::Timestamp;
/// use planner_peers::kpa::{Aggregation, BucketWindow};
///
/// let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
/// let mut window = BucketWindow::new(60, Aggregation::Linear);
/// assert_eq!(window.average(at(0)), None);
/// window.record(at(0), 30.0);
/// window.record(at(1), 60.0);
/// assert_eq!(window.average(at(1)), Some(45.0));
/// assert_eq!(window.average(at(62)), None);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "stored::RawWindow"))]
pub struct BucketWindow {
    written: Option<Written>,
    average: Average,
}

/// The buckets that were written, by their seconds since the origin.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Written {
    /// The first one since the window was empty.
    first: i64,
    newest: i64,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
enum Average {
    Linear(Linear),
    WeightedExponential(Weighted),
}

impl BucketWindow {
    /// The longest window in seconds.
    pub const MAX_S: u32 = 3_600;

    /// An empty window over `window_s` seconds, taken into `1..=`[`BucketWindow::MAX_S`].
    pub fn new(window_s: u32, aggregation: Aggregation) -> Self {
        let buckets = window_s.clamp(1, Self::MAX_S) as usize;
        let average = match aggregation {
            Aggregation::Linear => Average::Linear(Linear::new(buckets)),
            Aggregation::WeightedExponential => {
                Average::WeightedExponential(Weighted::new(buckets))
            }
        };
        Self { written: None, average }
    }

    /// Adds a value to the bucket of `now`.
    ///
    /// A value that is a whole window older than the newest, or not finite, is passed over.
    pub fn record(&mut self, now: Timestamp, value: f64) {
        let (bucket, buckets) = (bucket_of(now), self.buckets());
        let goes_on = self.written.filter(|it| between(it.newest, bucket) < buckets);
        let late = goes_on.map_or(0, |it| between(bucket, it.newest));
        if late >= buckets || !value.is_finite() {
            return;
        }
        self.written = Some(if let Some(Written { first, newest }) = goes_on {
            self.average.advance(between(newest, bucket));
            Written { first: first.min(bucket), newest: newest.max(bucket) }
        } else {
            self.average.clear();
            Written { first: bucket, newest: bucket }
        });
        self.average.add(late, value);
    }

    /// The average at `now`; `None` without a sample in the window. A question about the past is
    /// answered as of the newest sample.
    pub fn average(&self, now: Timestamp) -> Option<f64> {
        let Written { first, newest } = self.written?;
        let silent = between(newest, bucket_of(now));
        if silent >= self.buckets() {
            // The original calls a window empty one second after its last sample has left it.
            return (silent == self.buckets()).then_some(0.0);
        }
        Some(match &self.average {
            Average::Linear(linear) => {
                linear.average(silent, between(first, newest).saturating_add(1))
            }
            Average::WeightedExponential(weighted) => weighted.average(silent),
        })
    }

    /// How samples become one number.
    pub const fn aggregation(&self) -> Aggregation {
        match self.average {
            Average::Linear(_) => Aggregation::Linear,
            Average::WeightedExponential(_) => Aggregation::WeightedExponential,
        }
    }

    /// The length of the window in seconds.
    pub fn window_s(&self) -> u32 {
        u32::try_from(self.buckets()).unwrap_or(Self::MAX_S)
    }

    /// Goes on after the clock was set back by `behind`. A part of a second counts as a whole one,
    /// so no bucket is in the future afterwards.
    pub fn rebase(&mut self, behind: Duration) {
        if let Some(written) = &mut self.written {
            written.first = written.first.saturating_sub(steps(behind, 1));
            written.newest = written.newest.saturating_sub(steps(behind, 1));
        }
    }

    const fn buckets(&self) -> usize {
        match &self.average {
            Average::Linear(linear) => linear.buckets(),
            Average::WeightedExponential(weighted) => weighted.buckets(),
        }
    }
}

impl Average {
    /// Makes room for `buckets` newer ones, fewer than there are.
    fn advance(&mut self, buckets: usize) {
        for _ in 0..buckets {
            match self {
                Self::Linear(linear) => linear.advance(),
                Self::WeightedExponential(weighted) => weighted.advance(),
            }
        }
    }

    /// Adds to the bucket that is `age` before the newest, less than there are.
    fn add(&mut self, age: usize, value: f64) {
        match self {
            Self::Linear(linear) => linear.add(age, value),
            Self::WeightedExponential(weighted) => weighted.add(age, value),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Linear(linear) => linear.clear(),
            Self::WeightedExponential(weighted) => weighted.clear(),
        }
    }
}

/// The whole second that `now` is in.
const fn bucket_of(now: Timestamp) -> i64 {
    (now.as_nanos() / 1_000_000_000).cast_signed()
}

/// Buckets from `earlier` to `later`; none when it is not later.
fn between(earlier: i64, later: i64) -> usize {
    usize::try_from(later.saturating_sub(earlier)).unwrap_or(0)
}

/// `span` in steps of `step_s` seconds, a part counting as a whole one.
pub(super) fn steps(span: Duration, step_s: u128) -> i64 {
    i64::try_from(span.as_nanos().div_ceil(step_s * 1_000_000_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    const BOTH: [Aggregation; 2] = [Aggregation::Linear, Aggregation::WeightedExponential];

    /// The weighted average as it is defined: bucket by bucket, newest first.
    fn weighted_by_hand(samples: &[(u64, f64)], window_s: u64, coefficient: f64, now: u64) -> f64 {
        let weight =
            |age: u64| (0..age).fold(coefficient, |weight, _| weight * (1.0 - coefficient));
        let within = samples.iter().filter(|(second, _)| now - second < window_s);
        within.map(|(second, value)| value * weight(now - second)).sum()
    }

    #[test]
    fn a_value_that_is_not_finite_poisons_no_window() {
        for aggregation in BOTH {
            let mut window = BucketWindow::new(6, aggregation);
            window.record(at(1), f64::NAN);
            assert_eq!(window.average(at(1)), None);
            window.record(at(1), 3.0);
            window.record(at(2), f64::INFINITY);
            let mut clean = BucketWindow::new(6, aggregation);
            clean.record(at(1), 3.0);
            assert_eq!(window, clean);
        }
    }

    #[test]
    fn a_value_that_is_a_whole_window_late_is_passed_over() {
        for aggregation in BOTH {
            let mut window = BucketWindow::new(6, aggregation);
            window.record(at(10), 6.0);
            let before = window.clone();
            window.record(at(4), 100.0);
            assert_eq!(window, before);
        }
    }

    #[test]
    fn a_late_value_counts_in_its_own_second() {
        let mut window = BucketWindow::new(6, Aggregation::Linear);
        window.record(at(10), 6.0);
        window.record(at(8), 3.0);
        assert_eq!(window.average(at(10)), Some(3.0));
        let mut window = BucketWindow::new(60, Aggregation::WeightedExponential);
        let samples =
            [(70, 6.0), (71, 1.0), (72, 2.0), (135, 4.0), (136, 8.0), (80, 5.0), (99, 7.0)];
        for (second, value) in samples {
            window.record(at(second), value);
        }
        let expected = weighted_by_hand(&samples, 60, 0.2, 136);
        let got = window.average(at(136)).expect("samples");
        assert!((got - expected).abs() < 1e-12, "{got} {expected}");
    }

    #[test]
    fn an_empty_window_is_told_from_one_of_zeros() {
        for aggregation in BOTH {
            let mut window = BucketWindow::new(6, aggregation);
            window.record(at(1), 0.0);
            assert_eq!(window.average(at(7)), Some(0.0));
            assert_eq!(window.average(at(8)), None);
        }
    }

    #[test]
    fn a_length_out_of_range_is_taken_into_it() {
        assert_eq!(BucketWindow::new(0, Aggregation::Linear).window_s(), 1);
        let longest = BucketWindow::new(u32::MAX, Aggregation::WeightedExponential);
        assert_eq!(longest.window_s(), BucketWindow::MAX_S);
    }

    #[test]
    fn seconds_without_a_sample_count_as_zeros_once_the_window_has_begun() {
        let mut window = BucketWindow::new(10, Aggregation::Linear);
        window.record(at(0), 12.0);
        window.record(at(2), 12.0);
        assert_eq!(window.average(at(2)), Some(8.0));
    }

    #[test]
    fn silence_ages_what_is_there() {
        let mut window = BucketWindow::new(4, Aggregation::Linear);
        for second in 0..4 {
            window.record(at(second), 10.0 * second as f64);
        }
        assert_eq!(window.average(at(3)), Some(15.0));
        // The two oldest have left, and two are left to divide by.
        assert_eq!(window.average(at(5)), Some(25.0));
    }

    #[test]
    fn a_gap_of_a_whole_window_starts_it_again() {
        let mut window = BucketWindow::new(4, Aggregation::Linear);
        window.record(at(0), 100.0);
        window.record(at(4), 8.0);
        assert_eq!(window.average(at(4)), Some(8.0));
    }

    #[test]
    fn the_weighted_average_is_that_of_its_definition_at_any_age_and_length() {
        for (window_s, coefficient) in [(6, 0.784_556_530_996_811_6), (60, 0.2), (300, 0.2)] {
            let mut window = BucketWindow::new(window_s, Aggregation::WeightedExponential);
            let mut samples = Vec::new();
            let mut seed = 7_u64;
            for second in 0..900 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if seed >> 61 == 0 {
                    continue;
                }
                let value = (seed >> 40) as f64;
                window.record(at(second), value);
                samples.push((second, value));
                for silent in [0, 1, 2, 5, 17] {
                    let now = second + silent;
                    let expected = weighted_by_hand(&samples, window_s.into(), coefficient, now);
                    let got = window.average(at(now)).unwrap_or(0.0);
                    assert!((got - expected).abs() <= 1e-9 * expected, "{window_s} {now}");
                }
            }
        }
    }

    #[test]
    fn a_load_that_ended_leaves_exactly_nothing() {
        for aggregation in BOTH {
            let mut window = BucketWindow::new(60, aggregation);
            for second in 0..100_000_u32 {
                window.record(at(second.into()), f64::from(second % 7) * 0.1);
            }
            for second in 100_000..100_060 {
                window.record(at(second), 0.0);
            }
            let rest = window.average(at(100_059)).expect("samples");
            assert_eq!(rest, 0.0, "{aggregation:?}");
        }
    }

    #[test]
    fn a_clock_set_back_changes_no_average() {
        for aggregation in BOTH {
            let mut window = BucketWindow::new(6, aggregation);
            for second in 100..104 {
                window.record(at(second), 5.0);
            }
            let before = window.average(at(103));
            window.rebase(Duration::from_secs(90));
            assert_eq!(window.average(at(13)), before);
            window.rebase(Duration::from_millis(12_500));
            assert_eq!(window.average(at(0)), before);
        }
    }
}
