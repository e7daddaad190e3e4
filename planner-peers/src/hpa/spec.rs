//! What an autoscaler is asked to keep, and the settings of the controller around it.

use std::time::Duration;

use thiserror::Error;

use super::behavior::{Behavior, Change, LegacyLimit, ScalingRules};
use super::calculator::{Calculator, MetricError, Tolerance};
use super::conditions::ConditionReason;
use super::pods::{ReadinessDelays, Resource};
use super::stabilization::Stabilization;

/// The longest period of a rate.
const PERIOD_MAX: Duration = Duration::from_secs(1_800);
/// The longest stabilisation window.
const WINDOW_MAX: Duration = Duration::from_secs(3_600);
/// Thousandths in one.
const MILLI: f64 = 1_000.0;

/// What a resource of pods should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "the targets of another system")]
pub enum ResourceTarget {
    /// So many thousandths on average over the pods.
    AverageValue(i64),
    /// So many percent of what they request.
    Utilization(u32),
}

/// What the metric of an object, or an external one, should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "the targets of another system")]
pub enum ValueTarget {
    /// So many thousandths for each replica.
    AverageValue(i64),
    /// So many thousandths in all.
    Value(i64),
}

/// A metric and its target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Metric {
    /// A number, or several that are summed up, from outside the cluster.
    External(ValueTarget),
    /// One that cannot be evaluated, and how that is reported.
    Invalid {
        /// The reason of the condition.
        condition: ConditionReason,
        /// What is wrong with it.
        error: MetricError,
    },
    /// A number of some other object.
    Object(ValueTarget),
    /// A number of each pod, with its target in thousandths on average.
    Pods(i64),
    /// A resource of each pod, or of one container in each.
    Resource {
        /// The resource.
        resource: Resource,
        /// The container; `None` sums up all of a pod.
        container: Option<String>,
        /// What it should be.
        target: ResourceTarget,
    },
}

impl Metric {
    /// CPU at so many percent of what pods request.
    pub const fn cpu_utilization(percent: u32) -> Self {
        let target = ResourceTarget::Utilization(percent);
        Self::Resource { resource: Resource::Cpu, container: None, target }
    }

    /// The reason of the condition when it fails.
    pub const fn failure(&self) -> ConditionReason {
        match self {
            Self::External(_) => ConditionReason::FailedGetExternalMetric,
            Self::Invalid { condition, .. } => *condition,
            Self::Object(_) => ConditionReason::FailedGetObjectMetric,
            Self::Pods(_) => ConditionReason::FailedGetPodsMetric,
            Self::Resource { container: Some(_), .. } => {
                ConditionReason::FailedGetContainerResourceMetric
            }
            Self::Resource { .. } => ConditionReason::FailedGetResourceMetric,
        }
    }

    /// Its target; `None` when it has none.
    const fn target(&self) -> Option<i64> {
        match self {
            Self::External(ValueTarget::AverageValue(milli) | ValueTarget::Value(milli))
            | Self::Object(ValueTarget::AverageValue(milli) | ValueTarget::Value(milli))
            | Self::Pods(milli)
            | Self::Resource { target: ResourceTarget::AverageValue(milli), .. } => Some(*milli),
            Self::Resource { target: ResourceTarget::Utilization(percent), .. } => {
                Some(*percent as i64)
            }
            Self::Invalid { .. } => None,
        }
    }
}

/// Settings of the controller, the same for all that it scales.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure it")]
pub struct Settings {
    /// How far usage may be from its target without a change.
    pub tolerance: Tolerance,
    /// How long starting pods are distrusted.
    pub delays: ReadinessDelays,
    /// How long a recommendation holds a scale-in back, where scaling rules say nothing else.
    pub downscale_stabilization: Duration,
    /// The limit for scaling up without scaling rules.
    pub scale_up_limit: LegacyLimit,
}

impl Default for Settings {
    /// Tolerance 0.1 as in v1.28; 5 minutes and 30 s for starting pods; 5 minutes; twice or 4.
    fn default() -> Self {
        Self {
            tolerance: Tolerance::default(),
            delays: ReadinessDelays::default(),
            downscale_stabilization: Duration::from_secs(300),
            scale_up_limit: LegacyLimit::default(),
        }
    }
}

impl Settings {
    /// The calculator with these settings.
    pub const fn calculator(&self) -> Calculator {
        Calculator { tolerance: self.tolerance, delays: self.delays }
    }
}

/// What is kept: metrics at their targets, within rates. The bounds come with each round.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure it")]
pub struct Spec {
    /// The metrics; the one that asks for most replicas wins.
    pub metrics: Vec<Metric>,
    /// Scaling rules. `None` is not the default rules, but the older way without any.
    pub behavior: Option<Behavior>,
    /// Settings of the controller.
    pub settings: Settings,
}

impl Spec {
    /// These metrics, without scaling rules, with default settings.
    pub fn new(metrics: Vec<Metric>) -> Self {
        Self { metrics, behavior: None, settings: Settings::default() }
    }

    /// How recommendations hold a scaling back.
    pub fn stabilization(&self) -> Stabilization {
        let default = self.settings.downscale_stabilization;
        match &self.behavior {
            None => Stabilization::Legacy { down: default },
            Some(behavior) => Stabilization::Rules {
                up: behavior.scale_up.stabilization.unwrap_or_default(),
                down: behavior.scale_down.stabilization.unwrap_or(default),
            },
        }
    }

    /// Whether all of it is in range.
    ///
    /// # Errors
    ///
    /// [`HpaError`], naming the first that is not.
    pub fn validate(&self) -> Result<(), HpaError> {
        if self.metrics.is_empty() {
            return Err(HpaError::NoMetrics);
        }
        for (index, metric) in self.metrics.iter().enumerate() {
            match metric.target() {
                None => return Err(HpaError::MetricInvalid { index }),
                Some(target) if target <= 0 => {
                    return Err(HpaError::TargetNotPositive { index, target });
                }
                Some(_) => {}
            }
        }
        let (up, down) = match self.settings.tolerance {
            Tolerance::PerDirection { up, down } => (up, down),
            Tolerance::Symmetric(share) => (share, share),
        };
        for share in [up, down] {
            if !(share.is_finite() && share >= 0.0) {
                return Err(HpaError::Tolerance { share });
            }
        }
        let legacy = self.settings.downscale_stabilization;
        if legacy > WINDOW_MAX {
            return Err(HpaError::Window { window: legacy });
        }
        match &self.behavior {
            None => Ok(()),
            Some(Behavior { scale_up, scale_down }) => {
                validate_rules(scale_up).and_then(|()| validate_rules(scale_down))
            }
        }
    }
}

fn validate_rules(rules: &ScalingRules) -> Result<(), HpaError> {
    if let Some(window) = rules.stabilization.filter(|window| *window > WINDOW_MAX) {
        return Err(HpaError::Window { window });
    }
    if rules.policies.is_empty() {
        return Err(HpaError::NoPolicies);
    }
    for policy in &rules.policies {
        let (Change::Percent(value) | Change::Pods(value)) = policy.change;
        if value == 0 {
            return Err(HpaError::PolicyValue);
        }
        if policy.period < Duration::from_secs(1) || policy.period > PERIOD_MAX {
            return Err(HpaError::PolicyPeriod { period: policy.period });
        }
    }
    Ok(())
}

/// A number in thousandths.
///
/// # Errors
///
/// [`HpaError::Target`] unless it is at least a thousandth and fits.
pub(super) fn target_milli(target: f64) -> Result<i64, HpaError> {
    let milli = (target * MILLI).round();
    // The least float above every i64 is 2^63 itself.
    if !(milli >= 1.0 && milli < i64::MAX as f64) {
        return Err(HpaError::Target { target });
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range, as was just checked")]
    let milli = milli as i64;
    Ok(milli)
}

/// A measured number in thousandths, the nearest that fits; `None` for none.
pub(crate) fn measured_milli(value: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, far beyond any count")]
    let milli = (value * MILLI).round() as i64;
    value.is_finite().then_some(milli)
}

/// What is wrong with a specification.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum HpaError {
    /// A metric cannot be evaluated.
    #[error("metric {index} cannot be evaluated; remove it or give it a kind and a target")]
    MetricInvalid {
        /// Which, from 0.
        index: usize,
    },
    /// There are no metrics.
    #[error("there are no metrics; name at least one")]
    NoMetrics,
    /// A direction has no rates.
    #[error("scaling rules without policies; name one, or leave the rules out for the defaults")]
    NoPolicies,
    /// A rate's period is out of range.
    #[error("a policy's period is {period:?}; it must be from 1s to 1800s")]
    PolicyPeriod {
        /// The period.
        period: Duration,
    },
    /// A rate allows nothing.
    #[error("a policy's value is 0; to switch a direction off select Disabled")]
    PolicyValue,
    /// A target per replica is no number that can be kept.
    #[error("the target per replica is {target}; it must be at least 0.001 and below 9.2e15")]
    Target {
        /// The target.
        target: f64,
    },
    /// A metric's target is not above 0.
    #[error("the target of metric {index} is {target}; it must be above 0")]
    TargetNotPositive {
        /// Which, from 0.
        index: usize,
        /// Its target, in thousandths or percent.
        target: i64,
    },
    /// The tolerance is no share.
    #[error("the tolerance is {share}; it must be a share of the target, 0 or more, such as 0.1")]
    Tolerance {
        /// The tolerance.
        share: f64,
    },
    /// A stabilisation window is too long.
    #[error("a stabilisation window is {window:?}; it must be at most 3600s")]
    Window {
        /// The window.
        window: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::super::behavior::{ScalingPolicy, SelectPolicy};
    use super::*;

    fn refusal(change: impl FnOnce(&mut Spec)) -> String {
        let mut spec = Spec::new(vec![Metric::cpu_utilization(50)]);
        change(&mut spec);
        spec.validate().expect_err("out of range").to_string()
    }

    fn rules(spec: &mut Spec, policy: ScalingPolicy) {
        let rules = ScalingRules { policies: vec![policy], ..ScalingRules::up() };
        spec.behavior = Some(Behavior { scale_up: rules, ..Behavior::default() });
    }

    #[test]
    fn what_is_out_of_range_is_named_with_its_value_and_the_rule() {
        assert_eq!(refusal(|it| it.metrics.clear()), "there are no metrics; name at least one");
        assert_eq!(
            refusal(|it| it.metrics.push(Metric::Pods(0))),
            "the target of metric 1 is 0; it must be above 0"
        );
        let (condition, error) =
            (ConditionReason::InvalidMetricSourceType, MetricError::UnknownSource);
        assert_eq!(
            refusal(|it| it.metrics.push(Metric::Invalid { condition, error })),
            "metric 1 cannot be evaluated; remove it or give it a kind and a target"
        );
        assert_eq!(
            refusal(|it| it.settings.tolerance = Tolerance::Symmetric(-0.1)),
            "the tolerance is -0.1; it must be a share of the target, 0 or more, such as 0.1"
        );
        assert_eq!(
            refusal(|it| it.settings.downscale_stabilization = Duration::from_secs(3_601)),
            "a stabilisation window is 3601s; it must be at most 3600s"
        );
    }

    #[test]
    fn rates_that_the_api_would_refuse_are_refused() {
        assert_eq!(
            refusal(|it| rules(it, ScalingPolicy::pods(0, 15))),
            "a policy's value is 0; to switch a direction off select Disabled"
        );
        assert_eq!(
            refusal(|it| rules(it, ScalingPolicy::pods(4, 1_801))),
            "a policy's period is 1801s; it must be from 1s to 1800s"
        );
        assert_eq!(
            refusal(|it| {
                let scale_down = ScalingRules {
                    stabilization: None,
                    policies: Vec::new(),
                    select: SelectPolicy::Disabled,
                };
                it.behavior = Some(Behavior { scale_down, ..Behavior::default() });
            }),
            "scaling rules without policies; name one, or leave the rules out for the defaults"
        );
    }

    #[test]
    fn the_default_rules_wait_before_scaling_down_only() {
        let spec = Spec { behavior: Some(Behavior::default()), ..Spec::new(Vec::new()) };
        let down = Duration::from_secs(300);
        assert_eq!(spec.stabilization(), Stabilization::Rules { up: Duration::ZERO, down });
    }

    #[test]
    fn a_target_is_rounded_to_a_thousandth_and_refused_below_one() {
        assert_eq!(target_milli(12.3456), Ok(12_346));
        for target in [0.0, 0.000_4, -1.0, f64::NAN, f64::INFINITY, 1e16] {
            assert!(target_milli(target).is_err(), "{target}");
        }
        assert_eq!(
            target_milli(0.0).expect_err("too small").to_string(),
            "the target per replica is 0; it must be at least 0.001 and below 9.2e15"
        );
    }

    #[test]
    fn a_measurement_that_is_no_number_is_none() {
        assert_eq!(measured_milli(f64::NAN), None);
        assert_eq!(measured_milli(1e300), Some(i64::MAX));
        assert_eq!(measured_milli(2.5), Some(2_500));
    }
}
