//! Times by size in logarithmic classes: bounded memory, any quantile, a stated error.

use super::units::{nanos, seconds, seconds_of_sum, whole};

/// Classes per doubling, as a power of two.
const CLASS_BITS: u32 = 7;
const CLASSES_PER_DOUBLING: u64 = 1 << CLASS_BITS;
/// Times below 2^10 ns, about a microsecond, share the first class.
const LEAST_BITS: u32 = 10;
/// Times from 2^43 ns on, about two and a half hours, share the last class.
const MOST_BITS: u32 = 43;

/// How many times of which size.
///
/// Each doubling of time is divided into 128 classes of equal width, and a quantile is the middle
/// of its class: at most [`Histogram::RELATIVE_ERROR`] off between 1 µs and two hours. Count,
/// mean, least and most are exact. At most 17 kB, and as little as the span of the times needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The class of the first count.
    first: usize,
    counts: Vec<u32>,
    total: u64,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { first: 0, counts: Vec::new(), total: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }
}

impl Histogram {
    /// The most that a quantile is off, as a share of its value.
    pub const RELATIVE_ERROR: f64 = 1.0 / 256.0;

    /// How many times there are.
    pub const fn count(&self) -> u64 {
        self.total
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The mean in seconds.
    pub fn mean_s(&self) -> Option<f64> {
        (self.total > 0).then(|| seconds_of_sum(self.sum_ns) / self.total as f64)
    }

    /// The shortest time in seconds.
    pub fn min_s(&self) -> Option<f64> {
        (self.total > 0).then(|| seconds(self.min_ns))
    }

    /// The longest time in seconds.
    pub fn max_s(&self) -> Option<f64> {
        (self.total > 0).then(|| seconds(self.max_ns))
    }

    /// The least time in seconds that a share of `share` of all does not exceed (nearest rank);
    /// `None` when there is none or the share is not in 0 to 1. O(classes).
    pub fn quantile_s(&self, share: f64) -> Option<f64> {
        if !(0.0..=1.0).contains(&share) {
            return None;
        }
        let rank = (share * self.total as f64).ceil();
        self.at_rank(whole(rank).clamp(1, self.total.max(1)))
    }

    /// The time in seconds of that rank, 1 being the shortest. O(classes).
    pub(super) fn at_rank(&self, rank: u64) -> Option<f64> {
        let mut below = 0;
        for (middle_ns, count) in self.classes() {
            below += u64::from(count);
            if rank >= 1 && rank <= below {
                return Some(seconds(middle_ns));
            }
        }
        None
    }

    /// How many times are longer than `bound_s` seconds; those of its own class, which may lie on
    /// either side, by the middle of the class. O(classes).
    pub fn above(&self, bound_s: f64) -> u64 {
        let bound_ns = nanos(bound_s);
        let above = self.classes().filter(|(middle_ns, _)| *middle_ns > bound_ns);
        above.map(|(_, count)| u64::from(count)).sum()
    }

    /// Adds the times of another.
    pub fn merge(&mut self, other: &Self) {
        for (class, &count) in (other.first..).zip(&other.counts) {
            if count > 0 {
                let ours = self.class_mut(class);
                *ours = ours.saturating_add(count);
            }
        }
        self.total += other.total;
        self.sum_ns += other.sum_ns;
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Adds a time.
    #[inline]
    pub(super) fn record(&mut self, time_ns: u64) {
        self.record_many(time_ns, 1);
    }

    /// Adds so many equal times.
    #[inline]
    pub(super) fn record_many(&mut self, time_ns: u64, count: u32) {
        let ours = self.class_mut(class_of(time_ns));
        *ours = ours.saturating_add(count);
        self.total += u64::from(count);
        self.sum_ns += u128::from(time_ns) * u128::from(count);
        self.min_ns = self.min_ns.min(time_ns);
        self.max_ns = self.max_ns.max(time_ns);
    }

    /// What there is, trimmed; from here on it is empty, with its memory kept.
    pub(super) fn take(&mut self) -> Self {
        let used = |count: &u32| *count > 0;
        let from = self.counts.iter().position(used).unwrap_or(0);
        let until = self.counts.iter().rposition(used).map_or(from, |last| last + 1);
        let counts = self.counts[from..until].to_vec();
        self.counts[from..until].fill(0);
        let Self { first, total, sum_ns, min_ns, max_ns, .. } = *self;
        (self.total, self.sum_ns, self.min_ns, self.max_ns) = (0, 0, u64::MAX, 0);
        Self { first: first + from, counts, total, sum_ns, min_ns, max_ns }
    }

    /// Middles of the classes in nanoseconds, within what was seen, and their counts; ascending.
    pub(super) fn classes(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        (self.first..)
            .zip(&self.counts)
            .filter(|(_, count)| **count > 0)
            .map(|(class, &count)| (middle_of(class).clamp(self.min_ns, self.max_ns), count))
    }

    #[inline]
    fn class_mut(&mut self, class: usize) -> &mut u32 {
        let index = class.wrapping_sub(self.first);
        if index >= self.counts.len() {
            self.grow(class);
        }
        &mut self.counts[class - self.first]
    }

    /// Makes room for a class: rare, as the span of times is soon known.
    #[cold]
    fn grow(&mut self, class: usize) {
        if self.counts.is_empty() {
            self.first = class;
        }
        if class < self.first {
            let missing = self.first - class;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = class;
        }
        if class - self.first >= self.counts.len() {
            self.counts.resize(class - self.first + 1, 0);
        }
    }
}

/// The class of a time.
#[inline]
fn class_of(time_ns: u64) -> usize {
    let time_ns = time_ns.clamp(1 << LEAST_BITS, (1 << MOST_BITS) - 1);
    let doubling = time_ns.ilog2();
    let within = (time_ns >> (doubling - CLASS_BITS)) & (CLASSES_PER_DOUBLING - 1);
    ((doubling - LEAST_BITS) << CLASS_BITS) as usize + within as usize
}

/// The middle of a class in nanoseconds.
fn middle_of(class: usize) -> u64 {
    let class = class as u64;
    let shift = (class >> CLASS_BITS) + u64::from(LEAST_BITS - CLASS_BITS);
    let low = (CLASSES_PER_DOUBLING + (class & (CLASSES_PER_DOUBLING - 1))) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times_ns: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for &time_ns in times_ns {
            histogram.record(time_ns);
        }
        histogram
    }

    #[test]
    fn an_empty_histogram_has_no_quantile_and_no_mean() {
        let mut empty = Histogram::default();
        assert_eq!((empty.quantile_s(0.5), empty.mean_s(), empty.max_s()), (None, None, None));
        assert_eq!(empty.take(), empty);
        assert_eq!(of(&[5_000]).quantile_s(1.1), None);
    }

    #[test]
    fn a_single_time_is_every_quantile_exactly() {
        let one = of(&[123_456_789]);
        assert_eq!(one.quantile_s(0.0), Some(0.123_456_789));
        assert_eq!(one.quantile_s(1.0), Some(0.123_456_789));
    }

    #[test]
    fn times_beyond_its_ends_are_counted_and_bound_nothing() {
        let ends = of(&[0, u64::MAX / 2]);
        assert_eq!((ends.count(), ends.min_s(), ends.above(1e5)), (2, Some(0.0), 0));
        assert_eq!(ends.above(1e3), 1);
    }

    proptest! {
        #[test]
        fn quantiles_are_off_by_no_more_than_stated(
            mut times in prop::collection::vec(1_000_u64..5_000_000_000_000, 1..300),
            share in 0.0_f64..=1.0,
        ) {
            let quantile = of(&times).quantile_s(share).expect("times");
            times.sort_unstable();
            let rank = whole((share * times.len() as f64).ceil()).clamp(1, times.len() as u64);
            let exact = (1..).zip(&times).find(|(it, _)| *it == rank).map(|(_, time)| *time);
            let exact = seconds(exact.expect("a rank among the times"));
            let off = (quantile / exact - 1.0).abs();
            // Times below the first class's end may be a class further off.
            let allowed = Histogram::RELATIVE_ERROR + if exact < 1.1e-6 { 0.03 } else { 1e-9 };
            prop_assert!(off <= allowed, "{quantile} for {exact}");
        }

        #[test]
        fn merged_parts_are_the_whole(
            left in prop::collection::vec(0_u64..10_000_000_000, 0..50),
            right in prop::collection::vec(0_u64..10_000_000_000, 0..50),
        ) {
            let mut parts = of(&left);
            parts.merge(&of(&right));
            let whole = of(&[left, right].concat()).take();
            prop_assert_eq!(parts.take(), whole);
        }
    }
}
