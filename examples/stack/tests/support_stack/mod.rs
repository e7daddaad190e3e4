//! The whole stack of a test's own: Redis, nginx, an image, and the settings of all programs.

// Every test program uses a part of it.
#![allow(dead_code)]

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use bollard::{API_DEFAULT_VERSION, Docker};
use planner_examples_stack::demo::image::OnEngine;
use planner_examples_stack::demo::servers::{self, Process, free_address};
use planner_nginx::NginxSettings;
use planner_redis::wire::{Action, MacKey, seal, wall_now};
use planner_redis::{Channel, Mode};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Rig, demo};

pub(crate) fn socket() -> PathBuf {
    std::env::var_os("PLANNER_TEST_DOCKER").expect("PLANNER_TEST_DOCKER").into()
}

/// Redis, nginx, an image and the settings of all programs.
pub(crate) struct Stack {
    pub(crate) rig: Rig,
    pub(crate) engine: OnEngine,
    pub(crate) docker: Docker,
    pub(crate) http: SocketAddr,
    pub(crate) status: SocketAddr,
    pub(crate) nginx: Process,
}

impl Stack {
    pub(crate) async fn start() -> Self {
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
        Self { rig, engine, docker, http, status, nginx: running }
    }

    pub(crate) fn install(&self) -> Option<String> {
        let text = std::fs::read(self.rig.path("state/executor.json")).ok()?;
        let stored: serde_json::Value = serde_json::from_slice(&text).ok()?;
        Some(stored["install"].as_str()?.to_owned())
    }

    /// The states of our containers.
    pub(crate) async fn states(&self) -> Vec<String> {
        let state = |it: ContainerSummary| it.state.map_or_else(String::new, |is| is.to_string());
        self.ours().await.into_iter().map(state).collect()
    }

    /// Their ids, sorted.
    pub(crate) async fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.ours().await.into_iter().filter_map(|it| it.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Removes a container by force.
    pub(crate) async fn remove(&self, name: &str) {
        let force = RemoveContainerOptions { force: true, ..<_>::default() };
        self.docker.remove_container(name, Some(force)).await.expect("removed");
    }

    /// The address that this machine has on the replicas' network.
    pub(crate) async fn gateway(&self) -> IpAddr {
        let network = self.docker.inspect_network(&self.engine.name, None).await.expect("there");
        let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let gateway = configs.into_iter().find_map(|config| config.gateway);
        gateway.and_then(|gateway| gateway.parse().ok()).expect("an address")
    }

    /// Everything that the engine tells of our containers.
    pub(crate) async fn described(&self) -> Vec<(String, Vec<u8>)> {
        let mut told = Vec::new();
        for id in self.ids().await {
            let found = self.docker.inspect_container(&id, None).await.expect("there");
            told.push((format!("container {id}"), format!("{found:?}").into_bytes()));
        }
        told
    }

    /// Kills Redis, and starts it again over what it left.
    pub(crate) async fn restart_redis(&mut self) {
        self.kill_redis().await;
        self.start_redis().await;
    }

    /// Ends Redis as a crash does.
    pub(crate) async fn kill_redis(&mut self) {
        let redis = self.rig.server.take().expect("a server");
        redis.signal(Signal::KILL);
        redis.end().await;
    }

    /// Starts it again over what it left.
    pub(crate) async fn start_redis(&mut self) {
        let again = servers::redis(self.rig.folder.path(), self.rig.redis).await;
        self.rig.server = Some(again.expect("it starts"));
    }

    async fn ours(&self) -> Vec<ContainerSummary> {
        let Some(install) = self.install() else { return Vec::new() };
        let label = vec![format!("planner.install={install}")];
        let filters = Some(HashMap::from([(String::from("label"), label)]));
        let options = ListContainersOptions { all: true, filters, ..<_>::default() };
        self.docker.list_containers(Some(options)).await.expect("a list")
    }

    /// Waits until exactly so many run, and nothing else of ours is there, for a while.
    pub(crate) async fn settles_at(&self, replicas: usize) {
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
    pub(crate) async fn order(&self, epoch: u64, seq: u64, replicas: u32, key: Option<&MacKey>) {
        let text = order(epoch, seq, replicas);
        let text = key.map_or_else(|| text.clone(), |key| seal(&text, key));
        self.rig.ask(&["HSET", "planner:app:desired", "message", &text]).await;
        self.rig.bus(Mode::Streams).await.publish(Channel::Actions, &text).await.expect("sent");
    }

    pub(crate) async fn end(self) {
        let install = self.install();
        self.engine.remove(install.as_deref()).await;
    }
}

/// An order as a planner gives it.
pub(crate) fn order(epoch: u64, seq: u64, replicas: u32) -> String {
    let text = json!({
        "ts": wall_now(), "kind": "plan", "container": "app",
        "decision": {"action": "noop", "target": "app", "reason": "a test", "replicas": replicas},
        "v": 1, "service": "app", "id": seq, "epoch": epoch, "seq": seq,
        "expires_ts": wall_now() + 30.0,
    })
    .to_string();
    Action::parse(text.as_bytes()).expect("what a planner would send");
    text
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
pub(crate) struct Traffic {
    ended: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    lanes: Vec<JoinHandle<Vec<String>>>,
}

impl Traffic {
    pub(crate) fn start(address: SocketAddr, path: &'static str) -> Self {
        Self::of(address, 4, move |_| String::from(path))
    }

    /// In so many lanes, each request by its number.
    pub(crate) fn of(
        address: SocketAddr,
        lanes: u32,
        path: impl Fn(u64) -> String + Copy + Send + 'static,
    ) -> Self {
        let (ended, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let lane = || {
            let (ended, sent) = (Arc::clone(&ended), Arc::clone(&sent));
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !ended.load(Ordering::SeqCst) {
                    let number = sent.fetch_add(1, Ordering::SeqCst);
                    if let Err(failure) = get(address, &path(number)).await {
                        failures.push(failure);
                    }
                    sleep(Duration::from_millis(5)).await;
                }
                failures
            })
        };
        let lanes = (0..lanes).map(|_| lane()).collect();
        Self { ended, sent, lanes }
    }

    /// How many were sent, and what went wrong.
    pub(crate) async fn end(self) -> (u64, Vec<String>) {
        self.ended.store(true, Ordering::SeqCst);
        let mut failures = Vec::new();
        for lane in self.lanes {
            failures.extend(lane.await.expect("it ends"));
        }
        (self.sent.load(Ordering::SeqCst), failures)
    }
}

/// One request; what went wrong unless it is answered with 200.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<(), String> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let text = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = timeout(Duration::from_secs(60), asked).await.map_err(|_| "no answer")?;
    let answer = answer.map_err(|error: std::io::Error| error.to_string())?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer.chars().take(80).collect()) }
}

pub(crate) async fn served(stack: &Stack) {
    for _ in 0..600 {
        if get(stack.http, "/").await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("not served: {}", stack.rig.log("executor") + &stack.rig.log("watcher"));
}
