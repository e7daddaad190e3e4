//! The mean, with the sum carried along.

use super::ring::Ring;

/// An average is rounded to this many parts of one.
const PARTS: f64 = 1e6;

/// Buckets and their sum.
///
/// The sum is carried along as the original does, rounding included: an average that sits on a
/// multiple of the target should fall on the same side of it.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Linear {
    ring: Ring,
    total: f64,
}

impl Linear {
    pub(super) fn new(buckets: usize) -> Self {
        Self { ring: Ring::new(buckets), total: 0.0 }
    }

    pub(super) const fn buckets(&self) -> usize {
        self.ring.buckets()
    }

    pub(super) fn advance(&mut self) {
        self.total -= self.ring.advance();
    }

    pub(super) fn add(&mut self, age: usize, value: f64) {
        *self.ring.at_mut(age) += value;
        self.total += value;
    }

    pub(super) fn clear(&mut self) {
        self.ring.clear();
        self.total = 0.0;
    }

    /// The mean of the buckets that are still in the window `silent` buckets after the newest,
    /// fewer than there are, when `filled` have been written.
    pub(super) fn average(&self, silent: usize, filled: usize) -> f64 {
        let kept = self.buckets() - silent;
        let total =
            (kept..self.buckets()).rev().fold(self.total, |sum, age| sum - self.ring.at(age));
        (total / filled.min(kept) as f64 * PARTS).round() / PARTS
    }

    /// Whether it can be one; what was stored need not be.
    #[cfg(feature = "serde")]
    pub(super) fn is_sound(&self, buckets_max: usize) -> bool {
        self.ring.is_sound(buckets_max) && self.total.is_finite()
    }
}
