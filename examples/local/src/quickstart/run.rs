//! One run, from the first process to the last.

use std::fs::File;
use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use planner_core::journal::Header;
use planner_core::{
    Heuristic, NoSignal, Planner, Poc, Policy, QuarantinedBaseline, ServiceId, ServiceIdError,
    Timestamp,
};
use planner_local::{
    BalancerError, BalancerSettings, ExecutorSettings, LoadBalancer, ProcessExecutor,
    ReplicaTemplate, TemplateError, TrafficSource, TrafficSourceError,
};
use planner_ports::{Executor, ExecutorError, TelemetrySource};
use planner_probe::{ProbeError, ProbeSettings, Prober};
use planner_runtime::{Driver, JournalError, JournalWriter, Ports};
use serde::Serialize;
use thiserror::Error;
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::args::{Plan, WINDOW};
use super::folder::{Folder, FolderError};
use super::outcome::{Ended, read_requests, report, summary};
use super::policy::PolicyName;
use super::recorder::{Recorder, View};
use crate::report::{WriteError, render_html, write_atomically};
use crate::view::ViewState;

/// Probes per second; so few that they are no load.
const PROBES_PER_S: f64 = 1.0;
/// How long the first replicas may take to serve.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// How long replicas and balancer may take to finish at the end.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How long the load generator may take to write its log after it was told to stop.
const LOAD_STOP_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes that one request takes in the log at most.
const REQUEST_LOG_BYTES: f64 = 160.0;
/// Bytes that one window takes in journal and report at most.
const WINDOW_BYTES: f64 = 6_000.0;
/// Windows that a run without an end is given room for.
const OPEN_END_WINDOWS: f64 = 3_600.0;

/// Why a run failed.
#[derive(Debug, Error)]
pub enum QuickstartError {
    /// The load balancer could not be started.
    #[error("--{0}")]
    Balancer(#[from] BalancerError),
    /// No replica became ready.
    #[error(
        "replicas: none of {replicas} was ready after {waited:?}: {cause}; run `app` alone to see why"
    )]
    NoReplica {
        /// How many were asked for.
        replicas: u32,
        /// How long they had.
        waited: Duration,
        /// The last error.
        cause: String,
    },
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The load generator failed.
    #[error("load: the generator failed: {cause}; its log is {}", log.display())]
    Load {
        /// What it said.
        cause: String,
        /// Its log.
        log: PathBuf,
    },
    /// A report could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The operating system refused something basic.
    #[error("{what}: {cause}; try again with fewer programs running")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it said.
        cause: std::io::Error,
    },
    /// A part refused its settings: a bug of this program.
    #[error("settings: {0}; please report this")]
    Settings(String),
}

impl From<TemplateError> for QuickstartError {
    fn from(error: TemplateError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<TrafficSourceError> for QuickstartError {
    fn from(error: TrafficSourceError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<ServiceIdError> for QuickstartError {
    fn from(error: ServiceIdError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<ProbeError> for QuickstartError {
    fn from(error: ProbeError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<ExecutorError> for QuickstartError {
    fn from(error: ExecutorError) -> Self {
        Self::Settings(error.to_string())
    }
}

/// Runs the plan to its end, or to the first interrupt.
///
/// # Errors
///
/// [`QuickstartError`]; nothing half-written is left behind.
pub fn run(plan: &Plan) -> Result<(), QuickstartError> {
    crate::open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| QuickstartError::System { what: "starting threads", cause })?;
    let ended = runtime.block_on(async {
        match plan.policy {
            PolicyName::Heuristic => run_policy(plan, Heuristic).await,
            PolicyName::Poc => run_policy(plan, Poc).await,
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// The service: a balancer and the processes behind it.
struct Service {
    balancer: Arc<LoadBalancer>,
    executor: Arc<ProcessExecutor>,
}

impl Service {
    /// Starts the balancer and the fewest replicas, and waits until they serve.
    async fn start(plan: &Plan) -> Result<Self, QuickstartError> {
        let args = &plan.args;
        let mut settings = BalancerSettings::default();
        settings.max_in_flight_per_backend = Some(plan.in_flight_per_replica);
        let balancer = Arc::new(LoadBalancer::bind(args.listen, settings)?);
        let program = std::env::current_exe()
            .map_err(|cause| QuickstartError::System { what: "finding this program", cause })?;
        let template = ReplicaTemplate::new(program)
            .arg("app")
            .arg("--exit-with-parent")
            .arg("--port={port}")
            .arg(format!("--workers={}", args.app_workers))
            .arg(format!("--ms={}", args.app_ms));
        let mut settings = ExecutorSettings::default();
        settings.max_replicas =
            settings.max_replicas.max(std::num::NonZeroU32::MIN.saturating_add(args.max));
        let executor = ProcessExecutor::new(template, balancer.clone(), settings)?;
        let service = Self { balancer, executor: Arc::new(executor) };
        service.executor.scale_to(args.min).await?;
        let mut counts = service.executor.subscribe();
        let ready = counts.wait_for(|counts| counts.ready >= args.min);
        if tokio::time::timeout(START_DEADLINE, ready).await.is_err() {
            let cause = service.executor.last_start_error();
            service.stop().await;
            return Err(QuickstartError::NoReplica {
                replicas: args.min,
                waited: START_DEADLINE,
                cause: cause.unwrap_or_else(|| String::from("no answer to /health")),
            });
        }
        Ok(service)
    }

    /// Finishes what is under way and stops everything.
    async fn stop(&self) {
        self.balancer.shutdown(STOP_DEADLINE).await;
        self.executor.shutdown(STOP_DEADLINE).await;
    }
}

async fn run_policy<P>(plan: &Plan, policy: P) -> Result<(), QuickstartError>
where
    P: Policy<Signal = NoSignal>,
    P::State: Serialize,
{
    let interrupt = Interrupt::listen()?;
    let service = Service::start(plan).await?;
    let ended = run_service(plan, policy, &service, interrupt).await;
    service.stop().await;
    ended
}

async fn run_service<P>(
    plan: &Plan,
    policy: P,
    service: &Service,
    mut interrupt: Interrupt,
) -> Result<(), QuickstartError>
where
    P: Policy<Signal = NoSignal>,
    P::State: Serialize,
{
    let args = &plan.args;
    let mut folder = Folder::make(args.out.as_deref(), needed_bytes(plan))?;
    let (journal_path, log) = (folder.file("journal.jsonl"), folder.file("requests.jsonl"));
    let planner = Planner::new(plan.config.clone(), policy);
    let header: Header<P::State, QuarantinedBaseline> =
        Header::of(ServiceId::new("quickstart")?, &planner, false);
    let journal = JournalWriter::create(&journal_path, &header)?;
    let origin = Instant::now();
    let executor: Arc<dyn Executor> = service.executor.clone();
    let telemetry = TrafficSource::new(service.balancer.clone(), executor.clone(), origin, WINDOW)?;
    let probing = tokio::spawn(probe(prober(service, origin)?));
    folder.keep();

    let address = service.balancer.local_addr();
    let (mut load, followed) = if args.no_load {
        (None, None)
    } else {
        let followed = create_log(&log)?;
        (Some(Load::start(plan, address, &log)?), Some(followed))
    };
    let total_s = plan.duration.map(|duration| duration.as_secs_f64());
    let total_s = load.as_ref().map(|_| plan.scenario.duration_s()).or(total_s);
    let state = ViewState {
        title: format!("{} on http://{address}/", plan.policy),
        total_s,
        slo_ms: args.slo_ms,
        is_coloured: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        ..ViewState::default()
    };
    let load_start = Timestamp::from_origin(origin.elapsed());
    let config = plan.config.clone();
    announce(plan, &folder.file(""), &state);
    let view = if args.json { View::None } else { View::of_stdout() };
    let mut recorder = Recorder::new(journal, config, load_start, state, view);
    if let Some(log) = followed {
        recorder.follow(log);
    }
    let mut interrupted = false;
    let stop = async {
        tokio::select! {
            () = interrupt.wait() => interrupted = true,
            () = ended(&mut load, plan.duration) => {}
        }
    };
    let ports = Ports { telemetry: Box::new(telemetry), executor, advisor: None };
    Driver::new(planner, origin).run(ports, &mut recorder, stop).await;
    probing.abort();
    let duration_s = origin.elapsed().as_secs_f64() - load_start.as_secs_f64();
    let final_replicas = service.executor.counts().await.map_or(0, |counts| counts.ready);
    if let Some(load) = load {
        load.finish().await?;
    }
    if let Some(broken) = recorder.broken {
        return Err(broken.into());
    }
    let records = if args.no_load {
        None
    } else {
        let read = read_requests(&log);
        Some(read.map_err(|cause| QuickstartError::System { what: "reading the log", cause })?)
    };
    let ended = Ended {
        plan,
        rows: recorder.rows,
        replica_seconds: service.executor.replica_seconds(),
        final_replicas,
        duration_s,
        interrupted,
        journal: &journal_path,
        requests_log: &log,
    };
    let report = report(ended, records.as_deref());
    write(plan, &folder, &report)
}

/// Says what is about to happen.
fn announce(plan: &Plan, folder: &Path, state: &ViewState) {
    if plan.args.json {
        return;
    }
    let config = &plan.config;
    let load = if plan.args.no_load { String::from("none") } else { plan.scenario.to_string() };
    let text = format!(
        "{}\nload {load}, seed {}; {} workers x {} ms per replica; {} replicas\n\
         cooldown {:?} out, {:?} in; stabilisation {:?}; files in {}\n",
        state.title,
        plan.args.seed,
        plan.args.app_workers,
        plan.args.app_ms,
        config.bounds(),
        config.cooldown_out(),
        config.cooldown_in(),
        config.stabilisation_in(),
        folder.display(),
    );
    let _reader_is_gone = writeln!(std::io::stdout(), "{text}");
}

/// Writes `run.json` and `report.html`, and tells the figures.
fn write(
    plan: &Plan,
    folder: &Folder,
    report: &crate::report::RunReport,
) -> Result<(), QuickstartError> {
    let json = serde_json::to_string_pretty(report)
        .map_err(|error| QuickstartError::Settings(error.to_string()))?;
    write_atomically(&folder.file("run.json"), json.as_bytes())?;
    if !plan.args.no_report {
        write_atomically(&folder.file("report.html"), render_html(report).as_bytes())?;
    }
    let text = if plan.args.json {
        json
    } else {
        let shown = if plan.args.no_report { "run.json" } else { "report.html" };
        format!("{}\n{:<22}{}", summary(report), "report", folder.file(shown).display())
    };
    let _reader_is_gone = writeln!(std::io::stdout(), "{text}");
    Ok(())
}

/// The request log, made here so that it can be followed from its first line on.
fn create_log(path: &Path) -> Result<File, QuickstartError> {
    let made = File::options().create(true).append(true).read(true).open(path);
    made.map_err(|cause| QuickstartError::System { what: "making the request log", cause })
}

/// Completes when the load has ended, or the time is over.
async fn ended(load: &mut Option<Load>, duration: Option<Duration>) {
    match (load, duration) {
        (Some(load), _) => load.ended().await,
        (None, Some(duration)) => tokio::time::sleep(duration).await,
        (None, None) => std::future::pending().await,
    }
}

/// Bytes that the run will write, generously.
fn needed_bytes(plan: &Plan) -> u64 {
    let (requests, windows) = if plan.args.no_load {
        (0.0, OPEN_END_WINDOWS)
    } else {
        (plan.scenario.arrivals_expected() * 1.2 + 1_000.0, plan.scenario.duration_s())
    };
    let bytes = requests * REQUEST_LOG_BYTES + windows * WINDOW_BYTES;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1e9")]
    let bytes = bytes as u64;
    bytes
}

/// A prober through the balancer, as a user would come.
fn prober(service: &Service, origin: Instant) -> Result<Prober, QuickstartError> {
    let url = format!("http://{}/", service.balancer.local_addr());
    let mut settings = ProbeSettings::default();
    settings.per_second = PROBES_PER_S;
    settings.window = WINDOW;
    Ok(Prober::new(&url, settings, origin, Some(service.executor.clone()))?)
}

/// Keeps probing. What the probes find is part of the balancer's traffic.
async fn probe(mut prober: Prober) {
    loop {
        let _in_the_balancer_s_traffic = prober.next_window().await;
    }
}

/// Ctrl-C, or a polite request to end.
struct Interrupt {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interrupt {
    fn listen() -> Result<Self, QuickstartError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|cause| QuickstartError::System { what: "listening to signals", cause })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The load generator, as a process of its own.
struct Load {
    child: Child,
    /// Its standard input: the generator ends when this does. Held here because waiting for a
    /// child closes what it still has.
    _lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Load {
    fn start(
        plan: &Plan,
        address: std::net::SocketAddr,
        log: &Path,
    ) -> Result<Self, QuickstartError> {
        let start = || {
            Command::new(std::env::current_exe()?)
                .arg("loadgen")
                .arg("--exit-with-parent")
                .arg(format!("--target=http://{address}/"))
                .arg(format!("--scenario={}", plan.scenario))
                .arg(format!("--seed={}", plan.args.seed))
                .arg(format!("--slo-ms={}", plan.args.slo_ms))
                .arg("--json")
                .arg(format!("--log={}", log.display()))
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                // Ctrl-C reaches this process alone; it ends the load in its own time.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
        };
        let mut child = start()
            .map_err(|cause| QuickstartError::System { what: "starting the load", cause })?;
        let lifeline = child.stdin.take();
        Ok(Self { child, _lifeline: lifeline, log: log.to_owned() })
    }

    /// Completes when the generator has ended.
    async fn ended(&mut self) {
        let _status_is_asked_for_again = self.child.wait().await;
    }

    /// Ends the generator in order, and tells how it went.
    async fn finish(mut self) -> Result<(), QuickstartError> {
        if let (Ok(None), Some(pid)) = (self.child.try_wait(), self.child.id())
            && let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _it_may_have_ended =
                rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let failed = |cause: String, log| Err(QuickstartError::Load { cause, log });
        let output = tokio::time::timeout(LOAD_STOP_DEADLINE, self.child.wait_with_output()).await;
        match output {
            Err(_) => failed(String::from("it did not end"), self.log),
            Ok(Err(cause)) => failed(cause.to_string(), self.log),
            Ok(Ok(output)) if !output.status.success() => {
                failed(String::from_utf8_lossy(&output.stderr).trim().to_owned(), self.log)
            }
            Ok(Ok(_)) => Ok(()),
        }
    }
}
