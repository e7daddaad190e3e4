//! Rolling median and MAD over the last n samples, exact.
//!
//! No other library was found that keeps an exact MAD over a sliding window in less than O(n).
//! The k values nearest the median stand together in the ascending order, so one search finds
//! where they begin; the rest is keeping the samples sorted as cheaply as their number allows.

mod small;
mod sorted;
mod tiered;

use alloc::boxed::Box;

use small::Small;
use sorted::Sorted;
use tiered::Tiered;

use super::{halfway, middle_of};

/// Up to here counting all samples beats searching among them.
const SMALL_MAX: usize = 192;
/// Up to here moving a part of one array beats moving between chunks.
const SORTED_MAX: usize = 2_048;

/// Exact median and median absolute deviation of the last `capacity` samples.
///
/// Keeps the samples in ascending order beside their order of arrival, in one of three layouts
/// chosen by `capacity`: to 192 an array that is counted through without a branch, to 2048 one
/// that is searched, beyond it chunks of 1024. Adding a sample is O(n) with a very small constant
/// in the first two, O(√n) in the third; the median is O(1), the MAD O(log n), and O(1) in the
/// first, which follows it. Everything is allocated at construction: 9 bytes a sample in the first,
/// 16 in the others.
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
#[derive(Clone, Debug)]
pub struct RollingMedian {
    layout: Layout,
}

/// How the samples are kept. Two cases at this level, because the second then costs no tag.
#[derive(Clone, Debug)]
enum Layout {
    Small(Small),
    Large(Box<Large>),
}

#[derive(Clone, Debug)]
enum Large {
    Sorted(Sorted),
    Tiered(Tiered),
}

/// Calls the same method on whatever the layout is.
macro_rules! layout {
    ($this:expr, $large:ident, $samples:ident => $call:expr) => {
        match $this {
            Layout::Small($samples) => $call,
            Layout::Large(large) => match large.$large() {
                Large::Sorted($samples) => $call,
                Large::Tiered($samples) => $call,
            },
        }
    };
    (&mut $this:expr, $samples:ident => $call:expr) => {
        layout!(&mut $this, as_mut, $samples => $call)
    };
    (&$this:expr, $samples:ident => $call:expr) => {
        layout!(&$this, as_ref, $samples => $call)
    };
}

impl RollingMedian {
    /// An empty sample of at most `capacity` values, at least one.
    pub fn new(capacity: usize) -> Self {
        let layout = if capacity <= SMALL_MAX {
            Layout::Small(Small::new(capacity.max(1)))
        } else if capacity <= SORTED_MAX {
            Layout::Large(Box::new(Large::Sorted(Sorted::new(capacity))))
        } else {
            Layout::Large(Box::new(Large::Tiered(Tiered::new(capacity))))
        };
        Self { layout }
    }

    /// Adds a sample; the oldest leaves when the sample is full. A value that is not finite is
    /// ignored: it has no rank. Allocates nothing.
    #[inline]
    pub fn push(&mut self, value: f64) {
        if value.is_finite() {
            // A negative zero becomes a positive one: equal values must have equal bits.
            layout!(&mut self.layout, samples => samples.push(value + 0.0));
        }
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        layout!(&self.layout, samples => samples.len())
    }

    /// How many samples there are at most.
    pub fn capacity(&self) -> usize {
        layout!(&self.layout, samples => samples.capacity())
    }

    /// Whether there is no sample yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets every sample.
    pub fn clear(&mut self) {
        layout!(&mut self.layout, samples => samples.clear());
    }

    /// The samples, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.len()).map(|age| layout!(&self.layout, samples => samples.arrived(age)))
    }

    /// Median of the samples. O(1).
    #[inline]
    pub fn median(&self) -> Option<f64> {
        let at = |rank| layout!(&self.layout, samples => samples.at(rank));
        middle_of(self.len(), at)
    }

    /// Median absolute deviation from the median.
    pub fn mad(&self) -> Option<f64> {
        self.median_and_mad().map(|(_, mad)| mad)
    }

    /// Both at once, which costs no more than the second alone.
    #[inline]
    pub fn median_and_mad(&self) -> Option<(f64, f64)> {
        layout!(&self.layout, samples => both(
            samples.len(),
            |rank| samples.at(rank),
            |median, nearest| samples.nearest_run(median, nearest),
        ))
    }
}

/// Equal when the same samples arrived in the same order, whatever the layout looks like.
impl PartialEq for RollingMedian {
    fn eq(&self, other: &Self) -> bool {
        self.capacity() == other.capacity() && self.iter().eq(other.iter())
    }
}

/// Median and MAD of `len` ascending values, given where the run of the nearest ones begins.
#[inline]
fn both(
    len: usize,
    at: impl Fn(usize) -> f64,
    nearest_run: impl Fn(f64, usize) -> usize,
) -> Option<(f64, f64)> {
    let median = middle_of(len, &at)?;
    let nearest = len.div_ceil(2);
    let low = nearest_run(median, nearest);
    // Of the run of the nearest, the farther end.
    let (lower, upper) = (median - at(low), at(low + nearest - 1) - median);
    let last = if lower > upper { lower } else { upper };
    if !len.is_multiple_of(2) {
        return Some((median, last));
    }
    // The one after it stands on one of the run's two sides.
    let below = if low > 0 { median - at(low - 1) } else { f64::INFINITY };
    let above = if low + nearest < len { at(low + nearest) - median } else { f64::INFINITY };
    let after = if below < above { below } else { above };
    Some((median, halfway(last, after)))
}

/// Where the run of the `count` values nearest `center` begins, of `len` ascending ones: the first
/// run that moving it one value up does not improve.
fn search_run(len: usize, count: usize, center: f64, at: impl Fn(usize) -> f64) -> usize {
    let (mut low, mut high) = (0, len - count);
    while low < high {
        let middle = low.midpoint(high);
        if center - at(middle) > at(middle + count) - center {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
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

    /// The streams that layouts are held to: level shifts, ties, rising, falling, constant.
    fn stream(kind: usize, index: usize, noise: &mut u64) -> f64 {
        *noise ^= *noise << 13;
        *noise ^= *noise >> 7;
        *noise ^= *noise << 17;
        let uniform = (*noise >> 11) as f64 / (1_u64 << 53) as f64;
        let level = if (index / 700).is_multiple_of(2) { 40.0 } else { 90.0 };
        match kind {
            0 => level * (1.0 + uniform * uniform * 4.0),
            1 => libm::floor(uniform * 5.0),
            2 => index as f64,
            3 => -(index as f64),
            _ => 7.0,
        }
    }

    /// Pushes `steps` values and compares with sorting the last ones at every `stride`th.
    fn held_to_sorting(capacity: usize, steps: usize, stride: usize) {
        for kind in 0..5 {
            let (mut rolling, mut noise) = (RollingMedian::new(capacity), 88_172_645_463_325_252);
            let mut seen = std::vec::Vec::new();
            for index in 0..steps {
                let value = stream(kind, index, &mut noise);
                rolling.push(value);
                seen.push(value);
                if index % stride == 0 || index + 1 == steps {
                    let last = &seen[seen.len().saturating_sub(capacity)..];
                    let expected = median(last).expect("not empty");
                    assert_eq!(rolling.len(), last.len());
                    assert_eq!(rolling.median(), Some(expected), "{capacity}, {kind}, {index}");
                    assert_eq!(rolling.mad(), mad(last, expected), "{capacity}, {kind}, {index}");
                    assert!(rolling.iter().eq(last.iter().copied()), "{capacity}, {kind}");
                }
            }
        }
    }

    #[test]
    fn every_small_window_is_exact_on_every_stream_warm_up_included() {
        for capacity in (1..=66).chain([127, 128, 191, 192]) {
            held_to_sorting(capacity, 3 * capacity + 10, 1);
        }
    }

    #[test]
    fn windows_around_the_changes_of_layout_are_exact() {
        for capacity in [193, 255, 256, 257, 600, 2_047, 2_048, 2_049, 2_560, 4_096, 4_100] {
            held_to_sorting(capacity, 2 * capacity + 1_500, 97);
        }
    }

    #[test]
    fn a_very_large_window_is_exact() {
        held_to_sorting(60_000, 70_000, 9_973);
    }

    #[test]
    fn a_cleared_sample_begins_anew_in_every_layout() {
        for capacity in [5, 500, 5_000] {
            let mut rolling = RollingMedian::new(capacity);
            (0..2 * capacity).for_each(|index| rolling.push(index as f64));
            rolling.clear();
            assert!(rolling.is_empty() && rolling.median().is_none() && rolling.mad().is_none());
            rolling.push(3.0);
            rolling.push(4.0);
            assert_eq!((rolling.median(), rolling.mad()), (Some(3.5), Some(0.5)));
        }
    }

    #[test]
    fn a_negative_zero_is_a_zero() {
        let mut rolling = RollingMedian::new(3);
        rolling.push(-0.0);
        assert_eq!(rolling.median().map(f64::to_bits), Some(0.0_f64.to_bits()));
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
