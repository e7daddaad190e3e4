//! How every program of this package begins and ends.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use planner_examples_local::program::{complain, finish, matches_from, parent_gone, say};
use planner_examples_local::settings::{Settings, flags};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Why a program ended early: an error of a part, in its words.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What a program starts with.
#[derive(Debug)]
pub struct Context {
    /// Its settings.
    pub settings: Settings,
    /// Its command line, for what is no setting.
    pub matches: ArgMatches,
    stop: watch::Receiver<bool>,
}

impl Context {
    /// Completes when the program is asked to end.
    pub async fn stopped(&self) {
        let mut stop = self.stop.clone();
        let _whoever_tells_is_gone = stop.wait_for(|stop| *stop).await;
    }
}

/// The flags that every program has, beside the settings.
fn with_common_flags(command: Command) -> Command {
    command
        .version(env!("CARGO_PKG_VERSION"))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("A TOML file of settings")
                .value_parser(clap::value_parser!(PathBuf)),
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print every setting with where it comes from, secrets hidden, and end"),
        )
        .arg(
            Arg::new("json-logs")
                .long("json-logs")
                .action(ArgAction::SetTrue)
                .help("Log one JSON object a line instead of text"),
        )
        .arg(
            Arg::new("exit-with-parent")
                .long("exit-with-parent")
                .action(ArgAction::SetTrue)
                .help("Exit when standard input ends: with the parent that holds its other end"),
        )
        .args(flags())
}

/// Runs a program: reads its settings, tells what is wrong in one line, ends on SIGTERM and SIGINT.
pub fn run<F>(command: Command, arguments: Vec<OsString>, main: F) -> ExitCode
where
    F: AsyncFnOnce(Context) -> Result<(), Failure>,
{
    let name = command.get_name().to_owned();
    let matches = match matches_from(with_common_flags(command), arguments) {
        Ok(matches) => matches,
        Err(code) => return code,
    };
    let file = matches.get_one::<PathBuf>("config").map(PathBuf::as_path);
    let settings = match Settings::load(file, |name| std::env::var(name).ok(), &matches) {
        Ok(settings) => settings,
        Err(error) => return finish::<_, ()>(&name, Err(error)),
    };
    if matches.get_flag("print-config") {
        say(settings.to_toml().trim_end());
        return ExitCode::SUCCESS;
    }
    log_to_standard_error(matches.get_flag("json-logs"));
    let ended = start(settings, matches, main);
    finish(&name, ended)
}

fn start<F>(settings: Settings, matches: ArgMatches, main: F) -> Result<(), Failure>
where
    F: AsyncFnOnce(Context) -> Result<(), Failure>,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(async {
        let (tell, stop) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let parent_gone = parent_gone(matches.get_flag("exit-with-parent"))?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = parent_gone => {}
            }
            tell.send_replace(true);
            // Kept, so that whoever asks later is told too.
            std::future::pending::<()>().await;
        });
        main(Context { settings, matches, stop }).await
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}

/// A subscriber that is there already stays: programs may run within another.
fn log_to_standard_error(as_json: bool) {
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    let set = if as_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(false).try_init()
    };
    if let Err(error) = set {
        complain(&format!("log: {error}"));
    }
}
