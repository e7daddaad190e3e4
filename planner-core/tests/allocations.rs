//! Steps allocate nothing once a planner is built.

use std::alloc::System;
use std::time::Duration;

use planner_core::{
    Config, Event, Fleet, Heuristic, Latencies, Latency, Planner, ReplicaBounds, Step, Timestamp,
    Traffic, Window,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Windows of 3 s: calm with noise, an incident of 24 s in every four minutes.
const WINDOWS: u64 = 4_000;

fn config() -> Config {
    Config::builder(ReplicaBounds::new(1, 12).expect("bounds")).build().expect("settings")
}

/// The window of this number, as `ready` replicas would see it.
fn window(seq: u64, ready: u32) -> Window {
    let at = |seq: u64| Timestamp::from_origin(Duration::from_secs(3 * seq));
    let noise = (seq.wrapping_mul(2_654_435_761) % 1_000) as f64 / 100.0;
    let p95_ms = if seq % 80 > 71 { 900.0 } else { 40.0 + noise };
    let traffic = Traffic::arriving(60.0).and_then(|traffic| traffic.with_completions(60.0));
    Window::builder(seq, at(seq - 1), at(seq))
        .outcomes(180, 0, 0)
        .latencies(Latencies::from_p95(Latency::from_millis(p95_ms).expect("a latency")))
        .ready(ready)
        .starting(0)
        .traffic(traffic.expect("rates"))
        .coverage(1.0)
        .build()
        .expect("a window")
}

/// Allocations of a planner and of a fleet's member over the whole story, and its scalings.
fn allocations() -> (usize, u32) {
    let mut planner = Planner::new(config(), Heuristic);
    let mut fleet = Fleet::new(Heuristic);
    let class = fleet.class(config()).expect("the first");
    let member = fleet.add(class).expect("the first");
    let (mut ready, mut scalings) = (3, 0);
    let region = Region::new(ALLOCATOR);
    for seq in 1..=WINDOWS {
        let window = window(seq, ready);
        let now = window.end();
        let of_fleet = fleet.decide(now, member, &window).expect("ours");
        let Step::Decide(decision) = planner.step(now, Event::Observe(window)) else {
            panic!("no decision");
        };
        assert_eq!(decision, of_fleet);
        let target = decision.target().unwrap_or(ready);
        scalings += u32::from(target != ready);
        ready = target;
    }
    let change = region.change();
    (change.allocations + change.reallocations, scalings)
}

#[test]
fn no_step_allocates() {
    let (fewest, scalings) =
        (0..5).map(|_| allocations()).min().expect("five times the same story");
    assert!(scalings > 10, "only {scalings} scalings: the steps that remember most were not taken");
    // The test harness has a thread of its own, which may allocate meanwhile, but not every time.
    assert_eq!(fewest, 0);
}
