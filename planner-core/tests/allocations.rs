//! Steps allocate nothing once a planner is built.

use std::alloc::System;
use std::time::Duration;

use planner_core::{
    Config, Decision, Event, Fleet, Heuristic, Latencies, Latency, Planner, ReplicaBounds, Step,
    Timestamp, Traffic, Window,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Windows of 3 s: calm with noise, and in every four minutes an incident of a minute and a half
/// that grows faster than it is answered, so that the guards have as much to remember as there can
/// be.
const WINDOWS: u64 = 4_000;

fn config() -> Config {
    let builder = Config::builder(ReplicaBounds::new(1, 60).expect("bounds"));
    // Who pays for slow requests keeps replicas for incidents that come back, and scales less.
    builder.slow_price(0.0).build().expect("settings")
}

/// The window of this number, as `ready` replicas would see it.
fn window(seq: u64, ready: u32) -> Window {
    let at = |seq: u64| Timestamp::from_origin(Duration::from_secs(3 * seq));
    let noise = (seq.wrapping_mul(2_654_435_761) % 1_000) as f64 / 100.0;
    let grown = (seq % 80).saturating_sub(50) as f64;
    let p95_ms = if grown > 0.0 { 900.0 + 200.0 * grown } else { 40.0 + noise };
    let (arriving, answered) = (60.0 * (1.0 + grown), 60.0 * (1.0 + 0.7 * grown));
    let traffic = Traffic::arriving(arriving).and_then(|it| it.with_completions(answered));
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

/// Lives through the story with whatever decides; the allocations from window `from` on, and the
/// scalings.
fn allocations(from: u64, mut decide: impl FnMut(Window) -> Decision) -> (usize, u32) {
    let (mut ready, mut scalings) = (3, 0);
    let mut region = Region::new(ALLOCATOR);
    for seq in 1..=WINDOWS {
        if seq == from {
            region.reset();
        }
        let target = decide(window(seq, ready)).target().unwrap_or(ready);
        scalings += u32::from(target != ready);
        ready = target;
    }
    let change = region.change();
    (change.allocations + change.reallocations, scalings)
}

/// The fewest allocations of five times the same story: the test harness has a thread of its own,
/// which may allocate meanwhile, but not every time.
fn fewest(story: impl Fn() -> (usize, u32)) -> usize {
    let (fewest, scalings) = (0..5).map(|_| story()).min().expect("five times");
    assert!(scalings > 20, "only {scalings} scalings: what remembers most was not reached");
    fewest
}

#[test]
fn no_step_allocates() {
    // One test, so that no other counts its allocations here.
    let planner = fewest(|| {
        let mut planner = Planner::new(config(), Heuristic);
        allocations(1, |window| {
            let now = window.end();
            match planner.step(now, Event::Observe(window)) {
                Step::Decide(decision) => decision,
                other => panic!("no decision: {other:?}"),
            }
        })
    });
    assert_eq!(planner, 0, "a planner has the room for its lists from the start");

    // A member of a fleet has the room that most members need; the first incident of a stormy one
    // makes more, and then it stays.
    let member = fewest(|| {
        let mut fleet = Fleet::new(Heuristic);
        let class = fleet.class(config()).expect("the first");
        let member = fleet.add(class).expect("the first");
        allocations(401, |window| fleet.decide(window.end(), member, &window).expect("ours"))
    });
    assert_eq!(member, 0, "a member's lists have grown in its first incidents");
}
