//! A Swarm of one node on a private engine, whose socket is in `PLANNER_TEST_DOCKER`:
//! `cargo test -p planner-docker --test swarm -- --ignored`.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{
    EndpointSpec, EndpointSpecModeEnum, NetworkAttachmentConfig, NetworkCreateRequest, ServiceSpec,
    ServiceSpecMode, ServiceSpecModeReplicated, SwarmInitRequest, TaskSpec, TaskSpecContainerSpec,
};
use bollard::query_parameters::{BuildImageOptions, LeaveSwarmOptions, ListContainersOptions};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use planner_docker::SwarmExecutor;
use planner_ports::contract::{ExecutorRig, executor_keeps_its_contract};
use planner_ports::{Executor, ExecutorError, ReplicaCounts};

const IMAGE: &str = "planner-test-sleeper";

fn socket() -> PathBuf {
    std::env::var_os("PLANNER_TEST_DOCKER").expect("PLANNER_TEST_DOCKER").into()
}

/// A program that sleeps, with the libraries it is linked to, as an image from scratch.
async fn build(docker: &Docker) {
    let listed = std::process::Command::new("ldd").arg("/bin/sleep").output().expect("ldd");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let libraries = text
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().find(|word| word.starts_with('/')));
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, path, bytes).expect("added");
    };
    add("Dockerfile", b"FROM scratch\nCOPY root/ /\nCMD [\"/sleep\", \"600\"]\n");
    for (place, file) in [("root/sleep".to_owned(), "/bin/sleep")]
        .into_iter()
        .chain(libraries.map(|library| (format!("root{library}"), library)))
    {
        add(&place, &std::fs::read(file).expect("a file"));
    }
    let context = archive.into_inner().expect("an archive");
    let options = BuildImageOptions {
        dockerfile: String::from("Dockerfile"),
        t: Some(String::from(IMAGE)),
        rm: true,
        ..BuildImageOptions::default()
    };
    let body = Some(bollard::body_full(context.into()));
    let mut progress = docker.build_image(options, None, body);
    while let Some(step) = progress.next().await {
        assert!(step.expect("a step").error_detail.is_none(), "the image is not built");
    }
}

fn spec(name: &str, mode: ServiceSpecMode) -> ServiceSpec {
    let container = TaskSpecContainerSpec {
        image: Some(String::from(IMAGE)),
        // `sleep` as the first process of its container does not hear SIGTERM.
        stop_grace_period: Some(200_000_000),
        ..TaskSpecContainerSpec::default()
    };
    // As many addresses as tasks, and none that is virtual.
    let endpoints =
        EndpointSpec { mode: Some(EndpointSpecModeEnum::DNSRR), ..EndpointSpec::default() };
    let network =
        NetworkAttachmentConfig { target: Some(String::from("overlay")), ..<_>::default() };
    let task = TaskSpec {
        container_spec: Some(container),
        networks: Some(vec![network]),
        ..TaskSpec::default()
    };
    ServiceSpec {
        endpoint_spec: Some(endpoints),
        name: Some(String::from(name)),
        task_template: Some(task),
        mode: Some(mode),
        labels: Some(HashMap::from([("kept".into(), "yes".into())])),
        ..ServiceSpec::default()
    }
}

async fn settles_at(swarm: &SwarmExecutor, replicas: u32) {
    let wanted = ReplicaCounts { ready: replicas, ..ReplicaCounts::default() };
    for _ in 0..600 {
        if swarm.counts().await == Ok(wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{replicas} wanted, there are {:?}", swarm.counts().await);
}

/// The service on a Swarm, which replaces what dies by itself.
struct OnSwarm {
    docker: Docker,
    socket: PathBuf,
    swarm: SwarmExecutor,
}

#[async_trait]
impl ExecutorRig for OnSwarm {
    fn executor(&self) -> &dyn Executor {
        &self.swarm
    }

    fn max_replicas(&self) -> u32 {
        8
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn kill_one(&mut self) {
        let label = vec![String::from("com.docker.swarm.service.name=app")];
        let filters = Some(HashMap::from([(String::from("label"), label)]));
        let options = ListContainersOptions { filters, ..<_>::default() };
        let running = self.docker.list_containers(Some(options)).await.expect("a list");
        let id = running.into_iter().find_map(|container| container.id).expect("one that runs");
        self.docker.kill_container(&id, None).await.expect("killed");
    }

    async fn restart(&mut self) -> bool {
        self.swarm = SwarmExecutor::new(&self.socket, "app", 8).expect("settings");
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn a_service_is_scaled_at_the_same_time_by_two_and_a_global_one_is_refused() {
    let path = socket();
    let docker = Docker::connect_with_unix(&path.to_string_lossy(), 60, API_DEFAULT_VERSION);
    let docker = docker.expect("an engine");
    let loopback = String::from("127.0.0.1");
    let request = SwarmInitRequest {
        listen_addr: Some(format!("{loopback}:0")),
        advertise_addr: Some(loopback),
        ..SwarmInitRequest::default()
    };
    docker.init_swarm(request).await.expect("a swarm");
    let overlay = NetworkCreateRequest {
        name: String::from("overlay"),
        driver: Some(String::from("overlay")),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(overlay).await.expect("a network");
    build(&docker).await;
    let replicated = ServiceSpecMode {
        replicated: Some(ServiceSpecModeReplicated { replicas: Some(1) }),
        ..ServiceSpecMode::default()
    };
    docker.create_service(spec("app", replicated), None).await.expect("a service");
    let global = ServiceSpecMode { global: Some(<_>::default()), ..ServiceSpecMode::default() };
    docker.create_service(spec("everywhere", global), None).await.expect("a service");
    let swarm = SwarmExecutor::new(&path, "app", 8).expect("settings");
    settles_at(&swarm, 1).await;
    // Both read one version; the slower one reads again.
    let rival = swarm.clone();
    let (ours, theirs) = tokio::join!(swarm.scale_to(3), rival.scale_to(3));
    ours.expect("taken");
    theirs.expect("taken");
    settles_at(&swarm, 3).await;
    let members = swarm.members("overlay", 8_080).await.expect("members");
    let addresses: HashSet<_> = members.iter().filter_map(|member| member.address).collect();
    assert_eq!(addresses.len(), 3, "each has its own: {members:?}");
    let elsewhere = swarm.members("elsewhere", 8_080).await.expect("members");
    assert!(elsewhere.iter().all(|member| member.address.is_none()), "{elsewhere:?}");
    let mut rig = OnSwarm { docker: docker.clone(), socket: path.clone(), swarm: swarm.clone() };
    executor_keeps_its_contract(&mut rig).await;
    // What was not ours to change is as it was.
    let kept = docker.inspect_service("app", None).await.expect("there").spec.expect("a spec");
    assert_eq!(kept.labels, Some(HashMap::from([("kept".into(), "yes".into())])));
    let everywhere = SwarmExecutor::new(&path, "everywhere", 8).expect("settings");
    let refused = everywhere.scale_to(2).await.expect_err("refused");
    assert!(matches!(refused, ExecutorError::Refused { .. }), "{refused}");
    let nobody = SwarmExecutor::new(&path, "nobody", 8).expect("settings");
    assert!(matches!(nobody.scale_to(2).await, Err(ExecutorError::Unavailable { .. })));
    docker.leave_swarm(Some(LeaveSwarmOptions { force: true })).await.expect("left");
}
