//! Settings that are values of their own, each checked where it is made.

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use super::ConfigError;
#[cfg(feature = "serde")]
use super::text::{nanos, nanos_range};

/// Fewest and most replicas, both inclusive.
///
/// ```
/// use planner_core::ReplicaBounds;
///
/// let bounds = ReplicaBounds::new(2, 10)?;
/// assert_eq!(bounds.clamp(40), 10);
/// assert_eq!(
///     ReplicaBounds::new(9, 3).unwrap_err().to_string(),
///     "max_replicas: 3 is below min_replicas 9; raise max_replicas or lower min_replicas"
/// );
/// # Ok::<(), planner_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "RawBounds"))]
pub struct ReplicaBounds {
    min: u32,
    max: u32,
}

impl ReplicaBounds {
    /// The most replicas that a configuration may allow.
    pub const LIMIT: u32 = 100_000;

    /// Bounds from `min` to `max`, both inclusive. `min` may be 0, `max` may not.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when `max` is 0, below `min` or above [`ReplicaBounds::LIMIT`].
    pub const fn new(min: u32, max: u32) -> Result<Self, ConfigError> {
        if max == 0 || max > Self::LIMIT {
            return Err(ConfigError::MaxReplicas { max });
        }
        if min > max {
            return Err(ConfigError::BoundsReversed { min, max });
        }
        Ok(Self { min, max })
    }

    /// Fewest replicas.
    pub const fn min(self) -> u32 {
        self.min
    }

    /// Most replicas.
    pub const fn max(self) -> u32 {
        self.max
    }

    /// The nearest count within the bounds.
    pub const fn clamp(self, replicas: u32) -> u32 {
        if replicas < self.min {
            self.min
        } else if replicas > self.max {
            self.max
        } else {
            replicas
        }
    }

    /// Whether `replicas` is within the bounds.
    pub const fn contain(self, replicas: u32) -> bool {
        self.min <= replicas && replicas <= self.max
    }
}

impl fmt::Display for ReplicaBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.min, self.max)
    }
}

#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct RawBounds {
    min: u32,
    max: u32,
}

#[cfg(feature = "serde")]
impl TryFrom<RawBounds> for ReplicaBounds {
    type Error = ConfigError;

    fn try_from(raw: RawBounds) -> Result<Self, ConfigError> {
        Self::new(raw.min, raw.max)
    }
}

/// Which guards stand between a wish and a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum GuardSet {
    /// All of them.
    #[default]
    All,
    /// Doubt, bounds and the operator alone, so that a policy of another system, which brings its
    /// own stabilisation and rate limits, is not held back twice. Which laws such a policy breaks
    /// is for the lab to say.
    Peer,
}

/// How far one direction may move within a period: the larger of a count and a percentage of the
/// replicas at the period's beginning, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "a plain triple that people write out")]
pub struct StepLimit {
    /// At least this many replicas may be added or removed per period; 1 or more.
    pub replicas: u32,
    /// Percentage of the replicas at the beginning of the period, in `0..=10000`.
    pub percent: u32,
    /// The period; from 0 to one day. Zero limits each decision for itself.
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    pub period: Duration,
}

/// When a latency counts as a breach, as near, and as idle.
///
/// The operator's values are part of the configuration; an advisor may only tighten them, see
/// [`advice`](crate::advice).
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "a plain triple that advice and settings share")]
pub struct Thresholds {
    /// A p95 of this many baselines is a breach (`ALPHA_UP`); from 1.1 to 1000.
    pub up_ratio: f64,
    /// A p95 of at most this many baselines is near the baseline (`BETA_DOWN`); from 1 to 10.
    pub down_ratio: f64,
    /// A p95 this many σ above the baseline is a breach; from 1 to 1000.
    pub up_z: f64,
}

/// How the advisor may be asked.
#[derive(Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "plain settings with a documented default")]
pub struct AdviceConfig {
    /// Least time between two calls: 60 s divided by `LLM_RPM`, so that half a call a minute fits.
    /// From 10 ms to one day.
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    pub period: Duration,
    /// Most calls in any 24 hours, whatever clock they are counted by (`LLM_RPD`); 0 for as many as
    /// `period` allows. A quarter of them may come at once, the others are spread over the day.
    #[cfg_attr(feature = "serde", serde(default))]
    pub calls_per_day: u32,
    /// Most tokens in any 24 hours (`LLM_TOKENS_PER_DAY`); 0 for no limit. A quarter of them may be
    /// spent at once; the call that spends the last may go beyond it. A call that does not tell its
    /// tokens counts 1500.
    #[cfg_attr(feature = "serde", serde(default))]
    pub tokens_per_day: u32,
    /// The answer must be there this long after the question; from 1 ms to one day.
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    pub timeout: Duration,
    /// Shortest and longest wait after a failed call.
    #[cfg_attr(feature = "serde", serde(with = "nanos_range"))]
    pub backoff: RangeInclusive<Duration>,
    /// Ask again after this long even when nothing changed (`LLM_HEARTBEAT_SEC`).
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    pub heartbeat: Duration,
    /// How long advised thresholds stay in force.
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    pub thresholds_ttl: Duration,
    /// Replicas beyond the fewest that an advisor may keep in reserve in calm (`LLM_RESERVE`); 0
    /// for none. To be asked for one costs a call each heartbeat.
    #[cfg_attr(feature = "serde", serde(default))]
    pub reserve: u32,
    /// Whether advice is only put on record: it is asked for and judged, and decisions are those of
    /// the policy alone.
    #[cfg_attr(feature = "serde", serde(default))]
    pub shadow: bool,
}

impl fmt::Debug for AdviceConfig {
    /// Every field, daily budgets, reserve and shadow only where they are set: fingerprints of
    /// configurations from before they could be are made of this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { period, timeout, backoff, heartbeat, thresholds_ttl, .. } = self;
        let mut shown = f.debug_struct("AdviceConfig");
        shown.field("period", period);
        for (name, most) in [
            ("calls_per_day", self.calls_per_day),
            ("tokens_per_day", self.tokens_per_day),
            ("reserve", self.reserve),
        ] {
            if most > 0 {
                shown.field(name, &most);
            }
        }
        shown.field("timeout", timeout).field("backoff", backoff);
        shown.field("heartbeat", heartbeat).field("thresholds_ttl", thresholds_ttl);
        if self.shadow {
            shown.field("shadow", &self.shadow);
        }
        shown.finish()
    }
}

impl Default for AdviceConfig {
    /// Two calls a minute, answered within 2.5 s, backing off from 10 s to 5 minutes, a heartbeat
    /// each 5 minutes, thresholds in force for 5 minutes.
    fn default() -> Self {
        Self {
            period: Duration::from_secs(30),
            calls_per_day: 0,
            tokens_per_day: 0,
            reserve: 0,
            timeout: Duration::from_millis(2_500),
            backoff: Duration::from_secs(10)..=Duration::from_secs(300),
            heartbeat: Duration::from_secs(300),
            thresholds_ttl: Duration::from_secs(300),
            shadow: false,
        }
    }
}
