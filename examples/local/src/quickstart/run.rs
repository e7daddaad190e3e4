//! One run, from the first process to the last.

use std::io::{IsTerminal as _, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use planner_core::journal::Header;
use planner_core::{Heuristic, NoSignal, Planner, Poc, Policy, QuarantinedBaseline, ServiceId};
use planner_local::TrafficSource;
use planner_ports::{Advisor, Executor, Timeline};
use planner_runtime::{Driver, JournalWriter, Ports};
use serde::Serialize;

use super::args::{Plan, WINDOW};
use super::error::QuickstartError;
use super::folder::Folder;
use super::load::{Interrupt, Load, create_log};
use super::outcome::{Ended, read_requests, report, summary};
use super::policy::PolicyName;
use super::recorder::{Recorder, View};
use super::service::{Service, probe, prober};
#[cfg(feature = "model")]
use crate::advisor::warning;
use crate::advisor::{Chosen, chosen};
#[cfg(feature = "model")]
use crate::program::complain;
use crate::report::{RunReport, render_html, write_atomically};
use crate::view::ViewState;

/// Bytes that one request takes in the log at most.
const REQUEST_LOG_BYTES: f64 = 160.0;
/// Bytes that one window takes in journal and report at most.
const WINDOW_BYTES: f64 = 6_000.0;
/// Windows that a run without an end is given room for.
const OPEN_END_WINDOWS: f64 = 3_600.0;

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

async fn run_policy<P>(plan: &Plan, policy: P) -> Result<(), QuickstartError>
where
    P: Policy<Signal = NoSignal>,
    P::State: Serialize,
{
    let advisor = advisor(plan)?;
    let interrupt = Interrupt::listen()?;
    let service = Service::start(plan).await?;
    let ended = run_service(plan, policy, advisor, &service, interrupt).await;
    service.stop().await;
    ended
}

/// Who is asked, if anybody.
fn advisor(plan: &Plan) -> Result<Option<Arc<dyn Advisor>>, QuickstartError> {
    Ok(match chosen(&plan.advisor)? {
        None => None,
        Some(Chosen::Record(advisor)) => Some(Arc::new(advisor)),
        #[cfg(feature = "model")]
        Some(Chosen::Model(advisor)) => {
            if let Some(warning) = warning(advisor.settings()) {
                complain(&format!("quickstart: {warning}"));
            }
            Some(Arc::new(*advisor))
        }
    })
}

/// Runs the planner on a service that is up, and writes down what came of it.
async fn run_service<P>(
    plan: &Plan,
    policy: P,
    advisor: Option<Arc<dyn Advisor>>,
    service: &Service,
    mut interrupt: Interrupt,
) -> Result<(), QuickstartError>
where
    P: Policy<Signal = NoSignal>,
    P::State: Serialize,
{
    let mut folder = Folder::make(plan.args.out.as_deref(), needed_bytes(plan))?;
    let (journal_path, log) = (folder.file("journal.jsonl"), folder.file("requests.jsonl"));
    let planner = Planner::new(plan.config.clone(), policy);
    let header: Header<P::State, QuarantinedBaseline> =
        Header::of(ServiceId::new("quickstart")?, &planner, false);
    let journal = JournalWriter::create(&journal_path, &header)?;
    let timeline = Timeline::begin();
    let executor: Arc<dyn Executor> = service.executor.clone();
    let telemetry =
        TrafficSource::new(service.balancer.clone(), executor.clone(), timeline, WINDOW)?;
    let probing = tokio::spawn(probe(prober(service, timeline)?));
    folder.keep();

    let address = service.balancer.local_addr();
    let followed = if plan.args.no_load { None } else { Some(create_log(&log)?) };
    let mut load = match followed {
        Some(_) => Some(Load::start(plan, address, &log)?),
        None => None,
    };
    let load_start = timeline.now();
    let state = view_state(plan, address);
    announce(plan, &folder.file(""), &state);
    let view = if plan.args.json { View::None } else { View::of_stdout() };
    let mut recorder = Recorder::new(Some(journal), plan.config.clone(), load_start, state, view);
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
    let ports = Ports { telemetry: Box::new(telemetry), executor, advisor };
    Driver::new(planner, timeline).run(ports, &mut recorder, stop).await;
    probing.abort();
    let ended = Ended {
        plan,
        rows: recorder.rows,
        replica_seconds: service.executor.replica_seconds(),
        final_replicas: service.executor.counts().await.map_or(0, |counts| counts.ready),
        duration_s: timeline.now().saturating_since(load_start).as_secs_f64(),
        interrupted,
        journal: &journal_path,
        requests_log: &log,
    };
    if let Some(load) = load {
        load.finish().await?;
    }
    if let Some(broken) = recorder.broken {
        return Err(broken.into());
    }
    finish(plan, &folder, ended)
}

/// What the view shows before the first window.
pub fn view_state(plan: &Plan, address: SocketAddr) -> ViewState {
    let load_s = (!plan.args.no_load).then(|| plan.scenario.duration_s());
    ViewState {
        title: format!("{} on http://{address}/", plan.policy),
        total_s: load_s.or_else(|| plan.duration.map(|duration| duration.as_secs_f64())),
        slo_ms: plan.args.slo_ms,
        is_coloured: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        ..ViewState::default()
    }
}

/// Scores the run and writes the reports.
///
/// # Errors
///
/// [`QuickstartError`] for what cannot be read or written.
pub fn finish(plan: &Plan, folder: &Folder, ended: Ended<'_>) -> Result<(), QuickstartError> {
    if plan.args.no_load {
        return write(plan, folder, &report(ended, None));
    }
    let records = read_requests(ended.requests_log)
        .map_err(|cause| QuickstartError::System { what: "reading the request log", cause })?;
    write(plan, folder, &report(ended, Some(&records)))
}

/// Says what is about to happen.
pub fn announce(plan: &Plan, folder: &Path, state: &ViewState) {
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
fn write(plan: &Plan, folder: &Folder, report: &RunReport) -> Result<(), QuickstartError> {
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

/// Completes when the load has ended, or the time is over.
async fn ended(load: &mut Option<Load>, duration: Option<Duration>) {
    match (load, duration) {
        (Some(load), _) => load.ended().await,
        (None, Some(duration)) => tokio::time::sleep(duration).await,
        (None, None) => std::future::pending().await,
    }
}

/// Bytes that the run will write, generously.
pub fn needed_bytes(plan: &Plan) -> u64 {
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
