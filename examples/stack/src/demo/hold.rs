//! Holds network and processes of a container for others that share them, and does nothing else.
//!
//! Whoever shares those of another container is lost when that one ends, and an engine does not
//! start it again: the other one is not up yet when it tries. So what belongs together shares those
//! of a container that has no reason to end. Within it this is process 1, to which whatever is left
//! of the others falls: it is reaped.

use std::path::PathBuf;

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

use super::error::DemoError;

/// Holds until it is asked to end.
pub(super) fn run() -> Result<(), DemoError> {
    let told = |cause| DemoError::File { path: PathBuf::from("signals"), cause };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    runtime.map_err(told)?.block_on(hold()).map_err(told)
}

async fn hold() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut child = signal(SignalKind::child())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = child.recv() => while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {},
        }
    }
}
