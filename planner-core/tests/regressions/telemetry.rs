//! Of windows that are wrong, late or half read.

use super::*;

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
