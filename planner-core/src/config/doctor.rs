//! The config doctor: settings that are legal, and cannot work.
//!
//! [`ConfigBuilder::build`](super::ConfigBuilder::build) refuses what is out of range or
//! contradicts itself. What is left can still be pointless: a rule that can never fire, a span that
//! has no effect. Much of that depends on the world, so the doctor is told of it where it is known.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::Config;
use crate::baseline::Estimate;

/// Longest time that going from one bound to the other, or warming up, should take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Most steps that are counted on the way from one bound to the other.
const STEPS_MAX: u32 = 100_000;

/// What is known of the world that a configuration is for. What is absent is not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Surroundings {
    /// The usual p95 in milliseconds.
    pub baseline_ms: Option<f64>,
    /// When a request runs into its deadline.
    pub timeout: Option<Duration>,
    /// How long a replica takes to become ready.
    pub startup: Option<Duration>,
    /// Length of a window.
    pub window: Option<Duration>,
    /// Measured requests of a window.
    pub samples: Option<u32>,
}

impl Surroundings {
    /// Nothing is known.
    pub const fn new() -> Self {
        Self { baseline_ms: None, timeout: None, startup: None, window: None, samples: None }
    }

    /// With the usual p95 in milliseconds.
    #[must_use]
    pub const fn baseline_ms(mut self, baseline_ms: f64) -> Self {
        self.baseline_ms = Some(baseline_ms);
        self
    }

    /// With the deadline of a request.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// With the time that a replica takes to become ready.
    #[must_use]
    pub const fn startup(mut self, startup: Duration) -> Self {
        self.startup = Some(startup);
        self
    }

    /// With the length of a window and the requests that are measured in it.
    #[must_use]
    pub const fn windows(mut self, window: Duration, samples: u32) -> Self {
        self.window = Some(window);
        self.samples = Some(samples);
        self
    }
}

/// Something legal that cannot work. The text names setting, value, rule and remedy.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// What is near already is a breach.
    BandMeetsBreach {
        /// Where the near-baseline band ends, in baselines.
        band_ratio: f64,
        /// Where a breach begins, in baselines.
        breach_ratio: f64,
    },
    /// A scale-out follows before the one before can serve.
    CooldownBelowStartup {
        /// The cooldown.
        cooldown: Duration,
        /// The start-up time.
        startup: Duration,
    },
    /// Every deviation that counts is a ratio breach already.
    DeviationShadowed {
        /// Least ratio of a deviation.
        ratio_min: f64,
        /// Ratio of a breach.
        up_ratio: f64,
    },
    /// The cooldowns alone keep changes of direction below the budget.
    FlapBudgetUnreachable {
        /// The budget.
        budget: u32,
        /// The most changes that the cooldowns leave time for.
        possible: u32,
    },
    /// The advisor's heartbeat cannot be paid.
    HeartbeatBelowPeriod {
        /// The heartbeat.
        heartbeat: Duration,
        /// Least time between calls.
        period: Duration,
    },
    /// There is nothing to decide.
    OneCount {
        /// Fewest and most replicas.
        replicas: u32,
    },
    /// Requests time out before the ratio can be reached.
    RatioBeyondTimeout {
        /// Ratio of a breach.
        up_ratio: f64,
        /// What it would take, in milliseconds.
        needed_ms: f64,
        /// The deadline in milliseconds.
        timeout_ms: f64,
    },
    /// Every window has too few samples.
    SamplesBeyondWindow {
        /// Samples that a trusted window needs.
        samples_min: u32,
        /// Samples of a window.
        samples: u32,
    },
    /// From one bound to the other takes too long.
    SlowSteps {
        /// Which limit.
        setting: &'static str,
        /// How long it takes.
        takes: Duration,
    },
    /// It covers less than one window.
    SpanBelowWindow {
        /// Which span.
        setting: &'static str,
        /// How long it is.
        span: Duration,
        /// Length of a window.
        window: Duration,
    },
    /// An order is given up before a replica can be ready.
    AllowanceBelowStartup {
        /// The allowance.
        allowance: Duration,
        /// The start-up time.
        startup: Duration,
    },
    /// A window is over before the advisor's answer is due.
    TimeoutBeyondWindow {
        /// The advisor's time.
        timeout: Duration,
        /// Length of a window.
        window: Duration,
    },
    /// Nothing is scaled in for very long.
    WarmupTooLong {
        /// Windows of the warm-up.
        windows: u32,
        /// How long they take.
        takes: Duration,
    },
}

impl Finding {
    /// The setting that it is about.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::AllowanceBelowStartup { .. } => "startup_allowance",
            Self::BandMeetsBreach { .. } => "band_sigmas",
            Self::CooldownBelowStartup { .. } => "cooldown_out",
            Self::DeviationShadowed { .. } => "deviation_ratio_min",
            Self::FlapBudgetUnreachable { .. } => "flap_budget_per_hour",
            Self::HeartbeatBelowPeriod { .. } => "advice.heartbeat",
            Self::OneCount { .. } => "bounds",
            Self::RatioBeyondTimeout { .. } => "up_ratio",
            Self::SamplesBeyondWindow { .. } => "samples_min",
            Self::SlowSteps { setting, .. } | Self::SpanBelowWindow { setting, .. } => setting,
            Self::TimeoutBeyondWindow { .. } => "advice.timeout",
            Self::WarmupTooLong { .. } => "warmup_windows",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.setting())?;
        match self {
            Self::AllowanceBelowStartup { allowance, startup } => write!(
                f,
                "{allowance:?} is shorter than the {startup:?} that a replica takes to start; \
                 every order would be given again, raise it"
            ),
            Self::BandMeetsBreach { band_ratio, breach_ratio } => write!(
                f,
                "near ends at {band_ratio:.2} baselines, a breach begins at {breach_ratio:.2}; \
                 lower it, or raise up_ratio and deviation_ratio_min"
            ),
            Self::CooldownBelowStartup { cooldown, startup } => write!(
                f,
                "{cooldown:?} is shorter than the {startup:?} that a replica takes to start; \
                 the next scale-out cannot know what this one does, raise it"
            ),
            Self::DeviationShadowed { ratio_min, up_ratio } => write!(
                f,
                "{ratio_min} is not below up_ratio {up_ratio}; a deviation can never be a breach \
                 first, lower it"
            ),
            Self::FlapBudgetUnreachable { budget, possible } => write!(
                f,
                "{budget} changes an hour, the cooldowns leave time for {possible}; it can never \
                 bind, lower it or the cooldowns"
            ),
            Self::HeartbeatBelowPeriod { heartbeat, period } => write!(
                f,
                "{heartbeat:?} is shorter than the {period:?} between two calls; the budget cannot \
                 pay it, raise it"
            ),
            Self::OneCount { replicas } => write!(
                f,
                "fewest and most replicas are both {replicas}; there is nothing to decide"
            ),
            Self::RatioBeyondTimeout { up_ratio, needed_ms, timeout_ms } => write!(
                f,
                "{up_ratio} baselines are {needed_ms:.0} ms, requests time out at {timeout_ms:.0} \
                 ms; it can never fire, lower it"
            ),
            Self::SamplesBeyondWindow { samples_min, samples } => write!(
                f,
                "{samples_min} samples are needed, a window has {samples}; every window would be \
                 doubtful, lower it or measure more"
            ),
            Self::SlowSteps { takes, .. } => {
                write!(f, "from one bound to the other takes {takes:?}; allow larger steps")
            }
            Self::SpanBelowWindow { span, window, .. } => write!(
                f,
                "{span:?} is shorter than a window of {window:?}; raise it to several windows"
            ),
            Self::TimeoutBeyondWindow { timeout, window } => write!(
                f,
                "{timeout:?} is longer than a window of {window:?}; decisions would lag by \
                 windows, lower it"
            ),
            Self::WarmupTooLong { windows, takes } => {
                write!(f, "{windows} windows take {takes:?}; nothing is scaled in before, lower it")
            }
        }
    }
}

/// What is legal in `config` and cannot work in these surroundings. O(steps between the bounds).
///
/// ```
/// use core::time::Duration;
/// use planner_core::config::doctor::{Surroundings, doctor};
/// use planner_core::{Config, ReplicaBounds};
///
/// let config = Config::builder(ReplicaBounds::new(2, 10)?).build()?;
/// let world = Surroundings::new()
///     .windows(Duration::from_secs(3), 40)
///     .timeout(Duration::from_millis(2_500))
///     .baseline_ms(400.0);
/// let findings = doctor(&config, &world);
/// assert_eq!(
///     findings[0].to_string(),
///     "up_ratio: 8 baselines are 3200 ms, requests time out at 2500 ms; it can never fire, lower it"
/// );
/// # Ok::<(), planner_core::ConfigError>(())
/// ```
pub fn doctor(config: &Config, world: &Surroundings) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(one_count(config));
    findings.extend(latency_rules(config, world).into_iter().flatten());
    findings.extend(samples(config, world));
    findings.extend(startup(config, world).into_iter().flatten());
    findings.extend(flap_budget(config));
    findings.extend(slow_steps(config).into_iter().flatten());
    findings.extend(windows(config, world).into_iter().flatten());
    findings.extend(advice(config, world).into_iter().flatten());
    findings
}

fn one_count(config: &Config) -> Option<Finding> {
    let bounds = config.bounds();
    (bounds.min() == bounds.max()).then_some(Finding::OneCount { replicas: bounds.min() })
}

/// Ratio, deviation and band against each other and against the deadline.
fn latency_rules(config: &Config, world: &Surroundings) -> [Option<Finding>; 3] {
    let up_ratio = config.thresholds().up_ratio;
    let ratio_min = config.deviation_ratio_min();
    let beyond = world.baseline_ms.zip(world.timeout).and_then(|(baseline_ms, timeout)| {
        let (needed_ms, timeout_ms) = (up_ratio * baseline_ms, timeout.as_secs_f64() * 1_000.0);
        (needed_ms > timeout_ms).then_some(Finding::RatioBeyondTimeout {
            up_ratio,
            needed_ms,
            timeout_ms,
        })
    });
    let shadowed =
        (ratio_min >= up_ratio).then_some(Finding::DeviationShadowed { ratio_min, up_ratio });
    let band = world.baseline_ms.and_then(|baseline_ms| {
        // The quietest baseline there can be has the σ floor.
        let estimate = Estimate::new(baseline_ms, 0.0, config)?;
        let band_ratio = estimate.ratio(estimate.band_high_ms(config, config.thresholds()));
        let breach_ratio = ratio_min.min(up_ratio);
        (band_ratio >= breach_ratio)
            .then_some(Finding::BandMeetsBreach { band_ratio, breach_ratio })
    });
    [beyond, shadowed, band]
}

fn samples(config: &Config, world: &Surroundings) -> Option<Finding> {
    let (samples_min, samples) = (config.samples_min(), world.samples?);
    (samples_min > samples).then_some(Finding::SamplesBeyondWindow { samples_min, samples })
}

fn startup(config: &Config, world: &Surroundings) -> [Option<Finding>; 2] {
    let Some(startup) = world.startup else { return [None, None] };
    let (cooldown, allowance) = (config.cooldown_out(), config.startup_allowance());
    [
        (cooldown < startup).then_some(Finding::CooldownBelowStartup { cooldown, startup }),
        (allowance < startup).then_some(Finding::AllowanceBelowStartup { allowance, startup }),
    ]
}

/// A change of direction and the next one need a scale-in's cooldown between them.
fn flap_budget(config: &Config) -> Option<Finding> {
    let budget = config.flap_budget_per_hour();
    let turn_s = config.cooldown_in().as_secs_f64();
    if turn_s <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let possible = (2.0 * 3_600.0 / turn_s) as u32;
    (possible < budget).then_some(Finding::FlapBudgetUnreachable { budget, possible })
}

/// How long the step limits take from one bound to the other.
fn slow_steps(config: &Config) -> [Option<Finding>; 2] {
    let bounds = config.bounds();
    let slow = |setting, limit: super::StepLimit, cooldown: Duration, out: bool| {
        let (mut replicas, mut steps) = if out { (bounds.min(), 0) } else { (bounds.max(), 0) };
        while steps < STEPS_MAX
            && (out && replicas < bounds.max() || !out && replicas > bounds.min())
        {
            let share = u64::from(replicas) * u64::from(limit.percent) / 100;
            let step = limit.replicas.max(u32::try_from(share).unwrap_or(u32::MAX));
            replicas =
                if out { replicas.saturating_add(step) } else { replicas.saturating_sub(step) };
            steps += 1;
        }
        let takes = limit.period.max(cooldown).saturating_mul(steps);
        (takes > PATIENCE).then_some(Finding::SlowSteps { setting, takes })
    };
    [
        slow("step_out", config.step_out(), config.cooldown_out(), true),
        slow("step_in", config.step_in(), config.cooldown_in(), false),
    ]
}

fn windows(config: &Config, world: &Surroundings) -> [Option<Finding>; 3] {
    let Some(window) = world.window else { return [None, None, None] };
    let spans = [
        ("window_age_max", config.window_age_max()),
        ("stabilisation_in", config.stabilisation_in()),
    ];
    let [age, stabilisation] = spans.map(|(setting, span)| {
        (span < window && !span.is_zero()).then_some(Finding::SpanBelowWindow {
            setting,
            span,
            window,
        })
    });
    let windows = config.warmup_windows();
    let takes = window.saturating_mul(windows);
    let warmup = (takes > PATIENCE).then_some(Finding::WarmupTooLong { windows, takes });
    [age, stabilisation, warmup]
}

fn advice(config: &Config, world: &Surroundings) -> [Option<Finding>; 2] {
    let Some(advice) = config.advice() else { return [None, None] };
    let (heartbeat, period, timeout) = (advice.heartbeat, advice.period, advice.timeout);
    let late = world.window.and_then(|window| {
        (timeout > window).then_some(Finding::TimeoutBeyondWindow { timeout, window })
    });
    let unpaid =
        (heartbeat < period).then_some(Finding::HeartbeatBelowPeriod { heartbeat, period });
    [unpaid, late]
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use super::*;
    use crate::config::{AdviceConfig, ConfigBuilder, ReplicaBounds, StepLimit, Thresholds};

    fn builder() -> ConfigBuilder {
        Config::builder(ReplicaBounds::new(2, 10).expect("bounds"))
    }

    fn usual() -> Surroundings {
        Surroundings::new()
            .baseline_ms(40.0)
            .timeout(Duration::from_millis(2_500))
            .startup(Duration::from_secs(6))
            .windows(Duration::from_secs(3), 40)
    }

    /// The findings on these settings, in words.
    fn told(builder: ConfigBuilder, world: Surroundings) -> Vec<String> {
        let config = builder.build().expect("legal");
        doctor(&config, &world).iter().map(ToString::to_string).collect()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ratio_that_no_request_lives_to_reach_is_found() {
        let slow = usual().baseline_ms(400.0);
        let text = "up_ratio: 8 baselines are 3200 ms, requests time out at 2500 ms; it can never \
                    fire, lower it";
        assert_eq!(told(builder(), slow), [text]);
    }

    #[test]
    fn a_deviation_in_the_shadow_of_the_ratio_is_found() {
        let text = "deviation_ratio_min: 8 is not below up_ratio 8; a deviation can never be a \
                    breach first, lower it";
        assert_eq!(told(builder().deviation_ratio_min(8.0), usual()), [text]);
    }

    #[test]
    fn a_band_that_reaches_into_the_breach_is_found() {
        let text = "band_sigmas: near ends at 3.50 baselines, a breach begins at 3.00; lower it, \
                    or raise up_ratio and deviation_ratio_min";
        assert_eq!(told(builder().band_sigmas(25.0), usual()), [text]);
    }

    #[test]
    fn more_samples_than_a_window_has_are_found() {
        let text = "samples_min: 50 samples are needed, a window has 40; every window would be \
                    doubtful, lower it or measure more";
        assert_eq!(told(builder().samples_min(50), usual()), [text]);
    }

    #[test]
    fn spans_shorter_than_a_start_are_found() {
        let short = builder().cooldown_out(5 * SECOND).startup_allowance(4 * SECOND);
        let texts = [
            "cooldown_out: 5s is shorter than the 6s that a replica takes to start; the next \
             scale-out cannot know what this one does, raise it",
            "startup_allowance: 4s is shorter than the 6s that a replica takes to start; every \
             order would be given again, raise it",
        ];
        assert_eq!(told(short, usual()), texts);
    }

    #[test]
    fn a_flap_budget_that_the_cooldown_makes_unreachable_is_found() {
        let slow = builder().cooldown_in(3_600 * SECOND / 2).step_in(StepLimit {
            replicas: 8,
            percent: 100,
            period: SECOND,
        });
        let text = "flap_budget_per_hour: 10 changes an hour, the cooldowns leave time for 4; it \
                    can never bind, lower it or the cooldowns";
        assert_eq!(told(slow, usual()), [text]);
    }

    #[test]
    fn steps_that_take_all_day_are_found() {
        let tiny = StepLimit { replicas: 1, percent: 0, period: 600 * SECOND };
        let text = "step_out: from one bound to the other takes 4800s; allow larger steps";
        assert_eq!(told(builder().step_out(tiny), usual()), [text]);
        let text = "step_in: from one bound to the other takes 4800s; allow larger steps";
        assert_eq!(told(builder().step_in(tiny), usual()), [text]);
    }

    #[test]
    fn spans_shorter_than_a_window_are_found() {
        let long = usual().windows(400 * SECOND, 40);
        let texts = [
            "window_age_max: 30s is shorter than a window of 400s; raise it to several windows",
            "stabilisation_in: 120s is shorter than a window of 400s; raise it to several windows",
            "warmup_windows: 12 windows take 4800s; nothing is scaled in before, lower it",
        ];
        assert_eq!(told(builder(), long), texts);
        assert!(told(builder().stabilisation_in(Duration::ZERO), usual()).is_empty(), "off");
    }

    #[test]
    fn advice_that_cannot_be_paid_or_comes_too_late_is_found() {
        let advice =
            AdviceConfig { heartbeat: 10 * SECOND, timeout: 5 * SECOND, ..AdviceConfig::default() };
        let texts = [
            "advice.heartbeat: 10s is shorter than the 30s between two calls; the budget cannot \
             pay it, raise it",
            "advice.timeout: 5s is longer than a window of 3s; decisions would lag by windows, \
             lower it",
        ];
        assert_eq!(told(builder().advice(advice), usual()), texts);
    }

    #[test]
    fn bounds_that_leave_nothing_to_decide_are_found() {
        let fixed = Config::builder(ReplicaBounds::new(3, 3).expect("bounds"));
        let text = "bounds: fewest and most replicas are both 3; there is nothing to decide";
        assert_eq!(told(fixed, usual()), [text]);
    }

    #[test]
    fn ordinary_settings_in_an_ordinary_world_are_healthy() {
        assert!(told(builder().advice(AdviceConfig::default()), usual()).is_empty());
        let eager = Thresholds { up_ratio: 4.0, down_ratio: 1.2, up_z: 3.0 };
        assert!(told(builder().thresholds(eager), usual()).is_empty());
        assert!(told(builder(), Surroundings::new()).is_empty(), "nothing is known");
    }
}
