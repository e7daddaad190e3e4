//! Of what is ordered, and how soon again.

use super::*;

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
    let limit_out = StepLimit { replicas: 4, percent: 100, period: secs(15) };
    let config = b(1, 12).step_in(limit).cooldown_in(secs(0)).stabilisation_in(secs(0));
    let config = config.step_out(limit_out);
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
