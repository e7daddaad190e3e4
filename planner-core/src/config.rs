//! Every number that people tune, valid by construction.
//!
//! A setting is checked where it is made: newtypes have one fallible constructor, and
//! [`ConfigBuilder::build`] checks each range and the relations between settings. A [`Config`]
//! value is therefore always usable, and no other module re-checks it. Each setting has its reader,
//! its setter and its range here, so that one search finds them all.

pub mod doctor;
mod error;
mod service;
#[cfg(feature = "serde")]
mod text;
mod values;

use core::time::Duration;

pub use error::ConfigError;
pub use service::{ServiceId, ServiceIdError};
#[cfg(feature = "serde")]
use text::nanos;
pub use values::{AdviceConfig, GuardSet, ReplicaBounds, StepLimit, Thresholds};

/// A complete and valid configuration. Built with [`Config::builder`].
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "RawConfig", into = "RawConfig"))]
pub struct Config {
    raw: RawConfig,
}

/// The settings themselves; private so that a [`Config`] can only come from a check.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct RawConfig {
    bounds: ReplicaBounds,
    thresholds: Thresholds,
    band_sigmas: f64,
    deviation_ratio_min: f64,
    low_windows: u32,
    baseline_windows: u32,
    warmup_windows: u32,
    #[cfg_attr(feature = "serde", serde(default))]
    baseline_hint_ms: f64,
    sigma_floor_ms: f64,
    sigma_floor_share: f64,
    error_share_max: f64,
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    window_age_max: Duration,
    samples_min: u32,
    coverage_min: f64,
    target_utilisation: f64,
    #[cfg_attr(feature = "serde", serde(default))]
    capacity_hint_per_s: f64,
    #[cfg_attr(feature = "serde", serde(default = "slow_price"))]
    slow_price: f64,
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    cooldown_out: Duration,
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    cooldown_in: Duration,
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    stabilisation_in: Duration,
    step_out: StepLimit,
    step_in: StepLimit,
    flap_budget_per_hour: u32,
    efficacy_attempts: u32,
    #[cfg_attr(feature = "serde", serde(with = "nanos"))]
    startup_allowance: Duration,
    #[cfg_attr(feature = "serde", serde(default))]
    guard_set: GuardSet,
    advice: Option<AdviceConfig>,
    seed: u64,
}

/// The default of [`ConfigBuilder::slow_price`].
const SLOW_PRICE: f64 = 9.0;

/// What is written without a price had the default one.
#[cfg(feature = "serde")]
const fn slow_price() -> f64 {
    SLOW_PRICE
}

impl Config {
    /// Settings with a default for everything but the bounds.
    ///
    /// ```
    /// use core::time::Duration;
    /// use planner_core::{Config, ReplicaBounds};
    ///
    /// let config = Config::builder(ReplicaBounds::new(2, 10)?)
    ///     .cooldown_in(Duration::from_secs(45))
    ///     .build()?;
    /// assert_eq!(config.cooldown_in(), Duration::from_secs(45));
    /// # Ok::<(), planner_core::ConfigError>(())
    /// ```
    pub fn builder(bounds: ReplicaBounds) -> ConfigBuilder {
        ConfigBuilder {
            raw: RawConfig {
                bounds,
                thresholds: Thresholds { up_ratio: 8.0, down_ratio: 1.10, up_z: 6.0 },
                band_sigmas: 2.5,
                deviation_ratio_min: 3.0,
                low_windows: 3,
                baseline_windows: 60,
                warmup_windows: 12,
                baseline_hint_ms: 0.0,
                sigma_floor_ms: 2.0,
                sigma_floor_share: 0.10,
                error_share_max: 0.05,
                window_age_max: Duration::from_secs(30),
                samples_min: 8,
                coverage_min: 0.5,
                target_utilisation: 0.8,
                capacity_hint_per_s: 0.0,
                slow_price: SLOW_PRICE,
                cooldown_out: Duration::from_secs(15),
                cooldown_in: Duration::from_secs(60),
                stabilisation_in: Duration::from_secs(120),
                step_out: StepLimit { replicas: 4, percent: 900, period: Duration::from_secs(15) },
                step_in: StepLimit { replicas: 1, percent: 25, period: Duration::from_secs(60) },
                flap_budget_per_hour: 10,
                efficacy_attempts: 3,
                startup_allowance: Duration::from_secs(60),
                guard_set: GuardSet::All,
                advice: None,
                seed: 0,
            },
        }
    }

    /// Fewest and most replicas.
    pub const fn bounds(&self) -> ReplicaBounds {
        self.raw.bounds
    }

    /// The operator's thresholds.
    pub const fn thresholds(&self) -> Thresholds {
        self.raw.thresholds
    }

    /// Half width of the near-baseline band in σ (`K_SIGMA`).
    pub const fn band_sigmas(&self) -> f64 {
        self.raw.band_sigmas
    }

    /// A deviation in σ is a breach only from this many baselines on.
    pub const fn deviation_ratio_min(&self) -> f64 {
        self.raw.deviation_ratio_min
    }

    /// Near-baseline windows in a row that a scale-in needs (`LOW_NEED_N`).
    pub const fn low_windows(&self) -> u32 {
        self.raw.low_windows
    }

    /// Length of the baseline's reference in windows (`HIST_WINDOWS`).
    pub const fn baseline_windows(&self) -> u32 {
        self.raw.baseline_windows
    }

    /// Reference windows that an estimate needs (`WARMUP_WINDOWS`).
    pub const fn warmup_windows(&self) -> u32 {
        self.raw.warmup_windows
    }

    /// The usual p95 in milliseconds, which stands in until the reference is warm
    /// (`IDLE_HINT_MS`); `None` when it is not known.
    pub fn baseline_hint_ms(&self) -> Option<f64> {
        Some(self.raw.baseline_hint_ms).filter(|hint| *hint > 0.0)
    }

    /// Least σ in milliseconds.
    pub const fn sigma_floor_ms(&self) -> f64 {
        self.raw.sigma_floor_ms
    }

    /// Least σ as a share of the median.
    pub const fn sigma_floor_share(&self) -> f64 {
        self.raw.sigma_floor_share
    }

    /// Error share above which nothing is scaled in and errors are a breach.
    pub const fn error_share_max(&self) -> f64 {
        self.raw.error_share_max
    }

    /// Age from which a window is stale.
    pub const fn window_age_max(&self) -> Duration {
        self.raw.window_age_max
    }

    /// Samples that a trusted window needs.
    pub const fn samples_min(&self) -> u32 {
        self.raw.samples_min
    }

    /// Share of the planned measurements that a trusted window needs.
    pub const fn coverage_min(&self) -> f64 {
        self.raw.coverage_min
    }

    /// Share of the learned capacity that a replica should be used at.
    pub const fn target_utilisation(&self) -> f64 {
        self.raw.target_utilisation
    }

    /// Least time between two scale-outs.
    pub const fn cooldown_out(&self) -> Duration {
        self.raw.cooldown_out
    }

    /// Least time from any scaling to a scale-in.
    pub const fn cooldown_in(&self) -> Duration {
        self.raw.cooldown_in
    }

    /// A scale-in goes no lower than the highest proposal of this long.
    pub const fn stabilisation_in(&self) -> Duration {
        self.raw.stabilisation_in
    }

    /// Most replicas added per period.
    pub const fn step_out(&self) -> StepLimit {
        self.raw.step_out
    }

    /// Most replicas removed per period.
    pub const fn step_in(&self) -> StepLimit {
        self.raw.step_in
    }

    /// Changes of direction allowed in any hour.
    pub const fn flap_budget_per_hour(&self) -> u32 {
        self.raw.flap_budget_per_hour
    }

    /// Scale-outs without effect after which the planner stops scaling out.
    pub const fn efficacy_attempts(&self) -> u32 {
        self.raw.efficacy_attempts
    }

    /// How long a replica that was ordered may take to become ready.
    pub const fn startup_allowance(&self) -> Duration {
        self.raw.startup_allowance
    }

    /// Requests per second that a replica is known to answer, before that is learned.
    pub fn capacity_hint_per_s(&self) -> Option<f64> {
        (self.raw.capacity_hint_per_s > 0.0).then_some(self.raw.capacity_hint_per_s)
    }

    /// What a request that waits too long costs, in times what serving one costs.
    pub const fn slow_price(&self) -> f64 {
        self.raw.slow_price
    }

    /// Which guards run.
    pub const fn guard_set(&self) -> GuardSet {
        self.raw.guard_set
    }

    /// How the advisor may be asked; `None` when there is none.
    pub const fn advice(&self) -> Option<&AdviceConfig> {
        self.raw.advice.as_ref()
    }

    /// Seed of the only randomness there is: the jitter of the advisor's back-off.
    pub const fn seed(&self) -> u64 {
        self.raw.seed
    }

    /// A 64-bit FNV-1a hash over every setting: equal configurations have equal fingerprints on
    /// every machine. A journal's header carries it.
    pub fn fingerprint(&self) -> u64 {
        use core::fmt::{self, Write as _};

        /// Hashes what is written to it.
        struct Fnv(u64);
        impl fmt::Write for Fnv {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for byte in text.bytes() {
                    self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
                Ok(())
            }
        }
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        // `Debug` of a double is its shortest exact text and every field is named: no two
        // configurations that differ can print the same.
        let written = write!(hash, "{:?}", self.raw);
        debug_assert!(written.is_ok(), "hashing cannot fail");
        hash.0
    }
}

#[cfg(feature = "serde")]
impl From<Config> for RawConfig {
    fn from(config: Config) -> Self {
        config.raw
    }
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        ConfigBuilder { raw }.build()
    }
}

/// Collects settings; [`ConfigBuilder::build`] checks them all.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ConfigBuilder {
    raw: RawConfig,
}

/// One setter per line of the table: name, type, and what it sets.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty;)*) => {
        impl ConfigBuilder {
            $($(#[$doc])*
            pub fn $name(mut self, $name: $type) -> Self {
                self.raw.$name = $name;
                self
            })*
        }
    };
}

setters! {
    /// The operator's thresholds; default 8.0, 1.10 and 6.0.
    thresholds: Thresholds;
    /// Half width of the near-baseline band in σ, 0 to 100; default 2.5.
    band_sigmas: f64;
    /// A deviation in σ is a breach only from this many baselines on, 1 to 100; default 3.
    deviation_ratio_min: f64;
    /// Near-baseline windows in a row that a scale-in needs, 1 to 1000; default 3.
    low_windows: u32;
    /// Length of the baseline's reference in windows, 3 to 100000; default 60.
    baseline_windows: u32;
    /// Reference windows that an estimate needs, 2 to `baseline_windows`; default 12.
    warmup_windows: u32;
    /// The usual p95 in milliseconds, which stands in until the reference is warm, up to 1e8;
    /// default 0, which is none. It makes breaches known from the first window on; nothing is
    /// scaled in before the reference itself is warm.
    baseline_hint_ms: f64;
    /// Least σ in milliseconds, 1e-6 to 1e6; default 2.
    sigma_floor_ms: f64;
    /// Least σ as a share of the median, 0 to 10; default 0.10.
    sigma_floor_share: f64;
    /// Error share above which nothing is scaled in, 0 to below 1; default 0.05.
    error_share_max: f64;
    /// Age from which a window is stale, 1 ms to one day; default 30 s.
    window_age_max: Duration;
    /// Samples that a trusted window needs, 1 to 1e6; default 8.
    samples_min: u32;
    /// Share of the planned measurements that a trusted window needs, 0 to 1; default 0.5.
    coverage_min: f64;
    /// Share of the learned capacity that a replica should be used at, 0.05 to 1; default 0.8.
    target_utilisation: f64;
    /// Requests per second that a replica is known to answer, which stands in until that is
    /// learned, up to 1e6; default 0, which is none.
    capacity_hint_per_s: f64;
    /// What a request that waits too long costs, in times what serving one costs, 0 to 1e4; default
    /// 9. The higher, the more replicas are kept for bursts like those that were seen, and the
    /// faster a backlog is worked off.
    slow_price: f64;
    /// Least time between two scale-outs, up to one day; default 15 s.
    cooldown_out: Duration;
    /// Least time from any scaling to a scale-in, up to one day; default 60 s.
    cooldown_in: Duration;
    /// A scale-in goes no lower than the highest proposal of this long, up to one day; 120 s.
    stabilisation_in: Duration;
    /// Most replicas added per period; default the larger of 4 and 900 % in 15 s.
    step_out: StepLimit;
    /// Most replicas removed per period; default the larger of 1 and 25 % in 60 s.
    step_in: StepLimit;
    /// Changes of direction allowed in any hour, 1 to 3600; default 10. Each is counted for an
    /// hour and up to ten minutes longer.
    flap_budget_per_hour: u32;
    /// Scale-outs without effect after which the planner stops, 1 to 1000; default 3.
    efficacy_attempts: u32;
    /// How long an ordered replica may take to become ready, up to one day; default 60 s.
    startup_allowance: Duration;
    /// Which guards run; default all. [`GuardSet::Peer`] is for policies of other systems, which
    /// bring stabilisation and rate limits of their own.
    guard_set: GuardSet;
    /// Seed of the back-off's jitter; default 0.
    seed: u64;
}

impl ConfigBuilder {
    /// Allows an advisor; default none.
    pub fn advice(mut self, advice: AdviceConfig) -> Self {
        self.raw.advice = Some(advice);
        self
    }

    /// The configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first setting that is out of its range or contradicts another,
    /// its value, the rule, and what to do.
    pub fn build(self) -> Result<Config, ConfigError> {
        let raw = self.raw;
        ReplicaBounds::new(raw.bounds.min(), raw.bounds.max())?;
        check_ranges(&raw)?;
        check_spans(&raw)?;
        if raw.warmup_windows > raw.baseline_windows {
            return Err(ConfigError::WarmupExceedsBaseline {
                warmup: raw.warmup_windows,
                baseline: raw.baseline_windows,
            });
        }
        if raw.thresholds.up_ratio <= raw.thresholds.down_ratio {
            return Err(ConfigError::ThresholdsReversed {
                up: raw.thresholds.up_ratio,
                down: raw.thresholds.down_ratio,
            });
        }
        if let Some(advice) = &raw.advice
            && advice.backoff.start() > advice.backoff.end()
        {
            return Err(ConfigError::BackoffReversed {
                min: *advice.backoff.start(),
                max: *advice.backoff.end(),
            });
        }
        Ok(Config { raw })
    }
}

/// Refuses a number outside its range.
fn check_ranges(raw: &RawConfig) -> Result<(), ConfigError> {
    let thresholds = raw.thresholds;
    let ranges = [
        ("up_ratio", thresholds.up_ratio, 1.1, 1_000.0),
        ("down_ratio", thresholds.down_ratio, 1.0, 10.0),
        ("up_z", thresholds.up_z, 1.0, 1_000.0),
        ("band_sigmas", raw.band_sigmas, 0.0, 100.0),
        ("deviation_ratio_min", raw.deviation_ratio_min, 1.0, 100.0),
        ("low_windows", f64::from(raw.low_windows), 1.0, 1_000.0),
        ("baseline_windows", f64::from(raw.baseline_windows), 3.0, 100_000.0),
        ("warmup_windows", f64::from(raw.warmup_windows), 2.0, 100_000.0),
        ("baseline_hint_ms", raw.baseline_hint_ms, 0.0, 1e8),
        ("sigma_floor_ms", raw.sigma_floor_ms, 1e-6, 1e6),
        ("sigma_floor_share", raw.sigma_floor_share, 0.0, 10.0),
        ("error_share_max", raw.error_share_max, 0.0, 0.999),
        ("samples_min", f64::from(raw.samples_min), 1.0, 1e6),
        ("coverage_min", raw.coverage_min, 0.0, 1.0),
        ("target_utilisation", raw.target_utilisation, 0.05, 1.0),
        ("capacity_hint_per_s", raw.capacity_hint_per_s, 0.0, 1e6),
        ("slow_price", raw.slow_price, 0.0, 1e4),
        ("step_out.replicas", f64::from(raw.step_out.replicas), 1.0, 1e5),
        ("step_out.percent", f64::from(raw.step_out.percent), 0.0, 10_000.0),
        ("step_in.replicas", f64::from(raw.step_in.replicas), 1.0, 1e5),
        ("step_in.percent", f64::from(raw.step_in.percent), 0.0, 100.0),
        ("flap_budget_per_hour", f64::from(raw.flap_budget_per_hour), 1.0, 3_600.0),
        ("efficacy_attempts", f64::from(raw.efficacy_attempts), 1.0, 1_000.0),
    ];
    for (setting, value, min, max) in ranges {
        if !(min..=max).contains(&value) {
            return Err(ConfigError::OutOfRange { setting, value, min, max });
        }
    }
    Ok(())
}

/// Refuses a span outside its range.
fn check_spans(raw: &RawConfig) -> Result<(), ConfigError> {
    const DAY: Duration = Duration::from_secs(86_400);
    const MS: Duration = Duration::from_millis(1);
    let default = AdviceConfig::default();
    let advice = raw.advice.as_ref().unwrap_or(&default);
    let spans = [
        ("window_age_max", raw.window_age_max, MS),
        ("cooldown_out", raw.cooldown_out, Duration::ZERO),
        ("cooldown_in", raw.cooldown_in, Duration::ZERO),
        ("stabilisation_in", raw.stabilisation_in, Duration::ZERO),
        ("step_out.period", raw.step_out.period, Duration::ZERO),
        ("step_in.period", raw.step_in.period, Duration::ZERO),
        ("startup_allowance", raw.startup_allowance, Duration::ZERO),
        ("advice.period", advice.period, MS * 10),
        ("advice.timeout", advice.timeout, MS),
        ("advice.backoff", *advice.backoff.end(), MS),
        ("advice.heartbeat", advice.heartbeat, MS),
        ("advice.thresholds_ttl", advice.thresholds_ttl, MS),
    ];
    for (setting, span, min) in spans {
        if span < min || span > DAY {
            return Err(ConfigError::SpanOutOfRange { setting, span, min, max: DAY });
        }
    }
    Ok(())
}
