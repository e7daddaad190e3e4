//! Processes of a run that are containers: nginx on an overlay, and what stands beside it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, NetworkConnectRequest};
use bollard::query_parameters::{
    CreateContainerOptions, LogsOptions, RemoveContainerOptions, StopContainerOptions,
};
use futures_util::StreamExt as _;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::DemoError;
use super::image::OnEngine;

/// Seconds that a container may take to end before it is killed.
const END_MAX_S: i32 = 10;
/// How long the rest of what it said is listened to.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a container is run.
pub(super) struct Spec {
    /// What it is, and the name of its log.
    pub(super) name: &'static str,
    pub(super) command: Vec<String>,
    pub(super) environment: Vec<String>,
    /// Folders and files of the host, where they stand in the container, and `rw` or `ro`.
    pub(super) shared: Vec<(PathBuf, PathBuf, &'static str)>,
    /// `UID:GID`.
    pub(super) user: String,
    /// A network, or `container:ID` for that of another container.
    pub(super) network: String,
    /// The container whose processes it sees.
    pub(super) beside: Option<String>,
}

/// A container of this run; what it says goes to its log.
pub(super) struct Container {
    engine: Docker,
    pub(super) id: String,
    saying: JoinHandle<()>,
}

impl Container {
    /// Makes and starts one, on the network `also` too.
    pub(super) async fn start(
        on: &OnEngine,
        folder: &Path,
        spec: Spec,
        also: Option<&str>,
    ) -> Result<Self, DemoError> {
        let name = format!("{}-{}", on.name, spec.name);
        let what = "starting a container";
        let log = folder.join(format!("{}.log", spec.name));
        let options = CreateContainerOptions { name: Some(name), ..<_>::default() };
        let made = on.engine.create_container(Some(options), body(&on.name, &spec)).await;
        let id = made.map_err(|error| on.told(what, &error))?.id;
        if let Some(network) = also {
            let request = NetworkConnectRequest { container: id.clone(), ..<_>::default() };
            let connected = on.engine.connect_network(network, request).await;
            connected.map_err(|error| on.told(what, &error))?;
        }
        let started = on.engine.start_container(&id, None).await;
        started.map_err(|error| on.told(what, &error))?;
        let file = File::create(&log).await;
        let file = file.map_err(|cause| DemoError::File { path: log, cause })?;
        let saying = tokio::spawn(write_down(on.engine.clone(), id.clone(), file));
        Ok(Self { engine: on.engine.clone(), id, saying })
    }

    /// Its address on `network`.
    pub(super) async fn address(&self, on: &OnEngine, network: &str) -> Result<IpAddr, DemoError> {
        let what = "looking for an address";
        let found = self.engine.inspect_container(&self.id, None).await;
        let found = found.map_err(|error| on.told(what, &error))?;
        let networks = found.network_settings.and_then(|settings| settings.networks);
        networks
            .and_then(|networks| networks.get(network)?.ip_address.as_deref()?.parse().ok())
            .ok_or_else(|| on.told(what, &"there is none; the container's log says why"))
    }

    /// Ends and removes it.
    pub(super) async fn end(self) {
        let options = StopContainerOptions { t: Some(END_MAX_S), ..<_>::default() };
        let _it_is_removed_anyway = self.engine.stop_container(&self.id, Some(options)).await;
        let _what_was_said_is_written = timeout(LAST_WORDS, self.saying).await;
        let force = RemoveContainerOptions { v: true, force: true, ..<_>::default() };
        let _removed_with_the_rest = self.engine.remove_container(&self.id, Some(force)).await;
    }
}

/// As little as it needs: no capability, nothing to write on but what it shares.
fn body(image: &str, spec: &Spec) -> ContainerCreateBody {
    let shared = spec
        .shared
        .iter()
        .map(|(host, inside, mode)| format!("{}:{}:{mode}", host.display(), inside.display()));
    let host = HostConfig {
        binds: Some(shared.collect()),
        cap_drop: Some(vec![String::from("ALL")]),
        network_mode: Some(spec.network.clone()),
        pid_mode: spec.beside.as_ref().map(|id| format!("container:{id}")),
        readonly_rootfs: Some(true),
        security_opt: Some(vec![String::from("no-new-privileges")]),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(image.to_owned()),
        // The image's own entry is one program of several.
        entrypoint: Some(Vec::new()),
        cmd: Some(spec.command.clone()),
        env: Some(spec.environment.clone()),
        user: Some(spec.user.clone()),
        labels: Some(label(image)),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// The label of everything that the run `name` makes.
pub(super) fn label(name: &str) -> HashMap<String, String> {
    HashMap::from([(String::from("planner.demo"), name.to_owned())])
}

/// Writes down what a container says, until it ends.
async fn write_down(engine: Docker, id: String, mut file: File) {
    let options = LogsOptions { follow: true, stdout: true, stderr: true, ..<_>::default() };
    let mut said = engine.logs(&id, Some(options));
    while let Some(Ok(piece)) = said.next().await {
        if file.write_all(&piece.into_bytes()).await.is_err() {
            return;
        }
    }
    let _what_could_be_written = file.flush().await;
}
