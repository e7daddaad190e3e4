//! Advice in shadow is on record, and decisions are those of the policy alone.

use std::time::Duration;

use planner_core::{
    Advice, AdviceConfig, AdvisedAction, AdvisorFault, Config, Decision, Event, Heuristic, Planner,
    ReplicaBounds, Step, Thresholds, Timestamp, Verdict, Window,
};
use proptest::prelude::*;

fn planner(shadow: bool) -> Planner {
    let second = Duration::from_secs(1);
    let advice =
        AdviceConfig { period: second, heartbeat: second, shadow, ..AdviceConfig::default() };
    let bounds = ReplicaBounds::new(1, 9).expect("bounds");
    let config = Config::builder(bounds).advice(advice).build().expect("settings");
    Planner::new(config, Heuristic)
}

/// Lives through windows; whatever is asked is answered so.
fn live(
    shadow: bool,
    latencies_ms: &[f64],
    answer: impl Fn(usize) -> Result<Advice, AdvisorFault>,
) -> Vec<Decision> {
    let mut planner = planner(shadow);
    let at = |second: usize| Timestamp::from_origin(Duration::from_secs(second as u64));
    let mut decisions: Vec<Decision> = Vec::new();
    let mut ready = 3;
    for (index, latency_ms) in latencies_ms.iter().enumerate() {
        let second = index + 1;
        let window = Window::probes(at(index), at(second), &[*latency_ms; 40], 0, ready);
        let mut step = planner.step(at(second), Event::Observe(window.expect("valid")));
        if let Step::Consult(consultation) = step {
            step = planner.step(at(second), Event::Advise(consultation.id, answer(index)));
        }
        let Step::Decide(decision) = step else { panic!("no decision") };
        ready = decision.target().unwrap_or(ready);
        decisions.push(decision);
    }
    decisions
}

fn advice() -> impl Strategy<Value = Advice> {
    let action = prop_oneof![
        Just(AdvisedAction::Noop),
        Just(AdvisedAction::ScaleUp),
        Just(AdvisedAction::ScaleDown)
    ];
    (action, prop::option::of(0_u32..12), 1.0..9.0, 1.0..1.2, 1.0..9.0).prop_map(
        |(action, replicas, up_ratio, down_ratio, up_z)| {
            let advice = Advice::new(action, "a model").with_thresholds(Thresholds {
                up_ratio,
                down_ratio,
                up_z,
            });
            match replicas {
                Some(replicas) => advice.to_replicas(replicas),
                None => advice,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_advice_in_shadow_changes_a_decision(
        latencies_ms in prop::collection::vec(prop_oneof![4 => 18.0..60.0, 1 => 60.0..900.0], 150),
        advice in advice(),
    ) {
        let shadowed = live(true, &latencies_ms, |_| Ok(advice.clone()));
        let alone = live(true, &latencies_ms, |_| Err(AdvisorFault::Garble));
        let targets = |decisions: &[Decision]| -> Vec<Option<u32>> {
            decisions.iter().map(Decision::target).collect()
        };
        prop_assert_eq!(targets(&shadowed), targets(&alone));
    }
}

#[test]
fn what_would_have_become_of_advice_is_on_record() {
    let latencies_ms: Vec<f64> = (0..300_u32)
        .map(|at| 20.0 + f64::from(at % 7) + f64::from(at.saturating_sub(100)) * 0.4)
        .collect();
    let up = || Ok(Advice::new(AdvisedAction::ScaleUp, "it gets slower"));
    let verdicts = |shadow| {
        let decisions = live(shadow, &latencies_ms, |_| up());
        decisions.into_iter().filter_map(|it| it.derivation.advice).collect::<Vec<_>>()
    };
    let shadowed = verdicts(true);
    assert!(!shadowed.is_empty(), "nothing was asked");
    for verdict in &shadowed {
        let Verdict::Shadowed { would, reason } = verdict else { panic!("{verdict:?}") };
        assert!(*would > 3 && reason == "it gets slower");
    }
    assert!(
        shadowed[0].to_string().starts_with("not applied, in shadow: would have been "),
        "{}",
        shadowed[0]
    );
    let applied =
        |verdict: &Verdict| matches!(verdict, Verdict::Taken { .. } | Verdict::Clamped { .. });
    assert!(verdicts(false).iter().any(applied), "the same advice is applied otherwise");
}
