//! The autoscaler as a policy.
//!
//! It decides every 15 s on the newest [`Snapshot`], and keeps its own memory of recommendations
//! and scalings. The guards of `planner-core` come after it: leave their cooldowns, stabilisation
//! and step limits at zero or at their widest, because this policy brings its own.
//!
//! A snapshot stays in use until it is older than [`Config::window_age_max`] and two periods; then
//! all its metrics count as failed, and nothing changes. While it is in use the ages in it grow.
//!
//! A planner teaches its policy once a window. Windows have to come at least every 15 s, or rounds
//! on a window that was decided on before leave nothing in the memory.
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
/// use planner_core::{Config, Event, Planner, ReplicaBounds, Step, Timestamp, Window};
/// use planner_peers::hpa::{Hpa, Snapshot};
///
/// // 50 requests per second and replica.
/// let config = Config::builder(ReplicaBounds::new(1, 20)?).cooldown_out(Duration::ZERO).build()?;
/// let mut planner = Planner::new(config, Hpa::average_value(50.0)?);
/// let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
///
/// let window = Window::probes(at(0), at(3), &[21.0; 40], 0, 3)?;
/// let _ = planner.step(at(3), Event::Observe(window));
/// let _ = planner.step(at(3), Event::Signal(Snapshot::total(260.0)));
/// let Step::Decide(decision) = planner.step(at(3), Event::Wake) else { panic!("it is due") };
/// assert_eq!(decision.target(), Some(6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
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

#[cfg(test)]
mod tests {
    use planner_core::{
        Config, Decision, Event, Outcome as Settled, Planner, ReplicaBounds, Step, StepLimit,
        Window,
    };

    use super::super::behavior::{Behavior, ScalingPolicy, ScalingRules};
    use super::super::pods::{Pod, PodMetric};
    use super::super::reconcile::Reading;
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    /// A step limit that limits nothing; a scale-in is at most all there is.
    const fn any(percent: u32) -> StepLimit {
        StepLimit { replicas: 100_000, percent, period: Duration::ZERO }
    }

    /// A planner whose guards stand back, but for the step out.
    fn planner(hpa: Hpa, step_out: StepLimit) -> Planner<Hpa> {
        let config = Config::builder(ReplicaBounds::new(1, 20).expect("valid"))
            .cooldown_out(Duration::ZERO)
            .cooldown_in(Duration::ZERO)
            .stabilisation_in(Duration::ZERO)
            .step_out(step_out)
            .step_in(any(100))
            .flap_budget_per_hour(3_600)
            .startup_allowance(Duration::ZERO);
        Planner::new(config.build().expect("valid"), hpa)
    }

    fn average() -> Planner<Hpa> {
        planner(Hpa::average_value(50.0).expect("valid"), any(10_000))
    }

    /// Four pods more a minute, or one fewer, without stabilisation.
    fn rated() -> Planner<Hpa> {
        rated_within(any(10_000))
    }

    fn rated_within(step_out: StepLimit) -> Planner<Hpa> {
        let rules = |pods| ScalingRules {
            stabilization: Some(Duration::ZERO),
            policies: vec![ScalingPolicy::pods(pods, 60)],
            ..ScalingRules::up()
        };
        let behavior = Some(Behavior { scale_up: rules(4), scale_down: rules(1) });
        let metrics = vec![Metric::External(ValueTarget::AverageValue(50_000))];
        let spec = Spec { behavior, ..Spec::new(metrics) };
        planner(Hpa::new(spec).expect("valid"), step_out)
    }

    /// A window with `ready` replicas that ends at `second`, a snapshot if there is one, a wake.
    fn tick(
        planner: &mut Planner<Hpa>,
        second: u64,
        ready: u32,
        snapshot: impl Into<Option<Snapshot>>,
    ) -> Decision {
        let window = Window::probes(at(second - 3), at(second), &[20.0; 40], 0, ready);
        let _ = planner.step(at(second), Event::Observe(window.expect("a window")));
        if let Some(snapshot) = snapshot.into() {
            let _ = planner.step(at(second), Event::Signal(snapshot));
        }
        match planner.step(at(second), Event::Wake) {
            Step::Decide(decision) => decision,
            other => panic!("a tick is due: {other:?}"),
        }
    }

    fn total(per_s: f64) -> impl Into<Option<Snapshot>> {
        Snapshot::total(per_s)
    }

    /// What is proposed, and by which rules.
    fn proposed(decision: &Decision) -> (u32, Vec<Rule>) {
        let proposal = &decision.derivation.proposal;
        let rules = proposal.reasons.iter().map(|reason| match reason {
            Reason::Rule(number) => Rule::from_number(*number).expect("a rule of this policy"),
            other => panic!("no rule: {other:?}"),
        });
        (proposal.preferred, rules.collect())
    }

    #[test]
    fn before_the_first_snapshot_it_holds_and_says_so() {
        let decision = tick(&mut average(), 3, 3, None);
        let proposal = decision.derivation.proposal;
        assert_eq!((proposal.preferred, &*proposal.reasons), (3, &[Reason::Warmup][..]));
    }

    #[test]
    fn a_total_above_the_target_scales_out_and_one_within_tolerance_is_calm() {
        let decision = tick(&mut average(), 3, 3, total(260.0));
        assert_eq!(proposed(&decision), (6, vec![Rule::AboveTarget]));
        assert_eq!(decision.target(), Some(6));
        let decision = tick(&mut average(), 3, 3, total(164.0));
        assert_eq!(&*decision.derivation.proposal.reasons, &[Reason::Calm]);
    }

    #[test]
    fn what_is_no_number_is_a_failure_and_changes_nothing() {
        let decision = tick(&mut average(), 3, 3, total(f64::NAN));
        assert_eq!(proposed(&decision), (3, vec![Rule::MetricFailed]));
    }

    #[test]
    fn a_snapshot_that_is_not_followed_by_another_counts_as_failed() {
        let mut planner = average();
        assert_eq!(proposed(&tick(&mut planner, 3, 3, total(260.0))).0, 6);
        assert_eq!(proposed(&tick(&mut planner, 33, 3, None)).0, 6);
        assert_eq!(proposed(&tick(&mut planner, 48, 3, None)), (3, vec![Rule::MetricFailed]));
    }

    #[test]
    fn a_scale_in_waits_until_every_higher_recommendation_is_old() {
        let mut planner = average();
        let held = vec![Rule::Stabilized, Rule::BelowTarget];
        for second in (3..=303).step_by(15) {
            assert_eq!(proposed(&tick(&mut planner, second, 6, total(90.0))), (6, held.clone()));
        }
        let decision = tick(&mut planner, 318, 6, total(90.0));
        assert_eq!(proposed(&decision), (2, vec![Rule::BelowTarget]));
    }

    #[test]
    fn a_clock_that_is_set_back_shortens_no_wait() {
        let mut planner = average();
        for second in [5_003, 5_018] {
            assert_eq!(proposed(&tick(&mut planner, second, 6, total(90.0))).0, 6);
        }
        // 4 000 s back: the first recommendation is 15 s old, as it was.
        let _ = planner.step(at(1_018), Event::Wake);
        assert_eq!(proposed(&tick(&mut planner, 1_303, 6, total(90.0))).0, 6);
        assert_eq!(proposed(&tick(&mut planner, 1_318, 6, total(90.0))).0, 2);
    }

    #[test]
    fn a_rate_that_is_used_up_holds_the_next_scaling_back() {
        let mut planner = rated();
        let first = tick(&mut planner, 3, 3, total(900.0));
        assert_eq!(proposed(&first), (7, vec![Rule::ScaleUpLimit, Rule::AboveTarget]));
        assert_eq!(first.target(), Some(7));
        assert_eq!(proposed(&tick(&mut planner, 48, 7, total(900.0))).0, 7);
        assert_eq!(proposed(&tick(&mut planner, 63, 7, total(900.0))).0, 11);
    }

    #[test]
    fn a_refused_scaling_uses_up_no_rate() {
        let mut planner = rated();
        let first = tick(&mut planner, 3, 3, total(900.0));
        let _ = planner.step(at(3), Event::Settle(first.id, Settled::Refuse));
        assert_eq!(proposed(&tick(&mut planner, 18, 3, total(900.0))).0, 7);
    }

    #[test]
    fn only_what_the_guards_let_through_counts_against_the_rate() {
        let two = StepLimit { replicas: 2, percent: 0, period: Duration::ZERO };
        let mut planner = rated_within(two);
        let first = tick(&mut planner, 3, 3, total(900.0));
        assert_eq!((proposed(&first).0, first.target()), (7, Some(5)));
        // Two of four are left, from 5 on.
        assert_eq!(proposed(&tick(&mut planner, 18, 5, total(900.0))).0, 7);
    }

    #[test]
    fn ages_in_a_snapshot_grow_while_it_is_in_use() {
        let metric = PodMetric { age: Duration::from_secs(5), ..PodMetric::now("p", 1) };
        let snapshot = Snapshot {
            pods: vec![Pod::running("p", Duration::from_secs(50))],
            readings: vec![Reading::Pods(vec![metric])],
            status_replicas: None,
        };
        let older = snapshot.aged(Duration::from_secs(10));
        assert_eq!(older.pods, [Pod::running("p", Duration::from_secs(60))]);
        let Some(Reading::Pods(metrics)) = older.readings.first() else { panic!("samples") };
        assert_eq!(metrics.first().map(|it| it.age), Some(Duration::from_secs(15)));
    }

    #[test]
    fn a_specification_out_of_range_makes_no_policy() {
        assert_eq!(Hpa::new(Spec::new(Vec::new())), Err(HpaError::NoMetrics));
        assert!(Hpa::average_value(0.0).is_err());
    }

    #[test]
    fn every_rule_has_a_number_of_its_own() {
        for number in 1..=10 {
            let rule = Rule::from_number(number).expect("a rule");
            assert_eq!(rule.number(), number);
            assert!(!rule.to_string().is_empty());
        }
        assert_eq!(Rule::from_number(0), None);
        assert_eq!(Rule::from_number(11), None);
    }
}
