//! What advice may move: inside the policy's band, for a while, and on record.

use planner_core::journal::replay;
use planner_core::{
    Advice, AdviceConfig, AdvisedAction, AdvisorFault, Consultation, Decision, Event, Heuristic,
    Idle, Origin, Planner, Step, Thresholds, Verdict,
};
use proptest::prelude::*;

use crate::world::{Answer, NORMAL_MS, World, config, eager, targets, wave, writes};

fn always(action: AdvisedAction) -> impl FnMut(&Consultation) -> Answer {
    move |_| Ok(Advice::new(action, "always"))
}

/// The first scale-out of a life.
fn first_out(decisions: &[Decision]) -> Option<usize> {
    decisions.iter().position(|decision| {
        decision.target().is_some_and(|to| Some(to) > decision.derivation.current)
    })
}

#[test]
fn m07_an_advisor_that_always_waits_delays_no_scale_out_under_overload() {
    let overload = || [NORMAL_MS; 30].into_iter().chain([400.0; 5]);
    let advised = World::new(Some(eager())).live(overload(), always(AdvisedAction::Noop));
    let alone = World::new(None).live(overload(), always(AdvisedAction::Noop));
    let (advised, alone) = (first_out(&advised).expect("out"), first_out(&alone).expect("out"));
    assert!(advised <= alone, "{advised} windows instead of {alone}");
}

#[test]
fn m07b_what_only_advice_added_delays_no_answer_to_the_breach_that_follows() {
    let live = |advice: Option<AdviceConfig>| {
        let mut world = World::new(advice);
        world.ready = 1;
        // Calm, until an advisor takes one in reserve; a second later it is an overload.
        let mut decisions = Vec::new();
        for index in 0..40 {
            let decision =
                world.window(NORMAL_MS + f64::from(index % 3), &mut always(AdvisedAction::ScaleUp));
            let taken = decision.target().is_some();
            decisions.push(decision);
            if taken || index == 25 {
                break;
            }
        }
        let reserve = world.ready;
        let answer = world.window(400.0, &mut always(AdvisedAction::Noop));
        (reserve, answer)
    };
    let (reserve, advised) = live(Some(AdviceConfig { reserve: 1, ..eager() }));
    let (none, alone) = live(None);
    assert_eq!((reserve, none), (2, 1), "nobody took a reserve");
    assert!(alone.target().is_some(), "{alone}");
    assert!(advised.replicas() >= alone.replicas(), "{advised}, without an advisor {alone}");
}

/// Latencies of calm, of a little unrest and of overload.
fn traces() -> impl Strategy<Value = Vec<f64>> {
    let latency_ms = prop_oneof![8 => 18.0..23.0, 2 => 23.0..70.0, 1 => 70.0..700.0];
    prop::collection::vec(latency_ms, 120..240)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn m08_an_advisor_that_always_wants_fewer_gets_them_where_we_have_evidence_alone(
        latencies_ms in traces(),
    ) {
        let mut world = World::new(Some(eager()));
        for decision in world.live(latencies_ms, always(AdvisedAction::ScaleDown)) {
            let argument = &decision.derivation;
            if decision.target() < argument.current && decision.target().is_some() {
                prop_assert!(argument.signal.near && argument.signal.breach.is_none());
                prop_assert!(decision.target() >= Some(argument.proposal.floor));
                prop_assert!(argument.proposal.floor < argument.current.unwrap_or(0));
            }
        }
    }

    #[test]
    fn m28_with_advice_or_without_decisions_differ_inside_the_policys_band_alone(
        latencies_ms in traces(),
        action in 0..3_usize,
        replicas in prop::option::of(0..12_u32),
    ) {
        let actions = [AdvisedAction::Noop, AdvisedAction::ScaleDown, AdvisedAction::ScaleUp];
        let mut advice = Advice::new(actions[action], "any");
        advice.replicas = replicas;
        let mut world = World::new(Some(eager()));
        for decision in world.live(latencies_ms, |_| Ok(advice.clone())) {
            let argument = &decision.derivation;
            let band = argument.proposal.floor..=argument.proposal.ceiling;
            let wanted = argument.guards.first().map(|step| step.before);
            if let Some(Verdict::Taken { .. } | Verdict::Clamped { .. }) = argument.advice {
                prop_assert!(wanted.is_some_and(|wanted| band.contains(&wanted)));
            } else {
                prop_assert_eq!(wanted, Some(argument.proposal.preferred));
            }
        }
    }
}

#[test]
fn m09_at_the_most_replicas_an_overload_asks_nobody() {
    let mut world = World::warm(eager());
    world.ready = 8;
    for latency_ms in [NORMAL_MS * 2.0, NORMAL_MS * 3.0, 400.0, 500.0, NORMAL_MS * 2.5] {
        world.ready = 8;
        drop(world.window(latency_ms, &mut |_| panic!("asked although there is one choice")));
    }
}

#[test]
fn m10_an_advisor_that_changes_its_mind_each_time_moves_no_more_than_the_budgets_allow() {
    let mut world = World::warm(eager());
    let mut up = false;
    let unrest = (0..3_600).map(|second| if second % 60 < 5 { 45.0 } else { NORMAL_MS });
    let decisions = world.live(unrest, |_| {
        up = !up;
        let action = if up { AdvisedAction::ScaleUp } else { AdvisedAction::ScaleDown };
        Ok(Advice::new(action, "changed my mind"))
    });
    let moves: Vec<(u64, bool)> = (0..)
        .zip(&decisions)
        .filter_map(|(second, decision)| {
            Some((second, Some(decision.target()?) > decision.derivation.current))
        })
        .collect();
    let turns = moves.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    let budget = world.planner.config().flap_budget_per_hour() as usize;
    assert!(turns > 0 && turns <= budget, "{turns} changes of direction of {budget}");
    for pair in moves.windows(2) {
        let least_s = if pair[1].1 { 5 } else { 10 };
        let rested = pair[1].0 - pair[0].0 >= least_s || pair[1].1 != pair[0].1 && pair[1].1;
        assert!(rested, "{pair:?}");
    }
}

#[test]
fn m11_thresholds_of_any_kind_stay_in_their_envelope_and_expire() {
    for (up_ratio, down_ratio, up_z) in
        [(0.0, 0.0, 0.0), (1e15, 1e15, 1e15), (1.1, 1.4, 3.0), (-1.0, -1.0, -1.0), (2.0, 1.05, 3.5)]
    {
        let mut world = World::warm(eager());
        let operator = world.planner.config().thresholds();
        let advice = Advice::new(AdvisedAction::Noop, "thresholds").with_thresholds(Thresholds {
            up_ratio,
            down_ratio,
            up_z,
        });
        world.live([NORMAL_MS * 2.0; 3], |_| Ok(advice.clone()));
        let ttl_s = world.planner.config().advice().expect("advice").thresholds_ttl.as_secs();
        let calm = [NORMAL_MS; 400];
        for (second, decision) in (0..).zip(world.live(calm, always(AdvisedAction::Noop))) {
            let active = decision.derivation.thresholds;
            assert!((1.5..=operator.up_ratio).contains(&active.up_ratio), "{active:?}");
            assert!((1.0..=operator.down_ratio).contains(&active.down_ratio), "{active:?}");
            assert!((3.0..=operator.up_z).contains(&active.up_z), "{active:?}");
            assert!(active.up_ratio >= 1.25 * active.down_ratio, "{active:?}");
            assert!(second < ttl_s || active == operator, "after {second} s {active:?}");
        }
    }
    let nonsense = Thresholds { up_ratio: f64::NAN, down_ratio: 1.0, up_z: f64::INFINITY };
    let advice = Advice::new(AdvisedAction::Noop, "").with_thresholds(nonsense);
    assert_eq!(advice.thresholds, None);
}

#[test]
fn m14_an_answer_that_comes_after_a_scaling_or_too_late_is_not_used() {
    let up = || Ok(Advice::new(AdvisedAction::ScaleUp, "late").to_replicas(8));
    let mut world = World::warm(eager());
    let Step::Consult(question) = world.observe(NORMAL_MS * 2.0) else { panic!("no question") };
    world.ready = 5;
    assert_eq!(world.observe(NORMAL_MS * 2.0), Step::Idle(Idle::Await(question.id)));
    let Step::Decide(decision) = world.step(Event::Advise(question.id, up())) else {
        panic!("no decision")
    };
    assert_eq!(decision.derivation.advice, Some(Verdict::Outdated));

    let mut world = World::warm(eager());
    let Step::Consult(question) = world.observe(NORMAL_MS * 2.0) else { panic!("no question") };
    world.second += 10;
    let Step::Decide(decision) = world.step(Event::Wake) else { panic!("no decision") };
    assert_eq!(decision.derivation.advice, Some(Verdict::Missed(AdvisorFault::Timeout)));
    assert_eq!(world.step(Event::Advise(question.id, up())), Step::Idle(Idle::Stale));
}

#[test]
fn m27_one_that_misses_the_overloads_is_suspended_and_decisions_say_so() {
    let mut world = World::warm(eager());
    let mut suspended = None;
    for round in 0..40 {
        // It gets slower, nobody does anything about it, and then it is an overload.
        let rise = [45.0, 50.0, 55.0, 400.0, 400.0];
        let calm = [NORMAL_MS; 25];
        world.ready = 3;
        for decision in world.live(rise.into_iter().chain(calm), always(AdvisedAction::Noop)) {
            if let Some(Verdict::Suspended { until }) = decision.derivation.advice {
                suspended.get_or_insert((round, until));
            }
        }
    }
    let (round, until) = suspended.expect("suspended");
    assert!((6..=12).contains(&round), "after {round} overloads");
    assert!(world.planner.track_record().overload.right == 0);
    // An hour later it is asked again.
    let asked = world.questions.len();
    while world.now() < until {
        world.ready = 3;
        drop(world.window(NORMAL_MS, &mut always(AdvisedAction::Noop)));
    }
    let before = world.questions.len();
    assert_eq!(before, asked, "asked while it was suspended");
    world.live([45.0; 3], always(AdvisedAction::Noop));
    assert!(world.questions.len() > before, "never asked again");
}

#[test]
fn m27b_one_that_sees_them_coming_is_not() {
    let mut world = World::warm(eager());
    for _ in 0..20 {
        world.ready = 3;
        let rise = [45.0, 50.0, 55.0, 400.0, 400.0];
        world.live(rise.into_iter().chain([NORMAL_MS; 25]), always(AdvisedAction::ScaleUp));
    }
    assert_eq!(world.planner.track_record().suspended_until, None);
}

#[test]
fn m32_a_record_of_advice_replays_to_the_same_bytes_and_asks_nobody() {
    let mut world = World::new(Some(eager()));
    let text =
        r#"{"action":"scale_up","thresholds":{"up_ratio":7.0,"down_ratio":1.05,"up_z":5.0}}"#;
    let decisions = world.live(wave(), writes(text));
    let by_advice = decisions.iter().filter(|it| it.origin == Origin::Advisor).count();
    assert!(by_advice > 0 && !world.questions.is_empty());
    let bytes =
        |records: &[planner_core::journal::Record]| serde_json::to_string(records).expect("text");
    let mut again = Planner::new(config(Some(eager())), Heuristic);
    let found = replay(&mut again, world.records.iter().cloned());
    assert!(found.divergence.is_none());
    let text = bytes(&world.records);
    let read: Vec<planner_core::journal::Record> = serde_json::from_str(&text).expect("records");
    assert_eq!(bytes(&read), text);
    // The same windows without advice are another run.
    let alone = World::new(None).live(wave(), writes(""));
    assert_ne!(targets(&decisions), targets(&alone));
}
