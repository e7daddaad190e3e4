//! Decides, and gives orders while it holds the lease.
//!
//! A planner without the lease learns from the same windows and suggests: when it takes over its
//! baseline is warm. Its memory is on disk, and a restart goes on from it.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Command;
use planner_core::journal::{Header, Record};
use planner_core::{
    Decision, Heuristic, Mode, Operation, Planner, Policy, QuarantinedBaseline, ServiceId, Step,
    Timestamp,
};
use planner_ports::{Executor as _, ReplicaCounts, Timeline};
use planner_redis::{Lease, LeaseHold, RedisExecutor, RedisExecutorSettings, RedisTelemetry};
use planner_runtime::{
    Driver, Fault, Flow, JournalError, JournalFolder, Observer, Ports, SnapshotFile, StoredSnapshot,
};
use tokio::sync::{mpsc, watch};

use crate::pause::{HELP, LOOK, Pause};
use crate::program::{Context, Failure};
use crate::{advisor, parts};

/// How often the memory is written when nothing binds.
const SAVE: Duration = Duration::from_secs(10);
/// Decisions that wait to be told; more than that are told to nobody.
const TOLD_MAX: usize = 64;

type Stored = StoredSnapshot<<Heuristic as Policy>::State, QuarantinedBaseline>;

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let command = Command::new("planner")
        .about("Decides how many replicas a service should run, and gives orders on Redis")
        .after_help(format!(
            "Reads windows from `alerts`. Of several planners the one that holds the lease gives \
             orders, the others suggest. STATE_DIR keeps memory and journals: `why` and `replay` \
             read the latter. `doctor` examines the same settings. {HELP}"
        ));
    crate::program::run(command, arguments, run)
}

async fn run(context: Context) -> Result<(), Failure> {
    let settings = &context.settings;
    let config = settings.config()?;
    let bus = parts::sealed_bus(settings).await?;
    let folder = parts::state_dir(settings)?;
    let file = SnapshotFile::new(folder.join("planner.snapshot"), bus.service().clone());
    let stored: Option<Stored> = file.load()?;
    let timeline = stored.as_ref().map_or_else(Timeline::begin, StoredSnapshot::timeline);
    let is_resumed = stored.is_some();
    let planner = match stored {
        Some(stored) => Planner::restore(config, Heuristic, stored.snapshot)?,
        None => Planner::new(config, Heuristic),
    };
    let header = Header::of(bus.service().clone(), &planner, is_resumed);
    let bytes_max = u64::from(settings.count("JOURNAL_MIB")?) << 20;
    let journal = JournalFolder::open(&folder, bytes_max, &header)?;
    let lease = Lease::hold(&bus, &holder(), settings.span("LEASE_SEC")?)?;
    let mut orders = RedisExecutorSettings::default();
    orders.order_ttl = settings.span("ORDER_TTL_SEC")?;
    let executor = Arc::new(RedisExecutor::new(&bus, lease.clone(), orders)?);
    let (operate, operations) = watch::channel(planner.operation());
    let pause = Pause::listen(settings, &bus).await?;
    tokio::spawn(command(operate, lease.clone(), pause));
    let (told, telling) = mpsc::channel(TOLD_MAX);
    tokio::spawn(tell(Arc::clone(&executor), telling));
    let advisor = advisor::advisor(settings)?;
    let telemetry = Box::new(RedisTelemetry::new(&bus, timeline));
    let ports = Ports { telemetry, executor, advisor };
    let service = bus.service().clone();
    let suspended = planner.track_record().suspended_until;
    let mut scribe = Scribe { journal, service, told, broken: None, suspended };
    tracing::info!(service = %bus.service(), is_resumed, "deciding");
    Driver::new(planner, timeline)
        .saving_to(file, SAVE)
        .operated_by(operations)
        .run(ports, &mut scribe, context.stopped())
        .await;
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "the lease ends by itself");
    }
    scribe.broken.map_or(Ok(()), |error| Err(error.into()))
}

/// Who this is, told from every other planner.
fn holder() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("planner-{}-{}", std::process::id(), since.as_nanos())
}

/// Says what is allowed: nothing while somebody pauses, acting while the lease is held.
async fn command(operate: watch::Sender<Operation>, lease: LeaseHold, pause: Pause) {
    let mut told = None;
    loop {
        let mode = match (pause.is_on(), lease.epoch()) {
            (true, _) => Mode::Pause,
            (false, Some(_)) => Mode::Act,
            (false, None) => Mode::Shadow,
        };
        operate.send_if_modified(|operation| std::mem::replace(&mut operation.mode, mode) != mode);
        // The first one is told too, though it may be what the planner was restored with.
        if told.replace(mode) != Some(mode) {
            tracing::info!(?mode, epoch = lease.epoch(), paused = pause.by(), "operating");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Tells listeners of decisions that order nothing; orders tell of themselves.
async fn tell(executor: Arc<RedisExecutor>, mut telling: mpsc::Receiver<Decision>) {
    while let Some(decision) = telling.recv().await {
        let window = &decision.derivation.window;
        if let Some(ready) = window.ready() {
            let starting = window.starting().unwrap_or(0);
            executor.note_counts(ReplicaCounts { ready, starting, draining: 0 });
        }
        // Counting asks who leads now: an executor may know of a newer epoch.
        let _only_to_listen = executor.counts().await;
        if let Err(error) = executor.publish_hold(&decision).await {
            tracing::warn!(%error, "a decision was told to nobody");
        }
    }
}

/// Writes the journal.
struct Scribe {
    journal: JournalFolder,
    service: ServiceId,
    told: mpsc::Sender<Decision>,
    broken: Option<JournalError>,
    /// Until when the advisor is suspended, as told last.
    suspended: Option<Timestamp>,
}

impl Observer for Scribe {
    fn on_record(&mut self, record: &Record, planner: &Planner) -> Flow {
        let header = || Header::of(self.service.clone(), planner, true);
        if let Err(error) = self.journal.record(record, header) {
            self.broken = Some(error);
            return Flow::Break;
        }
        let suspended = planner.track_record().suspended_until;
        let before = std::mem::replace(&mut self.suspended, suspended);
        if suspended > before && suspended > Some(record.at) {
            let until = suspended.map(|until| until.to_string());
            tracing::warn!(until, "the advisor missed most of the last overloads; it is not asked");
        }
        if let Step::Decide(decision) = &record.step {
            if decision.target().is_some() {
                tracing::info!("{decision}");
            }
            let _nobody_waits_for_it = self.told.try_send(decision.clone());
        }
        Flow::Continue
    }

    fn on_fault(&mut self, fault: &Fault) {
        tracing::warn!(%fault, "fault");
    }
}
