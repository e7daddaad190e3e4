//! Of a clock that is set back.

use super::*;

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
