//! The load generator as a program: options in, a log and a summary out.
//!
//! Not for embedding: a program that watches the run as it happens calls [`super::run`].

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::{LoadError, LoadEvent, LogError, RequestLog, Settings, Summary, Target, run};
use crate::program::parent_gone;
use crate::scenario::Scenario;

/// Send a scenario's requests when they are due, answered or not, and say what they got.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "loadgen", version)]
pub struct Args {
    /// Where requests go
    #[arg(long, default_value = "http://127.0.0.1:8080/")]
    pub target: Target,

    /// Load over time, for example `30x20,60x10..150`: seconds x rate, or a ramp
    #[arg(long, default_value = "30x20,60x120,40x20")]
    pub scenario: Scenario,

    /// The same seed draws the same instants
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// How long one request may take, in seconds
    #[arg(long, default_value = "10", value_parser = parse_timeout)]
    pub timeout_s: f64,

    /// Reuse connections rather than open one per request
    #[arg(long)]
    pub keep_alive: bool,

    /// Write one JSON object per request to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,

    /// What takes longer is counted as slow, in milliseconds
    #[arg(long, default_value_t = 150.0)]
    pub slo_ms: f64,

    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,

    /// Stop when standard input ends: with the parent that holds its other end
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// Why the program could not do its work.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// The run itself.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The operating system gave no runtime or no signal handler.
    #[error("cannot start: {0}; try again with fewer programs running")]
    Start(#[from] std::io::Error),
}

/// Runs the program to its end, or to the first interrupt.
///
/// # Errors
///
/// When the log cannot be written, or the load not be sent.
pub fn run_program(args: &Args) -> Result<(), ProgramError> {
    crate::open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(load_and_log(args))?;
    let text = if args.json {
        serde_json::to_string_pretty(&summary).unwrap_or_else(|error| error.to_string())
    } else {
        summary.to_string()
    };
    let _reader_is_gone = writeln!(std::io::stdout(), "{text}");
    Ok(())
}

async fn load_and_log(args: &Args) -> Result<Summary, ProgramError> {
    let log = args.log.as_deref().map(RequestLog::create).transpose()?;
    let arrivals_s = args.scenario.arrivals_s(args.seed);
    let timeout = Duration::from_secs_f64(args.timeout_s);
    let settings = Settings { timeout, keep_alive: args.keep_alive };
    let (events_in, events_out) = mpsc::unbounded_channel();
    let (cancel, cancelled) = watch::channel(false);
    cancel_on_signal(cancel.clone(), parent_gone(args.exit_with_parent)?)?;
    let logging = async {
        let written = write_log(log, events_out).await;
        if written.is_err() {
            cancel.send_replace(true);
        }
        written
    };
    let (records, written) =
        tokio::join!(run(&args.target, &arrivals_s, settings, events_in, cancelled), logging);
    written?;
    Ok(Summary::of(&records?, args.slo_ms))
}

fn cancel_on_signal(
    cancel: watch::Sender<bool>,
    parent_gone: impl Future<Output = ()> + Send + 'static,
) -> Result<(), std::io::Error> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = parent_gone => {}
        }
        cancel.send_replace(true);
    });
    Ok(())
}

/// Writes what ends until nothing more can end; flushes each second and at the end.
async fn write_log(
    log: Option<RequestLog>,
    mut events: mpsc::UnboundedReceiver<LoadEvent>,
) -> Result<(), LogError> {
    let Some(mut log) = log else { return Ok(()) };
    let mut flush = interval(Duration::from_secs(1));
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None => return log.flush(),
                Some(LoadEvent::Sent { .. }) => {}
                Some(LoadEvent::Ended(record)) => log.write(&record)?,
            },
            _ = flush.tick() => log.flush()?,
        }
    }
}

fn parse_timeout(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.001..=3_600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a timeout is 0.001 to 3600 seconds; for example 10".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn the_log_on_a_full_disk_stops_the_run_with_one_clear_error() {
        let target = "--target=http://127.0.0.1:9/";
        let args = ["loadgen", target, "--scenario=60x50", "--log=/dev/full"];
        let args = Args::try_parse_from(args).expect("valid options");
        let started = std::time::Instant::now();
        let error = run_program(&args).expect_err("the device is full");
        assert!(error.to_string().starts_with("cannot write the request log /dev/full: No space"));
        assert!(started.elapsed() < Duration::from_secs(5), "the run went on without its log");
    }

    #[test]
    fn a_timeout_of_nothing_or_nonsense_is_refused() {
        for text in ["0", "-1", "nan", "inf", "soon"] {
            let args = ["loadgen".to_owned(), format!("--timeout-s={text}")];
            let error = Args::try_parse_from(args).expect_err(text).to_string();
            assert!(
                error.contains("a timeout is 0.001 to 3600 seconds; for example 10"),
                "{error}"
            );
        }
    }
}
