//! The programs on a real Redis alone, beside each other and beside those of the proof of concept:
//! `cargo test -p planner-examples-stack --test programs -- --ignored`.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use planner_examples_stack::demo::servers::{Process, free_address};
use planner_redis::wire::wall_now;
use planner_redis::{Bus, Channel, Mode};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Rig, SOON, demo, eventually, next, old_alert, subscribed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// Settings under which a planner decides within seconds.
fn hasten(rig: &mut Rig) {
    for (name, value) in [
        ("min_replicas", "1"),
        ("max_replicas", "6"),
        ("warmup_windows", "6"),
        ("sample_interval", "0.5"),
        ("cooldown_sec", "1"),
        ("cooldown_in_sec", "1"),
        ("stabilisation_sec", "2"),
        ("step_out_period_sec", "1"),
        ("step_in_period_sec", "1"),
        ("startup_allowance_sec", "5"),
        ("lease_sec", "1"),
    ] {
        rig.set(name, value);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn monitor_planner_and_a_simulating_subscriber_close_the_loop_with_redis_alone() {
    let mut rig = Rig::start().await;
    hasten(&mut rig);
    let service = free_address().expect("a free port");
    let mut app = Command::new(demo());
    app.args(["app", "--exit-with-parent", "--ms", "20", "--port", &service.port().to_string()]);
    let mut app = Process::start("app", rig.folder.path(), &mut app).expect("it starts");
    app.up(service).await.expect("it listens");
    rig.set("target_url", format!("\"http://{service}/\""));
    rig.set("probe_requests", "10");
    let bus = rig.bus(Mode::Streams).await;
    let mut results = subscribed(&bus, Channel::Results).await;
    let _subscriber = rig.run("subscriber", &["--simulate", "--json"]);
    let _planner = rig.run("planner", &[]);
    let _monitor = rig.run("monitor", &[]);
    let mut alerts = subscribed(&bus, Channel::Alerts).await;
    for _ in 0..10 {
        next(&mut alerts, |alert| (alert["ready"] == 1).then_some(())).await;
    }
    let mut load = Command::new(demo());
    load.args(["loadgen", "--exit-with-parent", "--scenario", "20x150"]);
    load.args(["--target", &format!("http://{service}/")]);
    let _load = Process::start("loadgen", rig.folder.path(), &mut load).expect("it starts");
    let result =
        next(&mut results, |result| (result["action"] == "scale_up").then(|| result.clone())).await;
    assert_eq!(result["simulated"], true, "{result}");
    assert_eq!(result["result"]["status"], "ok", "{result}");
    assert_eq!(result["observed"], result["replicas"], "{result}");
    let ordered = result["replicas"].as_u64().expect("a count");
    assert!(ordered > 1, "{result}");
    // The loop is closed: the monitor counts what the simulation says there is.
    next(&mut alerts, |alert| (alert["ready"].as_u64() >= Some(ordered)).then_some(())).await;
    eventually("the result is printed", || {
        rig.log("subscriber").contains("scale_up").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn an_old_monitor_and_an_old_executor_are_led_by_our_planner_step_by_step() {
    let mut rig = Rig::start().await;
    hasten(&mut rig);
    rig.set("bus", "\"pubsub\"");
    let bus = rig.bus(Mode::PubSub).await;
    let mut actions = subscribed(&bus, Channel::Actions).await;
    let _planner = rig.run("planner", &[]);
    let mut replicas = 1;
    let mut steps = Vec::new();
    let led = async {
        for window in 0_u32.. {
            let p95_ms = if window < 16 { 50.0 + f64::from(window % 3) } else { 2_500.0 };
            bus.publish(Channel::Alerts, &old_alert(p95_ms, replicas)).await.expect("published");
            sleep(Duration::from_millis(150)).await;
            while let Some(Ok(entry)) = actions.waiting() {
                let action: Value = serde_json::from_slice(&entry.bytes).expect("JSON");
                if action["kind"] != "plan" {
                    continue;
                }
                assert_eq!(action["container"], "app", "{action}");
                assert_eq!(action["decision"]["target"], "app", "{action}");
                assert!(action["decision"]["reason"].is_string(), "{action}");
                assert!(action["telemetry"]["p95_ms"].is_number(), "{action}");
                // An old executor knows one step for each action, whatever else is in it.
                match action["decision"]["action"].as_str().expect("a word") {
                    "noop" => {}
                    "scale_up" => {
                        replicas += 1;
                        steps.push((replicas, action["decision"]["replicas"].as_u64()));
                    }
                    other => panic!("{other}: {action}"),
                }
            }
            if replicas >= 3 {
                return;
            }
        }
    };
    timeout(SOON * 2, led).await.expect("led in time");
    assert!(
        steps.iter().all(|(step, target)| u64::from(*step) <= target.unwrap_or(0)),
        "{steps:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn an_old_planner_reads_our_monitor_and_a_simulation_obeys_it() {
    let mut rig = Rig::start().await;
    hasten(&mut rig);
    rig.set("bus", "\"pubsub\"");
    rig.set("target_url", "\"http://127.0.0.1:1/\"");
    rig.set("probe_requests", "10");
    let bus = rig.bus(Mode::PubSub).await;
    let mut alerts = subscribed(&bus, Channel::Alerts).await;
    let _subscriber = rig.run("subscriber", &["--simulate", "--json"]);
    let _monitor = rig.run("monitor", &[]);
    // What an old planner looks at, of a service that refuses every request: no idleness.
    let alert = next(&mut alerts, |alert| {
        (alert["requests"].as_u64() > Some(0) && alert["success_rate"] == 0.0)
            .then(|| alert.clone())
    })
    .await;
    assert_eq!(alert["kind"], "latency_metrics");
    assert_eq!(alert["endpoint"], "http://127.0.0.1:1/");
    for number in ["window_sec", "p95_ms", "ts"] {
        assert!(alert[number].is_number(), "{number}: {alert}");
    }
    assert!(alert["p95_ms"].as_f64() >= Some(400.0), "{alert}");
    // What an old planner says, and what came of it in the old shape.
    let mut results = subscribed(&bus, Channel::Results).await;
    let plan = json!({
        "ts": wall_now(), "kind": "plan", "container": "app",
        "decision": {"action": "scale_up", "target": "app", "reason": "52.0x baseline"},
        "telemetry": {"p95_ms": 2510.0, "baseline_ms": 48.4, "sigma_ms": 5.9,
            "low_windows": [false, false, false], "replicas": 1},
    });
    bus.publish(Channel::Actions, &plan.to_string()).await.expect("published");
    let result = next(&mut results, |result| result.get("result").map(|_| result.clone())).await;
    assert_eq!(result["action"], "scale_up", "{result}");
    assert_eq!(result["result"]["status"], "ok", "{result}");
    assert!(result["ts"].is_number() && result["target"] == "app", "{result}");
    assert_eq!(result["observed"], 2, "{result}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn of_two_planners_one_acts_and_the_other_takes_over_with_a_higher_epoch() {
    let mut rig = Rig::start().await;
    hasten(&mut rig);
    let bus = rig.bus(Mode::Streams).await;
    let mut results = subscribed(&bus, Channel::Results).await;
    let _subscriber = rig.run("subscriber", &["--simulate", "--json"]);
    let first = rig.run("planner", &[]);
    rig.has_said("planner", "Act").await;
    let second_state = rig.path("second");
    rig.set("state_dir", format!("{:?}", second_state.display().to_string()));
    let _second = rig.run("planner", &["--json-logs"]);
    let feed = {
        let bus = bus.clone();
        tokio::spawn(async move {
            for window in 0_u32.. {
                let p95_ms = if window < 40 { 50.0 + f64::from(window % 3) } else { 2_500.0 };
                let replicas = 1 + window.saturating_sub(40).min(4) / 2;
                let _redis_may_be_gone =
                    bus.publish(Channel::Alerts, &old_alert(p95_ms, replicas)).await;
                sleep(Duration::from_millis(150)).await;
            }
        })
    };
    let order = |result: &Value| Some((result["epoch"].as_u64()?, result["seq"].as_u64()?));
    let earlier = next(&mut results, order).await;
    // The leader sleeps past its lease, and wakes up in the middle of the other's work.
    first.signal(Signal::STOP);
    let later =
        next(&mut results, |result| order(result).filter(|(epoch, _)| *epoch > earlier.0)).await;
    first.signal(Signal::CONT);
    let mut last = later;
    let watched = async {
        loop {
            let found = next(&mut results, |result| {
                (result["result"]["status"] == "ok").then(|| order(result)).flatten()
            })
            .await;
            assert!(found > last, "{found:?} after {last:?}");
            last = found;
        }
    };
    let _time_is_up = timeout(Duration::from_secs(4), watched).await;
    feed.abort();
}

/// Windows of a service that is overloaded from the sixteenth on.
async fn overload(bus: &Bus, windows: u32) {
    for window in 0..windows {
        let p95_ms = if window < 16 { 50.0 + f64::from(window % 3) } else { 2_500.0 };
        bus.publish(Channel::Alerts, &old_alert(p95_ms, 1)).await.expect("published");
        sleep(Duration::from_millis(150)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn while_a_file_a_signal_or_a_key_pauses_the_planner_orders_nothing() {
    let mut rig = Rig::start().await;
    hasten(&mut rig);
    let pause = rig.path("pause");
    rig.set("pause_file", format!("{:?}", pause.display().to_string()));
    let bus = rig.bus(Mode::Streams).await;
    let mut results = subscribed(&bus, Channel::Results).await;
    let _subscriber = rig.run("subscriber", &["--simulate"]);
    std::fs::write(&pause, "").expect("written");
    let planner = rig.run("planner", &[]);
    rig.has_said("planner", "Pause").await;
    planner.signal(Signal::USR1);
    overload(&bus, 30).await;
    std::fs::remove_file(&pause).expect("it was there");
    overload(&bus, 30).await;
    rig.ask(&["SET", "planner:app:pause", ""]).await;
    sleep(Duration::from_millis(600)).await;
    planner.signal(Signal::USR2);
    overload(&bus, 30).await;
    while let Some(Ok(entry)) = results.waiting() {
        let result: Value = serde_json::from_slice(&entry.bytes).expect("JSON");
        assert!(result.get("result").is_none(), "{result}");
    }
    rig.ask(&["DEL", "planner:app:pause"]).await;
    let ordered = next(&mut results, |result| (result["action"] == "scale_up").then_some(()));
    tokio::select! {
        () = overload(&bus, 1_000) => {}
        () = ordered => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn a_redis_that_was_killed_is_found_again_and_every_program_goes_on() {
    let mut rig = Rig::start().await;
    hasten(&mut rig);
    let bus = rig.bus(Mode::Streams).await;
    let _subscriber = rig.run("subscriber", &["--simulate"]);
    let planner = rig.run("planner", &[]);
    rig.has_said("planner", "Act").await;
    let redis = rig.server.take().expect("a server");
    redis.signal(Signal::KILL);
    redis.end().await;
    sleep(Duration::from_secs(2)).await;
    let again = planner_examples_stack::demo::servers::redis(rig.folder.path(), rig.redis).await;
    rig.server = Some(again.expect("it starts"));
    let mut results = subscribed(&bus, Channel::Results).await;
    let feed = async {
        for window in 0_u32.. {
            let p95_ms = if window < 20 { 50.0 + f64::from(window % 3) } else { 2_500.0 };
            let _it_may_not_be_back = bus.publish(Channel::Alerts, &old_alert(p95_ms, 1)).await;
            sleep(Duration::from_millis(150)).await;
        }
    };
    let ordered = next(&mut results, |result| (result["action"] == "scale_up").then_some(()));
    tokio::select! {
        () = feed => {}
        () = ordered => {}
    }
    assert!(planner.id().is_some());
}

/// A model on loopback, of the dialect that most speak: it answers, and then it hangs.
async fn model(answers: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let number = count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let _request = stream.read(&mut [0; 16_384]).await;
                if number >= answers {
                    sleep(Duration::from_secs(60)).await;
                }
                let text = json!({"action": "scale_up", "reason": "it gets slower"}).to_string();
                let body = json!({"choices": [{"message": {"content": text},
                    "finish_reason": "stop"}], "model": "m-1", "usage": {"total_tokens": 7}});
                let body = body.to_string();
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                let _gone = stream.write_all(format!("{head}{body}").as_bytes()).await;
            });
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server"]
async fn an_advisor_is_asked_and_told_and_one_that_hangs_delays_no_decision() {
    const KEY: &str = "CANARY-llm-4417";
    let mut rig = Rig::start().await;
    hasten(&mut rig);
    let (address, asked) = model(1).await;
    for (name, value) in [
        ("llm_url", format!("\"http://{address}/v1\"")),
        ("llm_model", String::from("\"m-1\"")),
        ("llm_api_key", format!("\"{KEY}\"")),
        ("llm_rpm", String::from("60")),
        ("llm_heartbeat_sec", String::from("1")),
    ] {
        rig.set(name, value);
    }
    let bus = rig.bus(Mode::Streams).await;
    let mut actions = subscribed(&bus, Channel::Actions).await;
    let _planner = rig.run("planner", &[]);
    rig.has_said("planner", "Act").await;
    let feed = {
        let bus = bus.clone();
        tokio::spawn(async move {
            for window in 0_u32.. {
                // Slower and slower, and never a breach: that is what there is a question about.
                let p95_ms = 50.0 + f64::from(window % 3) + f64::from(window.min(200)) * 0.8;
                bus.publish(Channel::Alerts, &old_alert(p95_ms, 2)).await.expect("published");
                sleep(Duration::from_millis(150)).await;
            }
        })
    };
    rig.has_said("planner", "advised").await;
    eventually("it is asked again", || (asked.load(Ordering::SeqCst) > 1).then_some(())).await;
    // While the model hangs, decisions go on.
    let began = Instant::now();
    for _ in 0..20 {
        next(&mut actions, |action| action["decision"].is_object().then_some(())).await;
    }
    assert!(began.elapsed() < Duration::from_secs(6), "{:?} for 20", began.elapsed());
    feed.abort();
    let told = rig.log("planner");
    assert!(told.contains("m-1") && !told.contains(KEY), "{told}");
}
