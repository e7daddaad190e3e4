//! Why a window was refused.

use crate::Timestamp;

/// Why a window was refused. Each message names what, its value and the rule.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// Latencies were given although no request succeeded.
    #[error("latencies: given without a success; leave them out when every request failed")]
    LatencyWithoutSuccess,
    /// More errors than samples.
    #[error(
        "samples: {samples} is fewer than the {errors} errors among them; count each request once"
    )]
    MoreErrorsThanSamples {
        /// Timeouts and failures together.
        errors: u64,
        /// All measured outcomes.
        samples: u32,
    },
    /// A number outside its range.
    #[error("{field}: {value} is not {rule}; leave the field out when it is unknown")]
    OutOfRange {
        /// The field's name.
        field: &'static str,
        /// The value that came in.
        value: f64,
        /// What it has to be.
        rule: &'static str,
    },
    /// The window ends before it starts.
    #[error("end: {end} is before the start {start}; swap them or fix the clock")]
    Reversed {
        /// Start of the window.
        start: Timestamp,
        /// End of the window.
        end: Timestamp,
    },
}
