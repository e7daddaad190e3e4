//! P15: what is removed serves its last request, is out of the route, and is told to end, in this
//! order; from the replicas' own logs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::CreateContainerOptions;
use planner_redis::wire::Routing;
use planner_redis::{Mode, RoutingReader};
use serde_json::Value;
use tokio::time::sleep;

use crate::rounds;
use crate::support_stack::{Stack, Traffic, served};

/// Replicas that are removed in one round.
const REMOVED: u32 = 5;
/// Time to finish that a replica is given.
const DRAIN_S: f64 = 8.0;
/// Clocks are one clock, written by two processes.
const SLACK_S: f64 = 0.005;

/// What one replica wrote about itself.
#[derive(Debug, Default)]
struct Life {
    address: Option<SocketAddr>,
    received: Vec<f64>,
    answered: u32,
    cut: Vec<f64>,
    told_to_end: Option<f64>,
}

impl Life {
    fn read(path: &Path) -> Self {
        let mut life = Self::default();
        for line in std::fs::read_to_string(path).expect("a log").lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let at = line["at_s"].as_f64().expect("a time");
            match line["what"].as_str().expect("a word") {
                "reached" => life.address = line["of"].as_str().and_then(|it| it.parse().ok()),
                "received" => life.received.push(at),
                "answered" => life.answered += 1,
                "cut" => life.cut.push(at),
                "told_to_end" => life.told_to_end = Some(at),
                other => panic!("{other}"),
            }
        }
        life
    }
}

/// The replicas are copies of a container with a folder for their logs.
async fn stack_with_logs() -> Stack {
    let mut stack = Stack::start().await;
    let logs = stack.rig.path("lives");
    std::fs::create_dir(&logs).expect("a folder");
    std::fs::set_permissions(&logs, std::fs::Permissions::from_mode(0o777)).expect("for nobody");
    let name = format!("{}-base", stack.engine.name);
    let command = "app --listen 0.0.0.0 --port 8080 --workers 64 --ms 5 --log-dir /lives";
    let host = HostConfig {
        binds: Some(vec![format!("{}:/lives", logs.display())]),
        network_mode: Some(stack.engine.name.clone()),
        ..HostConfig::default()
    };
    let body = ContainerCreateBody {
        image: Some(stack.engine.name.clone()),
        cmd: Some(command.split(' ').map(String::from).collect()),
        labels: Some([(String::from("agentic.target"), String::from("true"))].into()),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptions { name: Some(name.clone()), ..<_>::default() };
    stack.docker.create_container(Some(options), body).await.expect("made");
    stack.docker.start_container(&name, None).await.expect("started");
    for setting in ["replica_image", "replica_command"] {
        stack.rig.unset(setting);
    }
    stack.rig.set("target_container", format!("{name:?}"));
    stack.rig.set("drain_sec", DRAIN_S);
    // The service gives up by itself, and says so, before it is killed.
    stack.rig.set("stop_sec", 25);
    stack
}

/// Every routing that is told.
fn follow_routings(bus: &planner_redis::Bus) -> Arc<Mutex<Vec<Routing>>> {
    let told: Arc<Mutex<Vec<Routing>>> = Arc::default();
    let (mut reader, heard) = (RoutingReader::new(bus), Arc::clone(&told));
    tokio::spawn(async move {
        loop {
            if let Ok(routing) = reader.next().await {
                heard.lock().expect("a list").push(routing);
            }
        }
    });
    told
}

/// When the backend that was told to end at `ended` was taken out of the route, and when nothing
/// was under way to it. Its address may be another's later.
fn out_of_route(told: &[Routing], address: SocketAddr, ended: f64) -> Option<(f64, Option<f64>)> {
    let last = told.iter().rposition(|it| it.ts <= ended && it.addrs.contains(&address))?;
    let mut after = told.iter().skip(last + 1);
    let out = after.next()?.ts;
    let drained = after.take_while(|it| it.ts <= ended + SLACK_S).find(|it| it.drained);
    Some((out, drained.map(|routing| routing.ts)))
}

/// Grows and shrinks, and reads what the removed ones wrote.
async fn lives_after(rounds: u64, long: bool) -> (Vec<Life>, Vec<Routing>, u64) {
    let stack = stack_with_logs().await;
    let bus = stack.rig.bus(Mode::Streams).await;
    let told = follow_routings(&bus);
    let _watcher = stack.rig.run("watcher", &[]);
    let _executor = stack.rig.run("executor", &[]);
    served(&stack).await;
    // From nothing to five seconds, in an order that looks like none.
    let traffic = Traffic::of(stack.http, 24, |n| format!("/work?ms={}", n * 7_919 % 5_001));
    let mut too_long = Vec::new();
    for round in 0..rounds {
        stack.order(1, 2 * round + 1, 1 + REMOVED, None).await;
        // The container that they are copies of counts, and is not ours.
        stack.settles_at(REMOVED as usize).await;
        if long {
            let requests = || Traffic::of(stack.http, 24, |_| String::from("/work?ms=40000"));
            too_long.push(requests());
            sleep(Duration::from_secs(1)).await;
        }
        stack.order(1, 2 * round + 2, 1, None).await;
        stack.settles_at(0).await;
    }
    let (sent, failures) = traffic.end().await;
    for requests in too_long {
        requests.end().await;
    }
    // Before the base, which the executor never ends, is ended here.
    let told = told.lock().expect("a list").clone();
    let base = format!("{}-base", stack.engine.name);
    stack.docker.stop_container(&base, None).await.expect("stopped");
    let lives = std::fs::read_dir(stack.rig.path("lives")).expect("logs");
    let lives = lives.map(|entry| Life::read(&entry.expect("a log").path())).collect();
    let cut = failures.len();
    println!("{sent} requests, {cut} failed: {:?}", failures.first());
    let install = stack.install();
    stack.remove(&base).await;
    stack.engine.remove(install.as_deref()).await;
    (lives, told, u64::try_from(cut).expect("a count"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p15_what_is_removed_serves_its_last_request_leaves_the_route_and_is_told_to_end() {
    let rounds = rounds(12, 100);
    let (lives, told, failed) = lives_after(rounds.into(), false).await;
    assert_eq!(failed, 0, "requests that are shorter than the drain");
    let mut gaps =
        BTreeMap::from([("last request to drained", f64::MAX), ("drained to SIGTERM", f64::MAX)]);
    let mut removed = 0;
    for life in &lives {
        let (Some(address), Some(ended)) = (life.address, life.told_to_end) else { continue };
        let Some((out, drained)) = out_of_route(&told, address, ended) else { continue };
        let last = life.received.iter().copied().fold(f64::MIN, f64::max);
        assert!(life.cut.is_empty(), "{address}: cut at {:?}", life.cut);
        assert_eq!(life.received.len(), life.answered as usize, "{address}");
        let drained = drained.expect("nothing was under way in time");
        assert!(out <= ended, "{address}: SIGTERM at {ended}, out of the route at {out}");
        assert!(last <= drained + SLACK_S, "{address}: last {last}, drained {drained}");
        assert!(drained <= ended + SLACK_S, "{address}: drained {drained}, SIGTERM {ended}");
        for (name, gap) in
            [("last request to drained", drained - last), ("drained to SIGTERM", ended - drained)]
        {
            gaps.entry(name).and_modify(|least| *least = least.min(gap));
        }
        removed += 1;
    }
    println!("{removed} removals, 0 requests cut; least seconds between: {gaps:?}");
    assert!(removed >= rounds * REMOVED, "{removed} of {}", rounds * REMOVED);
    let addresses: BTreeSet<_> = lives.iter().filter_map(|life| life.address).collect();
    assert!(addresses.len() > 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p15_a_request_that_is_longer_than_the_drain_is_cut_only_after_it() {
    let (lives, told, _) = lives_after(rounds(1, 10).into(), true).await;
    let mut cut = 0;
    for life in &lives {
        let (Some(address), Some(ended)) = (life.address, life.told_to_end) else { continue };
        let Some((out, _)) = out_of_route(&told, address, ended) else { continue };
        let after = ended - out;
        assert!(after >= DRAIN_S - 0.5, "SIGTERM {after:.1} s after it left the route");
        for at in &life.cut {
            assert!(at - out >= DRAIN_S, "cut {:.1} s after it left the route", at - out);
            cut += 1;
        }
    }
    println!("{cut} requests of 40 s cut, each after the {DRAIN_S} s of the drain");
    assert!(cut > 0, "no request was long enough");
}
