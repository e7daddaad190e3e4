//! The autoscaler as a policy.
//!
//! It decides every 15 s on the newest [`Snapshot`], and keeps its own memory of recommendations
//! and scalings. The guards of `planner-core` come after it: leave their cooldowns, stabilisation
//! and step limits at zero or at their widest, because this policy brings its own.
//!
//! A snapshot stays in use until it is older than [`Config::window_age_max`] and two periods; then
//! all its metrics count as failed, and nothing changes. While it is in use the ages in it grow.
//!
//! [`Config::window_age_max`]: planner_core::Config::window_age_max

use std::fmt;
use std::time::Duration;

use planner_core::Timestamp;
use planner_core::policy::{Policy, Proposal, Reason, View};

use super::conditions::{Condition, ConditionReason};
use super::memory::{Memory, Stored};
use super::reconcile::{Outcome, Scale, Snapshot, reconcile};
use super::spec::{HpaError, Metric, Spec, ValueTarget, target_milli};

/// How often it decides.
const PERIOD: Duration = Duration::from_secs(15);

/// The Horizontal Pod Autoscaler.
///
/// ```
/// use std::time::Duration;
/// use planner_core::policy::Policy;
/// use planner_core::{Config, Event, Planner, ReplicaBounds, StepLimit, Timestamp, Window};
/// use planner_peers::hpa::{Hpa, Snapshot};
///
/// // 50 requests per second and replica.
/// let hpa = Hpa::average_value(50.0)?;
/// assert_eq!(hpa.period(), Some(Duration::from_secs(15)));
/// # Ok::<(), planner_peers::hpa::HpaError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Hpa {
    spec: Spec,
}

impl Hpa {
    /// The autoscaler that keeps `spec`. Its bounds are those of the planner.
    ///
    /// # Errors
    ///
    /// [`HpaError`] when something of `spec` is out of range.
    pub fn new(spec: Spec) -> Result<Self, HpaError> {
        spec.validate()?;
        Ok(Self { spec })
    }

    /// One external metric, such as requests per second, at so much for each replica; without
    /// scaling rules. Its observations are [`Snapshot::total`]s.
    ///
    /// # Errors
    ///
    /// [`HpaError::Target`] unless the target is at least a thousandth.
    pub fn average_value(target_per_replica: f64) -> Result<Self, HpaError> {
        let target = ValueTarget::AverageValue(target_milli(target_per_replica)?);
        Self::new(Spec::new(vec![Metric::External(target)]))
    }

    /// What it keeps.
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The round that a view is about; `None` before the first snapshot.
    fn round(&self, view: &View<'_>, state: &HpaState) -> Option<Outcome> {
        let observed = state.observed.as_ref()?;
        let bounds = view.config.bounds();
        let scale = Scale { current: view.current, min: bounds.min(), max: bounds.max() };
        let age = view.now.saturating_since(observed.at);
        let round = |it: &Snapshot| reconcile(&self.spec, scale, it, &state.memory, view.now);
        Some(if age > view.config.window_age_max().max(2 * PERIOD) {
            round(&Snapshot::default())
        } else if age.is_zero() {
            round(&observed.snapshot)
        } else {
            round(&observed.snapshot.clone().aged(age))
        })
    }
}

/// What it remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct HpaState {
    /// Recommendations, scalings and the last conditions.
    pub memory: Memory,
    observed: Option<Observed>,
    last: Option<Stored>,
}

impl HpaState {
    /// The newest snapshot, and when it came.
    pub fn observed(&self) -> Option<(Timestamp, &Snapshot)> {
        self.observed.as_ref().map(|it| (it.at, &it.snapshot))
    }
}

/// A snapshot and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Observed {
    at: Timestamp,
    snapshot: Snapshot,
}

/// The rules of this policy, by the numbers that [`Reason::Rule`] carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// 1: a metric asks for more.
    AboveTarget = 1,
    /// 2: all metrics ask for fewer.
    BelowTarget = 2,
    /// 3: recent recommendations hold it back.
    Stabilized = 3,
    /// 4: the rates for scaling up are used up.
    ScaleUpLimit = 4,
    /// 5: the rates for scaling down are used up.
    ScaleDownLimit = 5,
    /// 6: the metrics ask for more than the maximum.
    TooMany = 6,
    /// 7: the metrics ask for fewer than the minimum.
    TooFew = 7,
    /// 8: a metric failed. What is proposed takes that into account.
    MetricFailed = 8,
    /// 9: the count was outside its bounds.
    OutOfBounds = 9,
    /// 10: there are no replicas although there should be some: somebody has switched it off.
    Disabled = 10,
}

impl Rule {
    /// Its number.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The rule with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        let rules = [
            Self::AboveTarget,
            Self::BelowTarget,
            Self::Stabilized,
            Self::ScaleUpLimit,
            Self::ScaleDownLimit,
            Self::TooMany,
            Self::TooFew,
            Self::MetricFailed,
            Self::OutOfBounds,
            Self::Disabled,
        ];
        rules.into_iter().find(|rule| rule.number() == number)
    }

    const fn of(condition: Condition) -> Option<Self> {
        match condition.reason {
            ConditionReason::ScaleDownStabilized | ConditionReason::ScaleUpStabilized => {
                Some(Self::Stabilized)
            }
            ConditionReason::ScaleDownLimit => Some(Self::ScaleDownLimit),
            ConditionReason::ScaleUpLimit => Some(Self::ScaleUpLimit),
            ConditionReason::ScalingDisabled => Some(Self::Disabled),
            ConditionReason::TooFewReplicas => Some(Self::TooFew),
            ConditionReason::TooManyReplicas => Some(Self::TooMany),
            _ => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AboveTarget => "a metric is above its target",
            Self::BelowTarget => "all metrics are below their targets",
            Self::Stabilized => "recent recommendations hold it back",
            Self::ScaleUpLimit => "the rates for scaling up are used up",
            Self::ScaleDownLimit => "the rates for scaling down are used up",
            Self::TooMany => "the metrics ask for more than the maximum",
            Self::TooFew => "the metrics ask for fewer than the minimum",
            Self::MetricFailed => "a metric failed",
            Self::OutOfBounds => "the count was outside its bounds",
            Self::Disabled => "there are no replicas, so it is switched off",
        })
    }
}

/// Why a round came out as it did, what binds last first.
fn rules(outcome: &Outcome, current: u32) -> impl Iterator<Item = Rule> {
    let asked = outcome.recommendation;
    let unasked = asked.is_none() && outcome.metrics.is_empty();
    let outside = (unasked && outcome.replicas != current).then_some(Rule::OutOfBounds);
    let disabled = (unasked && outcome.replicas == current).then_some(Rule::Disabled);
    let said = |condition: Option<Condition>| condition.filter(|_| asked.is_some());
    let limited = said(outcome.conditions.scaling_limited).and_then(Rule::of);
    let stabilized = said(outcome.conditions.able_to_scale).and_then(Rule::of);
    let direction = match asked {
        Some(asked) if asked > current => Some(Rule::AboveTarget),
        Some(asked) if asked < current => Some(Rule::BelowTarget),
        _ => None,
    };
    let failed = outcome.error().map(|_| Rule::MetricFailed);
    [outside, disabled, limited, stabilized, direction, failed].into_iter().flatten()
}

impl Policy for Hpa {
    type Signal = Snapshot;
    type State = HpaState;

    fn name(&self) -> &'static str {
        "hpa"
    }

    fn version(&self) -> u32 {
        1
    }

    fn initial_state(&self) -> HpaState {
        HpaState::default()
    }

    fn period(&self) -> Option<Duration> {
        Some(PERIOD)
    }

    fn absorb(&self, now: Timestamp, snapshot: Snapshot, state: &mut HpaState) {
        state.observed = Some(Observed { at: now, snapshot });
    }

    fn propose(&self, view: &View<'_>, state: &HpaState) -> Proposal {
        let Some(outcome) = self.round(view, state) else {
            return Proposal::exactly(view.current).because(Reason::Warmup);
        };
        let proposal = Proposal::exactly(outcome.replicas);
        let mut rules = rules(&outcome, view.current).peekable();
        if rules.peek().is_none() {
            return proposal.because(Reason::Calm);
        }
        rules.fold(proposal, |proposal, rule| proposal.because(Reason::Rule(rule.number())))
    }

    fn learn(&self, view: &View<'_>, target: u32, state: &mut HpaState) {
        if let Some(outcome) = self.round(view, state) {
            let change = (view.current, target);
            let stored = state.memory.store(&self.spec, &outcome, view.now, change);
            // A hold in between leaves the last scaling to be refused.
            state.last = if target == view.current { state.last } else { stored };
        }
    }

    fn rebase(&self, behind: Duration, state: &mut HpaState) {
        state.memory.rebase(behind);
        if let Some(observed) = &mut state.observed {
            observed.at = observed.at.saturating_sub(behind);
        }
    }

    fn refused(&self, state: &mut HpaState) {
        let failed = Condition::no(ConditionReason::FailedUpdateScale);
        state.memory.conditions.able_to_scale = Some(failed);
        if let Some(stored) = state.last.take() {
            state.memory.forget(stored);
        }
    }
}
