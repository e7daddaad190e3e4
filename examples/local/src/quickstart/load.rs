//! What ends a run: the load generator, a process of its own, or an interrupt.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::args::Plan;
use super::error::QuickstartError;

/// How long the load generator may take to write its log after it was told to stop.
const LOAD_STOP_DEADLINE: Duration = Duration::from_secs(5);

/// The load generator, as a process of its own.
pub struct Load {
    child: Child,
    /// Its standard input: the generator ends when this does. Held here because waiting for a
    /// child closes what it still has.
    _lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Load {
    /// Starts it, against `address`, with the plan's scenario and seed; it writes `log`.
    ///
    /// # Errors
    ///
    /// [`QuickstartError::System`] when there can be no process.
    pub fn start(plan: &Plan, address: SocketAddr, log: &Path) -> Result<Self, QuickstartError> {
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
                // It needs nothing of this environment, and a key there is not for it.
                .env_clear()
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
    pub async fn ended(&mut self) {
        let _status_is_asked_for_again = self.child.wait().await;
    }

    /// Ends the generator in order, and tells how it went.
    ///
    /// # Errors
    ///
    /// [`QuickstartError::Load`] when it failed, or does not end.
    pub async fn finish(mut self) -> Result<(), QuickstartError> {
        if let (Ok(None), Some(pid)) = (self.child.try_wait(), self.child.id())
            && let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        {
            let _it_may_have_ended = kill_process(pid, Signal::TERM);
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

/// The request log, made here so that it can be followed from its first line on.
///
/// # Errors
///
/// [`QuickstartError::System`] when it cannot be made.
pub fn create_log(path: &Path) -> Result<File, QuickstartError> {
    let made = File::options().create(true).append(true).read(true).open(path);
    made.map_err(|cause| QuickstartError::System { what: "making the request log", cause })
}

/// Ctrl-C, or a polite request to end.
pub struct Interrupt {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interrupt {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// [`QuickstartError::System`] when signals cannot be listened to.
    pub fn listen() -> Result<Self, QuickstartError> {
        let listen = |kind| {
            signal(kind)
                .map_err(|cause| QuickstartError::System { what: "listening to signals", cause })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Completes when one has come.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
