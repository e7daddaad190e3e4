//! Of advice, its gate and its answers.

use super::*;

#[test]
fn advice_from_a_file_is_made_safe_to_show() {
    let a: Advice = serde_json::from_str(
        "{\"action\":\"noop\",\"replicas\":null,\"thresholds\":null,\"reason\":\"\\u001b[2J\"}",
    )
    .expect("valid");
    assert!(!a.reason.contains('\u{1b}'));
}

#[test]
fn a_gate_takes_any_period() {
    let _ = Gateway::new(&AdviceConfig { period: Duration::MAX, ..AdviceConfig::default() }, 0);
}

fn hostile(edit: impl FnOnce(&mut serde_json::Value)) -> Planner {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    for seq in 1..=20 {
        let _ = dec(&mut p, &wt(seq, 40.0, 2, 0, 50.0, 50.0));
    }
    let mut v = serde_json::to_value(p.snapshot()).expect("valid");
    edit(&mut v);
    let s: Snapshot<planner_core::policy::HeuristicState> =
        serde_json::from_value(v).expect("valid");
    Planner::restore(b(1, 8).build().expect("valid"), Heuristic, s).expect("valid")
}

#[test]
fn advised_thresholds_from_a_snapshot_only_tighten() {
    let mut p = hostile(|v| {
        v["tally"]["advised"] =
            serde_json::json!([{"up_ratio": 8.0, "down_ratio": 1e6, "up_z": 6.0}, u64::MAX / 4])
    });
    let d = dec(&mut p, &w(21, 110.0, 2));
    assert!(!d.derivation.signal.near, "{:?}", d.derivation.signal);
}

#[test]
fn a_breach_that_overtakes_a_question_blames_nobody() {
    let advice = AdviceConfig { period: secs(1), heartbeat: secs(1), ..AdviceConfig::default() };
    let mut p = Planner::new(b(1, 8).advice(advice).build().expect("valid"), Heuristic);
    let mut s = 0;
    for _ in 0..20 {
        s += 1;
        let _ = p.step(at(s as f64), Event::Observe(w(s, 40.0, 2)));
    }
    let mut asked = None;
    for _ in 0..300 {
        s += 1;
        if let Step::Consult(c) = p.step(at(s as f64), Event::Observe(w(s, 80.0, 2))) {
            asked = Some(c.id);
            break;
        }
    }
    assert!(asked.is_some());
    s += 1;
    let step = p.step(at(s as f64), Event::Observe(w(s, 900.0, 2)));
    assert!(matches!(step, Step::Decide(_)));
    let gate = serde_json::to_value(p.snapshot()).expect("valid")["gate"].clone();
    assert_eq!(gate["failures"], 0, "{gate}");
}

#[test]
fn an_answer_after_its_deadline_is_a_failure() {
    let advice = AdviceConfig { period: secs(1), heartbeat: secs(1), ..AdviceConfig::default() };
    let mut p = Planner::new(b(1, 8).advice(advice).build().expect("valid"), Heuristic);
    let mut s = 0;
    for _ in 0..20 {
        s += 1;
        let _ = p.step(at(s as f64), Event::Observe(w(s, 40.0, 2)));
    }
    s += 1;
    let Step::Consult(c) = p.step(at(s as f64), Event::Observe(w(s, 80.0, 2))) else { panic!() };
    let Step::Decide(d) = p.step(
        at(s as f64 + 60.0),
        Event::Advise(c.id, Ok(Advice::new(AdvisedAction::Noop, "late"))),
    ) else {
        panic!()
    };
    let gate = serde_json::to_value(p.snapshot()).expect("valid")["gate"].clone();
    assert_eq!(gate["failures"], 1, "{gate} {:?}", d.derivation.advice);
}

#[test]
fn advice_that_no_text_can_hold_does_not_make_a_journal_unreadable() {
    let nan = Thresholds { up_ratio: f64::NAN, down_ratio: 1.1, up_z: 6.0 };
    let advice = Advice::new(AdvisedAction::Noop, "because").with_thresholds(nan);
    assert_eq!(advice.thresholds, None);
    let text = serde_json::to_string(&advice).expect("serialisable");
    assert_eq!(serde_json::from_str::<Advice>(&text).expect("as written"), advice);
}
