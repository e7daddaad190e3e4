//! Exact statistics: percentiles of a sample, rolling median and MAD.
//!
//! Only `+ - * /` and comparisons, so that every machine computes the same bits.

mod rolling;

pub use rolling::RollingMedian;

/// Factor from MAD to σ for normally distributed data: 1 / Φ⁻¹(3/4), rounded as is customary.
pub const SIGMA_PER_MAD: f64 = 1.4826;

/// The `share` quantile of an ascending sample, linearly interpolated between the two nearest
/// ranks (type 7 of Hyndman and Fan 1996, the default of `NumPy`, R and the proof of concept).
///
/// `None` for an empty sample or a share outside `0..=1`. O(1).
///
/// ```
/// use planner_core::stats::percentile;
///
/// assert_eq!(percentile(&[10.0, 20.0, 30.0, 40.0, 50.0], 0.95), Some(48.0));
/// assert_eq!(percentile(&[], 0.95), None);
/// ```
pub fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    let last = sorted.len().checked_sub(1)?;
    let position = share * last as f64;
    // In range: `share` is at most 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to last")]
    let below = position as usize;
    let low = *sorted.get(below)?;
    let high = *sorted.get(below + 1).unwrap_or(&low);
    Some(low + (high - low) * (position - below as f64))
}

/// Median of a sample in any order: the middle value, or the mean of the middle two.
/// `None` for an empty sample. O(n log n).
pub fn median(sample: &[f64]) -> Option<f64> {
    let mut sorted = sample.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    middle(&sorted)
}

/// Median absolute deviation from `center`. `None` for an empty sample. O(n log n).
pub fn mad(sample: &[f64], center: f64) -> Option<f64> {
    let mut deviations = alloc::vec::Vec::with_capacity(sample.len());
    deviations.extend(sample.iter().map(|value| (value - center).abs()));
    deviations.sort_unstable_by(f64::total_cmp);
    middle(&deviations)
}

/// Median of an ascending sample.
fn middle(sorted: &[f64]) -> Option<f64> {
    middle_of(sorted.len(), |rank| sorted.get(rank).copied().unwrap_or(0.0))
}

/// Median of `len` ascending values, each at its rank.
#[inline]
fn middle_of(len: usize, at: impl Fn(usize) -> f64) -> Option<f64> {
    if len == 0 {
        return None;
    }
    let high = at(len / 2);
    Some(if len % 2 == 1 { high } else { halfway(at(len / 2 - 1), high) })
}

/// Mean of two values; what `(a + b) / 2` gives wherever that does not overflow.
#[inline]
fn halfway(low: f64, high: f64) -> f64 {
    let sum = low + high;
    if sum.is_finite() { sum * 0.5 } else { low * 0.5 + high * 0.5 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use statrs::statistics::{Data, OrderStatistics as _};

    use super::*;

    #[test]
    fn an_empty_sample_has_no_statistics() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(median(&[]), None);
        assert_eq!(mad(&[], 1.0), None);
    }

    #[test]
    fn a_share_that_is_no_share_has_no_percentile() {
        assert_eq!(percentile(&[1.0], 1.01), None);
        assert_eq!(percentile(&[1.0], f64::NAN), None);
    }

    proptest! {
        #[test]
        fn the_median_is_that_of_an_independent_library(
            sample in prop::collection::vec(0.0..1e6_f64, 1..60),
        ) {
            let oracle = Data::new(sample.clone()).median();
            prop_assert_eq!(median(&sample), Some(oracle));
        }
    }

    #[test]
    fn the_median_of_an_even_sample_is_the_mean_of_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(mad(&[4.0, 1.0, 3.0, 2.0], 2.5), Some(1.0));
    }
}
