//! The programs of a run, each where it belongs: processes of this machine, or, where the replicas
//! are a Swarm's, containers beside an nginx on their overlay.

use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use planner_nginx::NginxSettings;

use super::container::{Container, Spec};
use super::error::DemoError;
use super::image::{NGINX, OnEngine, PROGRAM};
use super::servers::{self, Process, answers};
use super::{EngineKind, swarm};

/// Who a container's process is: nobody.
const NOBODY: u32 = 65_534;
/// Where nginx listens in its container.
pub(super) const FRONT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8_080);

/// One program that runs.
pub(super) enum Part {
    Process(Process),
    Container(Container),
}

impl Part {
    /// Ends it in order.
    pub(super) async fn end(self) {
        match self {
            Self::Process(process) => drop(process.end().await),
            Self::Container(container) => container.end().await,
        }
    }
}

/// What starts the programs of a run.
pub(super) struct Parts<'a> {
    pub(super) kind: EngineKind,
    pub(super) on: &'a OnEngine,
    /// This program.
    pub(super) program: &'a Path,
    /// The run's folder.
    pub(super) stack: &'a Path,
    pub(super) settings: &'a Path,
    /// The container of nginx, where it is one.
    front: Option<String>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(
        kind: EngineKind,
        on: &'a OnEngine,
        program: &'a Path,
        stack: &'a Path,
        settings: &'a Path,
    ) -> Self {
        Self { kind, on, program, stack, settings, front: None }
    }

    /// Starts nginx, and tells where it is reached.
    pub(super) async fn nginx(
        &mut self,
        listen: SocketAddr,
        nginx: &NginxSettings,
    ) -> Result<(Part, SocketAddr), DemoError> {
        if self.kind == EngineKind::Docker {
            let process = servers::nginx(self.stack, listen, nginx).await?;
            return Ok((Part::Process(process), listen));
        }
        servers::nginx_files(self.stack, listen, nginx)?;
        give_away(&self.folder())?;
        let config = self.folder().join("nginx.conf").to_string_lossy().into_owned();
        let command = [&format!("/{NGINX}"), "-e", "stderr", "-c", &config].map(String::from);
        let spec = self.spec("nginx", command.into(), self.on.name.clone());
        let way_in = swarm::way_in(self.on);
        let container = Container::start(self.on, self.stack, spec, Some(&way_in)).await?;
        self.front = Some(container.id.clone());
        let reached = SocketAddr::new(container.address(self.on, &way_in).await?, listen.port());
        if !answers(reached).await {
            let (program, log) = ("nginx", self.stack.join("nginx.log"));
            let cause = String::from("it does not answer");
            return Err(DemoError::Server { program, cause, log });
        }
        Ok((Part::Container(container), reached))
    }

    /// Starts a program of the stack.
    pub(super) async fn start(&self, name: &'static str) -> Result<Part, DemoError> {
        let beside_nginx = matches!(name, "monitor" | "watcher");
        let Some(front) = self.front.as_ref().filter(|_| beside_nginx) else {
            let process = Process::stack(name, self.program, self.stack, self.settings)?;
            return Ok(Part::Process(process));
        };
        let settings = self.settings.to_string_lossy();
        let program = format!("/{PROGRAM}");
        let command = [&program, name, "--config", &settings, "--json-logs"].map(String::from);
        let mut spec = self.spec(name, command.into(), format!("container:{front}"));
        spec.beside = Some(front.clone());
        let container = Container::start(self.on, self.stack, spec, None).await?;
        Ok(Part::Container(container))
    }

    fn folder(&self) -> PathBuf {
        self.stack.join("nginx")
    }

    fn spec(&self, name: &'static str, command: Vec<String>, network: String) -> Spec {
        let (nginx, settings) = (self.folder(), self.settings.to_owned());
        Spec {
            name,
            command,
            // `nginx` is found for `nginx -t`; Redis is not on this network.
            environment: ["PATH=/", "REDIS_URL=unix:///bus/redis.sock"].map(String::from).into(),
            // The path of a socket may not be long.
            shared: vec![
                (nginx.clone(), nginx, "rw"),
                (self.stack.join("bus"), PathBuf::from("/bus"), "ro"),
                (settings.clone(), settings, "ro"),
            ],
            user: user(),
            network,
            beside: None,
        }
    }
}

/// Whose process a container's is: nobody's where we are root, ours otherwise.
fn user() -> String {
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    if user.is_root() {
        return format!("{NOBODY}:{NOBODY}");
    }
    format!("{}:{}", user.as_raw(), group.as_raw())
}

/// Makes a folder and what is in it nobody's, where we are root.
fn give_away(path: &Path) -> Result<(), DemoError> {
    let told = |cause| DemoError::File { path: path.to_owned(), cause };
    if !rustix::process::getuid().is_root() {
        return Ok(());
    }
    chown(path, Some(NOBODY), Some(NOBODY)).map_err(told)?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(told)? {
            give_away(&entry.map_err(told)?.path())?;
        }
    }
    Ok(())
}
