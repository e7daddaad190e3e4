//! Whole steps through the public API, one hot service and fleets.

use std::time::Duration;

use planner_benches::clock::{Contestant, cpu_seconds, measure as race};
use planner_benches::streams::Stream;
use planner_benches::yardsticks::MoveOnly;
use planner_core::{
    Config, Fleet, Heuristic, Latencies, Latency, Member, ReplicaBounds, Timestamp, Traffic, Window,
};
use stats_alloc::Region;

use crate::{ALLOCATOR, Report};

/// Windows after which a baseline of 60 is full.
const WARM: usize = 80;
/// Members of the fleet whose bytes are counted.
const COUNTED: usize = 20_000;
/// Members of the large fleet.
const MILLION: usize = 1_000_000;
/// Values of the stream, over and over: too many for a branch predictor to learn.
const VALUES: usize = 40_000;
/// Rounds of the one hot service, and steps in each.
const ROUNDS: usize = 26;
const ROUND: usize = 15_000;

/// Adds the figures of steps and fleets.
pub(crate) fn measure(report: &mut Report) {
    let values = Stream::Lognormal.values(VALUES);
    let hot_ns = hot(report, &values);
    let (bytes, allocations) = memory(&values);
    report.figure("bytes_per_service_n60", bytes, true, 1_024.0);
    report.figure("allocations_per_step", allocations, true, 0.0);
    let million_ns = million(report, &values);
    report.figure("million_over_hot", million_ns / hot_ns, true, 2.0);
}

fn config() -> Config {
    let bounds = ReplicaBounds::new(1, 12).expect("bounds");
    Config::builder(bounds).build().expect("default settings")
}

/// The window of 3 s that has number `seq`.
fn window(seq: usize, p95_ms: f64, ready: u32, arrivals_per_s: f64) -> Window {
    let at = |seq: usize| Timestamp::from_origin(Duration::from_secs(3 * seq as u64));
    let p95 = Latency::from_millis(p95_ms).expect("a latency");
    let traffic = Traffic::arriving(arrivals_per_s)
        .and_then(|traffic| traffic.with_completions(arrivals_per_s))
        .expect("rates");
    Window::builder(seq as u64, at(seq - 1), at(seq))
        .outcomes(180, 0, 0)
        .latencies(Latencies::from_p95(p95))
        .ready(ready)
        .starting(0)
        .traffic(traffic.with_in_flight(3))
        .coverage(1.0)
        .build()
        .expect("a window")
}

/// One step; its decision is looked at, so that none of it can be left out.
fn step(fleet: &mut Fleet, member: Member, window: &Window) {
    let decision = fleet.decide(window.end(), member, window);
    assert!(std::hint::black_box(&decision).is_ok(), "it is a member");
}

/// One service, its memory in the nearest cache; the windows are valid beforehand, and once more
/// with their validation. Beside it, the least that keeping its sorted window costs.
fn hot(report: &mut Report, values: &[f64]) -> f64 {
    let windows: Vec<Window> =
        (1..=ROUNDS * ROUND).map(|seq| window(seq, values[seq % VALUES], 4, 60.0)).collect();
    let mut fleet = Fleet::new(Heuristic);
    let class = fleet.class(config()).expect("the first");
    let members = [fleet.add(class).expect("the first"), fleet.add(class).expect("the second")];
    let (mut next, mut seq, mut moved) = (0, 0, 0);
    let fleet = std::cell::RefCell::new(fleet);
    let mut moveonly = MoveOnly::new(60, values);
    let mut contestants = vec![
        Contestant::new(ROUND, |steps| {
            let mut fleet = fleet.borrow_mut();
            for window in &windows[next..next + steps] {
                step(&mut fleet, members[0], window);
            }
            next += steps;
        }),
        Contestant::new(ROUND, |steps| {
            let mut fleet = fleet.borrow_mut();
            for _ in 0..steps {
                seq += 1;
                let window = window(seq, values[seq % VALUES], 4, 60.0);
                step(&mut fleet, members[1], &window);
            }
        }),
        Contestant::new(ROUND, |steps| {
            for _ in 0..steps {
                moveonly.update(values[60 + moved]);
                moved = (moved + 1) % (values.len() - 60);
            }
        }),
    ];
    race(&mut contestants, ROUNDS - 1);
    let [step_ns, validated_ns, moveonly_ns] =
        [0, 1, 2].map(|index: usize| contestants[index].ns());
    report.say(&format!(
        "\none hot service: {step_ns:.1} ns a step, {validated_ns:.1} with validating its window, \
         {moveonly_ns:.1} the moves alone"
    ));
    report.figure("step_over_moveonly_n60", step_ns / moveonly_ns, true, 16.0);
    step_ns
}

/// Bytes that a member takes after calm, breaches and scalings, and allocations a step in the same
/// again once lists have the room that this takes.
fn memory(values: &[f64]) -> (f64, f64) {
    let region = Region::new(ALLOCATOR);
    let mut fleet = Fleet::new(Heuristic);
    fleet.reserve(COUNTED);
    let class = fleet.class(config()).expect("the first");
    let members: Vec<Member> = (0..COUNTED).map(|_| fleet.add(class).expect("room")).collect();
    let mut ready = vec![3_u32; COUNTED];
    let held = |region: &Region<'_, _>| {
        let change = region.change();
        change.bytes_allocated as f64 - change.bytes_deallocated as f64
    };
    let own = (members.capacity() * size_of::<Member>() + ready.capacity() * 4) as f64;
    live(&mut fleet, &members, &mut ready, values, 1..=3 * WARM);
    let bytes = (held(&region) - own) / COUNTED as f64;
    let again = Region::new(ALLOCATOR);
    let steps = live(&mut fleet, &members, &mut ready, values, 3 * WARM + 1..=6 * WARM);
    let change = again.change();
    (bytes, (change.allocations + change.reallocations) as f64 / steps as f64)
}

/// Lets every member live through these windows: calm, and a breach of six windows in every 80.
fn live(
    fleet: &mut Fleet,
    members: &[Member],
    ready: &mut [u32],
    values: &[f64],
    windows: std::ops::RangeInclusive<usize>,
) -> usize {
    let mut steps = 0;
    for seq in windows {
        for (index, member) in members.iter().enumerate() {
            let calm_ms = 40.0 + values[(seq + 7 * index) % VALUES] % 4.0;
            let breach = (seq + index) % WARM > WARM - 7;
            let p95_ms = if breach { 900.0 } else { calm_ms };
            let window = window(seq, p95_ms, ready[index], 60.0);
            let decision = fleet.decide(window.end(), *member, &window).expect("ours");
            ready[index] = decision.target().unwrap_or(ready[index]);
            steps += 1;
        }
    }
    steps
}

/// CPU ns a step of a million services in order, each with its own window.
fn million(report: &Report, values: &[f64]) -> f64 {
    let mut fleet = Fleet::new(Heuristic);
    let class = fleet.class(config()).expect("the first");
    let members: Vec<Member> = (0..MILLION).map(|_| fleet.add(class).expect("room")).collect();
    let mut rounds_ns = Vec::new();
    for seq in 1..=WARM + 5 {
        let windows: Vec<Window> = (0..64)
            .map(|index| window(seq, values[(seq + 131 * index) % VALUES], 4, 60.0))
            .collect();
        let start = cpu_seconds();
        for (index, member) in members.iter().enumerate() {
            let window = &windows[index % 64];
            step(&mut fleet, *member, window);
        }
        rounds_ns.push((cpu_seconds() - start) * 1e9 / MILLION as f64);
    }
    let fastest_ns = rounds_ns.split_off(WARM).into_iter().fold(f64::INFINITY, f64::min);
    report.say(&format!(
        "1 000 000 services in order: {fastest_ns:.1} ns a step. The published limits\n\
         of autoscalers are limits of I/O and API traffic, none is decision arithmetic:\n\
         this is about embedding and simulation."
    ));
    fastest_ns
}
