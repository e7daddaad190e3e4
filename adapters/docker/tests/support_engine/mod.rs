//! A private engine, whose socket is in `PLANNER_TEST_DOCKER`, and what one test makes on it.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, HostConfig, Ipam, IpamConfig,
    NetworkCreateRequest,
};
use bollard::query_parameters::{
    BuildImageOptions, CreateContainerOptions, ListContainersOptions, RemoveContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use planner_core::ServiceId;
use planner_docker::{DockerExecutor, DockerSettings, InstallId, Template};
use planner_ports::{Executor as _, ReplicaCounts, Router, RouterError};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

/// How long anything may take to come true.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// The image that all tests run: this test program.
pub(crate) const IMAGE: &str = "planner-test-replica";
pub(crate) const PORT: u16 = 8_080;

static BUILT: OnceCell<()> = OnceCell::const_new();
static RIGS: AtomicU32 = AtomicU32::new(0);

/// One test's network and labels.
pub(crate) struct Rig {
    pub(crate) docker: Docker,
    pub(crate) socket: PathBuf,
    /// Names its network and its service, and is its installation.
    pub(crate) name: String,
    pub(crate) router: Arc<Recorder>,
    further_networks: Mutex<Vec<String>>,
}

/// Runs a test, and removes what it made however it ends.
pub(crate) async fn on_engine<F>(test: impl FnOnce(Arc<Rig>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let rig = Arc::new(Rig::make().await);
    let ended = tokio::spawn(test(Arc::clone(&rig))).await;
    rig.remove().await;
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Rig {
    async fn make() -> Self {
        let socket = PathBuf::from(std::env::var_os("PLANNER_TEST_DOCKER").expect("a socket"));
        let docker = Docker::connect_with_unix(&socket.to_string_lossy(), 120, API_DEFAULT_VERSION);
        let docker = docker.expect("an engine");
        BUILT.get_or_init(|| build(&docker)).await;
        let number = RIGS.fetch_add(1, Ordering::SeqCst);
        let name = format!("test-{}-{number}", std::process::id());
        let rig = Self {
            docker,
            socket,
            name: name.clone(),
            router: Arc::default(),
            further_networks: Mutex::default(),
        };
        rig.make_network(&name, (std::process::id() * 8 + number) % 250).await;
        rig
    }

    async fn make_network(&self, name: &str, subnet: u32) {
        let config =
            IpamConfig { subnet: Some(format!("10.210.{subnet}.0/24")), ..IpamConfig::default() };
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some(String::from("bridge")),
            internal: Some(true),
            ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
            ..NetworkCreateRequest::default()
        };
        self.docker.create_network(request).await.expect("a network");
    }

    /// Another network, removed with the rest.
    pub(crate) async fn further_network(&self) -> String {
        let number = RIGS.fetch_add(1, Ordering::SeqCst);
        let name = format!("{}-further-{number}", self.name);
        self.make_network(&name, (std::process::id() * 8 + number) % 250).await;
        self.further_networks.lock().expect("a list").push(name.clone());
        name
    }

    async fn remove(&self) {
        for found in self.all().await {
            let force = RemoveContainerOptions { v: true, force: true, ..<_>::default() };
            let id = found.id.expect("an id");
            let _gone_is_fine = self.docker.remove_container(&id, Some(force)).await;
        }
        let further = std::mem::take(&mut *self.further_networks.lock().expect("a list"));
        for network in further.iter().chain([&self.name]) {
            self.docker.remove_network(network).await.expect("removed");
        }
    }

    pub(crate) fn template(&self) -> Template {
        Template::new(IMAGE, &self.name)
    }

    pub(crate) fn settings(&self) -> DockerSettings {
        let service = ServiceId::new(&self.name).expect("a name");
        let install = InstallId::new(&self.name).expect("an id");
        let mut settings = DockerSettings::new(service, install, PORT);
        settings.socket.clone_from(&self.socket);
        settings.drain_deadline = Duration::from_secs(2);
        settings.stop_deadline = Duration::from_secs(5);
        settings
    }

    pub(crate) fn executor(&self) -> DockerExecutor {
        let router = Arc::clone(&self.router) as Arc<dyn Router>;
        DockerExecutor::new(self.template(), router, self.settings()).expect("an executor")
    }

    /// Everything that was made by this test.
    pub(crate) async fn all(&self) -> Vec<ContainerSummary> {
        let options = ListContainersOptions { all: true, ..<_>::default() };
        let all = self.docker.list_containers(Some(options)).await.expect("a list");
        all.into_iter().filter(|found| name_of(found).starts_with(&self.name)).collect()
    }

    /// Their ids.
    pub(crate) async fn ids(&self) -> BTreeSet<String> {
        self.all().await.into_iter().filter_map(|found| found.id).collect()
    }

    /// Names of those that run.
    pub(crate) async fn running(&self) -> Vec<String> {
        let all = self.all().await;
        let running = all.iter().filter(|found| found.state == Some(Running));
        let mut names: Vec<String> = running.map(name_of).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn slot(&self, slot: u32) -> String {
        format!("{}-dup-{slot}", self.name)
    }

    /// A container that somebody else starts, with the labels given.
    pub(crate) async fn start_foreign(&self, name: &str, labels: &[(&str, &str)]) -> String {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let host = HostConfig { network_mode: Some(self.name.clone()), ..HostConfig::default() };
        let body = ContainerCreateBody {
            image: Some(String::from(IMAGE)),
            labels: Some(labels.collect::<HashMap<_, _>>()),
            host_config: Some(host),
            ..ContainerCreateBody::default()
        };
        self.start(name, body).await
    }

    pub(crate) async fn start(&self, name: &str, body: ContainerCreateBody) -> String {
        let options = CreateContainerOptions { name: Some(name.into()), ..<_>::default() };
        let made = self.docker.create_container(Some(options), body).await.expect("made");
        self.docker.start_container(&made.id, None).await.expect("started");
        made.id
    }

    /// Waits until exactly `replicas` of the executor are ready, run and are routed.
    pub(crate) async fn reached(&self, executor: &DockerExecutor, replicas: u32) {
        let wanted = ReplicaCounts { ready: replicas, ..ReplicaCounts::default() };
        let end = Instant::now() + SOON;
        loop {
            let counts = executor.counts().await;
            let routed = self.router.routed().len();
            if counts == Ok(wanted) && routed == replicas as usize {
                return;
            }
            let error = executor.last_error();
            assert!(
                Instant::now() < end,
                "{replicas} wanted: {counts:?}, {routed} routed, {error:?}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) use ContainerSummaryStateEnum::RUNNING as Running;

pub(crate) fn name_of(found: &ContainerSummary) -> String {
    let name = found.names.iter().flatten().next().map_or("", String::as_str);
    name.trim_start_matches('/').to_owned()
}

/// This test program, with the libraries it is linked to, as an image from scratch.
async fn build(docker: &Docker) {
    let program = std::env::current_exe().expect("this program");
    let listed = std::process::Command::new("ldd").arg(&program).output().expect("ldd");
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
    add(
        "Dockerfile",
        b"FROM scratch\nCOPY root/ /\nCMD [\"/replica\", \"--exact\", \"helper_replica\", \
          \"--ignored\", \"--nocapture\"]\nENV REPLICA=yes\n",
    );
    add("root/replica", &std::fs::read(&program).expect("this program"));
    for library in libraries {
        add(&format!("root{library}"), &std::fs::read(library).expect("a library"));
    }
    let options = BuildImageOptions {
        dockerfile: String::from("Dockerfile"),
        t: Some(String::from(IMAGE)),
        rm: true,
        ..BuildImageOptions::default()
    };
    let body = Some(bollard::body_full(archive.into_inner().expect("an archive").into()));
    let mut progress = docker.build_image(options, None, body);
    while let Some(step) = progress.next().await {
        assert!(step.expect("a step").error_detail.is_none(), "the image is not built");
    }
}

/// A router that keeps what it was told.
#[derive(Default)]
pub(crate) struct Recorder {
    sets: Mutex<Vec<BTreeSet<SocketAddr>>>,
    pub(crate) drained: Mutex<Vec<SocketAddr>>,
}

impl Recorder {
    pub(crate) fn sets(&self) -> Vec<BTreeSet<SocketAddr>> {
        self.sets.lock().expect("a list").clone()
    }

    pub(crate) fn routed(&self) -> BTreeSet<SocketAddr> {
        self.sets().pop().unwrap_or_default()
    }
}

#[async_trait]
impl Router for Recorder {
    async fn route(&self, backends: &[SocketAddr]) -> Result<(), RouterError> {
        self.sets.lock().expect("a list").push(backends.iter().copied().collect());
        Ok(())
    }

    async fn drained(&self, backend: SocketAddr, _: Duration) -> Result<bool, RouterError> {
        assert!(!self.routed().contains(&backend), "{backend} was drained in the route");
        self.drained.lock().expect("a list").push(backend);
        Ok(true)
    }
}
