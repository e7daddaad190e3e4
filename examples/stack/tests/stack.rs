//! The whole loop on real servers: Redis, nginx and a Docker engine of our own, whose socket is in
//! `PLANNER_TEST_DOCKER`: `cargo test -p planner-examples-stack --test stack -- --ignored`.

mod support;
mod support_stack;

use std::time::Duration;

use planner_examples_stack::demo::servers;
use planner_redis::wire::{MacKey, wall_now};
use planner_redis::{Channel, Mode};
use rustix::process::Signal;
use serde_json::json;
use support::{next, subscribed};
use support_stack::{Stack, Traffic, served};
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn users_lose_nothing_while_replicas_come_and_go_and_every_program_dies() {
    let stack = Stack::start().await;
    let watcher = stack.rig.run("watcher", &[]);
    let executor = stack.rig.run("executor", &[]);
    served(&stack).await;
    // Slow requests, so that a replica which is stopped too early would cut some.
    let traffic = Traffic::start(stack.http, "/work?ms=300");
    stack.order(1, 1, 4, None).await;
    stack.settles_at(4).await;
    stack.order(1, 2, 1, None).await;
    stack.settles_at(1).await;
    stack.order(1, 3, 3, None).await;
    stack.settles_at(3).await;
    // Killed in the middle of a change: the next one finishes it, from the containers themselves.
    stack.order(1, 4, 5, None).await;
    sleep(Duration::from_millis(400)).await;
    executor.signal(Signal::KILL);
    executor.end().await;
    let executor = stack.rig.run("executor", &[]);
    stack.settles_at(5).await;
    stack.order(1, 5, 2, None).await;
    sleep(Duration::from_millis(700)).await;
    executor.signal(Signal::KILL);
    executor.end().await;
    // Everything of ours dies, Redis too: users do not notice.
    let mut stack = stack;
    let redis = stack.rig.server.take().expect("a server");
    redis.signal(Signal::KILL);
    redis.end().await;
    drop(watcher);
    sleep(Duration::from_secs(3)).await;
    let again = servers::redis(stack.rig.folder.path(), stack.rig.redis).await;
    stack.rig.server = Some(again.expect("it starts"));
    let _executor = stack.rig.run("executor", &[]);
    let _watcher = stack.rig.run("watcher", &[]);
    stack.settles_at(2).await;
    let (sent, failures) = traffic.end().await;
    println!("{sent} requests, {} failed", failures.len());
    assert!(sent > 200, "{sent}");
    assert_eq!(failures.len(), 0, "{:?}", failures.first());
    stack.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn an_order_that_is_older_forged_out_of_bounds_or_paused_moves_nothing() {
    let mut stack = Stack::start().await;
    let key_file = stack.rig.path("key");
    std::fs::write(&key_file, "0123456789abcdef0123456789abcdef").expect("written");
    let key = MacKey::read(&key_file).expect("a key");
    stack.rig.set("key_file", format!("{:?}", key_file.display().to_string()));
    let pause = stack.rig.path("pause");
    stack.rig.set("pause_file", format!("{:?}", pause.display().to_string()));
    let bus = stack.rig.bus(Mode::Streams).await;
    let mut results = subscribed(&bus, Channel::Results).await;
    let _watcher = stack.rig.run("watcher", &[]);
    let _executor = stack.rig.run("executor", &[]);
    served(&stack).await;
    stack.order(5, 1, 2, Some(&key)).await;
    stack.settles_at(2).await;
    let cause = |result: &serde_json::Value| result["cause"].as_str().map(str::to_owned);
    for (epoch, seq, replicas, sealed, expected) in [
        (4, 9, 4, true, "stale_epoch"),
        (5, 0, 4, true, "stale_seq"),
        (6, 1, 5, false, "malformed"),
        (6, 1, 50, true, "bounds"),
    ] {
        stack.order(epoch, seq, replicas, sealed.then_some(&key)).await;
        let found = next(&mut results, |result| {
            cause(result).filter(|cause| !matches!(cause.as_str(), "applied" | "superseded"))
        })
        .await;
        assert_eq!(found, expected, "epoch {epoch}, seq {seq}");
    }
    stack.settles_at(2).await;
    // Neither is a good one, while the pause file is there.
    std::fs::write(&pause, "").expect("written");
    stack.order(6, 2, 3, Some(&key)).await;
    sleep(Duration::from_secs(2)).await;
    stack.settles_at(2).await;
    std::fs::remove_file(&pause).expect("it was there");
    stack.settles_at(3).await;
    let logs = ["executor", "watcher"].map(|name| stack.rig.log(name)).concat();
    assert!(!logs.contains("0123456789abcdef"), "a key was told");
    stack.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn an_old_planner_scales_through_our_executor_and_watcher() {
    let mut stack = Stack::start().await;
    stack.rig.set("bus", "\"pubsub\"");
    stack.rig.set("accept_old_actions", "\"yes\"");
    let bus = stack.rig.bus(Mode::PubSub).await;
    let mut results = subscribed(&bus, Channel::Results).await;
    let _watcher = stack.rig.run("watcher", &[]);
    let _executor = stack.rig.run("executor", &[]);
    served(&stack).await;
    for (action, expected) in [("scale_up", 2), ("scale_up", 3), ("scale_down", 2)] {
        let plan = json!({
            "ts": wall_now(), "kind": "plan", "container": "app",
            "decision": {"action": action, "target": "app", "reason": "52.0x baseline"},
            "telemetry": {"p95_ms": 2510.0, "baseline_ms": 48.4, "sigma_ms": 5.9,
                "low_windows": [false, false, false], "replicas": 1},
        });
        bus.publish(Channel::Actions, &plan.to_string()).await.expect("published");
        let result = next(&mut results, |it| it.get("result").map(|_| it.clone())).await;
        assert_eq!(result["action"], action, "{result}");
        assert_eq!(result["result"]["status"], "ok", "{result}");
        stack.settles_at(expected).await;
    }
    stack.end().await;
}
