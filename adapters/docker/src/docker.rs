//! The engine behind bollard: calls, labels, names.
//!
//! A connection is made for each call, so an engine that was restarted, or is not there yet, is
//! found again without a thought.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, NetworkConnectRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, EventsOptions, ListContainersOptions, RemoveContainerOptions,
    StopContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::engine::{BASE, Engine, EngineError, Observed, State};
use crate::{DockerError, DockerSettings, Readiness, Template};

/// Whose container it is.
const INSTALL: &str = "planner.install";
/// Which service it belongs to.
const SERVICE: &str = "planner.service";
/// A call that takes longer has failed; stopping may take its own time on top.
const CALL_MAX: Duration = Duration::from_secs(30);
/// One question about readiness takes at most this long.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// Pause before a stream of events that broke is asked for again.
const EVENTS_PAUSE: Duration = Duration::from_secs(1);
/// Events from this long before it is asked are told once more.
const EVENTS_OVERLAP: Duration = Duration::from_secs(2);
/// What can change the counts. Health checks alone make three events a probe.
const EVENTS: [&str; 7] = ["create", "start", "die", "stop", "destroy", "oom", "health_status"];

/// One service's containers on one engine.
pub(crate) struct Containers {
    settings: DockerSettings,
    template: Template,
    /// The container that replicas are copies of, where they are.
    base: Option<String>,
    events: tokio::sync::Mutex<Option<Events>>,
}

type Events = std::pin::Pin<Box<dyn futures_util::Stream<Item = bool> + Send>>;

/// A connection to the engine at `socket`, which gives up after `wait`.
pub(crate) fn connect(socket: &Path, wait: Duration) -> Result<Docker, EngineError> {
    let path = socket.to_string_lossy();
    Docker::connect_with_unix(&path, wait.as_secs().max(1), API_DEFAULT_VERSION).map_err(failed)
}

/// What the engine said, in its words.
pub(crate) fn failed(error: Error) -> EngineError {
    EngineError::Failed(match error {
        Error::DockerResponseServerError { status_code, message } => {
            format!("status {status_code}: {message}")
        }
        other => other.to_string(),
    })
}

/// The status of an answer that is no success.
fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Waits for a call, but not for ever.
pub(crate) async fn within<T>(
    wait: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<Result<T, Error>, EngineError> {
    let late = |_| EngineError::Failed(format!("no answer after {wait:?}"));
    timeout(wait, call).await.map_err(late)
}

impl Template {
    /// A copy of the container `name`, reached on `network`, or on its first one.
    ///
    /// # Errors
    ///
    /// [`DockerError::Copied`] when there is no such container, or the engine does not say.
    pub async fn of_container(
        socket: &Path,
        name: &str,
        network: Option<&str>,
    ) -> Result<Self, DockerError> {
        Ok(Self::of_named(socket, name, network).await?.0)
    }

    /// The copy, and the name of what it is copied from.
    pub(crate) async fn of_named(
        socket: &Path,
        name: &str,
        network: Option<&str>,
    ) -> Result<(Self, String), DockerError> {
        let told = |cause: String| DockerError::Copied { container: name.to_owned(), cause };
        let engine = connect(socket, CALL_MAX).map_err(|error| told(error.to_string()))?;
        let found = within(CALL_MAX, engine.inspect_container(name, None)).await;
        let found = found.and_then(|found| found.map_err(failed));
        let found = found.map_err(|error| told(error.to_string()))?;
        // Asked for by its id, it is listed by its name.
        let full_name = found.name.as_deref().unwrap_or(name).trim_start_matches('/').to_owned();
        let mut template = Self::copy(found);
        if let Some(network) = network {
            template.reach_on(network);
        }
        Ok((template, full_name))
    }
}

impl Containers {
    pub(crate) fn new(settings: DockerSettings, template: Template, base: Option<String>) -> Self {
        Self { settings, template, base, events: tokio::sync::Mutex::new(None) }
    }

    fn engine(&self) -> Result<Docker, EngineError> {
        connect(&self.settings.socket, CALL_MAX + self.settings.stop_deadline)
    }

    fn labels(&self) -> HashMap<String, String> {
        HashMap::from([
            (INSTALL.to_owned(), self.settings.install.to_string()),
            (SERVICE.to_owned(), self.settings.service.to_string()),
        ])
    }

    fn label_filter(&self) -> HashMap<String, Vec<String>> {
        let labels = self.labels();
        let wanted = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        HashMap::from([(String::from("label"), wanted)])
    }

    /// The slot of a container of ours; `None` for one whose name says that it is none.
    fn slot(&self, found: &ContainerSummary) -> Option<u32> {
        let prefix = format!("/{}-dup-", self.settings.service);
        let names = found.names.as_deref().unwrap_or_default();
        names.iter().find_map(|name| {
            let number = name.strip_prefix(&prefix)?;
            let canonical = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
            number.parse().ok().filter(|slot| canonical && *slot != BASE)
        })
    }

    fn observed(&self, slot: u32, found: ContainerSummary) -> Option<Observed> {
        let state = state(&found);
        let networks = found.network_settings.and_then(|settings| settings.networks);
        let address = networks.and_then(|mut networks| {
            let network = networks.remove(self.template.reached_on())?;
            network.ip_address?.parse::<IpAddr>().ok()
        });
        Some(Observed { id: found.id?, slot, state, address })
    }

    async fn list_filtered(
        &self,
        filters: HashMap<String, Vec<String>>,
    ) -> Result<Vec<ContainerSummary>, EngineError> {
        let engine = self.engine()?;
        let options = ListContainersOptions { all: true, filters: Some(filters), ..<_>::default() };
        within(CALL_MAX, engine.list_containers(Some(options))).await?.map_err(failed)
    }

    /// The stream of what happens to our containers; an item is whether it is still whole.
    fn listen(&self) -> Result<Events, EngineError> {
        let mut filters = self.label_filter();
        filters.insert(String::from("type"), vec![String::from("container")]);
        filters.insert(String::from("event"), EVENTS.map(String::from).into());
        // It is connected when it is read first: what happens until then is told again.
        let since = SystemTime::now().checked_sub(EVENTS_OVERLAP).unwrap_or(UNIX_EPOCH);
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        let options = EventsOptions { filters: Some(filters), since: Some(since), until: None };
        let engine = connect(&self.settings.socket, CALL_MAX)?;
        Ok(Box::pin(engine.events(Some(options)).map(|event| event.is_ok())))
    }
}

fn named(found: &ContainerSummary, name: &str) -> bool {
    found.names.as_deref().unwrap_or_default().iter().any(|other| other == name)
}

/// What a container is doing. A dead one keeps its last word on health, so that comes second.
fn state(found: &ContainerSummary) -> State {
    use ContainerSummaryStateEnum as Is;
    match found.state {
        Some(Is::CREATED) => State::Created,
        Some(Is::EXITED | Is::DEAD) => State::Ended,
        Some(Is::RUNNING) => {
            let status = found.status.as_deref().unwrap_or_default();
            let healthy = if status.ends_with("(healthy)") {
                Some(true)
            } else if status.ends_with("(unhealthy)") || status.ends_with("(health: starting)") {
                Some(false)
            } else {
                None
            };
            State::Running { healthy }
        }
        _ => State::Unsettled,
    }
}

#[async_trait]
impl Engine for Containers {
    async fn list(&self) -> Result<Vec<Observed>, EngineError> {
        let found = self.list_filtered(self.label_filter()).await?;
        let slotted = found.into_iter().filter_map(|found| Some((self.slot(&found)?, found)));
        let mut all: Vec<_> =
            slotted.filter_map(|(slot, found)| self.observed(slot, found)).collect();
        if let Some(base) = &self.base {
            let wanted = vec![format!("^/{base}$")];
            let found = self.list_filtered(HashMap::from([(String::from("name"), wanted)])).await?;
            // The engine takes the name for a pattern, in which a dot means anything.
            let name = format!("/{base}");
            let found = found.into_iter().find(|found| named(found, &name));
            if let Some(base) = found.and_then(|found| self.observed(BASE, found)) {
                // Whatever it is called: what we copy is not ours to stop.
                all.retain(|other| other.id != base.id);
                all.push(base);
            }
        }
        Ok(all)
    }

    async fn create(&self, slot: u32) -> Result<String, EngineError> {
        let engine = self.engine()?;
        let name = format!("{}-dup-{slot}", self.settings.service);
        let options = CreateContainerOptions { name: Some(name), ..<_>::default() };
        let body = self.template.body(self.labels());
        let made = within(CALL_MAX, engine.create_container(Some(options), body)).await?;
        let id = match made {
            Ok(made) => made.id,
            Err(error) if status(&error) == Some(409) => return Err(EngineError::NameTaken),
            Err(error) => return Err(failed(error)),
        };
        Ok(id)
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        let engine = self.engine()?;
        for network in self.template.further_networks() {
            let request = NetworkConnectRequest {
                container: id.to_owned(),
                endpoint_config: Some(EndpointSettings::default()),
            };
            let joined = within(CALL_MAX, engine.connect_network(network, request)).await?;
            // It may be on it already; what else is wrong shows when it starts or is asked.
            if let Err(error) = joined
                && status(&error) != Some(403)
            {
                return Err(failed(error));
            }
        }
        within(CALL_MAX, engine.start_container(id, None)).await?.map_err(failed)
    }

    async fn stop(&self, id: &str) -> Result<(), EngineError> {
        let engine = self.engine()?;
        // Rounded up: zero would be no time at all.
        let seconds = self.settings.stop_deadline.as_millis().div_ceil(1_000);
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        let options = StopContainerOptions { t: Some(seconds), ..<_>::default() };
        let wait = CALL_MAX + self.settings.stop_deadline;
        gone_is_fine(within(wait, engine.stop_container(id, Some(options))).await?)
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let engine = self.engine()?;
        let options = RemoveContainerOptions { v: true, ..<_>::default() };
        gone_is_fine(within(CALL_MAX, engine.remove_container(id, Some(options))).await?)
    }

    async fn changed(&self) {
        let mut events = self.events.lock().await;
        if events.is_none() {
            match self.listen() {
                // What happened before it listened may have been missed.
                Ok(stream) => *events = Some(stream),
                Err(_) => sleep(EVENTS_PAUSE).await,
            }
            return;
        }
        let Some(stream) = events.as_mut() else { return };
        if stream.next().await != Some(true) {
            *events = None;
            sleep(EVENTS_PAUSE).await;
        }
    }

    async fn probe(&self, address: SocketAddr) -> bool {
        match &self.settings.readiness {
            Readiness::Container => true,
            Readiness::Http { path } => {
                matches!(timeout(PROBE_MAX, is_ready(address, path)).await, Ok(Ok(true)))
            }
        }
    }
}

/// A container that is gone is stopped and removed.
fn gone_is_fine(done: Result<(), Error>) -> Result<(), EngineError> {
    match done {
        Err(error) if status(&error) == Some(404) => Ok(()),
        done => done.map_err(failed),
    }
}

/// Whether `GET path` is answered with 200, on a connection of its own.
async fn is_ready(address: SocketAddr, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let question = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await?;
    let mut line = [0; 12];
    stream.read_exact(&mut line).await?;
    Ok(line.starts_with(b"HTTP/1.") && line.ends_with(b" 200"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstallId;
    use planner_core::ServiceId;

    fn containers() -> Containers {
        let service = ServiceId::new("app").expect("an id");
        let install = InstallId::new("test-0001").expect("an id");
        let settings = DockerSettings::new(service, install, 8_080);
        Containers::new(settings, Template::new("app:1", "net"), None)
    }

    fn named(name: &str) -> ContainerSummary {
        ContainerSummary { names: Some(vec![format!("/{name}")]), ..ContainerSummary::default() }
    }

    #[test]
    fn only_a_name_that_we_would_give_is_a_slot_of_ours() {
        let ours = containers();
        assert_eq!(ours.slot(&named("app-dup-7")), Some(7));
        assert_eq!(ours.slot(&named("app-dup-1700000001")), Some(1_700_000_001));
        for name in
            ["app", "app-dup-", "app-dup-x", "app-dup-07", "app-dup-0", "app-dup-+1", "other-dup-1"]
        {
            assert_eq!(ours.slot(&named(name)), None, "{name}");
        }
        assert_eq!(ours.slot(&named("app-dup-99999999999")), None);
    }

    #[test]
    fn a_dead_container_is_dead_whatever_its_last_word_on_health_was() {
        use ContainerSummaryStateEnum as Is;
        let told = |state, status: &str| {
            super::state(&ContainerSummary {
                state: Some(state),
                status: Some(status.to_owned()),
                ..ContainerSummary::default()
            })
        };
        assert_eq!(told(Is::EXITED, "Exited (137) (healthy)"), State::Ended);
        let running = |healthy| State::Running { healthy };
        assert_eq!(told(Is::RUNNING, "Up 3 minutes (healthy)"), running(Some(true)));
        assert_eq!(told(Is::RUNNING, "Up 3 minutes (unhealthy)"), running(Some(false)));
        assert_eq!(told(Is::RUNNING, "Up 2 seconds (health: starting)"), running(Some(false)));
        assert_eq!(told(Is::RUNNING, "Up 3 minutes"), running(None));
        assert_eq!(told(Is::RESTARTING, "Restarting"), State::Unsettled);
    }
}
