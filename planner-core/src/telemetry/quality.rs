//! How far a window can be trusted, and why not.

use core::fmt;
use core::time::Duration;

/// Whether a window may justify a scale-in and teach the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(clippy::exhaustive_enums, reason = "trust is a yes or a no with its reason, for good")]
pub enum Quality {
    /// The window cannot carry a scale-in, for this reason.
    Doubtful(Doubt),
    /// The window can be taken at its word.
    Trusted,
}

impl Quality {
    /// Whether the window can be taken at its word.
    pub const fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted)
    }
}

/// Why a window cannot be taken at its word.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Doubt {
    /// The window ends in the future: its clock is not the planner's.
    Ahead {
        /// By how much.
        by: Duration,
    },
    /// The source cannot say how many replicas are ready.
    ReplicasUnknown,
    /// No request was seen at all: that may be calm, and may be a blind source.
    Silent,
    /// The window is too old.
    Stale {
        /// How old it is.
        age: Duration,
        /// How old it may be.
        max: Duration,
    },
    /// Too few samples for a percentile.
    TooFewSamples {
        /// Samples in the window.
        samples: u32,
        /// Samples needed.
        needed: u32,
    },
    /// The source was cut short.
    Truncated {
        /// Share of the planned measurements that were made.
        coverage: f64,
        /// Share needed.
        min: f64,
    },
    /// Most replicas seem to be gone at once, and nobody ordered it.
    Vanished {
        /// Replicas at the last count that was believed.
        before: u32,
        /// Replicas that are counted now.
        counted: u32,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead { by } => write!(f, "window {:.1} s ahead", by.as_secs_f64()),
            Self::ReplicasUnknown => write!(f, "ready replicas unknown"),
            Self::Silent => write!(f, "no request seen"),
            Self::Stale { age, max } => {
                write!(f, "window {:.1} s old, limit {:.1} s", age.as_secs_f64(), max.as_secs_f64())
            }
            Self::TooFewSamples { samples, needed } => {
                write!(f, "{samples} samples, {needed} needed")
            }
            Self::Truncated { coverage, min } => {
                write!(f, "{:.0} % measured, {:.0} % needed", coverage * 100.0, min * 100.0)
            }
            Self::Vanished { before, counted } => {
                write!(f, "{counted} of {before} replicas are counted")
            }
        }
    }
}
