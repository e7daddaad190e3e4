//! P23: everything of ours is dead. Users do not notice, and it comes back in whatever order.

use std::collections::BTreeMap;
use std::time::Duration;

use planner_examples_stack::demo::servers::{self, Process};
use planner_redis::{Channel, Mode};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::rounds;
use crate::support::{next, subscribed};
use crate::support_stack::{Stack, Traffic, served};

const PROGRAMS: [&str; 5] = ["dashboard", "executor", "monitor", "planner", "watcher"];

/// The order of a permutation's number: Lehmer's code.
fn order(mut number: u32) -> Vec<&'static str> {
    let mut left: Vec<&'static str> = [&PROGRAMS[..], &["redis"]].concat();
    let mut order = Vec::new();
    while !left.is_empty() {
        let at = number as usize % left.len();
        number /= u32::try_from(left.len()).expect("few");
        order.push(left.remove(at));
    }
    order
}

#[test]
fn every_number_below_720_is_an_order_of_its_own() {
    let orders: std::collections::BTreeSet<_> = (0..720).map(order).collect();
    assert_eq!(orders.len(), 720);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p23_everything_of_ours_dies_under_load_and_comes_back_in_any_order() {
    let mut stack = Stack::start().await;
    for (name, value) in [
        ("min_replicas", "2"),
        // A machine that is busy with something else must not look like a reason for a third.
        ("max_replicas", "2"),
        ("sample_interval", "0.5"),
        ("lease_sec", "1"),
        ("warmup_windows", "6"),
    ] {
        stack.rig.set(name, value);
    }
    let listen = servers::free_address().expect("a port");
    stack.rig.set("listen", format!("{:?}", listen.to_string()));
    let mut running: BTreeMap<&str, Process> =
        PROGRAMS.into_iter().map(|name| (name, stack.rig.run(name, &[]))).collect();
    served(&stack).await;
    stack.settles_at(2).await;
    let ids = stack.ids().await;
    let traffic = Traffic::start(stack.http, "/work?ms=100");
    let rounds = rounds(6, 120);
    for round in 0..rounds {
        for (_, program) in std::mem::take(&mut running) {
            program.signal(Signal::KILL);
            program.end().await;
        }
        stack.kill_redis().await;
        // Nothing of ours is there.
        sleep(Duration::from_secs(if round == 0 { 20 } else { 2 })).await;
        // 131 has no divisor in common with 720: every order comes once.
        for name in order(round * 131 % 720) {
            if name == "redis" {
                stack.start_redis().await;
            } else {
                running.insert(name, stack.rig.run(name, &[]));
            }
            sleep(Duration::from_millis(200)).await;
        }
        // The loop is closed when the monitor knows the replicas and the planner tells decisions.
        let bus = stack.rig.bus(Mode::Streams).await;
        let mut alerts = subscribed(&bus, Channel::Alerts).await;
        next(&mut alerts, |alert| (alert["ready"] == 2).then_some(())).await;
        let mut actions = subscribed(&bus, Channel::Actions).await;
        next(&mut actions, |action| (action["telemetry"]["replicas"] == 2).then_some(())).await;
        stack.settles_at(2).await;
        assert_eq!(stack.ids().await, ids, "the replicas of before");
    }
    let (sent, failures) = traffic.end().await;
    println!("{rounds} orders, {sent} requests, {} failed", failures.len());
    assert_eq!(failures.len(), 0, "{:?}", failures.first());
    drop(running);
    stack.end().await;
}
