//! Why a configuration was refused.

use core::time::Duration;

/// Why a configuration was refused. Each message names setting, value, rule and remedy.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The shortest back-off is longer than the longest.
    #[error("advice.backoff: starts at {min:?}, after its end {max:?}; swap them")]
    BackoffReversed {
        /// Shortest wait.
        min: Duration,
        /// Longest wait.
        max: Duration,
    },
    /// Fewest replicas above most replicas.
    #[error(
        "max_replicas: {max} is below min_replicas {min}; raise max_replicas or lower min_replicas"
    )]
    BoundsReversed {
        /// Fewest replicas.
        min: u32,
        /// Most replicas.
        max: u32,
    },
    /// Most replicas of zero, or beyond what the planner counts.
    #[error("max_replicas: {max} is not within 1..=100000; name the most replicas you can afford")]
    MaxReplicas {
        /// Most replicas.
        max: u32,
    },
    /// A number outside its range.
    #[error("{setting}: {value} is not within {min}..={max}; choose a value in that range")]
    OutOfRange {
        /// The setting's name.
        setting: &'static str,
        /// The value given.
        value: f64,
        /// Least value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// A span outside its range.
    #[error("{setting}: {span:?} is not within {min:?}..={max:?}; choose a value in that range")]
    SpanOutOfRange {
        /// The setting's name.
        setting: &'static str,
        /// The span given.
        span: Duration,
        /// Shortest span.
        min: Duration,
        /// Longest span.
        max: Duration,
    },
    /// A breach would begin inside the near-baseline band.
    #[error("up_ratio: {up} is not above down_ratio {down}; lower down_ratio or raise up_ratio")]
    ThresholdsReversed {
        /// Breach ratio.
        up: f64,
        /// Near-baseline ratio.
        down: f64,
    },
    /// The estimate would need more windows than the reference holds.
    #[error(
        "warmup_windows: {warmup} is above baseline_windows {baseline}; the baseline would never be warm"
    )]
    WarmupExceedsBaseline {
        /// Windows that an estimate needs.
        warmup: u32,
        /// Windows that the reference holds.
        baseline: u32,
    },
}

impl ConfigError {
    /// The setting that it is about, as the builder names it.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::BackoffReversed { .. } => "advice.backoff",
            Self::BoundsReversed { .. } | Self::MaxReplicas { .. } => "max_replicas",
            Self::OutOfRange { setting, .. } | Self::SpanOutOfRange { setting, .. } => setting,
            Self::ThresholdsReversed { .. } => "up_ratio",
            Self::WarmupExceedsBaseline { .. } => "warmup_windows",
        }
    }
}
