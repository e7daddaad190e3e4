//! The weighted average in constant time.
//!
//! The sum cannot be carried along and reduced by what leaves: after a high load the rounding that
//! is left would outweigh a low one, and an idle service would never read zero. Instead the window
//! is cut in two:
//!
//! ```text
//! age     0 ............. newer-1 | newer ............................ oldest
//! slot    the bucket's value      | weighted sum from age `newer` to this one
//! ```
//!
//! What leaves at the old end takes nothing with it, because no other slot counts on it. When all
//! buckets are new ones, one pass over them makes the old part again: once a window.

use super::ring::Ring;

/// What the weights of a whole window leave out.
const REMAINDER: f64 = 0.0001;
/// Each bucket weighs at least this share less than the one after it.
const COEFFICIENT_MIN: f64 = 0.2;

/// Buckets and their weighted sum.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Weighted {
    ring: Ring,
    /// Weight of a bucket ÷ weight of the one after it.
    decay: f64,
    /// How many slots hold values of their own.
    newer: usize,
    /// Their sum, the newest with weight 1.
    newer_sum: f64,
}

impl Weighted {
    pub(super) fn new(buckets: usize) -> Self {
        let ring = Ring::new(buckets);
        let newer = ring.buckets();
        let decay = root(REMAINDER, newer).min(1.0 - COEFFICIENT_MIN);
        Self { ring, decay, newer, newer_sum: 0.0 }
    }

    pub(super) const fn buckets(&self) -> usize {
        self.ring.buckets()
    }

    pub(super) fn advance(&mut self) {
        if self.newer == self.buckets() {
            self.settle();
        }
        self.ring.advance();
        self.newer += 1;
        self.newer_sum *= self.decay;
    }

    pub(super) fn add(&mut self, age: usize, value: f64) {
        if age < self.newer {
            *self.ring.at_mut(age) += value;
            self.newer_sum += value * power(self.decay, age);
            return;
        }
        let value = value * power(self.decay, age - self.newer);
        for older in age..self.buckets() {
            *self.ring.at_mut(older) += value;
        }
    }

    pub(super) fn clear(&mut self) {
        self.ring.clear();
        self.newer = self.buckets();
        self.newer_sum = 0.0;
    }

    /// The weighted sum of the buckets that are still in the window `silent` buckets after the
    /// newest, fewer than there are.
    pub(super) fn average(&self, silent: usize) -> f64 {
        let kept = self.buckets() - silent;
        let sum = if kept < self.newer {
            (0..kept).rev().fold(0.0, |sum, age| sum * self.decay + self.ring.at(age))
        } else {
            let older = if kept > self.newer { self.ring.at(kept - 1) } else { 0.0 };
            self.newer_sum + older * power(self.decay, self.newer)
        };
        sum * (1.0 - self.decay) * power(self.decay, silent)
    }

    /// Makes all buckets old ones.
    fn settle(&mut self) {
        let (mut sum, mut weight) = (0.0, 1.0);
        for age in 0..self.buckets() {
            sum += self.ring.at(age) * weight;
            weight *= self.decay;
            *self.ring.at_mut(age) = sum;
        }
        self.newer = 0;
        self.newer_sum = 0.0;
    }

    /// Whether it can be one; what was stored need not be.
    #[cfg(feature = "serde")]
    pub(super) fn is_sound(&self, buckets_max: usize) -> bool {
        self.ring.is_sound(buckets_max)
            && self.newer <= self.buckets()
            && self.newer_sum.is_finite()
            && (0.0..=1.0).contains(&self.decay)
    }
}

/// `base` to the power of `exponent`, by products alone: the same bits on every machine, which a
/// system's own `pow` does not promise.
fn power(base: f64, mut exponent: usize) -> f64 {
    let (mut product, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    product
}

/// The number from 0 to 1 whose power of `degree` is `value`, by halving the interval until it can
/// be halved no more.
fn root(value: f64, degree: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return high;
        }
        if power(middle, degree) < value { low = middle } else { high = middle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_a_whole_window_add_up_to_all_but_the_remainder() {
        for buckets in [1, 2, 6, 41] {
            let weighted = Weighted::new(buckets);
            let rest = power(weighted.decay, buckets);
            assert!((rest / REMAINDER - 1.0).abs() < 1e-12, "{buckets}: {rest}");
        }
        assert_eq!(Weighted::new(42).decay, 0.8);
    }

    #[test]
    fn a_root_to_the_power_is_the_number() {
        for degree in [1, 3, 7, 40] {
            let powered = power(root(0.3, degree), degree);
            assert!((powered - 0.3).abs() < 1e-14, "{degree}: {powered}");
        }
    }
}
