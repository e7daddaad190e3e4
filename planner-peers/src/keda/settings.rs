//! What a workload is scaled by.

use core::time::Duration;

use thiserror::Error;

use super::activation::{Activation, Hold};
use super::fallback::{Behavior, Fallback};
use super::formula::Formula;
use super::quantity;
use super::replicas::Bounds;

/// Largest target, so that no arithmetic on it leaves the range of floats.
const TARGET_MAX: f64 = 1e12;
/// Shortest and longest time between two polls.
const POLLING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

/// What a metric is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the fixed kinds of a fixed rule")]
pub enum MetricType {
    /// The value divided by the replicas.
    AverageValue,
    /// The value as it is.
    Value,
}

/// What a metric should be, from 0.001 to 1e12.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    metric_type: MetricType,
    value: f64,
    milli: i64,
}

impl Target {
    /// So much per replica.
    ///
    /// # Errors
    ///
    /// [`KedaError::Target`] outside 0.001 to 1e12.
    pub fn average_value(per_replica: f64) -> Result<Self, KedaError> {
        Self::new(MetricType::AverageValue, per_replica)
    }

    /// So much in total, whatever the replicas.
    ///
    /// # Errors
    ///
    /// [`KedaError::Target`] outside 0.001 to 1e12.
    pub fn total_value(total: f64) -> Result<Self, KedaError> {
        Self::new(MetricType::Value, total)
    }

    fn new(metric_type: MetricType, value: f64) -> Result<Self, KedaError> {
        match quantity::milli(value) {
            Some(milli) if milli > 0 && value <= TARGET_MAX => {
                Ok(Self { metric_type, value, milli })
            }
            _ => Err(KedaError::Target { value }),
        }
    }

    /// What it is held against.
    pub const fn metric_type(self) -> MetricType {
        self.metric_type
    }

    /// How much.
    pub const fn value(self) -> f64 {
        self.value
    }

    /// How much, in thousandths.
    pub(super) const fn milli(self) -> i64 {
        self.milli
    }
}

/// One source of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    pub(super) name: String,
    pub(super) target: Target,
    pub(super) activation_threshold: f64,
}

impl Trigger {
    /// The trigger that formulas know by this name; active above 0.
    pub fn new(name: impl Into<String>, target: Target) -> Self {
        Self { name: name.into(), target, activation_threshold: 0.0 }
    }

    /// The same, active above this value.
    #[must_use]
    pub fn active_above(mut self, threshold: f64) -> Self {
        self.activation_threshold = threshold;
        self
    }
}

/// A formula that makes one metric of all triggers.
#[derive(Clone, Debug, PartialEq)]
pub struct Modifiers {
    pub(super) formula: Formula,
    pub(super) target: Target,
    pub(super) activation_target: f64,
}

impl Modifiers {
    /// The formula, and the target that its value is held against; active above 0.
    pub const fn new(formula: Formula, target: Target) -> Self {
        Self { formula, target, activation_target: 0.0 }
    }

    /// The same, active above this value of the formula.
    #[must_use]
    pub fn active_above(mut self, activation_target: f64) -> Self {
        self.activation_target = activation_target;
        self
    }
}

/// KEDA as a policy; see the [module](super).
#[derive(Clone, Debug, PartialEq)]
pub struct Keda {
    pub(super) triggers: Vec<Trigger>,
    pub(super) modifiers: Option<Modifiers>,
    pub(super) fallback: Option<Fallback>,
    pub(super) activation: Activation,
    pub(super) max_replicas: u32,
    pub(super) polling_interval: Duration,
}

impl Keda {
    /// One trigger with this value per replica, all else as KEDA has it by default.
    ///
    /// ```
    /// use planner_peers::keda::Keda;
    ///
    /// let keda = Keda::average_value(50.0)?;
    /// assert!(Keda::average_value(0.0).is_err());
    /// # let _ = keda;
    /// # Ok::<(), planner_peers::keda::KedaError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KedaError::Target`] outside 0.001 to 1e12.
    pub fn average_value(target_per_replica: f64) -> Result<Self, KedaError> {
        let target = Target::average_value(target_per_replica)?;
        Self::builder().trigger(Trigger::new("trigger", target)).build()
    }

    /// Nothing yet but the defaults: no trigger, 0 to 100 replicas, a poll every 30 s, asleep after
    /// 300 s.
    pub fn builder() -> KedaBuilder {
        KedaBuilder {
            keda: Self {
                triggers: Vec::new(),
                modifiers: None,
                fallback: None,
                activation: Activation::default(),
                max_replicas: 100,
                polling_interval: Duration::from_secs(30),
            },
        }
    }

    /// Its triggers, in the order of the readings in a [`KedaSignal`](super::KedaSignal).
    pub fn triggers(&self) -> &[Trigger] {
        &self.triggers
    }

    /// Least and most replicas from the first one on.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { min: self.activation.min_replicas.max(1), max: self.max_replicas }
    }
}

/// Collects the settings of a [`Keda`].
#[derive(Clone, Debug, PartialEq)]
pub struct KedaBuilder {
    keda: Keda,
}

impl KedaBuilder {
    /// One more trigger. [`KedaSignal`](super::KedaSignal) has its values in the same order.
    #[must_use]
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.keda.triggers.push(trigger);
        self
    }

    /// One metric made of all triggers.
    #[must_use]
    pub fn modifiers(mut self, modifiers: Modifiers) -> Self {
        self.keda.modifiers = Some(modifiers);
        self
    }

    /// What stands in for triggers that fail too often.
    #[must_use]
    pub fn fallback(mut self, fallback: Fallback) -> Self {
        self.keda.fallback = Some(fallback);
        self
    }

    /// Least and most replicas; a least of 0 lets the workload sleep.
    #[must_use]
    pub fn replicas(mut self, min: u32, max: u32) -> Self {
        self.keda.activation.min_replicas = min;
        self.keda.max_replicas = max;
        self
    }

    /// Replicas of the sleeping workload, fewer than the least.
    #[must_use]
    pub fn idle_replicas(mut self, idle: u32) -> Self {
        self.keda.activation.idle_replicas = Some(idle);
        self
    }

    /// How long after its last activity the workload stays awake.
    #[must_use]
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.keda.activation.cooldown = cooldown;
        self
    }

    /// The same for a workload that was never active.
    #[must_use]
    pub fn initial_cooldown(mut self, cooldown: Duration) -> Self {
        self.keda.activation.initial_cooldown = cooldown;
        self
    }

    /// Time between two polls, from 1 s to a day.
    #[must_use]
    pub fn polling_interval(mut self, interval: Duration) -> Self {
        self.keda.polling_interval = interval;
        self
    }

    /// What operators hold.
    #[must_use]
    pub fn hold(mut self, hold: Hold) -> Self {
        self.keda.activation.hold = hold;
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`KedaError`] that names the first setting that cannot be meant.
    pub fn build(mut self) -> Result<Keda, KedaError> {
        let keda = &mut self.keda;
        keda.activation.fallback_replicas = keda.fallback.map(|fallback| fallback.replicas);
        check_triggers(keda)?;
        check_replicas(keda)?;
        let interval = keda.polling_interval;
        if interval < POLLING.0 || interval > POLLING.1 {
            return Err(KedaError::PollingInterval { interval });
        }
        check_fallback(keda)?;
        Ok(self.keda)
    }
}

fn check_triggers(keda: &Keda) -> Result<(), KedaError> {
    if keda.triggers.is_empty() {
        return Err(KedaError::NoTrigger);
    }
    let thresholds = keda.triggers.iter().map(|trigger| trigger.activation_threshold);
    let modifiers = keda.modifiers.as_ref();
    for value in thresholds.chain(modifiers.map(|modifiers| modifiers.activation_target)) {
        if !value.is_finite() {
            return Err(KedaError::ActivationThreshold { value });
        }
    }
    let Some(modifiers) = modifiers else {
        return Ok(());
    };
    let known: Vec<&str> = keda.triggers.iter().map(|trigger| trigger.name.as_str()).collect();
    for (index, name) in known.iter().enumerate() {
        if known.iter().skip(index + 1).any(|other| other == name) {
            return Err(KedaError::RepeatedName { name: String::from(*name) });
        }
    }
    match modifiers.formula.names().find(|name| !known.contains(name)) {
        Some(name) => Err(KedaError::UnknownName { name: String::from(name) }),
        None => Ok(()),
    }
}

fn check_replicas(keda: &Keda) -> Result<(), KedaError> {
    let (min, max) = (keda.activation.min_replicas, keda.max_replicas);
    if max == 0 || min > max {
        return Err(KedaError::Replicas { min, max });
    }
    match keda.activation.idle_replicas {
        Some(idle) if idle >= min => Err(KedaError::IdleReplicas { idle, min }),
        _ => Ok(()),
    }
}

fn check_fallback(keda: &Keda) -> Result<(), KedaError> {
    let Some(fallback) = keda.fallback else {
        return Ok(());
    };
    match &keda.modifiers {
        None if fallback.behavior == Behavior::ScalingModifiers => {
            Err(KedaError::FallbackWithoutFormula)
        }
        Some(modifiers) if modifiers.target.value().fract() != 0.0 => {
            Err(KedaError::FallbackTarget { value: modifiers.target.value() })
        }
        _ => Ok(()),
    }
}

/// Why settings cannot be meant.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum KedaError {
    /// A threshold of activation is no number.
    #[error("activation above {value}; give a finite number")]
    ActivationThreshold {
        /// The threshold.
        value: f64,
    },
    /// KEDA's fallback only counts for a whole target of the formula.
    #[error("fallback with a formula target of {value}; KEDA only falls back to a whole one")]
    FallbackTarget {
        /// The target.
        value: f64,
    },
    /// The fallback leaves it to a formula, and there is none.
    #[error("fallback leaves failing triggers to a formula; give one by modifiers")]
    FallbackWithoutFormula,
    /// Idle is not below the least.
    #[error("{idle} replicas while idle; give fewer than the least, which is {min}")]
    IdleReplicas {
        /// Replicas while idle.
        idle: u32,
        /// Least replicas.
        min: u32,
    },
    /// Nothing to scale by.
    #[error("no trigger; give at least one")]
    NoTrigger,
    /// Polls too often or too rarely.
    #[error("a poll every {interval:?}; give 1 s to 86400 s")]
    PollingInterval {
        /// The time between two.
        interval: Duration,
    },
    /// Two triggers of one name.
    #[error("two triggers are named `{name}`; a formula needs a name for each")]
    RepeatedName {
        /// The name.
        name: String,
    },
    /// No count is possible.
    #[error(
        "{min} to {max} replicas; give a most of at least 1 and no more than that as the least"
    )]
    Replicas {
        /// Least replicas.
        min: u32,
        /// Most replicas.
        max: u32,
    },
    /// A target of nothing, or beyond measure.
    #[error("a target of {value}; give 0.001 to 1e12")]
    Target {
        /// The target.
        value: f64,
    },
    /// The formula names a trigger that there is not.
    #[error("the formula names `{name}`, and no trigger has that name")]
    UnknownName {
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten() -> Target {
        Target::average_value(10.0).expect("a target")
    }

    fn one_trigger() -> KedaBuilder {
        Keda::builder().trigger(Trigger::new("a", ten()))
    }

    fn formula(text: &str, target: f64) -> Modifiers {
        let target = Target::average_value(target).expect("a target");
        Modifiers::new(Formula::parse(text).expect("a formula"), target)
    }

    fn refusal(builder: KedaBuilder) -> String {
        builder.build().expect_err("refused").to_string()
    }

    #[test]
    fn a_target_of_nothing_or_beyond_measure_is_refused() {
        for (value, told) in [
            (0.0, "0"),
            (-1.0, "-1"),
            (0.000_4, "0.0004"),
            (1e13, "10000000000000"),
            (f64::NAN, "NaN"),
        ] {
            let told = format!("a target of {told}; give 0.001 to 1e12");
            assert_eq!(Keda::average_value(value).expect_err("refused").to_string(), told);
        }
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused_with_the_remedy() {
        let fallback = Fallback { failure_threshold: 3, replicas: 5, behavior: Behavior::Static };
        let nil = Fallback { behavior: Behavior::ScalingModifiers, ..fallback };
        for (builder, says) in [
            (Keda::builder(), "no trigger; give at least one"),
            (
                one_trigger().trigger(Trigger::new("b", ten()).active_above(f64::NAN)),
                "activation above NaN; give a finite number",
            ),
            (
                one_trigger().modifiers(formula("a", 1.0).active_above(f64::INFINITY)),
                "activation above inf; give a finite number",
            ),
            (
                one_trigger().replicas(0, 0),
                "0 to 0 replicas; give a most of at least 1 and no more than that as the least",
            ),
            (
                one_trigger().replicas(3, 2),
                "3 to 2 replicas; give a most of at least 1 and no more than that as the least",
            ),
            (
                one_trigger().replicas(2, 9).idle_replicas(2),
                "2 replicas while idle; give fewer than the least, which is 2",
            ),
            (
                one_trigger().polling_interval(Duration::ZERO),
                "a poll every 0ns; give 1 s to 86400 s",
            ),
            (
                one_trigger().trigger(Trigger::new("a", ten())).modifiers(formula("a", 1.0)),
                "two triggers are named `a`; a formula needs a name for each",
            ),
            (
                one_trigger().modifiers(formula("a + b", 1.0)),
                "the formula names `b`, and no trigger has that name",
            ),
            (
                one_trigger().fallback(nil),
                "fallback leaves failing triggers to a formula; give one by modifiers",
            ),
            (
                one_trigger().modifiers(formula("a", 1.5)).fallback(fallback),
                "fallback with a formula target of 1.5; KEDA only falls back to a whole one",
            ),
        ] {
            assert_eq!(refusal(builder), says);
        }
    }

    #[test]
    fn the_defaults_are_kedas() {
        let keda = Keda::average_value(50.0).expect("valid");
        assert_eq!(keda.bounds(), Bounds { min: 1, max: 100 });
        assert_eq!(keda.polling_interval, Duration::from_secs(30));
        assert_eq!(keda.activation, Activation::default());
        assert_eq!(keda.activation.cooldown, Duration::from_secs(300));
    }
}
