//! Rolling median and MAD over the last n samples, exact.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::middle;

/// Exact median and median absolute deviation of the last `capacity` samples.
///
/// Keeps the samples twice, in order of arrival and in ascending order. Adding a sample costs a
/// binary search and a move of at most `capacity` values; the median is then O(1) and the MAD
/// O(log n): the k values nearest the median stand together in the ascending order, so one
/// binary search finds where they begin.
///
/// ```
/// use planner_core::stats::RollingMedian;
///
/// let mut rolling = RollingMedian::new(3);
/// for value in [40.0, 90.0, 50.0, 41.0] {
///     rolling.push(value);
/// }
/// assert_eq!(rolling.median(), Some(50.0)); // of 90, 50, 41
/// assert_eq!(rolling.mad(), Some(9.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RollingMedian {
    capacity: usize,
    arrivals: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl RollingMedian {
    /// An empty sample of at most `capacity` values, at least one.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self {
            capacity,
            arrivals: VecDeque::with_capacity(capacity),
            sorted: Vec::with_capacity(capacity),
        }
    }

    /// Adds a sample; the oldest leaves when the sample is full. A value that is not finite is
    /// ignored: it has no rank.
    pub fn push(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.arrivals.len() == self.capacity
            && let Some(oldest) = self.arrivals.pop_front()
        {
            let rank = self.sorted.partition_point(|sample| sample.total_cmp(&oldest).is_lt());
            self.sorted.remove(rank);
        }
        let rank = self.sorted.partition_point(|sample| sample.total_cmp(&value).is_lt());
        self.sorted.insert(rank, value);
        self.arrivals.push_back(value);
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// How many samples there are at most.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether there is no sample yet.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Forgets every sample.
    pub fn clear(&mut self) {
        self.arrivals.clear();
        self.sorted.clear();
    }

    /// The samples, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        self.arrivals.iter().copied()
    }

    /// Median of the samples. O(1).
    pub fn median(&self) -> Option<f64> {
        middle(&self.sorted)
    }

    /// Median absolute deviation from the median. O(log n).
    pub fn mad(&self) -> Option<f64> {
        let median = self.median()?;
        let len = self.sorted.len();
        let low = self.nearest(median, len.div_ceil(2))?;
        if len % 2 == 1 {
            return Some(low);
        }
        Some(f64::midpoint(low, self.nearest(median, len / 2 + 1)?))
    }

    /// The `count`-th smallest deviation from `center`: the farther end of the run of `count`
    /// values nearest to it.
    fn nearest(&self, center: f64, count: usize) -> Option<f64> {
        let runs = self.sorted.len().checked_sub(count)?;
        // The first run that cannot be improved by moving it one value up.
        let (mut low, mut high) = (0, runs);
        while low < high {
            let middle = low.midpoint(high);
            let leaves = center - self.sorted.get(middle)?;
            let enters = self.sorted.get(middle + count)? - center;
            if leaves > enters {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let below = center - self.sorted.get(low)?;
        let above = self.sorted.get(low + count - 1)? - center;
        Some(below.max(above))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::{mad, median};

    #[test]
    fn a_value_without_a_rank_is_ignored() {
        let mut rolling = RollingMedian::new(4);
        for value in [f64::NAN, f64::INFINITY, 7.0, f64::NEG_INFINITY] {
            rolling.push(value);
        }
        assert_eq!(rolling.len(), 1);
        assert_eq!((rolling.median(), rolling.mad()), (Some(7.0), Some(0.0)));
    }

    #[test]
    fn without_samples_there_is_no_estimate() {
        let rolling = RollingMedian::new(4);
        assert_eq!((rolling.median(), rolling.mad()), (None, None));
    }

    proptest! {
        #[test]
        fn median_and_mad_are_bit_identical_to_sorting_the_last_samples(
            capacity in 1_usize..40,
            values in prop::collection::vec(
                prop_oneof![0.0..1e6_f64, (0_u8..5).prop_map(f64::from)], 0..120),
        ) {
            let mut rolling = RollingMedian::new(capacity);
            for (index, value) in values.iter().enumerate() {
                rolling.push(*value);
                let seen = &values[..=index];
                let last = &seen[seen.len().saturating_sub(capacity)..];
                let expected = median(last).expect("not empty");
                prop_assert_eq!(rolling.median(), Some(expected));
                prop_assert_eq!(rolling.mad(), mad(last, expected));
            }
        }
    }
}
