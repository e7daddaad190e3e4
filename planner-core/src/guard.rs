//! The only maker of scaling decisions: seven guards in fixed order.
//!
//! Whatever policy and advisor want passes through here. Each guard is a small pure function from
//! a count to a count with its own constraint; none can be configured away or replaced. What they
//! need to remember is in [`GuardState`], which is part of every snapshot.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::Timestamp;
use crate::config::{Config, StepLimit};
use crate::decision::{Constraint, DecisionId, GuardStep, Stage};
use crate::policy::View;
use crate::telemetry::Quality;

/// Most scalings that are remembered. A step limit whose period holds more of them counts the
/// latest of them.
const SCALINGS_MAX: usize = 1_024;
/// Most proposals that are remembered for stabilisation; see [`GuardState::note_proposal`].
const PROPOSALS_MAX: usize = 256;
/// The span over which changes of direction are counted.
const FLAP_SPAN: Duration = Duration::from_secs(3_600);
/// Settled windows that a scale-out has to show its effect in.
const EFFICACY_WINDOWS: u32 = 3;
/// A single settled window of this length shows it too.
const EFFICACY_SPAN: Duration = Duration::from_secs(5);
/// Share by which latency must fall, or throughput or load must rise, to count as an effect.
const EFFECT_SHARE: f64 = 0.10;

/// What the guards remember.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuardState {
    /// Scalings that were decided and not refused, oldest first.
    scalings: VecDeque<Scaling>,
    /// When the direction changed, oldest first; at most the budget.
    flips: VecDeque<Timestamp>,
    /// Proposals that no later one exceeds, oldest and highest first.
    proposals: VecDeque<(Timestamp, u32)>,
    /// What the last scale-out was meant to cure.
    ailment: Option<Ailment>,
    /// Scale-outs in a row without effect.
    ineffective: u32,
}

/// One scaling.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Scaling {
    id: DecisionId,
    at: Timestamp,
    from: u32,
    to: u32,
    /// It changed direction.
    flipped: bool,
}

impl Scaling {
    const fn is_out(&self) -> bool {
        self.to > self.from
    }
}

/// How things stood when replicas were added under a breach.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Ailment {
    /// The scale-out that was to cure it.
    of: DecisionId,
    p95_ms: Option<f64>,
    error_share: Option<f64>,
    arrivals_per_s: Option<f64>,
    completions_per_s: Option<f64>,
    /// The scale-out was found to be without effect.
    judged: bool,
}

impl Ailment {
    fn of(view: &View<'_>, scaling: DecisionId) -> Self {
        let traffic = view.window.traffic;
        Self {
            of: scaling,
            p95_ms: view.window.latencies.map(|latencies| latencies.p95.as_millis()),
            error_share: view.window.error_share(),
            arrivals_per_s: traffic.map(|traffic| traffic.arrivals_per_s),
            completions_per_s: traffic.and_then(|traffic| traffic.completions_per_s),
            judged: false,
        }
    }

    /// Whether something is better, or the load is another, than `before`.
    fn differs_from(&self, before: &Self) -> bool {
        let both = |then: Option<f64>, now: Option<f64>| then.zip(now);
        let fell = |then, now| {
            both(then, now).is_some_and(|(then, now)| now < then * (1.0 - EFFECT_SHARE))
        };
        let rose = |then, now| {
            both(then, now).is_some_and(|(then, now)| now > then * (1.0 + EFFECT_SHARE))
        };
        fell(before.p95_ms, self.p95_ms)
            || fell(before.error_share, self.error_share)
            || rose(before.arrivals_per_s, self.arrivals_per_s)
            || rose(before.completions_per_s, self.completions_per_s)
            || before.p95_ms.is_none() && self.p95_ms.is_some()
    }
}

/// The final count with each guard's part in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Guarded {
    pub(crate) replicas: u32,
    pub(crate) guards: [GuardStep; Stage::COUNT],
    pub(crate) binding: Constraint,
}

impl Guarded {
    /// No guard ran: there is no count to start from.
    pub(crate) fn idle(constraint: Constraint) -> Self {
        let step = |stage| GuardStep { stage, before: 0, after: 0, constraint };
        Self { replicas: 0, guards: Stage::ALL.map(step), binding: constraint }
    }
}

/// Runs the guards over `wanted`. Pure: what is remembered changes in the `note_` methods only.
pub(crate) fn guard(view: &View<'_>, state: &GuardState, wanted: u32) -> Guarded {
    let mut replicas = wanted;
    let mut binding = Constraint::Unconstrained;
    let guards = Stage::ALL.map(|stage| {
        let before = replicas;
        let (after, constraint) = match stage {
            Stage::Doubt => doubt(view, before),
            Stage::Health => health(view, before),
            Stage::Efficacy => efficacy(view, state, before),
            Stage::Stabilise => stabilise(view, state, before),
            Stage::Rate => rate(view, state, before),
            Stage::Flap => flap(view, state, before),
            Stage::Bounds => bounds(view, state, before),
        };
        let constraint = if after == before { Constraint::Unconstrained } else { constraint };
        if after != before {
            binding = constraint;
        }
        replicas = after;
        GuardStep { stage, before, after, constraint }
    });
    Guarded { replicas, guards, binding }
}

/// Doubt never scales in.
fn doubt(view: &View<'_>, wanted: u32) -> (u32, Constraint) {
    match view.quality {
        Quality::Doubtful(doubt) => (wanted.max(view.current), Constraint::Doubt(doubt)),
        Quality::Trusted => (wanted, Constraint::Unconstrained),
    }
}

/// Nothing is scaled in while it hurts, or before it is known what normal is.
fn health(view: &View<'_>, wanted: u32) -> (u32, Constraint) {
    let kept = wanted.max(view.current);
    if view.signal.failing {
        let error_share = view.window.error_share().unwrap_or(1.0);
        return (kept, Constraint::Failing { error_share });
    }
    if let Some(breach) = view.signal.breach {
        return (kept, Constraint::Breach(breach));
    }
    if view.estimate.is_none() {
        return (kept, Constraint::Warmup);
    }
    if !view.signal.near {
        return (kept, Constraint::AboveBand);
    }
    (wanted, Constraint::Unconstrained)
}

/// Scaling out that does not help stops until there is new evidence.
fn efficacy(view: &View<'_>, state: &GuardState, wanted: u32) -> (u32, Constraint) {
    let attempts = state.ineffective;
    if attempts >= view.config.efficacy_attempts() {
        return (wanted.min(view.current), Constraint::Ineffective { attempts });
    }
    (wanted, Constraint::Unconstrained)
}

/// A scale-in goes no lower than the highest proposal of the stabilisation window.
fn stabilise(view: &View<'_>, state: &GuardState, wanted: u32) -> (u32, Constraint) {
    let since = view.config.stabilisation_in();
    let recent = |at: Timestamp| view.now.saturating_since(at) < since;
    let highest = state.proposals.iter().find(|(at, _)| recent(*at)).map(|(_, count)| *count);
    match highest {
        Some(replicas) if wanted < view.current => {
            let held = wanted.max(replicas.min(view.current));
            (held, Constraint::Stabilisation { replicas })
        }
        _ => (wanted, Constraint::Unconstrained),
    }
}

/// Cooldown and step limit of the direction.
fn rate(view: &View<'_>, state: &GuardState, wanted: u32) -> (u32, Constraint) {
    let current = view.current;
    if wanted > current {
        if let Some(last) = state.last_out() {
            let until = last.at.saturating_add(view.config.cooldown_out());
            if view.now < until {
                return (current, Constraint::CooldownOut { until });
            }
        }
        let most = state.most_after_step_out(view).max(current);
        return (wanted.min(most), Constraint::StepOut { most });
    }
    if wanted < current {
        if let Some(last) = state.scalings.back() {
            let until = last.at.saturating_add(view.config.cooldown_in());
            if view.now < until {
                return (current, Constraint::CooldownIn { until });
            }
        }
        let least = state.least_after_step_in(view).min(current);
        return (wanted.max(least), Constraint::StepIn { least });
    }
    (wanted, Constraint::Unconstrained)
}

/// Changes of direction are rationed; with the ration spent only a breach may scale out.
fn flap(view: &View<'_>, state: &GuardState, wanted: u32) -> (u32, Constraint) {
    let budget = view.config.flap_budget_per_hour();
    let emergency = wanted > view.current && view.signal.breach.is_some();
    if wanted == view.current || emergency || !state.would_flip(view.current, wanted) {
        return (wanted, Constraint::Unconstrained);
    }
    let spent = state.flips.iter().filter(|at| view.now.saturating_since(**at) < FLAP_SPAN);
    if spent.count() < budget as usize {
        return (wanted, Constraint::Unconstrained);
    }
    let oldest = state.flips.iter().find(|at| view.now.saturating_since(**at) < FLAP_SPAN);
    let until = oldest.copied().unwrap_or(view.now).saturating_add(FLAP_SPAN);
    (view.current, Constraint::FlapBudget { budget, until })
}

/// Fewest and most replicas. A count outside is corrected whatever the other guards held back,
/// downwards within the step limit.
fn bounds(view: &View<'_>, state: &GuardState, wanted: u32) -> (u32, Constraint) {
    let bounds = view.config.bounds();
    if view.current > bounds.max() {
        let least = state.least_after_step_in(view).min(view.current);
        return (bounds.max().max(least), Constraint::OverMax { max: bounds.max() });
    }
    if wanted < bounds.min() {
        return (bounds.min(), Constraint::BelowMin { min: bounds.min() });
    }
    (wanted.min(bounds.max()), Constraint::OverMax { max: bounds.max() })
}

impl GuardState {
    /// Records what was proposed, for stabilisation. Keeps only proposals that no later one
    /// exceeds, so the highest of any span is the first within it; when there are too many, the
    /// oldest two become one that is as recent and as high as either.
    pub(crate) fn note_proposal(&mut self, config: &Config, now: Timestamp, replicas: u32) {
        let span = config.stabilisation_in();
        while self.proposals.front().is_some_and(|(at, _)| now.saturating_since(*at) >= span) {
            self.proposals.pop_front();
        }
        while self.proposals.back().is_some_and(|(_, lower)| *lower <= replicas) {
            self.proposals.pop_back();
        }
        while self.proposals.len() >= PROPOSALS_MAX
            && let Some((_, highest)) = self.proposals.pop_front()
            && let Some(next) = self.proposals.front_mut()
        {
            next.1 = highest;
        }
        self.proposals.push_back((now, replicas));
    }

    /// Records a scaling that was decided. It is taken as applied until it is refused.
    pub(crate) fn note_scaling(&mut self, view: &View<'_>, id: DecisionId, to: u32) {
        let from = view.current;
        let flipped = self.would_flip(from, to);
        if flipped {
            let budget = view.config.flap_budget_per_hour() as usize;
            while self.flips.len() >= budget.max(1) {
                self.flips.pop_front();
            }
            self.flips.push_back(view.now);
        }
        while self.scalings.len() >= SCALINGS_MAX {
            self.scalings.pop_front();
        }
        self.scalings.push_back(Scaling { id, at: view.now, from, to, flipped });
        if to > from && view.signal.breach.is_some() {
            let now = Ailment::of(view, id);
            self.ailment = Some(now);
        }
    }

    /// Forgets a scaling that was refused: it starts no cooldown and spends no budget.
    pub(crate) fn forget_scaling(&mut self, id: DecisionId) -> bool {
        let Some(index) = self.scalings.iter().rposition(|scaling| scaling.id == id) else {
            return false;
        };
        if let Some(refused) = self.scalings.remove(index)
            && refused.flipped
            && let Some(flip) = self.flips.iter().rposition(|at| *at == refused.at)
        {
            self.flips.remove(flip);
        }
        // What was not carried out cannot have been without effect.
        if let Some(ailment) = self.ailment.take_if(|ailment| ailment.of == id)
            && ailment.judged
        {
            self.ineffective = self.ineffective.saturating_sub(1);
        }
        true
    }

    /// Judges whether the last scale-out under a breach helped. Called once a window, after its
    /// decision.
    pub(crate) fn note_effect(&mut self, view: &View<'_>) {
        if view.signal.breach.is_none() && view.quality.is_trusted() {
            self.ineffective = 0;
            self.ailment = None;
        }
        let Some(before) = &mut self.ailment else {
            return;
        };
        let now = Ailment::of(view, before.of);
        if now.differs_from(before) {
            // Milder, or another load: new evidence, and what comes next is held against it.
            self.ineffective = 0;
            *before = now;
        } else if shows_effect(view) && !before.judged {
            self.ineffective = self.ineffective.saturating_add(1);
            before.judged = true;
        }
    }

    /// The last scaling: when, from and to how many replicas.
    pub(crate) fn last_order(&self) -> Option<(Timestamp, u32, u32)> {
        self.scalings.back().map(|scaling| (scaling.at, scaling.from, scaling.to))
    }

    fn last_out(&self) -> Option<&Scaling> {
        self.scalings.iter().rev().find(|scaling| scaling.is_out())
    }

    fn would_flip(&self, from: u32, to: u32) -> bool {
        self.scalings.back().is_some_and(|last| to != from && last.is_out() != (to > from))
    }

    /// The most that the step limit of scaling out allows now.
    fn most_after_step_out(&self, view: &View<'_>) -> u32 {
        let limit = view.config.step_out();
        let added = self.moved_within(view, limit, true);
        let removed = self.moved_within(view, limit, false);
        let start = view.current.saturating_add(removed).saturating_sub(added);
        start.saturating_add(step(start, limit))
    }

    /// The least that the step limit of scaling in allows now.
    fn least_after_step_in(&self, view: &View<'_>) -> u32 {
        let limit = view.config.step_in();
        let added = self.moved_within(view, limit, true);
        let removed = self.moved_within(view, limit, false);
        let start = view.current.saturating_add(removed).saturating_sub(added);
        start.saturating_sub(step(start, limit))
    }

    /// Replicas moved in one direction within the limit's period.
    fn moved_within(&self, view: &View<'_>, limit: StepLimit, out: bool) -> u32 {
        let recent = self.scalings.iter().filter(|scaling| {
            scaling.is_out() == out && view.now.saturating_since(scaling.at) < limit.period
        });
        recent.fold(0, |sum, scaling| sum.saturating_add(scaling.from.abs_diff(scaling.to)))
    }
}

/// Whether a scale-out has had the time to show its effect: a few windows, or one long one.
fn shows_effect(view: &View<'_>) -> bool {
    let long = view.window.length() >= EFFICACY_SPAN && view.settled_windows > 0;
    view.settled_windows >= EFFICACY_WINDOWS || long
}

/// The larger of the limit's count and its percentage of `start`, rounded down.
fn step(start: u32, limit: StepLimit) -> u32 {
    let share = u64::from(start) * u64::from(limit.percent) / 100;
    limit.replicas.max(u32::try_from(share).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Scene, at};
    use crate::{Config, Doubt, ReplicaBounds};

    /// What the guards make of `wanted`, and what bound.
    fn guarded(scene: &Scene, state: &GuardState, wanted: u32) -> (u32, Constraint) {
        let Guarded { replicas, binding, .. } = guard(&scene.view(), state, wanted);
        (replicas, binding)
    }

    /// A state that has carried out these scalings, numbered from 1.
    fn after(scalings: &[(&Scene, u32)]) -> GuardState {
        let mut state = GuardState::default();
        for (number, (scene, to)) in scalings.iter().enumerate() {
            state.note_scaling(&scene.view(), DecisionId(number as u64 + 1), *to);
        }
        state
    }

    fn free(min: u32, max: u32) -> Config {
        let unlimited = StepLimit { replicas: 1_000, percent: 100, period: Duration::ZERO };
        Config::builder(ReplicaBounds::new(min, max).expect("bounds"))
            .cooldown_in(Duration::ZERO)
            .cooldown_out(Duration::ZERO)
            .stabilisation_in(Duration::ZERO)
            .step_in(unlimited)
            .step_out(unlimited)
            .flap_budget_per_hour(2)
            .build()
            .expect("settings")
    }

    #[test]
    fn doubt_holds_a_scale_in_and_lets_a_scale_out_pass() {
        let mut scene = Scene::calm(100, 4);
        scene.quality = Quality::Doubtful(Doubt::Silent);
        let state = GuardState::default();
        assert_eq!(guarded(&scene, &state, 2), (4, Constraint::Doubt(Doubt::Silent)));
        assert_eq!(guarded(&scene, &state, 5).0, 5);
    }

    #[test]
    fn nothing_is_scaled_in_while_it_hurts_or_before_normal_is_known() {
        let state = GuardState::default();
        let mut failing = Scene::calm(100, 4);
        failing.signal.failing = true;
        assert!(matches!(guarded(&failing, &state, 2), (4, Constraint::Failing { .. })));
        assert!(matches!(guarded(&Scene::breach(100, 4), &state, 2), (4, Constraint::Breach(_))));
        let cold = Scene { estimate: None, ..Scene::calm(100, 4) };
        assert_eq!(guarded(&cold, &state, 2), (4, Constraint::Warmup));
        let mut elevated = Scene::calm(100, 4);
        elevated.signal.near = false;
        assert_eq!(guarded(&elevated, &state, 2), (4, Constraint::AboveBand));
    }

    #[test]
    fn scale_outs_without_effect_stop_until_something_changes() {
        let mut state = GuardState::default();
        let mut second = 100;
        for current in 1..=3 {
            let scene = Scene { config: free(1, 20), ..Scene::breach(second, current) };
            state.note_scaling(&scene.view(), DecisionId(u64::from(current)), current + 1);
            for settled_windows in 1..=EFFICACY_WINDOWS {
                second += 1;
                let after = Scene { settled_windows, ..Scene::breach(second, current + 1) };
                state.note_effect(&after.view());
            }
        }
        let scene = Scene { config: free(1, 20), ..Scene::breach(second, 4) };
        assert_eq!(guarded(&scene, &state, 5), (4, Constraint::Ineffective { attempts: 3 }));

        // A latency that fell by a fifth is new evidence.
        let mut better = Scene::breach(second + 1, 4);
        better.window = crate::testing::window(second + 1, 320.0, 4);
        state.note_effect(&better.view());
        assert_eq!(guarded(&scene, &state, 5).0, 5);
    }

    #[test]
    fn a_scale_in_waits_for_the_highest_proposal_to_grow_old() {
        let mut scene = Scene::calm(100, 6);
        let builder = Config::builder(ReplicaBounds::new(1, 8).expect("bounds"));
        scene.config = builder.stabilisation_in(Duration::from_secs(60)).build().expect("settings");
        let mut state = GuardState::default();
        for (second, proposal) in [(30, 9), (50, 5), (80, 3)] {
            state.note_proposal(&scene.config, at(second), proposal);
        }
        assert_eq!(guarded(&scene, &state, 2).1, Constraint::Stabilisation { replicas: 5 });
        let step = guard(&scene.view(), &state, 2).guards[3];
        assert_eq!((step.before, step.after), (2, 5), "9 is too old, 5 is not");
        let late = Scene { now: at(111), ..scene };
        assert_eq!(guard(&late.view(), &state, 2).guards[3].after, 3);
    }

    #[test]
    fn each_direction_has_its_own_cooldown() {
        let state = after(&[(&Scene::breach(100, 2), 4)]);
        let until = at(115);
        let soon = Scene::breach(110, 4);
        assert_eq!(guarded(&soon, &state, 5), (4, Constraint::CooldownOut { until }));
        assert_eq!(guarded(&Scene::breach(115, 4), &state, 5).0, 5);
        let until = at(160);
        let calm = Scene::calm(150, 4);
        assert_eq!(guarded(&calm, &state, 3), (4, Constraint::CooldownIn { until }));
    }

    #[test]
    fn a_scale_in_never_delays_an_emergency() {
        let state = after(&[(&Scene::calm(100, 4), 3)]);
        assert_eq!(guarded(&Scene::breach(101, 3), &state, 5).0, 5);
    }

    #[test]
    fn the_step_limit_counts_what_was_moved_within_its_period() {
        let limit = StepLimit { replicas: 4, percent: 100, period: Duration::from_secs(15) };
        let builder = Config::builder(ReplicaBounds::new(1, 50).expect("bounds"));
        let config =
            builder.step_out(limit).cooldown_out(Duration::ZERO).build().expect("settings");
        let first = Scene { config: config.clone(), ..Scene::breach(100, 2) };
        let state = after(&[(&first, 5)]);
        // The period began with 2, so 6 is the most until second 115.
        let soon = Scene { config: config.clone(), ..Scene::breach(110, 5) };
        assert_eq!(guarded(&soon, &state, 40), (6, Constraint::StepOut { most: 6 }));
        let later = Scene { config, ..Scene::breach(115, 5) };
        assert_eq!(guarded(&later, &state, 40), (10, Constraint::StepOut { most: 10 }));
    }

    #[test]
    fn with_the_flap_budget_spent_only_a_breach_scales_out() {
        let scene = |second, current| Scene { config: free(1, 20), ..Scene::calm(second, current) };
        let (one, two, three) = (scene(100, 4), scene(200, 5), scene(300, 4));
        let state = after(&[(&one, 5), (&two, 4), (&three, 5)]);
        let (budget, until) = (2, at(3_800));
        assert_eq!(
            guarded(&scene(400, 5), &state, 3),
            (5, Constraint::FlapBudget { budget, until })
        );
        assert_eq!(guarded(&scene(400, 5), &state, 6).0, 6, "the same direction is free");
        let state = after(&[(&one, 5), (&two, 4), (&three, 3)]);
        let spent = after(&[(&one, 5), (&two, 4), (&scene(250, 4), 5), (&three, 4)]);
        assert_eq!(guarded(&scene(400, 3), &state, 5).0, 5, "one change of two is left");
        assert_eq!(guarded(&scene(400, 4), &spent, 5).0, 4);
        let breach = Scene { config: free(1, 20), ..Scene::breach(400, 4) };
        assert_eq!(guarded(&breach, &spent, 5).0, 5);
        assert_eq!(guarded(&scene(3_801, 4), &spent, 5).0, 5, "an hour later there is one again");
    }

    #[test]
    fn a_count_outside_the_bounds_is_corrected_whatever_holds_it_back() {
        let state = after(&[(&Scene::calm(99, 5), 1)]);
        let mut scene = Scene { config: free(3, 6), ..Scene::calm(100, 1) };
        scene.quality = Quality::Doubtful(Doubt::Silent);
        assert_eq!(guarded(&scene, &state, 1), (3, Constraint::BelowMin { min: 3 }));
        let builder = Config::builder(ReplicaBounds::new(1, 6).expect("bounds"));
        scene.config = builder.build().expect("settings");
        scene.current = 20;
        let state = GuardState::default();
        assert_eq!(
            guarded(&scene, &state, 20),
            (15, Constraint::OverMax { max: 6 }),
            "by a quarter"
        );
    }

    #[test]
    fn a_refused_scaling_leaves_no_trace() {
        let mut state = after(&[(&Scene::calm(50, 4), 3), (&Scene::breach(100, 3), 5)]);
        assert!(state.forget_scaling(DecisionId(2)));
        assert_eq!(state, after(&[(&Scene::calm(50, 4), 3)]));
        assert!(!state.forget_scaling(DecisionId(2)));
    }

    #[test]
    fn memory_stays_bounded_and_errs_on_the_strict_side() {
        let config = free(1, 20);
        let mut state = GuardState::default();
        for second in 0..5_000_u32 {
            let at = at(u64::from(second));
            let long = Config::builder(ReplicaBounds::new(1, 8).expect("bounds"))
                .stabilisation_in(Duration::from_secs(86_400));
            state.note_proposal(&long.build().expect("settings"), at, 9_000 - second);
            let scene = Scene { config: config.clone(), ..Scene::calm(u64::from(second) + 1, 4) };
            state.note_scaling(&scene.view(), DecisionId(u64::from(second)), 4 + second % 2);
        }
        assert!(state.proposals.len() <= PROPOSALS_MAX && state.scalings.len() <= SCALINGS_MAX);
        assert_eq!(state.proposals.front().map(|(_, highest)| *highest), Some(9_000));
    }
}
