//! The process executor with real child processes: this test binary starts itself.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use planner_local::{
    BalancerSettings, ExecutorSettings, LoadBalancer, ProcessExecutor, ReplicaTemplate,
    TemplateError,
};
use planner_ports::contract::{ExecutorRig, executor_keeps_its_contract};
use planner_ports::{Executor, ExecutorError, ReplicaCounts, Router, RouterError};
use support::{PATIENCE, begin_get, finish, get, until};

/// A replica: answers `/health`, `/crash` by dying, `/slow` late, and anything else with its port.
/// Not a test: does nothing without the port in the environment.
#[test]
#[ignore = "the child program of the tests here"]
fn helper_replica() {
    let Ok(port) = std::env::var("REPLICA_PORT") else {
        return;
    };
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    if number("REPLICA_FAILS").is_some() {
        std::process::exit(3);
    }
    std::thread::spawn(move || {
        let mut ignored = Vec::new();
        if number("REPLICA_IGNORES_STDIN").is_none() {
            let _ = std::io::stdin().read_to_end(&mut ignored);
        } else {
            std::thread::sleep(PATIENCE * 3); // no test leaves it for good
        }
        std::process::exit(0);
    });
    let healthy_after = Duration::from_millis(number("REPLICA_HEALTHY_AFTER_MS").unwrap_or(0));
    let began = Instant::now();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let port = port.clone();
        std::thread::spawn(move || {
            let mut head = [0; 2_048];
            let read = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or("");
            let is_ready = began.elapsed() >= healthy_after;
            let status = match path {
                "/health" if !is_ready => "503 Service Unavailable",
                "/crash" => std::process::exit(9),
                _ => "200 OK",
            };
            if path == "/slow" {
                std::thread::sleep(Duration::from_millis(700));
            }
            let length = port.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{port}"
            );
        });
    }
}

/// A planner that starts two replicas and then waits to be killed. Not a test.
#[test]
#[ignore = "the parent program of one test here"]
fn helper_parent() {
    let Ok(file) = std::env::var("PARENT_PIDS_FILE") else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let balancer = balancer();
        let executor = executor(template(), balancer, |_| ());
        executor.scale_to(2).await.expect("accepted");
        until("two are ready", || ready(&executor) == 2).await;
        let pids = executor.pids();
        std::fs::write(&file, format!("{} {}\n", pids[0], pids[1])).expect("written");
        tokio::time::sleep(PATIENCE * 3).await;
    });
}

fn template() -> ReplicaTemplate {
    ReplicaTemplate::new(std::env::current_exe().expect("this binary"))
        .arg("--exact")
        .arg("helper_replica")
        .arg("--ignored")
        .arg("--nocapture")
        .env("REPLICA_PORT", "{port}")
}

fn balancer() -> Arc<LoadBalancer> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Arc::new(LoadBalancer::bind(listen, BalancerSettings::default()).expect("a free port"))
}

fn executor(
    template: ReplicaTemplate,
    router: Arc<dyn Router>,
    change: impl FnOnce(&mut ExecutorSettings),
) -> ProcessExecutor {
    let mut settings = ExecutorSettings::default();
    settings.ready_deadline = PATIENCE;
    change(&mut settings);
    ProcessExecutor::new(template, router, settings).expect("a valid template")
}

fn now(executor: &ProcessExecutor) -> ReplicaCounts {
    *executor.subscribe().borrow()
}

fn ready(executor: &ProcessExecutor) -> u32 {
    now(executor).ready
}

fn only_ready(ready: u32) -> ReplicaCounts {
    ReplicaCounts { ready, ..ReplicaCounts::default() }
}

/// Whether the process runs; one that only waits to be reaped does not.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or("").trim_start();
    !state.is_empty() && !state.starts_with('Z')
}

/// Sends `GET path` and returns the text of the answer.
async fn get_path(address: SocketAddr, path: &str) -> String {
    use tokio::io::AsyncWriteExt;
    let stream = tokio::net::TcpStream::connect(address).await;
    let mut stream = stream.expect("the balancer listens");
    let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    finish(stream).await.1
}

/// Keeps every membership that it was given, and fails while it is told to.
#[derive(Default)]
struct RecordingRouter {
    given: Mutex<Vec<Vec<SocketAddr>>>,
    failures_left: Mutex<u32>,
}

impl RecordingRouter {
    fn last(&self) -> Vec<SocketAddr> {
        self.given.lock().expect("sane").last().cloned().unwrap_or_default()
    }
}

#[async_trait]
impl Router for RecordingRouter {
    async fn route(&self, backends: &[SocketAddr]) -> Result<(), RouterError> {
        let mut failures_left = self.failures_left.lock().expect("sane");
        if *failures_left > 0 {
            *failures_left -= 1;
            let cause = "told to fail".to_owned();
            return Err(RouterError::Unavailable { cause });
        }
        self.given.lock().expect("sane").push(backends.to_vec());
        Ok(())
    }

    async fn drained(&self, _backend: SocketAddr, _for: Duration) -> Result<bool, RouterError> {
        Ok(true)
    }
}

#[tokio::test]
async fn a_template_that_can_make_no_replica_is_refused() {
    let settings = ExecutorSettings::default();
    let refused = |template: ReplicaTemplate| {
        let made = ProcessExecutor::new(template, balancer(), settings);
        made.expect_err("refused").to_string()
    };
    assert_eq!(
        refused(ReplicaTemplate::new("")),
        "program: it is empty; name the program that a replica runs"
    );
    assert_eq!(
        refused(ReplicaTemplate::new("x").arg("--port")),
        "template: no argument and no environment value contains {port}; pass the port where \
         the program expects it"
    );
    let mut template = ReplicaTemplate::new("x").arg("{port}");
    template.health_path = "/a b".to_owned();
    assert_eq!(
        refused(template),
        "health_path: \"/a b\" is not a path of printable ASCII without spaces that starts \
         with '/'; write it like /health"
    );
}

#[test]
fn outside_a_runtime_it_says_so() {
    let router = Arc::new(RecordingRouter::default());
    let made = ProcessExecutor::new(template(), router, ExecutorSettings::default());
    assert_eq!(made.err(), Some(TemplateError::NoRuntime));
}

#[tokio::test]
async fn more_than_the_maximum_is_refused() {
    let executor = executor(template(), balancer(), |settings| {
        settings.max_replicas = NonZeroU32::MIN.saturating_add(1);
    });
    let error = executor.scale_to(3).await.expect_err("refused");
    assert_eq!(
        error.to_string(),
        "replicas: 3 refused: at most 2 here; ask for fewer or raise max_replicas"
    );
    assert_eq!(executor.counts().await, Ok(ReplicaCounts::default()));
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named_and_not_tried_in_a_loop() {
    let template = ReplicaTemplate::new("/no/such/program").arg("{port}");
    let executor = executor(template, balancer(), |_| ());
    executor.scale_to(5).await.expect("accepted");
    until("a start failed", || executor.last_start_error().is_some()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = executor.last_start_error().expect("kept");
    let (number, rest) = error.split_once(": ").expect("a number");
    let number: u32 = number.trim_start_matches("replica ").parse().expect("a number");
    // 5 at once, then one after each of 100, 200, 400 and perhaps 800 ms.
    assert!((6..=12).contains(&number), "{number} starts in a second");
    assert_eq!(
        rest,
        "/no/such/program could not be started: No such file or directory (os error 2); \
         fix the program"
    );
    assert_eq!(executor.replica_seconds(), 0.0);
    assert!(executor.shutdown(PATIENCE).await);
}

#[tokio::test]
async fn a_program_that_ends_at_once_is_reported_with_its_status() {
    let executor = executor(template().env("REPLICA_FAILS", "1"), balancer(), |_| ());
    executor.scale_to(1).await.expect("accepted");
    until("a start failed", || executor.last_start_error().is_some()).await;
    let error = executor.last_start_error().expect("kept");
    assert!(error.contains("ended before it was ready on port"), "{error}");
    assert!(error.ends_with("(exit status: 3); look at its standard error"), "{error}");
    assert_eq!(ready(&executor), 0);
}

#[tokio::test]
async fn a_replica_that_does_not_become_ready_in_time_is_stopped_and_reported() {
    let router = Arc::new(RecordingRouter::default());
    let template = template().env("REPLICA_HEALTHY_AFTER_MS", "3600000");
    let executor = executor(template, Arc::clone(&router) as _, |settings| {
        settings.ready_deadline = Duration::from_millis(500);
    });
    executor.scale_to(1).await.expect("accepted");
    until("one runs", || !executor.pids().is_empty()).await;
    let first = executor.pids()[0];
    until("a start failed", || executor.last_start_error().is_some()).await;
    let error = executor.last_start_error().expect("kept");
    assert!(error.contains("GET /health gave no 200 within 0.5 s; look at"), "{error}");
    assert!(!is_running(first));
    assert_eq!(router.last(), []);
}

#[tokio::test]
async fn a_replica_gets_traffic_only_once_it_is_ready() {
    let router = Arc::new(RecordingRouter::default());
    let template = template().env("REPLICA_HEALTHY_AFTER_MS", "500");
    let executor = executor(template, Arc::clone(&router) as _, |_| ());
    let began = Instant::now();
    executor.scale_to(1).await.expect("accepted");
    until("it is routed", || !router.last().is_empty()).await;
    assert!(began.elapsed() >= Duration::from_millis(500));
    until("it is ready", || ready(&executor) == 1).await;
    assert_eq!(router.last().len(), 1);
}

#[tokio::test]
async fn while_the_router_fails_a_replica_is_starting_and_it_is_asked_again() {
    let router = Arc::new(RecordingRouter::default());
    let executor = executor(template(), Arc::clone(&router) as _, |_| ());
    until("the empty set is routed", || router.given.lock().expect("sane").len() == 1).await;
    *router.failures_left.lock().expect("sane") = 3;
    let mut counts = executor.subscribe();
    executor.scale_to(1).await.expect("accepted");
    until("it was asked three times", || *router.failures_left.lock().expect("sane") == 0).await;
    let starting = ReplicaCounts { starting: 1, ..ReplicaCounts::default() };
    assert_eq!(*counts.borrow_and_update(), starting);
    until("it is ready", || ready(&executor) == 1).await;
}

#[tokio::test]
async fn up_to_three_and_down_to_one_and_the_newest_go_first() {
    let balancer = balancer();
    let executor = executor(template(), Arc::clone(&balancer) as _, |_| ());
    executor.scale_to(1).await.expect("accepted");
    until("one is ready", || now(&executor) == only_ready(1)).await;
    let oldest = executor.pids();
    executor.scale_to(3).await.expect("accepted");
    until("three are ready", || now(&executor) == only_ready(3)).await;
    assert_eq!(balancer.loads().len(), 3);
    executor.scale_to(1).await.expect("accepted");
    until("one is left", || now(&executor) == only_ready(1)).await;
    assert_eq!(executor.pids(), oldest);
    assert_eq!(balancer.loads().len(), 1);
    let before = executor.replica_seconds();
    assert!(before > 0.0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let grown = executor.replica_seconds() - before;
    assert!(grown >= 0.1, "one replica runs on: {grown}");
}

#[tokio::test]
async fn a_replica_that_dies_leaves_the_route_and_is_replaced() {
    let balancer = balancer();
    let executor = executor(template(), Arc::clone(&balancer) as _, |_| ());
    executor.scale_to(2).await.expect("accepted");
    until("two are ready", || now(&executor) == only_ready(2)).await;
    let before = executor.pids();
    let answer = get_path(balancer.local_addr(), "/crash").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    until("another pair is ready", || now(&executor) == only_ready(2) && executor.pids() != before)
        .await;
    assert_eq!(executor.pids()[0..1].iter().filter(|pid| before.contains(pid)).count(), 1);
    for _ in 0..10 {
        assert_eq!(get(balancer.local_addr()).await.0, 200);
    }
}

#[tokio::test]
async fn a_drained_replica_finishes_its_request_before_it_is_stopped() {
    let balancer = balancer();
    let executor = executor(template(), Arc::clone(&balancer) as _, |_| ());
    executor.scale_to(1).await.expect("accepted");
    until("one is ready", || ready(&executor) == 1).await;
    let address = balancer.local_addr();
    let slow = tokio::spawn(async move { get_path(address, "/slow").await });
    until("it is under way", || balancer.loads().iter().any(|(_, load)| *load == 1)).await;
    executor.scale_to(0).await.expect("accepted");
    until("it drains", || now(&executor).draining == 1).await;
    let answer = slow.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    until("it is gone", || now(&executor) == ReplicaCounts::default()).await;
    assert!(executor.pids().is_empty());
}

#[tokio::test]
async fn shutdown_leaves_no_process_and_accepts_no_target() {
    let balancer = balancer();
    let executor = executor(template(), Arc::clone(&balancer) as _, |_| ());
    executor.scale_to(2).await.expect("accepted");
    until("two are ready", || ready(&executor) == 2).await;
    let pids = executor.pids();
    assert!(pids.iter().all(|pid| is_running(*pid)));
    assert!(executor.shutdown(PATIENCE).await, "stopped in order");
    assert!(pids.iter().all(|pid| !is_running(*pid)));
    assert_eq!(executor.scale_to(1).await, Err(ExecutorError::ShuttingDown));
    assert_eq!(executor.counts().await, Ok(ReplicaCounts::default()));
    assert_eq!(balancer.loads(), []);
}

#[tokio::test]
async fn shutdown_kills_at_its_deadline() {
    let balancer = balancer();
    let executor = executor(template(), Arc::clone(&balancer) as _, |_| ());
    executor.scale_to(1).await.expect("accepted");
    until("one is ready", || ready(&executor) == 1).await;
    let pids = executor.pids();
    let address = balancer.local_addr();
    let slow = tokio::spawn(async move { get_path(address, "/slow").await });
    until("it is under way", || balancer.loads().iter().any(|(_, load)| *load == 1)).await;
    assert!(!executor.shutdown(Duration::from_millis(50)).await, "not in order");
    assert!(!is_running(pids[0]));
    let answer = slow.await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[tokio::test]
async fn a_replica_that_ignores_sigterm_is_killed_and_its_children_too() {
    // The shell answers the health check through a helper that it starts in its own group.
    let this = std::env::current_exe().expect("this binary");
    let script = format!(
        "trap '' TERM; {} --exact helper_replica --ignored --nocapture & \
         while true; do sleep 0.05; done",
        this.display()
    );
    let template = ReplicaTemplate::new("/bin/sh")
        .arg("-c")
        .arg(script)
        .env("REPLICA_IGNORES_STDIN", "1")
        .env("REPLICA_PORT", "{port}");
    let balancer = balancer();
    let executor = executor(template, Arc::clone(&balancer) as _, |settings| {
        settings.stop_deadline = Duration::from_millis(100);
    });
    executor.scale_to(1).await.expect("accepted");
    until("one is ready", || ready(&executor) == 1).await;
    let (backend, _) = balancer.loads()[0];
    let shell = executor.pids()[0];
    executor.scale_to(0).await.expect("accepted");
    until("it is gone", || now(&executor) == ReplicaCounts::default()).await;
    assert!(!is_running(shell));
    until("its helper is gone too", || std::net::TcpStream::connect(backend).is_err()).await;
}

#[tokio::test]
async fn a_dropped_executor_leaves_no_process() {
    let executor = executor(template(), balancer(), |_| ());
    executor.scale_to(1).await.expect("accepted");
    until("one is ready", || ready(&executor) == 1).await;
    let pids = executor.pids();
    drop(executor);
    until("it is gone", || !is_running(pids[0])).await;
}

#[tokio::test]
async fn replicas_end_when_their_parent_is_killed() {
    let file = std::env::temp_dir().join(format!("planner-local-pids-{}", std::process::id()));
    let mut parent = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "helper_parent", "--ignored", "--nocapture"])
        .env("PARENT_PIDS_FILE", &file)
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    let mut pids = Vec::new();
    until("the parent wrote its replicas' ids", || {
        pids = read_pids(&file);
        pids.len() == 2
    })
    .await;
    assert!(pids.iter().all(|pid| is_running(*pid)));
    parent.kill().expect("killed");
    parent.wait().expect("reaped");
    until("the replicas are gone", || pids.iter().all(|pid| !is_running(*pid))).await;
    let _ = std::fs::remove_file(&file);
}

/// The ids in a complete line of `file`.
fn read_pids(file: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.strip_suffix('\n').unwrap_or_default();
    line.split(' ').filter_map(|pid| pid.parse().ok()).collect()
}

#[tokio::test]
async fn nothing_is_lost_while_the_fleet_grows_and_shrinks_under_load() {
    let balancer = balancer();
    let executor = executor(template(), Arc::clone(&balancer) as _, |_| ());
    executor.scale_to(1).await.expect("accepted");
    let address = balancer.local_addr();
    let load = tokio::spawn(async move {
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..200 {
            requests.spawn(async move { finish(begin_get(address).await).await });
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        requests.join_all().await
    });
    for replicas in [3, 1, 2, 1] {
        executor.scale_to(replicas).await.expect("accepted");
        until("the target is met", || now(&executor) == only_ready(replicas)).await;
    }
    let answers = load.await.expect("the load ran");
    let failed: Vec<_> = answers.iter().filter(|answer| answer.0 != 200).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert!(executor.shutdown(PATIENCE).await);
}

/// The process executor behind a real balancer.
struct Rig {
    executor: ProcessExecutor,
}

impl Rig {
    fn started() -> ProcessExecutor {
        executor(template(), balancer(), |settings| {
            settings.max_replicas = NonZeroU32::new(4).expect("not zero");
        })
    }
}

#[async_trait]
impl ExecutorRig for Rig {
    fn executor(&self) -> &dyn Executor {
        &self.executor
    }

    fn max_replicas(&self) -> u32 {
        4
    }

    async fn kill_one(&mut self) {
        let pid = self.executor.pids()[0];
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.expect("kill").success());
    }

    async fn restart(&mut self) -> bool {
        self.executor = Self::started();
        false // they end with it
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_every_executor_is_kept() {
    executor_keeps_its_contract(&mut Rig { executor: Rig::started() }).await;
}
