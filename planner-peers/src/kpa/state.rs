//! What the autoscaler observes and remembers.

use planner_core::Timestamp;

use super::decider::{DeciderState, Observed};
use super::window::BucketWindow;

/// One second of the whole service: requests under way or requests per second, averaged over it.
///
/// Samples of one second add up, so that parts of a service can report on their own.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "f64", into = "f64"))]
pub struct Sample(f64);

impl Sample {
    /// The sample, if it is finite and not negative.
    pub fn new(value: f64) -> Option<Self> {
        (value.is_finite() && value >= 0.0).then_some(Self(value))
    }

    /// The number.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl From<Sample> for f64 {
    fn from(sample: Sample) -> Self {
        sample.0
    }
}

impl TryFrom<f64> for Sample {
    type Error = SampleError;

    fn try_from(value: f64) -> Result<Self, SampleError> {
        Self::new(value).ok_or(SampleError { value })
    }
}

/// A number that is no sample.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("sample: {value} is not finite and at least 0; leave out a second that was not measured")]
#[non_exhaustive]
pub struct SampleError {
    /// The value given.
    pub value: f64,
}

/// What the autoscaler remembers.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KpaState {
    pub(super) stable: BucketWindow,
    pub(super) panic: BucketWindow,
    /// Absent before the first window: only a window says how many replicas it starts with.
    pub(super) decider: Option<DeciderState>,
    pub(super) excess_burst_capacity: Option<i32>,
}

impl KpaState {
    /// Both averages at `now`; `None` without samples in the stable window.
    pub fn observed(&self, now: Timestamp) -> Option<Observed> {
        let stable = self.stable.average(now)?;
        Some(Observed { stable, panic: self.panic.average(now).unwrap_or(0.0) })
    }

    /// When the panic threshold was last reached; `None` without panic.
    pub fn panicking_since(&self) -> Option<Timestamp> {
        self.decider.as_ref().and_then(DeciderState::panicking_since)
    }

    /// The most replicas that were wanted since panic began.
    pub fn most_panic_replicas(&self) -> u32 {
        self.decider.as_ref().map_or(0, DeciderState::most_panic_replicas)
    }

    /// What the ready replicas could carry beyond load and target burst at the last window with
    /// samples: below 0 asks for a buffer in front.
    pub const fn excess_burst_capacity(&self) -> Option<i32> {
        self.excess_burst_capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sample_is_negative_or_no_number() {
        for value in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Sample::new(value), None);
        }
        let refused = Sample::try_from(-1.0).expect_err("negative").to_string();
        let expected =
            "sample: -1 is not finite and at least 0; leave out a second that was not measured";
        assert_eq!(refused, expected);
    }
}
