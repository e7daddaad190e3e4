//! Of what is taken for normal.

use super::*;

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
