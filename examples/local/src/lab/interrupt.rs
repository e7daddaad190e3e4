//! Ctrl-C ends the lab between two files, never within one.
//!
//! What is being computed is dropped: nothing of it was written yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code after Ctrl-C and after a request to end: 128 and the number of the signal, as shells
/// have it.
const EXIT_INTERRUPT: i32 = 130;
const EXIT_TERMINATE: i32 = 143;

/// Held while files are written.
#[derive(Clone, Debug, Default)]
pub struct Writing {
    lock: Arc<Mutex<()>>,
}

impl Writing {
    /// From here on an interrupt waits until the guard is dropped.
    pub(super) fn begin(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the process on Ctrl-C and SIGTERM, once nothing is being written.
    ///
    /// # Errors
    ///
    /// When there is no thread to wait for them.
    pub fn guard_against_interrupts(&self) -> std::io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let writing = self.clone();
        let wait = move || {
            let code = runtime.block_on(async {
                let mut interrupt = signal(SignalKind::interrupt()).ok()?;
                let mut terminate = signal(SignalKind::terminate()).ok()?;
                tokio::select! {
                    _ = interrupt.recv() => Some(EXIT_INTERRUPT),
                    _ = terminate.recv() => Some(EXIT_TERMINATE),
                }
            });
            if let Some(code) = code {
                let _held_until_the_end = writing.begin();
                std::process::exit(code);
            }
        };
        thread::Builder::new().stack_size(256 * 1024).spawn(wait)?;
        Ok(())
    }
}
