//! The parts together, as a policy.

use core::time::Duration;

use planner_core::Timestamp;
use planner_core::policy::{Policy, Proposal, Reason, View};

use super::activation::{Poll, Verdict, is_active};
use super::fallback::{Reading, Replicas, failures_after};
use super::quantity;
use super::replicas::{Limit, Metric, Recent, SYNC, recommended_by_all};
use super::{Keda, Modifiers};

/// Rules of this policy by their numbers in the [module](super).
const RULE_WAKE: u32 = 1;
const RULE_SLEEP: u32 = 2;
const RULE_MIN: u32 = 3;
const RULE_TARGET: u32 = 4;
const RULE_STABILISATION: u32 = 5;
const RULE_RATE: u32 = 6;
const RULE_BOUNDS: u32 = 7;
const RULE_FALLBACK: u32 = 8;
const RULE_FAILING: u32 = 9;
const RULE_HOLD: u32 = 10;

/// Polling intervals after which readings count for nothing.
const POLLS_FRESH: u32 = 2;

/// What every trigger reads, in the order of [`KedaBuilder::trigger`](super::KedaBuilder::trigger);
/// `None`, or nothing at all, for one that failed.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who measure")]
pub struct KedaSignal(pub Vec<Option<f64>>);

impl KedaSignal {
    /// The reading of a single trigger.
    pub fn measured(value: f64) -> Self {
        Self(vec![Some(value)])
    }

    /// A single trigger that failed.
    pub fn failed() -> Self {
        Self(vec![None])
    }
}

/// What it remembers.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct KedaState {
    triggers: Vec<Health>,
    /// When the workload was first heard of, its triggers last, and when it was last polled and
    /// last active.
    created: Option<Timestamp>,
    heard: Option<Timestamp>,
    polled: Option<Timestamp>,
    last_active: Option<Timestamp>,
    recent: Recent,
}

impl KedaState {
    /// How often each trigger has failed in a row.
    pub fn failures(&self) -> impl Iterator<Item = u32> {
        self.triggers.iter().map(|health| health.failures)
    }

    /// When the workload was last active.
    pub const fn last_active(&self) -> Option<Timestamp> {
        self.last_active
    }
}

/// The newest reading of a trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Health {
    /// `None` when it failed.
    value_milli: Option<i64>,
    /// In a row.
    failures: u32,
}

/// The moment of a decision.
#[derive(Clone, Copy, Debug)]
struct Moment {
    now: Timestamp,
    replicas: Replicas,
}

impl Moment {
    const fn of(view: &View<'_>) -> Self {
        Self { now: view.now, replicas: Replicas { current: view.current, ready: view.ready } }
    }
}

/// What it wants, and what of it is remembered.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wish {
    replicas: u32,
    reason: Reason,
    is_fallback: bool,
    recommendation: Option<u32>,
    verdict: Option<Verdict>,
}

/// What the triggers amount to.
struct Readings {
    metrics: Vec<Option<Metric>>,
    is_active: bool,
    is_error: bool,
    is_fallback: bool,
}

impl Keda {
    fn wish(&self, moment: Moment, state: &KedaState) -> Wish {
        let current = moment.replicas.current;
        let stay = |reason| Wish {
            replicas: current,
            reason,
            is_fallback: false,
            recommendation: None,
            verdict: None,
        };
        if self.activation.hold.paused {
            return stay(Reason::Rule(RULE_HOLD));
        }
        let Some(heard) = state.heard else {
            return stay(Reason::Warmup);
        };
        if moment.now.saturating_since(heard) > self.polling_interval * POLLS_FRESH {
            return stay(Reason::Rule(RULE_FAILING));
        }
        let readings = self.readings(moment.replicas, state);
        let verdict = self.poll(moment, state, &readings);
        if let Some((replicas, verdict)) = verdict.and_then(|it| it.replicas.zip(Some(it))) {
            let rule = match (replicas > current, verdict.marks_activity) {
                (_, true) => RULE_WAKE,
                (true, false) => RULE_MIN,
                (false, false) => RULE_SLEEP,
            };
            let wish = stay(Reason::Rule(rule));
            return Wish { replicas, verdict: Some(verdict), ..wish };
        }
        let wish = if self.activation.is_asleep(current, readings.is_active) {
            stay(Reason::Calm)
        } else {
            self.count(moment, state, &readings)
        };
        Wish { verdict, ..wish }
    }

    /// What the triggers amount to.
    fn readings(&self, replicas: Replicas, state: &KedaState) -> Readings {
        let health = |index| state.triggers.get(index).copied().unwrap_or_default();
        let is_error = (0..self.triggers.len()).any(|index| health(index).value_milli.is_none());
        let composite = self.modifiers.as_ref().map(|modifiers| modifiers.target);
        let reading = |(index, trigger): (usize, &super::Trigger)| {
            let Health { value_milli, failures } = health(index);
            let target = composite.unwrap_or(trigger.target);
            match (value_milli, &self.fallback) {
                (None, Some(fallback)) => fallback.reading(target, replicas, None, failures),
                (value_milli, _) => value_milli.map_or(Reading::Failed, Reading::Measured),
            }
        };
        let all: Vec<Reading> = self.triggers.iter().enumerate().map(reading).collect();
        if let Some(modifiers) = &self.modifiers {
            return self.composed(modifiers, &all, is_error);
        }
        let (mut metrics, mut any_active, mut is_fallback) = (Vec::new(), false, false);
        for (trigger, reading) in self.triggers.iter().zip(all) {
            let value_milli = match reading {
                Reading::Measured(milli) => {
                    any_active |= is_active(units(milli), trigger.activation_threshold);
                    Some(milli)
                }
                Reading::Substitute(milli) => {
                    is_fallback = true;
                    Some(milli)
                }
                Reading::Failed | Reading::Nil => None,
            };
            metrics.push(value_milli.map(|milli| (milli, trigger.target)));
        }
        Readings { metrics, is_active: any_active, is_error, is_fallback }
    }

    /// The one metric that a formula makes of all triggers. A substitute is one for the whole.
    fn composed(&self, modifiers: &Modifiers, all: &[Reading], is_error: bool) -> Readings {
        let substitute = all.iter().find_map(|reading| match reading {
            Reading::Substitute(milli) => Some(*milli),
            _ => None,
        });
        let (value_milli, is_fallback) = match substitute {
            Some(milli) => (Some(milli), true),
            None if all.contains(&Reading::Failed) => (None, false),
            None => self.evaluated(modifiers, all),
        };
        let is_active = !is_fallback
            && value_milli
                .is_some_and(|milli| is_active(units(milli), modifiers.activation_target));
        let metrics = vec![value_milli.map(|milli| (milli, modifiers.target))];
        Readings { metrics, is_active, is_error, is_fallback }
    }

    /// The value of a formula in thousandths, or what the fallback aims at where it is nil.
    fn evaluated(&self, modifiers: &Modifiers, all: &[Reading]) -> (Option<i64>, bool) {
        let value_of = |name: &str| {
            let index = self.triggers.iter().position(|trigger| trigger.name == name)?;
            match all.get(index) {
                Some(Reading::Measured(milli)) => Some(units(*milli)),
                _ => None,
            }
        };
        match modifiers.formula.evaluate(value_of) {
            Ok(Some(value)) => (quantity::milli_truncated(value), false),
            Ok(None) => {
                let replicas = self.fallback.map(|fallback| f64::from(fallback.replicas));
                let aim = |replicas| quantity::milli_scaled(modifiers.target.value(), replicas);
                let aim = replicas.and_then(aim);
                (aim, aim.is_some())
            }
            Err(_) => (None, false),
        }
    }

    /// Whether to wake or to sleep, if it is time to look.
    fn poll(&self, moment: Moment, state: &KedaState, readings: &Readings) -> Option<Verdict> {
        let Moment { now, replicas } = moment;
        let last = state.polled;
        let is_due = last.is_none_or(|last| now >= last.saturating_add(self.polling_interval));
        let poll = Poll {
            now,
            created: state.created.unwrap_or(now),
            last_active: state.last_active,
            current: replicas.current,
            is_active: readings.is_active,
            is_error: readings.is_error,
        };
        is_due.then(|| self.activation.judge(&poll))
    }

    /// From the first replica on: as the HPA counts.
    fn count(&self, moment: Moment, state: &KedaState, readings: &Readings) -> Wish {
        let Moment { now, replicas } = moment;
        let current = replicas.current;
        let metrics = readings.metrics.iter().copied();
        let recommendation = recommended_by_all(metrics, replicas);
        let is_fallback = readings.is_fallback;
        let wish = |replicas, rule| {
            let reason = Reason::Rule(rule);
            Wish { replicas, reason, is_fallback, recommendation, verdict: None }
        };
        let Some(recommended) = recommendation else {
            return wish(current, RULE_FAILING);
        };
        let hold = self.activation.hold;
        let (replicas, limit) =
            state.recent.bounded(now, recommended, current, self.bounds(), hold);
        match limit {
            Some(Limit::Bounds) => wish(replicas, RULE_BOUNDS),
            Some(Limit::Hold) => wish(replicas, RULE_HOLD),
            Some(Limit::Rate) => wish(replicas, RULE_RATE),
            Some(Limit::Stabilisation) => wish(replicas, RULE_STABILISATION),
            None if replicas == current => Wish { reason: Reason::Calm, ..wish(replicas, 0) },
            None => wish(replicas, RULE_TARGET),
        }
    }

    /// Remembers a decision that came out as `target`.
    fn remember(&self, moment: Moment, target: u32, state: &mut KedaState) {
        let Moment { now, replicas: Replicas { current, .. } } = moment;
        let wish = self.wish(moment, state);
        state.created.get_or_insert(now);
        if let Some(recommendation) = wish.recommendation {
            state.recent.note(now, recommendation, current);
        }
        state.recent.note_scaling(now, current, target);
        let Some(verdict) = wish.verdict else {
            return;
        };
        if verdict.marks_activity {
            state.last_active = Some(now);
        }
        // What could not be ordered is ordered at the next decision, not a whole interval later.
        let is_open = verdict.replicas.is_some_and(|wanted| wanted != current && target == current);
        if !is_open {
            state.polled = Some(now);
        }
    }
}

fn units(milli: i64) -> f64 {
    milli as f64 / 1_000.0
}

impl Policy for Keda {
    type Signal = KedaSignal;
    type State = KedaState;

    fn name(&self) -> &'static str {
        "keda"
    }

    fn version(&self) -> u32 {
        2
    }

    fn initial_state(&self) -> KedaState {
        KedaState::default()
    }

    fn period(&self) -> Option<Duration> {
        Some(self.polling_interval.min(SYNC))
    }

    fn absorb(&self, now: Timestamp, signal: KedaSignal, state: &mut KedaState) {
        state.created.get_or_insert(now);
        state.heard = Some(now);
        state.triggers.resize_with(self.triggers.len(), Health::default);
        for (index, health) in state.triggers.iter_mut().enumerate() {
            health.value_milli = signal.0.get(index).copied().flatten().and_then(quantity::milli);
            health.failures = failures_after(health.failures, health.value_milli.is_none());
        }
    }

    fn propose(&self, view: &View<'_>, state: &KedaState) -> Proposal {
        let wish = self.wish(Moment::of(view), state);
        let proposal = Proposal::exactly(wish.replicas).because(wish.reason);
        if wish.is_fallback { proposal.because(Reason::Rule(RULE_FALLBACK)) } else { proposal }
    }

    fn learn(&self, view: &View<'_>, target: u32, state: &mut KedaState) {
        self.remember(Moment::of(view), target, state);
    }

    fn rebase(&self, behind: Duration, state: &mut KedaState) {
        let KedaState { triggers: _, created, heard, polled, last_active, recent } = state;
        for at in [created, heard, polled, last_active].into_iter().flatten() {
            *at = at.saturating_sub(behind);
        }
        recent.rebase(behind);
    }

    fn refused(&self, state: &mut KedaState) {
        state.recent.forget_scaling();
    }
}

#[cfg(test)]
mod tests {
    use planner_core::{Config, Event, Planner, ReplicaBounds, Step, Window};

    use super::super::activation::Hold;
    use super::super::fallback::{Behavior, Fallback};
    use super::super::formula::Formula;
    use super::super::{KedaBuilder, Target, Trigger};
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    fn ten() -> Target {
        Target::average_value(10.0).expect("a target")
    }

    fn builder() -> KedaBuilder {
        Keda::builder().trigger(Trigger::new("a", ten())).replicas(0, 20)
    }

    fn pair(formula: &str) -> KedaBuilder {
        let formula = Formula::parse(formula).expect("a formula");
        let modifiers = Modifiers::new(formula, ten());
        builder().trigger(Trigger::new("b", ten())).modifiers(modifiers)
    }

    fn fallback(behavior: Behavior) -> Fallback {
        Fallback { failure_threshold: 2, replicas: 6, behavior }
    }

    /// A workload whose orders are carried out at once.
    struct Run {
        keda: Keda,
        state: KedaState,
        current: u32,
        last: Reason,
    }

    impl Run {
        fn of(builder: KedaBuilder, current: u32) -> Self {
            let keda = builder.build().expect("valid");
            Self { keda, state: KedaState::default(), current, last: Reason::Calm }
        }

        fn wish(&self, second: u64) -> Wish {
            let replicas = Replicas { current: self.current, ready: self.current };
            self.keda.wish(Moment { now: at(second), replicas }, &self.state)
        }

        /// What it has after these readings at this second.
        fn read(&mut self, second: u64, readings: &[Option<f64>]) -> u32 {
            self.keda.absorb(at(second), KedaSignal(readings.to_vec()), &mut self.state);
            let wish = self.wish(second);
            let replicas = Replicas { current: self.current, ready: self.current };
            let moment = Moment { now: at(second), replicas };
            self.keda.remember(moment, wish.replicas, &mut self.state);
            (self.current, self.last) = (wish.replicas, wish.reason);
            self.current
        }
    }

    #[test]
    fn before_the_first_reading_and_after_the_last_one_it_holds() {
        let mut run = Run::of(builder(), 3);
        assert_eq!((run.wish(0).replicas, run.wish(0).reason), (3, Reason::Warmup));
        run.read(15, &[Some(200.0)]);
        run.current = 3;
        assert_eq!(run.wish(75).replicas, 7);
        assert_eq!((run.wish(76).replicas, run.wish(76).reason), (3, Reason::Rule(RULE_FAILING)));
    }

    #[test]
    fn a_trigger_that_fails_without_fallback_never_scales_in() {
        let mut run = Run::of(builder(), 9);
        for second in (0..3_000).step_by(15) {
            assert_eq!(run.read(second, &[None]), 9);
        }
        assert_eq!(run.last, Reason::Rule(RULE_FAILING));
        assert_eq!(run.state.failures().collect::<Vec<_>>(), [200]);
        assert_eq!(run.read(3_000, &[Some(f64::NAN)]), 9, "no number is a failure");
        assert_eq!(run.read(3_015, &[]), 9, "nor is silence a value");
    }

    #[test]
    fn one_trigger_that_fails_beside_another_allows_scale_out_only() {
        let mut run = Run::of(builder().trigger(Trigger::new("b", ten())), 5);
        assert_eq!(run.read(0, &[Some(10.0), None]), 5);
        assert_eq!(run.read(15, &[Some(80.0), None]), 8);
    }

    #[test]
    fn a_fallback_counts_after_one_failure_more_than_it_bears() {
        let mut run = Run::of(builder().fallback(fallback(Behavior::Static)), 3);
        assert_eq!((run.read(0, &[None]), run.read(15, &[None])), (3, 3));
        assert_eq!(run.read(30, &[None]), 6);
        assert!(run.wish(30).is_fallback);
        assert_eq!(run.read(45, &[Some(65.0)]), 6, "and ends with the first success");
        assert!(!run.wish(45).is_fallback);
    }

    #[test]
    fn a_fallback_wakes_nobody() {
        let mut run = Run::of(builder().fallback(fallback(Behavior::Static)), 0);
        for second in (0..300).step_by(15) {
            assert_eq!(run.read(second, &[None]), 0);
        }
    }

    #[test]
    fn a_sleeping_workload_wakes_at_the_next_poll_and_then_follows_its_target() {
        let mut run = Run::of(builder(), 0);
        assert_eq!(run.read(0, &[Some(0.0)]), 0);
        assert_eq!(run.read(15, &[Some(90.0)]), 0, "polled 15 s ago");
        assert_eq!(run.read(30, &[Some(90.0)]), 1);
        assert_eq!(run.last, Reason::Rule(RULE_WAKE));
        assert_eq!(run.read(45, &[Some(90.0)]), 5, "four in 15 s");
        assert_eq!(run.last, Reason::Rule(RULE_RATE));
        assert_eq!(run.read(60, &[Some(90.0)]), 9);
        assert_eq!(run.last, Reason::Rule(RULE_TARGET));
    }

    #[test]
    fn a_quiet_workload_sleeps_strictly_after_its_cooldown() {
        let mut run = Run::of(builder(), 1);
        run.read(0, &[Some(5.0)]);
        for second in (15..=300).step_by(15) {
            assert_eq!(run.read(second, &[Some(0.0)]), 1, "at {second} s");
        }
        assert_eq!((run.read(315, &[Some(0.0)]), run.read(330, &[Some(0.0)])), (1, 0));
        assert_eq!(run.last, Reason::Rule(RULE_SLEEP));
    }

    #[test]
    fn an_order_to_wake_that_was_not_carried_out_is_repeated_at_once() {
        let mut run = Run::of(builder(), 0);
        run.keda.absorb(at(0), KedaSignal::measured(90.0), &mut run.state);
        let moment = Moment { now: at(0), replicas: Replicas { current: 0, ready: 0 } };
        run.keda.remember(moment, 0, &mut run.state);
        assert_eq!(run.wish(15).replicas, 1);
        run.keda.remember(moment, 1, &mut run.state);
        assert_eq!(run.wish(15).replicas, 0, "otherwise at the next poll");
    }

    #[test]
    fn a_scale_in_waits_for_300_seconds_of_lower_recommendations() {
        let mut run = Run::of(builder().replicas(1, 20), 8);
        run.read(0, &[Some(80.0)]);
        for second in (15..300).step_by(15) {
            assert_eq!(run.read(second, &[Some(20.0)]), 8);
            assert_eq!(run.last, Reason::Rule(RULE_STABILISATION));
        }
        assert_eq!(run.read(300, &[Some(20.0)]), 2);
    }

    #[test]
    fn a_formula_makes_one_metric_of_all_triggers() {
        let mut run = Run::of(pair("max(a, b / 10)"), 4);
        assert_eq!(run.read(0, &[Some(20.0), Some(600.0)]), 6);
        assert_eq!(run.read(15, &[Some(120.0), None]), 6, "without both there is none");
        assert_eq!(run.last, Reason::Rule(RULE_FAILING));
    }

    #[test]
    fn a_formula_that_has_no_value_holds() {
        let mut run = Run::of(pair("a / b"), 4);
        assert_eq!(run.read(0, &[Some(90.0), Some(0.0)]), 4);
        assert_eq!(run.last, Reason::Rule(RULE_FAILING));
    }

    #[test]
    fn a_formula_passes_over_a_trigger_that_failed_too_often() {
        let nil = fallback(Behavior::ScalingModifiers);
        let mut run = Run::of(pair("a ?? b").fallback(nil), 4);
        for (second, replicas) in [(0, 4), (15, 4), (30, 7)] {
            assert_eq!(run.read(second, &[None, Some(70.0)]), replicas);
        }
        for second in [45, 60, 75] {
            run.read(second, &[None, None]);
        }
        assert!(run.wish(75).is_fallback);
        assert_eq!(run.wish(75).recommendation, Some(6), "nil is what the fallback aims at");
    }

    #[test]
    fn the_substitute_of_one_trigger_is_the_value_of_the_formula() {
        let mut run = Run::of(pair("a + b").fallback(fallback(Behavior::Static)), 4);
        for (second, replicas) in [(0, 4), (15, 4), (30, 6)] {
            assert_eq!(run.read(second, &[None, Some(500.0)]), replicas);
        }
    }

    #[test]
    fn no_reading_takes_it_out_of_its_bounds() {
        const READINGS: [Option<f64>; 9] = [
            None,
            Some(f64::NAN),
            Some(f64::NEG_INFINITY),
            Some(-1e18),
            Some(-5.0),
            Some(0.0),
            Some(70.0),
            Some(9e15),
            Some(1e300),
        ];
        for builder in [builder(), pair("a / b"), pair("(a ?? 1) ** b")] {
            let mut run = Run::of(builder.replicas(2, 9).idle_replicas(1), 5);
            let mut seed = 7_usize;
            for second in (0..60_000).step_by(15) {
                let mut pick = || {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    READINGS[(seed >> 33) % READINGS.len()]
                };
                let replicas = run.read(second, &[pick(), pick()]);
                assert!((1..=9).contains(&replicas), "{replicas} at {second} s");
            }
        }
    }

    #[test]
    fn holds_are_kept() {
        let with = |hold, current| Run::of(builder().replicas(1, 20).hold(hold), current);
        let paused = Hold { paused: true, ..Hold::default() };
        let out = Hold { paused_scale_out: true, ..Hold::default() };
        let inward = Hold { paused_scale_in: true, ..Hold::default() };
        assert_eq!(with(paused, 2).read(0, &[Some(90.0)]), 2);
        assert_eq!(with(out, 2).read(0, &[Some(90.0)]), 2);
        assert_eq!(with(inward, 2).read(0, &[Some(90.0)]), 6);
        let mut held = with(inward, 8);
        for second in (0..600).step_by(15) {
            assert_eq!(held.read(second, &[Some(20.0)]), 8);
        }
        assert_eq!(held.last, Reason::Rule(RULE_HOLD));
    }

    #[test]
    fn after_the_clock_was_set_back_it_goes_on_as_if_it_had_stood_still() {
        let mut run = Run::of(builder(), 3);
        for second in [1_000, 1_015, 1_030] {
            run.read(second, &[Some(30.0)]);
        }
        run.keda.absorb(at(1_045), KedaSignal::measured(90.0), &mut run.state);
        let ahead = run.wish(1_060);
        run.keda.rebase(Duration::from_secs(900), &mut run.state);
        assert_eq!(run.wish(160), ahead);
        assert_eq!(run.state.last_active(), Some(at(130)));
    }

    #[test]
    fn a_refused_scaling_uses_up_no_rate() {
        let mut run = Run::of(builder(), 2);
        run.read(0, &[Some(200.0)]);
        assert_eq!((run.current, run.wish(14).replicas), (6, 6));
        run.keda.refused(&mut run.state);
        assert_eq!(run.wish(14).replicas, 12);
    }

    #[test]
    fn in_a_planner_it_decides_on_wakes_by_the_newest_signal() {
        let bounds = ReplicaBounds::new(1, 20).expect("bounds");
        let config = Config::builder(bounds).build().expect("valid defaults");
        let keda = Keda::average_value(10.0).expect("valid");
        let mut planner = Planner::new(config, keda);
        let window = Window::builder(1, at(14), at(15)).ready(2).build().expect("a window");
        let _ = planner.step(at(15), Event::Signal(KedaSignal::measured(50.0)));
        let _ = planner.step(at(15), Event::Observe(window));
        let Step::Decide(decision) = planner.step(at(15), Event::Wake) else {
            panic!("a wake is a decision");
        };
        let proposal = decision.derivation.proposal;
        assert_eq!(proposal, Proposal::exactly(5).because(Reason::Rule(RULE_TARGET)));
        assert_eq!(planner.next_wake(), Some(at(30)));
    }
}
