//! The whole loop on real servers: Redis, nginx and a Docker engine of our own, whose socket is in
//! `PLANNER_TEST_DOCKER`: `cargo test -p planner-examples-stack --test stack -- --ignored`.

mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use bollard::{API_DEFAULT_VERSION, Docker};
use planner_examples_stack::demo::image::OnEngine;
use planner_examples_stack::demo::servers::{self, Process, free_address};
use planner_nginx::NginxSettings;
use planner_redis::wire::{Action, MacKey, seal, wall_now};
use planner_redis::{Channel, Mode};
use rustix::process::Signal;
use serde_json::json;
use support::{Rig, demo, next, subscribed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

fn socket() -> PathBuf {
    std::env::var_os("PLANNER_TEST_DOCKER").expect("PLANNER_TEST_DOCKER").into()
}

/// Redis, nginx, an image and the settings of all programs.
struct Stack {
    rig: Rig,
    engine: OnEngine,
    docker: Docker,
    http: SocketAddr,
    _nginx: Process,
}

impl Stack {
    async fn start() -> Self {
        let mut rig = Rig::start().await;
        let engine = OnEngine::make(&socket(), demo()).await.expect("an engine");
        let (http, status) = (free_address().expect("a port"), free_address().expect("a port"));
        let folder = rig.folder.path().to_owned();
        let path = |name: &str| folder.join("nginx").join(name);
        let file = path("conf.d/planner-upstream.conf");
        let nginx = NginxSettings::new(path("nginx.conf"), file, path("nginx.pid"), status);
        let running = servers::nginx(&folder, http, &nginx).await.expect("nginx");
        let text = |value: String| format!("{value:?}");
        for (name, value) in [
            ("docker_socket", socket().display().to_string()),
            ("replica_image", engine.name.clone()),
            (
                "replica_command",
                String::from("app --listen 0.0.0.0 --port 8080 --workers 8 --ms 5"),
            ),
            ("network", engine.name.clone()),
            ("conf_dir", path("conf.d").display().to_string()),
            ("nginx_conf", path("nginx.conf").display().to_string()),
            ("nginx_pid", path("nginx.pid").display().to_string()),
            ("nginx_status", status.to_string()),
            ("target_url", format!("http://{http}/")),
        ] {
            rig.set(name, text(value));
        }
        for (name, value) in [("min_replicas", 1), ("max_replicas", 6), ("drain_sec", 10)] {
            rig.set(name, value);
        }
        let docker =
            Docker::connect_with_unix(&socket().to_string_lossy(), 60, API_DEFAULT_VERSION);
        let docker = docker.expect("an engine");
        clear(&docker).await;
        Self { rig, engine, docker, http, _nginx: running }
    }

    fn install(&self) -> Option<String> {
        let text = std::fs::read(self.rig.path("state/executor.json")).ok()?;
        let stored: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(stored["install"].as_str()?.to_owned())
    }

    /// The states of our containers.
    async fn states(&self) -> Vec<String> {
        let Some(install) = self.install() else { return Vec::new() };
        let label = vec![format!("planner.install={install}")];
        let filters = Some(HashMap::from([(String::from("label"), label)]));
        let options = ListContainersOptions { all: true, filters, ..<_>::default() };
        let found = self.docker.list_containers(Some(options)).await.expect("a list");
        found.into_iter().map(|it| it.state.map_or_else(String::new, |is| is.to_string())).collect()
    }

    /// Waits until exactly so many run, and nothing else of ours is there, for a while.
    async fn settles_at(&self, replicas: usize) {
        let end = Instant::now() + Duration::from_secs(60);
        let mut looks = 0;
        while looks < 10 {
            let states = self.states().await;
            let is_so = states.len() == replicas && states.iter().all(|state| state == "running");
            looks = if is_so { looks + 1 } else { 0 };
            assert!(Instant::now() < end, "{replicas} wanted, there are {states:?}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// An order as a planner gives it, sealed where there is a key.
    async fn order(&self, epoch: u64, seq: u64, replicas: u32, key: Option<&MacKey>) {
        let text = json!({
            "ts": wall_now(), "kind": "plan", "container": "app",
            "decision": {"action": "noop", "target": "app", "reason": "a test", "replicas": replicas},
            "v": 1, "service": "app", "id": seq, "epoch": epoch, "seq": seq,
            "expires_ts": wall_now() + 30.0,
        })
        .to_string();
        Action::parse(text.as_bytes()).expect("what a planner would send");
        let text = key.map_or_else(|| text.clone(), |key| seal(&text, key));
        let client = redis::Client::open(format!("redis://{}/", self.rig.redis)).expect("a url");
        let mut connection = client.get_multiplexed_async_connection().await.expect("redis");
        let mut set = redis::cmd("HSET");
        set.arg("planner:app:desired").arg("message").arg(&text);
        set.query_async::<()>(&mut connection).await.expect("set");
        self.rig.bus(Mode::Streams).await.publish(Channel::Actions, &text).await.expect("sent");
    }

    async fn end(self) {
        let install = self.install();
        self.engine.remove(install.as_deref()).await;
    }
}

/// Removes what a test that failed has left: the engine is the tests' own.
async fn clear(docker: &Docker) {
    let filters = Some(HashMap::from([("label".into(), vec!["planner.service=app".into()])]));
    let options = ListContainersOptions { all: true, filters, ..<_>::default() };
    for found in docker.list_containers(Some(options)).await.expect("a list") {
        let force = RemoveContainerOptions { force: true, ..<_>::default() };
        let id = found.id.expect("an id");
        docker.remove_container(&id, Some(force)).await.expect("removed");
    }
}

/// Requests on connections of their own, one after the other in a few lanes, until it is ended.
struct Traffic {
    ended: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    lanes: Vec<JoinHandle<Vec<String>>>,
}

impl Traffic {
    fn start(address: SocketAddr, path: &'static str) -> Self {
        let (ended, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let lane = || {
            let (ended, sent) = (Arc::clone(&ended), Arc::clone(&sent));
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !ended.load(Ordering::SeqCst) {
                    sent.fetch_add(1, Ordering::SeqCst);
                    if let Err(failure) = get(address, path).await {
                        failures.push(failure);
                    }
                    sleep(Duration::from_millis(5)).await;
                }
                failures
            })
        };
        let lanes = (0..4).map(|_| lane()).collect();
        Self { ended, sent, lanes }
    }

    /// How many were sent, and what went wrong.
    async fn end(self) -> (u64, Vec<String>) {
        self.ended.store(true, Ordering::SeqCst);
        let mut failures = Vec::new();
        for lane in self.lanes {
            failures.extend(lane.await.expect("it ends"));
        }
        (self.sent.load(Ordering::SeqCst), failures)
    }
}

/// One request; what went wrong unless it is answered with 200.
async fn get(address: SocketAddr, path: &str) -> Result<(), String> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let text = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = timeout(Duration::from_secs(20), asked).await.map_err(|_| "no answer")?;
    let answer = answer.map_err(|error: std::io::Error| error.to_string())?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer.chars().take(80).collect()) }
}

async fn served(stack: &Stack) {
    for _ in 0..600 {
        if get(stack.http, "/").await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("not served: {}", stack.rig.log("executor") + &stack.rig.log("watcher"));
}

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
