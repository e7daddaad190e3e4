//! Bugs that were found once, each with the input that showed it.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::collapsible_if,
    clippy::let_and_return,
    clippy::semicolon_if_nothing_returned,
    unused_qualifications,
    reason = "inputs are written as compactly as they were found"
)]
use planner_core::gateway::*;
use planner_core::policy::{NoSignal, Policy, Proposal, View};
use planner_core::*;
use std::time::Duration;

fn at(s: f64) -> Timestamp {
    Timestamp::from_nanos((s * 1e9) as u64)
}

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn b(min: u32, max: u32) -> ConfigBuilder {
    Config::builder(ReplicaBounds::new(min, max).expect("valid"))
}

fn wl(seq: u64, len: u64, p95: f64, ready: u32) -> Window {
    Window::builder(seq, at(((seq - 1) * len) as f64), at((seq * len) as f64))
        .outcomes(100, 0, 0)
        .latencies(Latencies::from_p95(Latency::from_millis(p95).expect("valid")))
        .ready(ready)
        .starting(0)
        .build()
        .expect("valid")
}

fn w(seq: u64, p95: f64, ready: u32) -> Window {
    wl(seq, 1, p95, ready)
}

fn wt(seq: u64, p95: f64, ready: u32, fail: u32, arr: f64, done: f64) -> Window {
    let t = Traffic::arriving(arr).expect("valid").with_completions(done).expect("valid");
    Window::builder(seq, at((seq - 1) as f64), at(seq as f64))
        .outcomes(1000, 0, fail)
        .latencies(Latencies::from_p95(Latency::from_millis(p95).expect("valid")))
        .ready(ready)
        .starting(0)
        .traffic(t)
        .build()
        .expect("valid")
}

fn dec(p: &mut Planner, win: &Window) -> Decision {
    let d = p.decide(win.end(), win);
    d
}

#[test]
fn refused_scale_outs_do_not_wear_out_the_next_ones() {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    let mut seq = 0;
    for _ in 0..20 {
        seq += 1;
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let mut pending: Option<(u64, DecisionId)> = None;
    for _ in 0..200 {
        // executor hangs 10 s and then fails
        seq += 1;
        let d = dec(&mut p, &w(seq, 800.0, 2));
        if d.target().is_some() {
            pending = Some((seq, d.id));
        }
        if let Some((s, id)) = pending {
            if seq >= s + 10 {
                let _ = p.step(at(seq as f64), Event::Settle(id, Outcome::Refuse));
                pending = None;
            }
        }
    }
    // heals for an hour
    for _ in 0..3600 {
        seq += 1;
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let mut out = false;
    let mut last = String::new();
    for _ in 0..600 {
        seq += 1;
        let d = dec(&mut p, &w(seq, 800.0, 2));
        out |= d.target().is_some_and(|t| t > 2);
        last = d.to_string();
    }
    assert!(out, "an hour of health later, 600 breaches: {last}");
}

#[test]
fn answers_to_failures_teach_no_capacity() {
    let run = |outage: bool| {
        let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
        let mut seq = 0;
        for _ in 0..20 {
            seq += 1;
            let _ = dec(&mut p, &wt(seq, 40.0, 4, 0, 120.0, 120.0));
        }
        // capacity 50/s each: saturated at 260/s
        for _ in 0..10 {
            seq += 1;
            let _ = dec(&mut p, &wt(seq, 400.0, 4, 0, 260.0, 200.0));
        }
        if outage {
            for _ in 0..10 {
                seq += 1;
                let _ = dec(&mut p, &wt(seq, 3.0, 4, 990, 2000.0, 2000.0));
            }
        }
        let mut least = 4;
        let mut why = String::new();
        for _ in 0..400 {
            seq += 1;
            let d = dec(&mut p, &wt(seq, 40.0, 4, 0, 160.0, 160.0));
            if let Some(t) = d.target() {
                if t < least {
                    least = t;
                    why = d.to_string();
                }
            }
        }
        (least, why)
    };
    assert_eq!(run(false).0, 4, "control");
    assert_eq!(run(true).0, 4, "{:?}", run(true));
}

#[test]
fn a_worse_stray_is_undone_at_least_as_far() {
    let run = |p95: f64| {
        let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
        let mut seq = 0;
        let mut n = 4;
        for _ in 0..400 {
            seq += 1;
            if let Some(t) = dec(&mut p, &w(seq, 40.0, n)).target() {
                n = t;
                break;
            }
        }
        assert_eq!(n, 3);
        seq += 1;
        let d = dec(&mut p, &w(seq, p95, n));
        (d.target().unwrap_or(n), d.to_string())
    };
    let (mild, bad) = (run(70.0), run(310.0));
    assert!(bad.0 >= mild.0, "mild {mild:?} bad {bad:?}");
}

#[test]
fn a_creeping_latency_never_becomes_normal() {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    let mut n = 6;
    let mut p95 = 40.0;
    let mut log = vec![];
    for seq in 1..=2000 {
        let d = dec(&mut p, &w(seq, p95, n));
        if let Some(t) = d.target() {
            log.push(format!("{p95:.0} ms: {d}"));
            n = t;
        }
        if seq > 20 {
            p95 *= 1.002;
        }
    }
    let m = p.estimate().expect("valid").median.as_millis();
    assert!(m < 80.0 && n >= 6, "median {m}, replicas {n}, {log:#?}");
}

#[test]
fn long_windows_find_scaling_ineffective_too() {
    let mut p = Planner::new(b(1, 1000).build().expect("valid"), Heuristic);
    let mut n = 2;
    let mut outs = 0;
    let mut seq = 0;
    for _ in 0..20 {
        seq += 1;
        let _ = dec(&mut p, &wl(seq, 10, 40.0, n));
    }
    for _ in 0..60 {
        seq += 1;
        let d = dec(&mut p, &wl(seq, 10, 800.0, n));
        if let Some(t) = d.target() {
            outs += 1;
            n = t;
        }
    }
    assert!(outs <= 3, "{outs} scale-outs without effect, {n} replicas");
}

#[test]
fn a_window_of_the_future_is_doubtful() {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    for seq in 1..=20 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let far = Window::builder(21, at(20.0), at(3.2e8))
        .outcomes(100, 0, 0)
        .latencies(Latencies::from_p95(Latency::from_millis(40.0).expect("valid")))
        .ready(2)
        .build()
        .expect("valid");
    let d = p.decide(at(21.0), &far);
    assert!(!d.derivation.quality.is_trusted(), "trusted: {}", d.derivation.quality.is_trusted());
    let mut all_stale = true;
    for seq in 22..=2000 {
        all_stale &=
            p.step(at(seq as f64), Event::Observe(w(seq, 4000.0, 2))) == Step::Idle(Idle::Stale);
    }
    assert!(!all_stale);
}

#[test]
fn a_window_of_the_future_makes_no_later_one_stale() {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    for seq in 1..=20 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let far = Window::builder(21, at(20.0), at(3.2e8))
        .outcomes(100, 0, 0)
        .latencies(Latencies::from_p95(Latency::from_millis(40.0).expect("valid")))
        .ready(2)
        .build()
        .expect("valid");
    let _ = p.step(at(21.0), Event::Observe(far));
    let mut stale = 0;
    for seq in 22..=2000 {
        stale += u32::from(
            p.step(at(seq as f64), Event::Observe(w(seq, 4000.0, 2))) == Step::Idle(Idle::Stale),
        );
    }
    assert!(stale < 10, "{stale} of 1979 stale");
}

#[test]
fn a_snapshot_of_a_shorter_reference_still_warms() {
    let mut p = Planner::new(
        b(1, 8).baseline_windows(8).warmup_windows(2).build().expect("valid"),
        Heuristic,
    );
    for seq in 1..=20 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let mut q =
        Planner::restore(b(1, 8).build().expect("valid"), Heuristic, p.snapshot()).expect("valid");
    for seq in 21..=500 {
        let _ = dec(&mut q, &w(seq, 40.0, 2));
    }
    assert!(q.estimate().is_some());
}

#[test]
fn a_scale_in_does_not_eat_the_step_of_an_emergency() {
    let limit = StepLimit { replicas: 4, percent: 0, period: secs(600) };
    let mut p = Planner::new(
        b(1, 20)
            .step_out(limit)
            .cooldown_in(secs(1))
            .stabilisation_in(secs(1))
            .build()
            .expect("valid"),
        Heuristic,
    );
    let mut seq = 0;
    let mut n = 4;
    for _ in 0..13 {
        seq += 1;
        if let Some(t) = dec(&mut p, &w(seq, 40.0, n)).target() {
            n = t;
        }
    }
    n = 4;
    seq += 1;
    let d = dec(&mut p, &w(seq, 800.0, n));
    n = d.target().unwrap_or(n);
    let peak = n;
    for _ in 0..100 {
        seq += 1;
        if let Some(t) = dec(&mut p, &w(seq, 40.0, n)).target() {
            n = t;
            break;
        }
    }
    let low = n;
    let mut last = String::new();
    for _ in 0..300 {
        seq += 1;
        let d = dec(&mut p, &w(seq, 800.0, n));
        last = d.to_string();
        if let Some(t) = d.target() {
            n = t;
        }
    }
    assert!(n >= peak, "peak {peak}, scaled in to {low}, 300 s of breach later {n}: {last}");
}

#[test]
fn a_manual_scale_out_is_not_taken_back_under_a_breach() {
    let limit = StepLimit { replicas: 1, percent: 0, period: secs(0) };
    let mut p = Planner::new(
        b(1, 20).step_out(limit).cooldown_out(secs(0)).build().expect("valid"),
        Heuristic,
    );
    // A source that cannot count starting replicas.
    let blind = |seq: u64, p95: f64, ready| {
        let latencies = Latencies::from_p95(Latency::from_millis(p95).expect("valid"));
        let builder = Window::builder(seq, at(seq as f64 - 1.0), at(seq as f64));
        builder.outcomes(100, 0, 0).latencies(latencies).ready(ready).build().expect("valid")
    };
    for seq in 1..=20 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let _ = dec(&mut p, &blind(21, 800.0, 2));
    let d = dec(&mut p, &blind(22, 800.0, 10));
    assert!(d.target().is_none_or(|t| t >= 10), "10 are ready, breach: {d}");
}

#[test]
fn the_last_replica_is_no_experiment() {
    let mut p = Planner::new(b(0, 8).build().expect("valid"), Heuristic);
    for seq in 1..=600 {
        let d = dec(&mut p, &w(seq, 40.0, 1));
        assert_ne!(d.target(), Some(0), "{d}");
    }
}

#[test]
fn failing_windows_are_no_calm_ones() {
    let mut p = Planner::new(
        b(1, 8).stabilisation_in(secs(0)).cooldown_in(secs(0)).build().expect("valid"),
        Heuristic,
    );
    let mut seq = 0;
    let mut n = 4;
    let bad = |seq: u64, n| {
        Window::builder(seq, at((seq - 1) as f64), at(seq as f64))
            .outcomes(100, 0, 60)
            .latencies(Latencies::from_p95(Latency::from_millis(40.0).expect("valid")))
            .ready(n)
            .starting(0)
            .build()
            .expect("valid")
    };
    for _ in 0..12 {
        seq += 1;
        if let Some(t) = dec(&mut p, &w(seq, 40.0, n)).target() {
            n = t;
        }
    }
    n = 8;
    for _ in 0..30 {
        seq += 1;
        let d = dec(&mut p, &bad(seq, n));
        if let Some(t) = d.target() {
            n = t;
        }
    }
    seq += 1;
    let d = dec(&mut p, &w(seq, 40.0, n));
    assert!(d.target().is_none(), "first good window after an outage: {d}");
}

#[test]
fn an_interval_on_the_wrong_side_is_moved() {
    let win = w(21, 40.0, 2);
    let text = serde_json::to_string(&win)
        .expect("valid")
        .replace("\"p95_low\":null", "\"p95_low\":90000.0");
    let Ok(win) = serde_json::from_str::<Window>(&text) else { return };
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    for seq in 1..=20 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let d = dec(&mut p, &win);
    assert!(
        d.derivation.signal.breach.is_none(),
        "accepted, near {}: {d}",
        d.derivation.signal.near
    );
}

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

#[test]
fn an_outage_breaks_the_run_of_a_new_level() {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    let mut seq = 0;
    let bad = |seq: u64, n| {
        Window::builder(seq, at((seq - 1) as f64), at(seq as f64))
            .outcomes(100, 0, 60)
            .latencies(Latencies::from_p95(Latency::from_millis(70.0).expect("valid")))
            .ready(n)
            .starting(0)
            .build()
            .expect("valid")
    };
    for _ in 0..20 {
        seq += 1;
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    for _ in 0..20 {
        seq += 1;
        let _ = dec(&mut p, &w(seq, 70.0, 2));
    }
    for _ in 0..500 {
        seq += 1;
        let _ = dec(&mut p, &bad(seq, 3));
    }
    for _ in 0..10 {
        seq += 1;
        let _ = dec(&mut p, &w(seq, 70.0, 4));
    }
    assert_eq!(p.estimate().expect("valid").median.as_millis(), 40.0);
}

#[test]
fn an_order_in_flight_is_kept() {
    let mut p = Planner::new(b(1, 20).cooldown_out(secs(0)).build().expect("valid"), Heuristic);
    for seq in 1..=20 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let first = dec(&mut p, &w(21, 800.0, 2)).target().expect("valid");
    let d = dec(&mut p, &w(22, 800.0, 2)); // engine does not list the new ones yet
    assert!(d.target().is_none_or(|t| t >= first), "ordered {first}, then {d}");
}

#[test]
fn a_plateau_under_overload_never_becomes_normal() {
    let mut p = Planner::new(b(1, 100).build().expect("valid"), Heuristic);
    let mut seq = 0;
    let mut n = 2;
    let mut log = vec![];
    for _ in 0..20 {
        seq += 1;
        let _ = dec(&mut p, &w(seq, 40.0, n));
    }
    for _ in 0..1000 {
        seq += 1;
        let d = dec(&mut p, &w(seq, 350.0, n));
        if let Some(t) = d.target() {
            log.push(d.to_string());
            n = t;
        }
    }
    assert!(p.estimate().expect("valid").median.as_millis() < 80.0, "{:?} {log:#?}", p.estimate());
}

#[test]
fn a_vanishing_latency_leaves_a_readable_decision() {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    for seq in 1..=20 {
        let _ = dec(&mut p, &w(seq, 1e-310, 2));
    }
    let d = dec(&mut p, &w(21, 200.0, 2));
    let text = serde_json::to_string(&d).expect("valid");
    let back: Decision = serde_json::from_str(&text).expect("what was written");
    assert_eq!(back, d);
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
fn an_order_in_flight_is_not_lowered_under_a_breach() {
    let mut p = Planner::new(b(1, 20).cooldown_out(secs(0)).build().expect("valid"), Heuristic);
    for seq in 1..=20 {
        let _ = dec(&mut p, &wt(seq, 40.0, 2, 0, 50.0, 50.0));
    }
    let first = dec(&mut p, &wt(21, 800.0, 2, 0, 400.0, 100.0)).target().expect("valid");
    let d = dec(&mut p, &wt(22, 800.0, 2, 0, 400.0, 100.0));
    assert!(d.target().is_none_or(|t| t >= first), "ordered {first}, then {d}");
}

#[test]
fn an_executor_that_refused_once_is_asked_again_at_the_next_breach() {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    for seq in 1..=20 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let first = dec(&mut p, &w(21, 900.0, 2));
    assert!(first.target().is_some());
    let _ = p.step(at(21.0), Event::Settle(first.id, Outcome::Refuse));
    // Nothing was started, so there is nothing whose effect could be waited for.
    assert_eq!(dec(&mut p, &w(22, 900.0, 2)).target(), first.target());
}

#[test]
fn asking_again_at_once_is_no_way_around_the_check_of_efficacy() {
    /// Wants one more in every breach, without waiting for anything.
    struct Greedy;
    impl Policy for Greedy {
        type Signal = NoSignal;
        type State = ();
        fn name(&self) -> &'static str {
            "greedy"
        }
        fn version(&self) -> u32 {
            1
        }
        fn initial_state(&self) {}
        fn propose(&self, view: &View<'_>, (): &()) -> Proposal {
            let breach = view.signal.breach.is_some();
            Proposal::exactly(view.current + u32::from(breach))
        }
    }
    let config = b(1, 40).cooldown_out(secs(0)).build().expect("valid");
    let mut p = Planner::new(config, Greedy);
    for seq in 1..=20 {
        let _ = p.decide(at(seq as f64), &w(seq, 40.0, 2));
    }
    let mut ready = 2;
    for seq in 21..=120 {
        ready = p.decide(at(seq as f64), &w(seq, 900.0, ready)).target().unwrap_or(ready);
    }
    assert!(ready <= 6, "{ready} replicas that could not help");
    let last = p.decide(at(121.0), &w(121, 900.0, ready));
    assert!(matches!(last.derivation.binding, Constraint::Ineffective { .. }), "{last}");
}

#[test]
fn an_ailment_that_grew_much_worse_deserves_new_attempts() {
    let mut p = Planner::new(b(1, 40).build().expect("valid"), Heuristic);
    let (mut seq, mut ready) = (0, 2);
    let mut live = |windows: u64, p95: f64, ready: &mut u32| {
        for _ in 0..windows {
            seq += 1;
            *ready = dec(&mut p, &w(seq, p95, *ready)).target().unwrap_or(*ready);
        }
    };
    live(20, 40.0, &mut ready);
    live(300, 900.0, &mut ready);
    let stopped = ready;
    live(100, 920.0, &mut ready);
    assert_eq!(ready, stopped, "noise is no new evidence");
    live(100, 1_500.0, &mut ready);
    assert!(ready > stopped, "still {ready}");
}

#[test]
fn advice_that_no_text_can_hold_does_not_make_a_journal_unreadable() {
    let nan = Thresholds { up_ratio: f64::NAN, down_ratio: 1.1, up_z: 6.0 };
    let advice = Advice::new(AdvisedAction::Noop, "because").with_thresholds(nan);
    assert_eq!(advice.thresholds, None);
    let text = serde_json::to_string(&advice).expect("serialisable");
    assert_eq!(serde_json::from_str::<Advice>(&text).expect("as written"), advice);
}

#[test]
fn a_clock_that_was_set_back_does_not_freeze_the_planner() {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    let year = 365.0 * 86_400.0;
    for seq in 1..=20 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    // One event with a clock that is ten years ahead.
    let _ = p.step(at(10.0 * year), Event::Wake);
    let mut ready = 2;
    for seq in 21..=60 {
        ready = dec(&mut p, &w(seq, 900.0, ready)).target().unwrap_or(ready);
    }
    assert!(ready > 2, "no window was trusted again");
}

#[test]
fn a_clock_that_was_set_back_keeps_what_is_left_of_a_cooldown() {
    let config = b(1, 20).cooldown_out(secs(40)).efficacy_attempts(9).build().expect("valid");
    let mut p = Planner::new(config, Heuristic);
    for seq in 1..=200 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    assert!(dec(&mut p, &w(201, 900.0, 2)).target().is_some());
    // A minute back: the clock stood still, 40 s are left.
    let after = |second: u64| {
        Window::builder(second, at(second as f64 - 1.0), at(second as f64))
            .outcomes(100, 50, 0)
            .traffic(Traffic::arriving(200.0).expect("valid").with_completions(1.0).expect("valid"))
            .ready(3)
            .build()
            .expect("valid")
    };
    let decision = p.decide(at(141.0), &after(141));
    let until = at(181.0);
    assert_eq!(decision.derivation.binding, Constraint::CooldownOut { until }, "{decision}");
}

#[test]
fn a_source_that_counts_anew_after_a_restart_is_heard() {
    let mut p = Planner::new(b(1, 8).build().expect("valid"), Heuristic);
    for seq in 1..=30 {
        let _ = dec(&mut p, &w(seq, 40.0, 2));
    }
    let renumbered = |seq: u64, from: f64, to: f64| {
        let builder = Window::builder(seq, at(from), at(to)).outcomes(100, 0, 0);
        let latencies = Latencies::from_p95(Latency::from_millis(900.0).expect("valid"));
        builder.latencies(latencies).ready(2).starting(0).build().expect("valid")
    };
    // It goes on where the last one ended, with number 1; then it is delivered again, and late.
    let first = renumbered(1, 30.0, 31.0);
    assert!(dec(&mut p, &first).target().is_some(), "a breach that was not heard");
    for stale in [first, renumbered(9, 29.0, 30.0)] {
        let d = p.decide(at(31.5), &stale);
        assert_eq!(d.derivation.binding, Constraint::StaleWindow, "{d}");
    }
}

#[test]
fn a_hint_makes_a_breach_known_and_nothing_else() {
    let config = || b(1, 8).baseline_hint_ms(40.0).cooldown_in(secs(0)).stabilisation_in(secs(0));
    let mut p = Planner::new(config().build().expect("valid"), Heuristic);
    let targets: Vec<_> = (1..=4).map(|seq| dec(&mut p, &w(seq, 900.0, 2)).target()).collect();
    assert_eq!(
        targets,
        [None, None, None, Some(4)],
        "after the patience that every scale-out gets"
    );
    // A calm start: the hint is in the derivation, and holds every scale-in.
    let mut p = Planner::new(config().build().expect("valid"), Heuristic);
    for seq in 1..=11 {
        let d = dec(&mut p, &w(seq, 40.0, 4));
        assert!(d.derivation.estimate.is_some_and(|estimate| estimate.hinted), "{d}");
        assert_eq!(d.target(), None, "{d}");
    }
    let _ = dec(&mut p, &w(12, 40.0, 4));
    assert!(p.estimate().is_some_and(|estimate| !estimate.hinted));
    assert!(dec(&mut p, &w(13, 40.0, 4)).target().is_some_and(|target| target < 4));
}

#[test]
fn a_hint_that_is_too_low_does_not_keep_out_what_is_normal() {
    // A little too low, and so much that everything is a breach by it.
    for hint_ms in [20.0, 5.0, 1.0] {
        let config = b(1, 8).baseline_hint_ms(hint_ms).build().expect("valid");
        let mut p = Planner::new(config, Heuristic);
        for seq in 1..=12 {
            let _ = dec(&mut p, &wt(seq, 50.0, 2, 0, 30.0, 30.0));
        }
        let estimate = p.estimate().expect("warm");
        assert_eq!((estimate.median.as_millis(), estimate.hinted), (50.0, false));
        // And 30 a second on two replicas was not taken for all that they can carry.
        let d = dec(&mut p, &wt(13, 50.0, 2, 0, 33.0, 33.0));
        assert_eq!(d.target(), None, "{d}");
    }
}

/// A planner that saw nine replicas in calm, and the first of them go at window 21.
fn nine_and_then_few(config: ConfigBuilder) -> Planner {
    let mut p = Planner::new(config.build().expect("valid"), Heuristic);
    for seq in 1..=20 {
        let _ = dec(&mut p, &wt(seq, 40.0, 9, 0, 200.0, 200.0));
    }
    p
}

#[test]
fn most_replicas_gone_at_once_are_believed_after_the_start_up_allowance() {
    let mut p = nine_and_then_few(b(1, 12).startup_allowance(secs(20)));
    let (counted, before) = (4, 9);
    for seq in 21..=40 {
        let d = dec(&mut p, &wt(seq, 40.0, 4, 0, 20.0, 20.0));
        assert_eq!(d.derivation.quality, Quality::Doubtful(Doubt::Vanished { before, counted }));
        assert_eq!((d.derivation.current, d.target()), (Some(4), None), "{d}");
    }
    for seq in 41..=42 {
        let d = dec(&mut p, &wt(seq, 40.0, 4, 0, 20.0, 20.0));
        assert!(d.derivation.quality.is_trusted(), "{d}");
    }
}

#[test]
fn a_scale_out_from_a_count_that_most_vanished_from_removes_none_of_them() {
    let limit = StepLimit { replicas: 1, percent: 0, period: secs(0) };
    let mut p = nine_and_then_few(b(1, 12).step_out(limit));
    let d = dec(&mut p, &wt(21, 900.0, 3, 0, 300.0, 30.0));
    assert_eq!(d.target(), Some(9), "four would remove five that may be there: {d}");
    // Never beyond the maximum, and a count below the minimum is corrected at once.
    let mut p = nine_and_then_few(b(6, 8));
    let d = dec(&mut p, &wt(21, 40.0, 1, 0, 20.0, 20.0));
    assert_eq!(d.target(), Some(8), "{d}");
}

#[test]
fn an_emergency_right_after_a_large_scale_in_is_answered() {
    /// Two in calm, nine in a breach.
    struct Rash;
    impl Policy for Rash {
        type Signal = NoSignal;
        type State = ();
        fn name(&self) -> &'static str {
            "rash"
        }
        fn version(&self) -> u32 {
            1
        }
        fn initial_state(&self) {}
        fn propose(&self, view: &View<'_>, (): &()) -> Proposal {
            Proposal::exactly(if view.signal.breach.is_some() { 9 } else { 2 })
        }
    }
    let limit = StepLimit { replicas: 8, percent: 100, period: secs(0) };
    let config = b(1, 12).step_in(limit).cooldown_in(secs(0)).stabilisation_in(secs(0));
    let mut p = Planner::new(config.build().expect("valid"), Rash);
    let mut ready = 9;
    for seq in 1..=40 {
        let d = p.decide(at(seq as f64), &wt(seq, 40.0, ready, 0, 20.0, 20.0));
        assert!(d.derivation.quality.is_trusted(), "{d}");
        ready = d.target().unwrap_or(ready);
    }
    assert_eq!(ready, 2, "a large scale-in");
    let d = p.decide(at(41.0), &wt(41, 900.0, ready, 0, 400.0, 200.0));
    assert_eq!(d.target(), Some(6), "as far as one step goes: {d}");
}

#[test]
fn what_was_counted_before_a_gap_says_nothing_any_more() {
    let later = |seq: u64, ready| {
        let builder = Window::builder(seq, at(seq as f64), at(seq as f64 + 1.0));
        let latencies = Latencies::from_p95(Latency::from_millis(40.0).expect("valid"));
        builder.outcomes(100, 0, 0).latencies(latencies).ready(ready).build().expect("valid")
    };
    // Half a minute without a window is a gap, and so is a time in which nobody knew the count.
    let mut p = nine_and_then_few(b(1, 12));
    assert!(dec(&mut p, &later(80, 2)).derivation.quality.is_trusted());
    let mut p = nine_and_then_few(b(1, 12));
    let unknown = Window::builder(21, at(20.0), at(21.0)).outcomes(100, 0, 0).build();
    let _ = dec(&mut p, &unknown.expect("valid"));
    assert!(dec(&mut p, &w(22, 40.0, 2)).derivation.quality.is_trusted());
}

#[test]
fn replicas_that_were_ordered_away_or_die_one_by_one_have_not_vanished() {
    let limit = StepLimit { replicas: 8, percent: 100, period: secs(0) };
    let config = b(1, 12).step_in(limit).cooldown_in(secs(0)).stabilisation_in(secs(0));
    let mut p = Planner::new(config.build().expect("valid"), Heuristic);
    let mut ready = 9;
    let mut least = 9;
    for seq in 1..=60 {
        let load_per_s = if seq < 30 { 200.0 } else { 10.0 };
        let d = dec(&mut p, &wt(seq, 40.0, ready, 0, load_per_s, load_per_s));
        assert!(d.derivation.quality.is_trusted(), "{d}");
        least = least.min(d.target().unwrap_or(9));
        ready = d.target().unwrap_or(ready);
    }
    assert!(least < 4, "fewer than half were never ordered away: {least}");
    for ready in [8, 7, 6, 5, 4, 3, 2, 1] {
        let seq = 69 - u64::from(ready);
        let d = dec(&mut p, &wt(seq, 40.0, ready, 0, 100.0, 100.0));
        assert!(d.derivation.quality.is_trusted(), "{d}");
    }
}
