//! The whole as a [`Policy`]: checks that vote every interval, and a cooldown after each scaling.
//!
//! Bounds are the planner's ([`Config::bounds`](planner_core::Config::bounds)). Its guards bind
//! after this policy as after any other; for Nomad alone, give them their widest settings.
//!
//! | rule | says |
//! |---|---|
//! | [`Nomad::RULE_UP`] | the winning check asks for more |
//! | [`Nomad::RULE_DOWN`] | the winning check asks for fewer |
//! | [`Nomad::RULE_CAPPED`] | what it asked for was outside the bounds |
//! | [`Nomad::RULE_COOLDOWN`] | the last scaling is too recent |
//! | [`Nomad::RULE_NO_METRICS`] | a check has no fresh values: the whole evaluation is off |
//! | [`Nomad::RULE_DRY_RUN`] | the winning count is -1, the mark of a dry run |

use std::collections::{BTreeMap, BTreeSet};

use core::time::Duration;

use planner_core::{Policy, Proposal, Reason, Timestamp, View};

use super::action::{Action, Direction};
use super::check::Check;
use super::error::NomadError;
use super::evaluate::{Vote, winner};
use super::strategy::{Strategy, TargetValue};

/// Values that are kept of one answer: the newest.
pub const VALUES_MAX: usize = 1_024;

/// The name of the one check of [`Nomad::target_value`] and [`Nomad::target_per_replica`].
pub const ONLY_CHECK: &str = "metric";

const DAY: Duration = Duration::from_secs(86_400);

/// When it evaluates, and how long it rests. Defaults are Nomad's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure the policy")]
pub struct NomadSettings {
    /// Time between two evaluations, 1 ms to one day; default 10 s.
    pub evaluation_interval: Duration,
    /// Rest after a scaling, up to one day; default 5 min.
    pub cooldown: Duration,
    /// Rest after a scale-out, up to one day; default `None`, which is `cooldown`.
    pub cooldown_on_scale_up: Option<Duration>,
}

impl Default for NomadSettings {
    fn default() -> Self {
        Self {
            evaluation_interval: Duration::from_secs(10),
            cooldown: Duration::from_secs(300),
            cooldown_on_scale_up: None,
        }
    }
}

impl NomadSettings {
    fn validated(self) -> Result<Self, NomadError> {
        let least = Duration::from_millis(1);
        within("evaluation_interval", self.evaluation_interval, least)?;
        within("cooldown", self.cooldown, Duration::ZERO)?;
        let up = self.cooldown_on_scale_up.unwrap_or(self.cooldown);
        within("cooldown_on_scale_up", up, Duration::ZERO)?;
        Ok(self)
    }

    fn rest_after(&self, direction: Direction) -> Duration {
        match direction {
            Direction::Up => self.cooldown_on_scale_up.unwrap_or(self.cooldown),
            Direction::Down | Direction::None => self.cooldown,
        }
    }
}

fn within(setting: &'static str, span: Duration, min: Duration) -> Result<(), NomadError> {
    if (min..=DAY).contains(&span) {
        return Ok(());
    }
    Err(NomadError::SpanOutOfRange { setting, span, min, max: DAY })
}

/// The Nomad Autoscaler as a policy.
///
/// Each check is fed by [`NomadSignal`]s under its name. One that has no values within its query
/// window, or whose query failed, calls the evaluation off: nothing is scaled on half the truth.
///
/// ```
/// use planner_peers::nomad::{Check, Nomad, NomadSettings, Strategy};
///
/// let cpu = Strategy::parse("target-value", &[("target", "70")])?;
/// let idle = Strategy::parse("threshold", &[("upper_bound", "20"), ("delta", "-1")])?;
/// let checks = [Check::new("cpu", cpu).in_group("cpu"), Check::new("idle", idle).in_group("cpu")];
/// let policy = Nomad::new(checks, NomadSettings::default())?;
/// assert_eq!(policy.checks().len(), 2);
/// # Ok::<(), planner_peers::nomad::NomadError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Nomad {
    checks: Vec<Check>,
    settings: NomadSettings,
}

/// What the metrics answered to one check.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who ask the metrics")]
pub struct NomadSignal {
    /// The check's name; an unknown one is passed over.
    pub check: String,
    /// When the answer was true; a time after the planner's is the planner's.
    pub at: Timestamp,
    /// The answer.
    pub answer: Answer,
}

/// What came of a query.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(clippy::exhaustive_enums, reason = "a query gives values or it fails")]
pub enum Answer {
    /// The query failed.
    Failed,
    /// The values of the query window, oldest first.
    Values(Vec<f64>),
}

/// What the policy remembers.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct NomadState {
    /// The newest answer of each check.
    answers: BTreeMap<String, (Timestamp, Answer)>,
    last: Option<Scaling>,
    /// The one before, should the last be refused.
    before: Option<Scaling>,
}

/// A scaling that starts a cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Scaling {
    /// When it was decided.
    pub at: Timestamp,
    /// Which way it went.
    pub direction: Direction,
}

impl NomadState {
    /// The scaling whose cooldown runs, or ran last.
    pub const fn last_scaling(&self) -> Option<Scaling> {
        self.last
    }
}

impl Nomad {
    /// The winning check asks for more.
    pub const RULE_UP: u32 = 1;
    /// The winning check asks for fewer.
    pub const RULE_DOWN: u32 = 2;
    /// What the winning check asked for was outside the bounds.
    pub const RULE_CAPPED: u32 = 3;
    /// The last scaling is too recent.
    pub const RULE_COOLDOWN: u32 = 4;
    /// A check has no fresh values, so nothing is evaluated.
    pub const RULE_NO_METRICS: u32 = 5;
    /// The winning count marks a dry run, so nothing is changed.
    pub const RULE_DRY_RUN: u32 = 6;

    /// These checks with these settings.
    ///
    /// # Errors
    ///
    /// [`NomadError`] when there is no check, two have one name, or a span is outside its range.
    pub fn new(
        checks: impl IntoIterator<Item = Check>,
        settings: NomadSettings,
    ) -> Result<Self, NomadError> {
        let checks: Vec<Check> = checks.into_iter().collect();
        if checks.is_empty() {
            return Err(NomadError::NoChecks);
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = checks.iter().find(|check| !names.insert(&check.name)) {
            return Err(NomadError::DuplicateCheck { name: twice.name.clone() });
        }
        Ok(Self { checks, settings: settings.validated()? })
    }

    /// One check, [`ONLY_CHECK`], that keeps a metric at `target`, from 0 on and in its unit. The
    /// metric is taken as it is: a utilisation or another average that falls as replicas are added.
    ///
    /// ```
    /// use planner_core::{Config, Event, Planner, ReplicaBounds, Step, Timestamp, Window};
    /// use planner_peers::nomad::{Answer, Nomad, NomadSignal, policy::ONLY_CHECK};
    ///
    /// let config = Config::builder(ReplicaBounds::new(1, 10)?).build()?;
    /// let mut planner = Planner::new(config, Nomad::target_value(70.0)?);
    /// let now = Timestamp::from_nanos(1_000_000_000);
    ///
    /// let answer = Answer::Values(vec![105.0]);
    /// let signal = NomadSignal { check: ONLY_CHECK.into(), at: now, answer };
    /// let _noted = planner.step(now, Event::Signal(signal));
    /// let window = Window::builder(1, Timestamp::ORIGIN, now).ready(4).build()?;
    /// let _noted = planner.step(now, Event::Observe(window));
    /// let Step::Decide(decision) = planner.step(now, Event::Wake) else { unreachable!() };
    /// assert_eq!(decision.derivation.proposal.preferred, 6); // 4 x 105 / 70
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NomadError::InvalidValue`] when `target` is negative or not finite.
    pub fn target_value(target: f64) -> Result<Self, NomadError> {
        if !(target.is_finite() && target >= 0.0) {
            return Err(wrong_target(target, "a finite number from 0 on"));
        }
        Self::only(target, |check| check)
    }

    /// One check, [`ONLY_CHECK`], that keeps a total of the service at `target` per replica, above
    /// 0: requests per second, for example. Signals carry the total, whatever the count.
    ///
    /// # Errors
    ///
    /// [`NomadError::InvalidValue`] when `target` is not above 0 or not finite.
    pub fn target_per_replica(target: f64) -> Result<Self, NomadError> {
        if !(target.is_finite() && target > 0.0) {
            return Err(wrong_target(target, "a finite number above 0"));
        }
        Self::only(target, Check::per_replica)
    }

    fn only(target: f64, of: impl FnOnce(Check) -> Check) -> Result<Self, NomadError> {
        let check = Check::new(ONLY_CHECK, Strategy::TargetValue(TargetValue::new(target)));
        Self::new([of(check)], NomadSettings::default())
    }

    /// Its checks.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Its settings.
    pub const fn settings(&self) -> NomadSettings {
        self.settings
    }

    /// What the checks want at the view's count; `None` when one has no fresh values.
    fn evaluate(&self, view: &View<'_>, state: &NomadState) -> Option<Action> {
        let bounds = view.config.bounds();
        let (min, max) = (i64::from(bounds.min()), i64::from(bounds.max()));
        let vote = |check| {
            let values = fresh(check, view.now, state)?;
            let action = check.run(values, view.current.into(), min, max)?;
            Some(Vote { group: check.group.as_str(), action })
        };
        let votes: Option<Vec<Vote<'_>>> = self.checks.iter().map(vote).collect();
        winner(&votes?)
    }

    fn is_resting(&self, now: Timestamp, state: &NomadState) -> bool {
        state.last.is_some_and(|last| {
            now.saturating_since(last.at) <= self.settings.rest_after(last.direction)
        })
    }
}

fn wrong_target(target: f64, rule: &'static str) -> NomadError {
    NomadError::InvalidValue { field: "target", value: target.to_string(), rule }
}

/// The values of a check within its query window; empty for a check that needs none.
fn fresh<'a>(check: &Check, now: Timestamp, state: &'a NomadState) -> Option<&'a [f64]> {
    if !check.strategy.needs_metrics() {
        return Some(&[]);
    }
    match state.answers.get(&check.name)? {
        (at, Answer::Values(values)) if now.saturating_since(*at) <= check.query_window => {
            Some(values)
        }
        _ => None,
    }
}

impl Policy for Nomad {
    type Signal = NomadSignal;
    type State = NomadState;

    fn name(&self) -> &'static str {
        "nomad"
    }

    fn version(&self) -> u32 {
        1
    }

    fn initial_state(&self) -> NomadState {
        NomadState::default()
    }

    fn period(&self) -> Option<Duration> {
        Some(self.settings.evaluation_interval)
    }

    fn absorb(&self, now: Timestamp, signal: NomadSignal, state: &mut NomadState) {
        let NomadSignal { check, at, mut answer } = signal;
        let at = at.min(now);
        let is_known = self.checks.iter().any(|known| known.name == check);
        let is_late = state.answers.get(&check).is_some_and(|(newest, _)| *newest > at);
        if !is_known || is_late {
            return;
        }
        if let Answer::Values(values) = &mut answer {
            values.drain(..values.len().saturating_sub(VALUES_MAX));
        }
        state.answers.insert(check, (at, answer));
    }

    fn propose(&self, view: &View<'_>, state: &NomadState) -> Proposal {
        let stay = |reason| Proposal::exactly(view.current).because(reason);
        let Some(action) = self.evaluate(view, state) else {
            return stay(Reason::Rule(Self::RULE_NO_METRICS));
        };
        let rule = match action.direction {
            Direction::None => return stay(Reason::Calm),
            Direction::Down => Self::RULE_DOWN,
            Direction::Up => Self::RULE_UP,
        };
        // Within the bounds every count is one of ours; only the mark of a dry run is not.
        let Ok(count) = u32::try_from(action.count) else {
            return stay(Reason::Rule(Self::RULE_DRY_RUN));
        };
        if self.is_resting(view.now, state) {
            return stay(Reason::Rule(Self::RULE_COOLDOWN)).because(Reason::Rule(rule));
        }
        let proposal = Proposal::exactly(count).because(Reason::Rule(rule));
        if action.capped_from.is_some() {
            return proposal.because(Reason::Rule(Self::RULE_CAPPED));
        }
        proposal
    }

    fn learn(&self, view: &View<'_>, target: u32, state: &mut NomadState) {
        let direction = Direction::between(view.current.into(), target.into());
        if direction != Direction::None {
            state.before = state.last.replace(Scaling { at: view.now, direction });
        }
    }

    fn rebase(&self, behind: Duration, state: &mut NomadState) {
        for (at, _) in state.answers.values_mut() {
            *at = at.saturating_sub(behind);
        }
        for scaling in [&mut state.last, &mut state.before].into_iter().flatten() {
            scaling.at = scaling.at.saturating_sub(behind);
        }
    }

    fn refused(&self, state: &mut NomadState) {
        state.last = state.before.take();
    }
}

#[cfg(test)]
mod tests {
    use planner_core::{
        Config, Decision, Event, Latencies, Latency, Outcome, Planner, ReplicaBounds, Step,
        StepLimit, Window,
    };

    use super::*;
    use crate::nomad::strategy::FixedValue;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(second))
    }

    /// Settings with guards that leave everything to the policy.
    fn config() -> Config {
        let any = StepLimit { replicas: 100, percent: 0, period: Duration::ZERO };
        Config::builder(ReplicaBounds::new(1, 10).expect("valid"))
            .cooldown_out(Duration::ZERO)
            .cooldown_in(Duration::ZERO)
            .stabilisation_in(Duration::ZERO)
            .step_out(any)
            .step_in(any)
            .low_windows(1)
            .baseline_hint_ms(40.0)
            .build()
            .expect("valid")
    }

    fn signal(check: &str, second: u64, answer: Answer) -> NomadSignal {
        NomadSignal { check: check.into(), at: at(second), answer }
    }

    fn rules(decision: &Decision) -> Vec<u32> {
        let reasons = &decision.derivation.proposal.reasons;
        let rule = |reason: &Reason| match reason {
            Reason::Rule(number) => Some(*number),
            _ => None,
        };
        reasons.iter().filter_map(rule).collect()
    }

    /// A planner with the policy, and windows in which nothing happens.
    struct Rig(Planner<Nomad>);

    impl Rig {
        fn new(policy: Nomad) -> Self {
            Self(Planner::new(config(), policy))
        }

        fn tell(&mut self, second: u64, answer: Answer) {
            let _noted = self.0.step(at(second), Event::Signal(signal(ONLY_CHECK, second, answer)));
        }

        fn value(&mut self, second: u64, value: f64) {
            self.tell(second, Answer::Values(vec![value]));
        }

        /// What is decided in this second with so many replicas.
        fn ask(&mut self, second: u64, ready: u32) -> Decision {
            let latency = Latency::from_millis(40.0).expect("valid");
            let window = Window::builder(second, at(second - 1), at(second))
                .outcomes(100, 0, 0)
                .latencies(Latencies::from_p95(latency))
                .ready(ready)
                .starting(0)
                .build();
            let _noted = self.0.step(at(second), Event::Observe(window.expect("valid")));
            match self.0.step(at(second), Event::Wake) {
                Step::Decide(decision) => decision,
                other => panic!("no decision in second {second}: {other:?}"),
            }
        }
    }

    fn seventy() -> Rig {
        Rig::new(Nomad::target_value(70.0).expect("valid"))
    }

    #[test]
    fn what_cannot_be_a_policy_is_refused() {
        assert_eq!(Nomad::new([], NomadSettings::default()), Err(NomadError::NoChecks));
        let check = Check::new("twin", Strategy::FixedValue(FixedValue { value: 3 }));
        let twins = Nomad::new([check.clone(), check.clone()], NomadSettings::default());
        assert_eq!(twins, Err(NomadError::DuplicateCheck { name: "twin".into() }));
        for (settings, name) in [
            (
                NomadSettings { evaluation_interval: Duration::ZERO, ..NomadSettings::default() },
                "evaluation_interval",
            ),
            (NomadSettings { cooldown: 2 * DAY, ..NomadSettings::default() }, "cooldown"),
            (
                NomadSettings { cooldown_on_scale_up: Some(2 * DAY), ..NomadSettings::default() },
                "cooldown_on_scale_up",
            ),
        ] {
            let error = Nomad::new([check.clone()], settings).expect_err(name).to_string();
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
    }

    #[test]
    fn a_target_that_is_none_is_refused_with_its_value() {
        for target in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(Nomad::target_value(target).is_err(), "{target}");
            assert!(Nomad::target_per_replica(target).is_err(), "{target}");
        }
        assert!(Nomad::target_value(0.0).is_ok(), "a queue is to be empty");
        assert_eq!(
            Nomad::target_per_replica(0.0).expect_err("no share").to_string(),
            "target: \"0\" is not a finite number above 0; correct it"
        );
    }

    #[test]
    fn nothing_is_scaled_without_values_on_a_failed_query_or_on_an_empty_answer() {
        let mut rig = seventy();
        assert_eq!(rules(&rig.ask(10, 4)), [Nomad::RULE_NO_METRICS]);
        rig.value(15, 140.0);
        rig.tell(20, Answer::Failed);
        assert_eq!(rules(&rig.ask(20, 4)), [Nomad::RULE_NO_METRICS]);
        rig.tell(30, Answer::Values(Vec::new()));
        assert_eq!(rules(&rig.ask(30, 4)), [Nomad::RULE_NO_METRICS]);
    }

    #[test]
    fn values_are_used_to_the_end_of_the_query_window_and_no_longer() {
        let mut rig = seventy();
        rig.value(10, 70.0);
        assert!(rules(&rig.ask(70, 4)).is_empty());
        assert_eq!(rules(&rig.ask(80, 4)), [Nomad::RULE_NO_METRICS]);
    }

    #[test]
    fn an_older_answer_changes_nothing_and_one_of_the_future_is_of_now() {
        let policy = Nomad::target_value(70.0).expect("valid");
        let mut state = policy.initial_state();
        let values = |value| Answer::Values(vec![value]);
        policy.absorb(at(5), signal(ONLY_CHECK, 900, values(1.0)), &mut state);
        assert_eq!(state.answers[ONLY_CHECK], (at(5), values(1.0)));
        policy.absorb(at(6), signal(ONLY_CHECK, 4, values(2.0)), &mut state);
        assert_eq!(state.answers[ONLY_CHECK], (at(5), values(1.0)));
        policy.absorb(at(6), signal(ONLY_CHECK, 6, values(3.0)), &mut state);
        assert_eq!(state.answers[ONLY_CHECK], (at(6), values(3.0)));
    }

    #[test]
    fn memory_is_bounded_by_checks_and_values() {
        let policy = Nomad::target_value(70.0).expect("valid");
        let mut state = policy.initial_state();
        policy.absorb(at(5), signal("stranger", 5, Answer::Failed), &mut state);
        assert_eq!(state, policy.initial_state());
        let many: Vec<f64> = (0..2_000).map(f64::from).collect();
        policy.absorb(at(5), signal(ONLY_CHECK, 5, Answer::Values(many)), &mut state);
        let (_, Answer::Values(kept)) = &state.answers[ONLY_CHECK] else { panic!("values") };
        assert_eq!((kept.len(), kept.last()), (VALUES_MAX, Some(&1_999.0)));
    }

    #[test]
    fn a_metric_at_its_target_is_calm() {
        let mut rig = seventy();
        rig.value(10, 70.5);
        let decision = rig.ask(10, 4);
        assert_eq!(decision.derivation.proposal.reasons[..], [Reason::Calm]);
        // What scaled nothing starts no cooldown.
        rig.value(20, 105.0);
        assert_eq!(rules(&rig.ask(20, 4)), [Nomad::RULE_UP]);
    }

    #[test]
    fn a_scale_out_starts_a_cooldown_that_ends_strictly_after_it() {
        let mut rig = seventy();
        rig.value(10, 105.0);
        let decision = rig.ask(10, 4);
        assert_eq!((decision.target(), rules(&decision)), (Some(6), vec![Nomad::RULE_UP]));
        for second in [20, 310] {
            rig.value(second, 105.0);
            let decision = rig.ask(second, 6);
            assert_eq!(decision.target(), None, "second {second}: {decision}");
            assert_eq!(rules(&decision), [Nomad::RULE_COOLDOWN, Nomad::RULE_UP]);
        }
        rig.value(320, 105.0);
        assert_eq!(rig.ask(320, 6).target(), Some(9));
    }

    #[test]
    fn a_scale_out_may_have_a_cooldown_of_its_own() {
        let up = Some(Duration::from_secs(30));
        let settings = NomadSettings { cooldown_on_scale_up: up, ..NomadSettings::default() };
        let strategy = Strategy::TargetValue(TargetValue::new(70.0));
        let policy = Nomad::new([Check::new(ONLY_CHECK, strategy)], settings).expect("valid");
        let mut rig = Rig::new(policy);
        rig.value(10, 105.0);
        assert_eq!(rig.ask(10, 4).target(), Some(6));
        rig.value(50, 35.0);
        assert_eq!(rules(&rig.ask(50, 6)), [Nomad::RULE_DOWN]);

        let down = Scaling { at: at(60), direction: Direction::Down };
        let state = NomadState { last: Some(down), ..NomadState::default() };
        let policy = Nomad::new([Check::new(ONLY_CHECK, strategy)], settings).expect("valid");
        assert!(policy.is_resting(at(360), &state) && !policy.is_resting(at(361), &state));
    }

    #[test]
    fn a_refused_scaling_leaves_the_cooldown_of_the_one_before() {
        let mut rig = seventy();
        rig.value(10, 105.0);
        let decision = rig.ask(10, 4);
        let _noted = rig.0.step(at(11), Event::Settle(decision.id, Outcome::Refuse));
        rig.value(20, 105.0);
        assert_eq!(rules(&rig.ask(20, 4)), [Nomad::RULE_UP]);

        let earlier = Some(Scaling { at: at(1), direction: Direction::Down });
        let last = Some(Scaling { at: at(9), direction: Direction::Up });
        let mut state = NomadState { last, before: earlier, ..NomadState::default() };
        Nomad::target_value(70.0).expect("valid").refused(&mut state);
        assert_eq!(state.last_scaling(), earlier);
    }

    #[test]
    fn what_is_asked_for_beyond_the_bounds_is_capped_and_told() {
        let mut rig = seventy();
        rig.value(10, 700.0);
        let decision = rig.ask(10, 4);
        assert_eq!(decision.derivation.proposal.preferred, 10);
        assert_eq!(rules(&decision), [Nomad::RULE_UP, Nomad::RULE_CAPPED]);
    }

    #[test]
    fn the_mark_of_a_dry_run_changes_nothing() {
        let strategy = Strategy::parse("pass-through", &[]).expect("valid");
        let check = Check::new(ONLY_CHECK, strategy);
        let mut rig = Rig::new(Nomad::new([check], NomadSettings::default()).expect("valid"));
        rig.value(10, -1.0);
        let decision = rig.ask(10, 4);
        assert_eq!(decision.derivation.proposal.preferred, 4);
        assert_eq!(rules(&decision), [Nomad::RULE_DRY_RUN]);
    }

    #[test]
    fn a_total_is_shared_among_the_replicas() {
        let mut rig = Rig::new(Nomad::target_per_replica(50.0).expect("valid"));
        rig.value(10, 350.0);
        assert_eq!(rig.ask(10, 4).derivation.proposal.preferred, 7);
    }

    #[test]
    fn a_fixed_value_needs_no_signal() {
        let check = Check::new("floor", Strategy::FixedValue(FixedValue { value: 5 }));
        let mut rig = Rig::new(Nomad::new([check], NomadSettings::default()).expect("valid"));
        assert_eq!(rig.ask(10, 4).target(), Some(5));
    }

    #[test]
    fn one_silent_check_calls_the_others_off() {
        let fixed = Check::new("floor", Strategy::FixedValue(FixedValue { value: 5 }));
        let silent = Check::new("cpu", Strategy::TargetValue(TargetValue::new(70.0)));
        let policy = Nomad::new([fixed, silent], NomadSettings::default()).expect("valid");
        assert_eq!(rules(&Rig::new(policy).ask(10, 4)), [Nomad::RULE_NO_METRICS]);
    }

    #[test]
    fn every_remembered_time_moves_with_a_clock_that_is_set_back() {
        let policy = Nomad::target_value(70.0).expect("valid");
        let mut state = policy.initial_state();
        policy.absorb(at(50), signal(ONLY_CHECK, 50, Answer::Failed), &mut state);
        state.last = Some(Scaling { at: at(40), direction: Direction::Up });
        state.before = Some(Scaling { at: at(5), direction: Direction::Up });
        policy.rebase(Duration::from_secs(10), &mut state);
        assert_eq!(state.answers[ONLY_CHECK].0, at(40));
        assert_eq!(state.last.map(|scaling| scaling.at), Some(at(30)));
        assert_eq!(state.before.map(|scaling| scaling.at), Some(Timestamp::ORIGIN));
    }
}
