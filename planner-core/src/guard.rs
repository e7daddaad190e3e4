//! The only maker of scaling decisions: eight guards in fixed order.
//!
//! Whatever policy and advisor want passes through here. Each guard is a small pure function from
//! a count to a count with its own constraint; none can be replaced, and only policies of other
//! systems, which bring their own, run with fewer ([`GuardSet`]). What they
//! need to remember is in [`GuardState`], which is part of every snapshot.

mod ailment;
mod flips;
mod memory;
#[cfg(feature = "serde")]
mod stored;
mod switch;

pub use ailment::Effect;
pub use memory::GuardState;
pub(crate) use switch::{Switch, on};

use crate::config::GuardSet;
use crate::decision::{Constraint, GuardStep, Stage};
use crate::operation::Mode;
use crate::policy::View;
use crate::telemetry::{Doubt, Quality};

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
#[inline]
pub(crate) fn guard(view: &View<'_>, state: &GuardState, wanted: u32) -> Guarded {
    let (mut replicas, mut binding) = (wanted, Constraint::Unconstrained);
    let mut run = |stage, guard: fn(&View<'_>, &GuardState, u32) -> Bound| {
        let before = replicas;
        let runs = view.config.guard_set().has(stage);
        let bound = guard(view, state, before).filter(|(after, _)| runs && *after != before);
        let Some((after, constraint)) = bound else {
            return GuardStep {
                stage,
                before,
                after: before,
                constraint: Constraint::Unconstrained,
            };
        };
        (replicas, binding) = (after, constraint);
        GuardStep { stage, before, after, constraint }
    };
    let guards = [
        run(Stage::Doubt, doubt),
        run(Stage::Health, health),
        run(Stage::Efficacy, efficacy),
        run(Stage::Stabilise, stabilise),
        run(Stage::Rate, rate),
        run(Stage::Flap, flap),
        run(Stage::Bounds, bounds),
        run(Stage::Operator, operator),
    ];
    Guarded { replicas, guards, binding }
}

impl GuardSet {
    /// Whether it has the guard of this stage.
    const fn has(self, stage: Stage) -> bool {
        match self {
            Self::All => true,
            Self::Peer => matches!(stage, Stage::Doubt | Stage::Bounds | Stage::Operator),
        }
    }
}

/// What a guard makes of a count, and why; `None` when it has nothing against it.
type Bound = Option<(u32, Constraint)>;

/// Replicas that a target must not fall below although fewer are counted: those that vanished may
/// well be there, and a target that starts from what is counted would remove them.
fn vanished(view: &View<'_>) -> u32 {
    match view.quality {
        Quality::Doubtful(Doubt::Vanished { before, .. }) => before.min(view.config.bounds().max()),
        _ => 0,
    }
}

/// Doubt never scales in, and scales out to no less than may be there.
fn doubt(view: &View<'_>, _: &GuardState, wanted: u32) -> Bound {
    let Quality::Doubtful(doubt) = view.quality else { return None };
    if wanted < view.current && on(Switch::Doubt) {
        return Some((view.current, Constraint::Doubt(doubt)));
    }
    let scales_out = wanted > view.current;
    scales_out.then(|| (wanted.max(vanished(view)), Constraint::Doubt(doubt)))
}

/// Nothing is scaled in while it hurts, or before it is known what normal is.
fn health(view: &View<'_>, _: &GuardState, wanted: u32) -> Bound {
    if wanted >= view.current {
        return None;
    }
    let constraint = if view.signal.failing && on(Switch::Failing) {
        Constraint::Failing { error_share: view.window.error_share().unwrap_or(1.0) }
    } else if let Some(breach) = view.signal.breach
        && on(Switch::Breach)
    {
        Constraint::Breach(breach)
    } else if !view.is_warm() && on(Switch::Warmup) {
        Constraint::Warmup
    } else if view.estimate.is_some() && !view.signal.near && on(Switch::AboveBand) {
        Constraint::AboveBand
    } else {
        return None;
    };
    Some((view.current, constraint))
}

/// Scaling out that does not help stops until there is new evidence.
fn efficacy(view: &View<'_>, state: &GuardState, wanted: u32) -> Bound {
    let attempts = state.ineffective();
    let spent = attempts >= view.config.efficacy_attempts();
    (spent && wanted > view.current && on(Switch::Ineffective))
        .then_some((view.current, Constraint::Ineffective { attempts }))
}

/// A scale-in goes no lower than the highest proposal of the stabilisation window.
fn stabilise(view: &View<'_>, state: &GuardState, wanted: u32) -> Bound {
    if wanted >= view.current || !on(Switch::Stabilisation) {
        return None;
    }
    let replicas = state.highest_proposal(view.config, view.now)?;
    let held = wanted.max(replicas.min(view.current));
    Some((held, Constraint::Stabilisation { replicas }))
}

/// Cooldown and step limit of the direction.
fn rate(view: &View<'_>, state: &GuardState, wanted: u32) -> Bound {
    let current = view.current;
    if wanted > current {
        if let Some(last) = state.last_out(view.signal.breach.is_some()) {
            let until = last.saturating_add(view.config.cooldown_out());
            if view.now < until && on(Switch::CooldownOut) {
                return Some((current, Constraint::CooldownOut { until }));
            }
        }
        let most = state.most_after_step_out(view).max(current).max(vanished(view));
        return on(Switch::StepOut).then(|| (wanted.min(most), Constraint::StepOut { most }));
    }
    if wanted < current {
        if let Some((last, _, _)) = state.last_order() {
            let until = last.saturating_add(view.config.cooldown_in());
            if view.now < until && on(Switch::CooldownIn) {
                return Some((current, Constraint::CooldownIn { until }));
            }
        }
        let least = state.least_after_step_in(view).min(current);
        return on(Switch::StepIn).then(|| (wanted.max(least), Constraint::StepIn { least }));
    }
    None
}

/// Changes of direction are rationed; with the ration spent only a breach may scale out.
fn flap(view: &View<'_>, state: &GuardState, wanted: u32) -> Bound {
    let budget = view.config.flap_budget_per_hour();
    let emergency = wanted > view.current && view.signal.breach.is_some();
    if wanted == view.current || emergency || !state.would_flip(view.current, wanted) {
        return None;
    }
    let until = state.flips_until(view.now, budget)?;
    if !on(Switch::FlapBudget) {
        return None;
    }
    Some((view.current, Constraint::FlapBudget { budget, until }))
}

/// Fewest and most replicas. A count outside is corrected whatever the other guards held back,
/// downwards within the step limit.
fn bounds(view: &View<'_>, state: &GuardState, wanted: u32) -> Bound {
    let bounds = view.config.bounds();
    let over = Constraint::OverMax { max: bounds.max() };
    if view.current > bounds.max() && on(Switch::OverMax) {
        let least = state.least_after_step_in(view).min(view.current);
        return Some((bounds.max().max(least), over));
    }
    if wanted < bounds.min() && on(Switch::BelowMin) {
        let least = bounds.min().max(vanished(view));
        return Some((least, Constraint::BelowMin { min: bounds.min() }));
    }
    (wanted > bounds.max() && on(Switch::OverMax)).then_some((bounds.max(), over))
}

/// The operator has the last word.
fn operator(view: &View<'_>, _: &GuardState, wanted: u32) -> Bound {
    let (current, operation) = (view.current, view.operation);
    if operation.mode == Mode::Pause && on(Switch::Paused) {
        return Some((current, Constraint::Paused));
    }
    if operation.hold_in && wanted < current && on(Switch::HoldIn) {
        return Some((current, Constraint::HoldIn));
    }
    (operation.hold_out && wanted > current && on(Switch::HoldOut))
        .then_some((current, Constraint::HoldOut))
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::guard::memory::EFFICACY_WINDOWS;
    use crate::testing::{Scene, at};
    use crate::{Config, DecisionId, Doubt, Operation, ReplicaBounds, StepLimit};

    /// What the guards make of `wanted`, and what bound.
    fn guarded(scene: &Scene, state: &GuardState, wanted: u32) -> (u32, Constraint) {
        let Guarded { replicas, binding, .. } = guard(&scene.view(), state, wanted);
        (replicas, binding)
    }

    /// A state that has carried out these scalings, numbered from 1.
    fn after(scalings: &[(&Scene, u32)]) -> GuardState {
        let mut state = GuardState::default();
        for (number, (scene, to)) in scalings.iter().enumerate() {
            state.note_scaling(&scene.view(), DecisionId(number as u64 + 1), *to, false);
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
    fn what_only_an_advisor_added_delays_no_answer_to_a_breach_and_everything_else() {
        for (advised, in_breach, after) in
            [(true, true, 5), (false, true, 3), (true, false, 3), (false, false, 3)]
        {
            let mut state = GuardState::default();
            state.note_scaling(&Scene::calm(100, 2).view(), DecisionId(1), 3, advised);
            let scene = if in_breach { Scene::breach(101, 3) } else { Scene::calm(101, 3) };
            let guarded = guard(&scene.view(), &state, 5);
            assert_eq!(guarded.replicas, after, "advised {advised}, in breach {in_breach}");
        }
    }

    #[test]
    fn a_policy_of_another_system_meets_doubt_bounds_and_operator_alone() {
        let builder = Config::builder(ReplicaBounds::new(2, 8).expect("bounds"));
        let config = builder.guard_set(GuardSet::Peer).build().expect("settings");
        let state = after(&[(&Scene::breach(100, 2), 4)]);
        let scene = Scene { config, ..Scene::breach(101, 6) };
        // Neither breach, cooldown, stabilisation nor step limit; the fewest replicas all the same.
        assert_eq!(guarded(&scene, &state, 1), (2, Constraint::BelowMin { min: 2 }));
        assert_eq!(guarded(&scene, &state, 90), (8, Constraint::OverMax { max: 8 }));
        let doubtful = Scene { quality: Quality::Doubtful(Doubt::Silent), ..scene };
        assert_eq!(guarded(&doubtful, &state, 3), (6, Constraint::Doubt(Doubt::Silent)));
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
        let mut hinted = Scene::calm(100, 4);
        hinted.estimate = hinted.estimate.map(|it| crate::Estimate { hinted: true, ..it });
        assert_eq!(guarded(&hinted, &state, 2), (4, Constraint::Warmup));
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
            state.note_scaling(&scene.view(), DecisionId(u64::from(current)), current + 1, false);
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
    fn a_scale_in_removes_no_more_than_its_step_limit_in_any_period() {
        let limit = StepLimit { replicas: 2, percent: 25, period: Duration::from_secs(60) };
        let builder = Config::builder(ReplicaBounds::new(1, 50).expect("bounds"));
        let config = builder.step_in(limit).cooldown_in(Duration::ZERO).build().expect("settings");
        let first = Scene { config: config.clone(), ..Scene::calm(100, 12) };
        let nothing = GuardState::default();
        assert_eq!(guarded(&first, &nothing, 1), (9, Constraint::StepIn { least: 9 }));
        let state = after(&[(&first, 10)]);
        // The period began with 12, so 9 is the least until second 160.
        let soon = Scene { config: config.clone(), ..Scene::calm(159, 10) };
        assert_eq!(guarded(&soon, &state, 1), (9, Constraint::StepIn { least: 9 }));
        let later = Scene { config, ..Scene::calm(160, 10) };
        assert_eq!(guarded(&later, &state, 1), (8, Constraint::StepIn { least: 8 }));
    }

    #[test]
    fn with_the_flap_budget_spent_only_a_breach_scales_out() {
        let scene = |second, current| Scene { config: free(1, 20), ..Scene::calm(second, current) };
        let (one, two, three) = (scene(100, 4), scene(200, 5), scene(300, 4));
        let state = after(&[(&one, 5), (&two, 4), (&three, 5)]);
        // Both changes are in the first part of the hour.
        let (budget, until) = (2, at(3_600 + 600));
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
        assert_eq!(guarded(&scene(4_199, 4), &spent, 5).0, 4);
        assert_eq!(guarded(&scene(4_200, 4), &spent, 5).0, 5, "an hour later there is one again");
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
    fn a_refusal_takes_its_changes_of_direction_back() {
        let builder = Config::builder(ReplicaBounds::new(1, 20).expect("bounds"));
        let config = builder.cooldown_in(Duration::from_secs(900)).build().expect("settings");
        let scene =
            |second, current| Scene { config: config.clone(), ..Scene::calm(second, current) };
        let spent = |state: &GuardState| state.flips_until(at(500), 2).is_some();
        let (out, back) = (scene(100, 4), scene(200, 5));
        // The one between two of the same direction made both changes.
        let mut state = after(&[(&out, 5), (&back, 4), (&scene(300, 4), 5)]);
        assert!(spent(&state) && state.forget_scaling(DecisionId(2)));
        assert!(state.flips_until(at(500), 1).is_none());
        // The last one made one of the two.
        let mut state = after(&[(&out, 5), (&back, 4), (&scene(300, 4), 5)]);
        assert!(spent(&state) && state.forget_scaling(DecisionId(3)));
        assert!(!spent(&state) && state.flips_until(at(500), 1).is_some());
        // Without the first of two that go back, the second is the change.
        let mut state = after(&[(&out, 5), (&back, 4), (&scene(300, 4), 3)]);
        assert!(state.forget_scaling(DecisionId(2)));
        assert!(!spent(&state) && state.flips_until(at(500), 1).is_some());
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
            state.note_scaling(&scene.view(), DecisionId(u64::from(second)), 4 + second % 2, false);
        }
        let (scalings, proposals) = state.lengths();
        assert!(scalings <= 1_024 && proposals <= 10, "{scalings} and {proposals}");
        let day = Config::builder(ReplicaBounds::new(1, 8).expect("bounds"))
            .stabilisation_in(Duration::from_secs(86_400))
            .build()
            .expect("settings");
        assert_eq!(state.highest_proposal(&day, at(5_000)), Some(9_000));
    }

    #[test]
    fn a_proposal_that_falls_step_by_step_is_held_for_a_quarter_longer_at_most() {
        let config = Config::builder(ReplicaBounds::new(1, 200).expect("bounds"))
            .stabilisation_in(Duration::from_secs(120))
            .build()
            .expect("settings");
        let mut state = GuardState::default();
        for second in 0..1_000 {
            state.note_proposal(&config, at(second), 2_000 - u32::try_from(second).expect("small"));
            let highest = state.highest_proposal(&config, at(second)).expect("there is one");
            let oldest = 2_000 - highest;
            let age = u32::try_from(second).expect("small") - oldest;
            assert!(age <= 150, "a proposal of {age} s ago holds");
            assert!(second < 119 || age >= 119, "one of {age} s ago is forgotten already");
        }
    }

    #[test]
    fn the_operator_has_the_last_word() {
        let state = GuardState::default();
        let below = Scene { config: free(3, 6), ..Scene::calm(100, 1) };
        let mut view = below.view();
        view.operation = Operation::of(Mode::Pause);
        assert_eq!(guard(&view, &state, 1).binding, Constraint::Paused, "not even a correction");
        view.operation = Operation::default().holding_out();
        let held = guard(&view, &state, 1);
        assert_eq!((held.replicas, held.binding), (1, Constraint::HoldOut));
        let calm = Scene { config: free(1, 6), ..Scene::calm(100, 4) };
        let mut view = calm.view();
        view.operation = Operation::default().holding_in();
        let held = guard(&view, &state, 2);
        assert_eq!((held.replicas, held.binding), (4, Constraint::HoldIn));
        assert_eq!(guard(&view, &state, 5).replicas, 5, "the other direction is free");
    }

    #[test]
    fn only_the_last_scaling_is_the_last_one() {
        let state = after(&[(&Scene::breach(100, 2), 4), (&Scene::breach(120, 4), 6)]);
        assert!(state.is_last(DecisionId(2)));
        assert!(!state.is_last(DecisionId(1)) && !state.is_last(DecisionId(3)));
        assert!(!GuardState::default().is_last(DecisionId(1)));
    }

    #[test]
    fn a_long_window_before_replicas_are_ready_shows_no_effect() {
        let mut state = after(&[(&Scene::breach(100, 2), 3)]);
        for (settled_windows, attempts) in [(0, 0), (0, 0), (1, 1)] {
            let mut scene = Scene { settled_windows, ..Scene::breach(160, 3) };
            scene.window.start = at(100);
            state.note_effect(&scene.view());
            assert_eq!(state.ineffective(), attempts, "after {settled_windows} settled windows");
        }
    }
}
