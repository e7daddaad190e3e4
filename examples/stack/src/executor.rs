//! Obeys the newest order, and nobody else's: the one program that holds the engine's socket.
//!
//! What it has accepted is on disk before it is carried out, so that no restart obeys an order
//! twice or an older one after it. Replicas are left running when it ends.

mod fleet;
mod ledger;
mod orders;

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Command;
use planner_docker::{
    DockerExecutor, DockerSettings, InstallId, Readiness, SwarmExecutor, Template,
};
use planner_examples_local::settings::Settings;
use planner_ports::Router;
use planner_redis::{Orders, OrdersSettings, RedisRouter, RedisRouterSettings};

use crate::parts;
use crate::pause::{HELP, Pause};
use crate::program::{Context, Failure};

use fleet::{Fleet, SwarmFleet};
use ledger::{Ledger, Lock};
use orders::Obeying;

/// How long a membership may take to be routed before it is told again.
const ROUTED_WITHIN: Duration = Duration::from_secs(20);

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let command = Command::new("executor")
        .about("Obeys the planner's orders on Docker or a Swarm: starts, drains and stops replicas")
        .after_help(format!(
            "Replicas are copies of TARGET_CONTAINER, which must carry the label \
             agentic.target=true and counts as one of them, or, with REPLICA_IMAGE and NETWORK, \
             containers of that image. Only what carries this installation's id (in STATE_DIR) is \
             ever touched. With ENGINE=swarm the tasks of SWARM_SERVICE are the replicas, each at \
             APP_PORT of its address on NETWORK. {HELP}"
        ));
    crate::program::run(command, arguments, run)
}

async fn run(context: Context) -> Result<(), Failure> {
    let settings = &context.settings;
    let bounds = settings.config()?.bounds();
    let bus = parts::sealed_bus(settings).await?;
    let folder = parts::state_dir(settings)?;
    let _lock = Lock::take(&folder.join("executor.lock"))?;
    let ledger = Ledger::open(folder.join("executor.json"))?;
    let mut routing = RedisRouterSettings::default();
    routing.deadline = ROUTED_WITHIN;
    let router = Arc::new(RedisRouter::new(&bus, &routing)?);
    router.set_epoch(ledger.fence().epoch_max);
    let install = InstallId::new(ledger.install())?;
    let fleet: Arc<dyn Fleet> = match settings.text("ENGINE") {
        Some("docker") => Arc::new(docker(settings, install, router.clone()).await?),
        Some("swarm") => Arc::new(swarm(settings, router.clone())?),
        _ => return Err(settings.not("ENGINE", "docker or swarm").into()),
    };
    let mut listening = OrdersSettings::default();
    listening.accept_old_actions = settings.flag("ACCEPT_OLD_ACTIONS")?;
    let orders = Orders::new(&bus, listening)?;
    let telling = tokio::spawn(tell_members(fleet.clone(), router.clone()));
    tracing::info!(service = %bus.service(), target = ledger.target(), "obeying");
    let pause = Pause::listen(settings, &bus).await?;
    let mut obeying = Obeying { bus, router, fleet, ledger, bounds, pause };
    tokio::select! {
        () = context.stopped() => {}
        () = obeying.obey(orders) => {}
    }
    telling.abort();
    Ok(())
}

/// Tells every change of the replicas.
async fn tell_members(fleet: Arc<dyn Fleet>, router: Arc<RedisRouter>) {
    let mut members = fleet.members();
    loop {
        let now = members.borrow_and_update().clone();
        if let Err(error) = router.tell(now).await {
            tracing::warn!(%error, "the replicas were not told");
        }
        if members.changed().await.is_err() {
            return;
        }
    }
}

/// The port that replicas serve on.
fn port(settings: &Settings) -> Result<u16, Failure> {
    u16::try_from(settings.count("APP_PORT")?)
        .map_err(|_| settings.not("APP_PORT", "a port from 1 to 65535").into())
}

/// The tasks of the settings' service.
fn swarm(settings: &Settings, router: Arc<dyn Router>) -> Result<SwarmFleet, Failure> {
    let service = settings.text("SWARM_SERVICE");
    let service = service.ok_or("SWARM_SERVICE: absent; name the service that is scaled")?;
    let network = settings.text("NETWORK");
    let network = network.ok_or("NETWORK: absent; name the overlay that tasks are reached on")?;
    let socket = settings.text("DOCKER_SOCKET").unwrap_or_default();
    let swarm = SwarmExecutor::new(socket, service, settings.count("MAX_REPLICAS")?)?;
    Ok(SwarmFleet::watch(swarm, network.to_owned(), port(settings)?, router))
}

/// The containers of the settings.
async fn docker(
    settings: &Settings,
    install: InstallId,
    router: Arc<dyn Router>,
) -> Result<DockerExecutor, Failure> {
    let mut docker = DockerSettings::new(parts::service(settings)?, install, port(settings)?);
    docker.socket = PathBuf::from(settings.text("DOCKER_SOCKET").unwrap_or_default());
    docker.readiness =
        Readiness::Http { path: settings.text("HEALTH_PATH").unwrap_or_default().to_owned() };
    docker.ready_deadline = settings.span("READY_SEC")?;
    docker.drain_deadline = settings.span("DRAIN_SEC")?;
    docker.stop_deadline = settings.span("STOP_SEC")?;
    let max = settings.count("MAX_REPLICAS")?;
    docker.max_replicas = NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN);
    let network = settings.text("NETWORK");
    let Some(image) = settings.text("REPLICA_IMAGE") else {
        let base = settings.text("TARGET_CONTAINER").unwrap_or_default();
        let template = Template::of_container(&docker.socket, base, network).await?;
        if !template.has_label("agentic.target", "true") {
            let rule =
                "a container with the label agentic.target=true, by which its owner permits it";
            return Err(settings.not("TARGET_CONTAINER", rule).into());
        }
        return Ok(DockerExecutor::copying(base, network, router, docker).await?);
    };
    let network =
        network.ok_or("NETWORK: absent; name the network that replicas are reached on")?;
    let mut template = Template::new(image, network).label("agentic.target", "true");
    if let Some(command) = settings.text("REPLICA_COMMAND") {
        template = template.command(command.split_whitespace());
    }
    Ok(DockerExecutor::new(template, router, docker)?)
}

/// A new random id, from the system.
fn new_install_id() -> Result<String, Failure> {
    let id = std::fs::read_to_string(Path::new("/proc/sys/kernel/random/uuid"))?;
    Ok(id.trim().to_owned())
}
