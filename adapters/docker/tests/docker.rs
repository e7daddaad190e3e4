//! Containers on a private engine, whose socket is in `PLANNER_TEST_DOCKER`:
//! `cargo test -p planner-docker --test docker -- --ignored`. They run this test program.

mod support_engine;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HostConfig,
    NetworkConnectRequest, PortBinding,
};
use planner_docker::DockerExecutor;
use planner_ports::contract::{ExecutorRig, executor_keeps_its_contract};
use planner_ports::{Executor, Router};
use support_engine::{IMAGE, Rig, Running, SOON, name_of, on_engine};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

/// A replica: answers everything with 200, or with 503 when it is to be ill, and ends when it is
/// asked to. Not a test: does nothing outside its container.
#[test]
#[ignore = "the program in the containers of the tests here"]
fn helper_replica() {
    if std::env::var_os("REPLICA").is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut asked_to_end = signal(SignalKind::terminate()).expect("a signal");
        std::thread::spawn(|| {
            let is_ill = std::env::var_os("REPLICA_IS_ILL").is_some();
            let status = if is_ill { "503 Service Unavailable" } else { "200 OK" };
            let listener = TcpListener::bind("0.0.0.0:8080").expect("a port");
            for mut stream in listener.incoming().flatten() {
                let _head = stream.read(&mut [0; 2_048]);
                let end = "Content-Length: 0\r\nConnection: close";
                let _gone = write!(stream, "HTTP/1.1 {status}\r\n{end}\r\n\r\n");
            }
        });
        asked_to_end.recv().await;
    });
    std::process::exit(0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn targets_are_met_up_and_down_and_nothing_is_left() {
    on_engine(|rig| async move {
        let executor = rig.executor();
        executor.scale_to(3).await.expect("accepted");
        rig.reached(&executor, 3).await;
        assert_eq!(rig.running().await, [1, 2, 3].map(|slot| rig.slot(slot)));
        let routed = rig.router.routed();
        executor.scale_to(1).await.expect("accepted");
        let asked = Instant::now();
        rig.reached(&executor, 1).await;
        assert!(asked.elapsed() < Duration::from_secs(4), "they end when they are asked to");
        assert_eq!(rig.running().await, [rig.slot(1)]);
        let drained = rig.router.drained.lock().expect("a list").clone();
        assert_eq!(drained.len(), 2);
        assert!(drained.iter().all(|address| routed.contains(address)));
        executor.scale_to(0).await.expect("accepted");
        rig.reached(&executor, 0).await;
        assert_eq!(rig.all().await.len(), 0, "nothing is left");
        assert_eq!(executor.last_error(), None);
        executor.scale_to(2).await.expect("accepted");
        rig.reached(&executor, 2).await;
        assert!(executor.shutdown(SOON).await);
        assert_eq!(rig.all().await.len(), 0, "nothing is left");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn one_that_is_killed_from_outside_is_replaced() {
    on_engine(|rig| async move {
        let executor = rig.executor();
        executor.scale_to(2).await.expect("accepted");
        rig.reached(&executor, 2).await;
        let sets = rig.router.sets().len();
        let killed = Instant::now();
        rig.docker.kill_container(&rig.slot(1), None).await.expect("killed");
        while rig.router.sets().len() == sets {
            assert!(killed.elapsed() < SOON, "it was not taken out of the route");
            sleep(Duration::from_millis(5)).await;
        }
        assert!(
            killed.elapsed() < Duration::from_secs(2),
            "an event tells of it: {:?}",
            killed.elapsed()
        );
        assert_eq!(rig.router.routed().len(), 1, "it is out of the route");
        rig.reached(&executor, 2).await;
        assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
        assert_eq!(rig.all().await.len(), 2, "the dead one is removed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn containers_of_strangers_are_left_alone() {
    on_engine(|rig| async move {
        let service = ("planner.service", rig.name.as_str());
        let others = ("planner.install", "someone-else-0001");
        let ours = ("planner.install", rig.name.as_str());
        let foreign = [
            rig.start_foreign(&rig.slot(1), &[]).await,
            rig.start_foreign(&rig.slot(3), &[service, others]).await,
            rig.start_foreign(&format!("{}-dup-x", rig.name), &[service, ours]).await,
            rig.start_foreign(&format!("{}-dup-02", rig.name), &[service, ours]).await,
        ];
        let executor = rig.executor();
        executor.scale_to(3).await.expect("accepted");
        rig.reached(&executor, 3).await;
        let names = rig.running().await;
        let is_ours = [2, 4, 5].map(|slot| names.contains(&rig.slot(slot)));
        assert_eq!(is_ours, [true; 3], "{names:?}");
        assert!(executor.shutdown(SOON).await);
        let left = rig.all().await;
        assert_eq!(left.len(), foreign.len());
        for found in left {
            assert_eq!(found.state, Some(Running), "{}", name_of(&found));
            assert!(foreign.contains(&found.id.expect("an id")));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn an_image_that_is_never_ready_is_never_routed() {
    on_engine(|rig| async move {
        let mut settings = rig.settings();
        settings.ready_deadline = Duration::from_secs(1);
        let template = rig.template().env("REPLICA_IS_ILL", "yes");
        let router = Arc::clone(&rig.router) as Arc<dyn Router>;
        let executor = DockerExecutor::new(template, router, settings).expect("an executor");
        executor.scale_to(2).await.expect("accepted");
        let end = Instant::now() + Duration::from_secs(12);
        let mut ids = std::collections::BTreeSet::new();
        while Instant::now() < end {
            ids.extend(rig.all().await.into_iter().filter_map(|found| found.id));
            sleep(Duration::from_millis(100)).await;
        }
        assert!(
            rig.router.sets().iter().all(std::collections::BTreeSet::is_empty),
            "it was routed"
        );
        assert!((2..=6).contains(&ids.len()), "{} were made in 12 s", ids.len());
        let error = executor.last_error().expect("an error");
        assert!(error.contains("it was not ready within 1s"), "{error}");
        assert!(executor.shutdown(SOON).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn what_an_executor_left_half_way_is_finished_by_the_next() {
    on_engine(|rig| async move {
        for (round, replicas) in [4, 1, 3, 0, 5, 2, 4, 3].into_iter().enumerate() {
            let first = rig.executor();
            first.scale_to(replicas).await.expect("accepted");
            sleep(Duration::from_millis(97 * round as u64)).await;
            drop(first);
            let next = rig.executor();
            next.scale_to(replicas).await.expect("accepted");
            rig.reached(&next, replicas).await;
            let all = rig.all().await;
            assert_eq!(all.len(), replicas as usize, "round {round}");
            assert!(all.iter().all(|found| found.state == Some(Running)), "round {round}");
        }
    })
    .await;
}

fn original(network: &str) -> ContainerCreateBody {
    let published = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some("0".into()) };
    let labels = [("agentic.target", "true"), ("odd", "<script>\n{}")];
    ContainerCreateBody {
        image: Some(String::from(IMAGE)),
        env: Some(vec![String::from("A=1"), String::from("B=x y\nz")]),
        labels: Some(labels.map(|(name, value)| (name.into(), value.into())).into()),
        stop_signal: Some(String::from("SIGTERM")),
        working_dir: Some(String::from("/lib64")),
        user: Some(String::from("65534:65534")),
        host_config: Some(HostConfig {
            network_mode: Some(network.to_owned()),
            memory: Some(64 << 20),
            nano_cpus: Some(500_000_000),
            pids_limit: Some(64),
            cap_drop: Some(vec![String::from("ALL")]),
            binds: Some(vec![String::from("/usr/share:/data:ro")]),
            port_bindings: Some(HashMap::from([("8080/tcp".into(), Some(vec![published]))])),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn networks(found: &ContainerInspectResponse) -> Vec<String> {
    let settings = found.network_settings.clone().expect("settings");
    let mut names: Vec<String> = settings.networks.expect("networks").into_keys().collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn a_copy_is_as_its_base_which_counts_and_is_never_stopped() {
    on_engine(|rig| async move {
        let further = rig.further_network().await;
        let base = rig.start(&rig.name, original(&rig.name)).await;
        let request = NetworkConnectRequest {
            container: base.clone(),
            endpoint_config: Some(EndpointSettings::default()),
        };
        rig.docker.connect_network(&further, request).await.expect("connected");
        let router = Arc::clone(&rig.router) as Arc<dyn Router>;
        let copying =
            DockerExecutor::copying(&base, Some(rig.name.as_str()), router, rig.settings());
        let executor = copying.await.expect("an executor");
        executor.scale_to(2).await.expect("accepted");
        rig.reached(&executor, 2).await;
        let (base, copy) = (rig.name.clone(), rig.slot(1));
        assert_eq!(rig.running().await, [base.clone(), copy.clone()], "the base is one of two");
        let base = rig.docker.inspect_container(&base, None).await.expect("the base");
        let copy = rig.docker.inspect_container(&copy, None).await.expect("the copy");
        assert_eq!(networks(&copy), networks(&base));
        assert_eq!(copy.image, base.image);
        let (of_base, of_copy) = (base.config.expect("one"), copy.config.expect("one"));
        assert_eq!(of_copy.env, of_base.env);
        assert_eq!(of_copy.cmd, of_base.cmd);
        assert_eq!(of_copy.user, of_base.user);
        assert_eq!(of_copy.working_dir, of_base.working_dir);
        assert_eq!(of_copy.stop_signal, of_base.stop_signal);
        let labels = of_copy.labels.expect("labels");
        for (name, value) in of_base.labels.expect("labels") {
            assert_eq!(labels.get(&name), Some(&value), "{name}");
        }
        assert_eq!(labels.get("planner.install"), Some(&rig.name));
        let (of_base, of_copy) = (base.host_config.expect("one"), copy.host_config.expect("one"));
        assert_eq!(of_copy.memory, of_base.memory);
        assert_eq!(of_copy.nano_cpus, of_base.nano_cpus);
        assert_eq!(of_copy.pids_limit, of_base.pids_limit);
        assert_eq!(of_copy.cap_drop, of_base.cap_drop);
        assert_eq!(of_copy.binds, of_base.binds);
        assert!(of_copy.port_bindings.unwrap_or_default().is_empty(), "two cannot have one port");
        executor.scale_to(0).await.expect("accepted");
        rig.reached(&executor, 1).await;
        assert!(executor.shutdown(SOON).await);
        assert_eq!(rig.running().await, std::slice::from_ref(&rig.name), "the base goes on");
    })
    .await;
}

/// An executor on the engine, and its rig.
struct OnEngine {
    rig: Arc<Rig>,
    executor: DockerExecutor,
}

#[async_trait]
impl ExecutorRig for OnEngine {
    fn executor(&self) -> &dyn Executor {
        &self.executor
    }

    fn max_replicas(&self) -> u32 {
        self.rig.settings().max_replicas.get()
    }

    async fn kill_one(&mut self) {
        let running = self.rig.running().await;
        self.rig.docker.kill_container(&running[0], None).await.expect("killed");
    }

    async fn restart(&mut self) -> bool {
        self.executor = self.rig.executor();
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn the_contract_of_every_executor_is_kept() {
    on_engine(|rig| async move {
        let executor = rig.executor();
        executor_keeps_its_contract(&mut OnEngine { rig, executor }).await;
    })
    .await;
}

/// Kills the engine under everything that runs on it, and starts it again.
async fn crash_engine(rig: &Rig, flags: &[&str]) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/docker-engine");
    let folder = rig.socket.parent().expect("a folder");
    let mut crash = tokio::process::Command::new(script);
    // Not inherited: what outlives this test would keep its output open.
    crash.arg("crash").arg(folder).args(flags).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(crash.status().await.expect("the script").success(), "it does not come back");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine of scripts/docker-engine"]
async fn p17_an_engine_that_crashes_under_its_containers_ends_with_as_many_as_wanted() {
    on_engine(|rig| async move {
        let executor = rig.executor();
        executor.scale_to(3).await.expect("accepted");
        rig.reached(&executor, 3).await;
        // The engine that comes back ends what it left running, and the executor starts others.
        crash_engine(&rig, &[]).await;
        rig.reached(&executor, 3).await;
        assert_eq!(rig.running().await.len(), 3);
        assert_eq!(rig.all().await.len(), 3, "what died was removed");
        // Restored, nothing has happened to them. The first time it learns of the flag.
        crash_engine(&rig, &["--live-restore"]).await;
        rig.reached(&executor, 3).await;
        let ids = rig.ids().await;
        executor.scale_to(2).await.expect("accepted");
        crash_engine(&rig, &["--live-restore"]).await;
        rig.reached(&executor, 2).await;
        assert!(rig.ids().await.is_subset(&ids), "none was started anew");
        crash_engine(&rig, &[]).await;
        rig.reached(&executor, 2).await;
        assert!(executor.shutdown(SOON).await);
        assert_eq!(rig.all().await.len(), 0, "nothing is left");
    })
    .await;
}
