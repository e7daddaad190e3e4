//! The books: which child processes there are, and how long all of them ran.
//!
//! What a replica is doing is the reconciler's knowledge, not kept here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    /// Process id and start, by replica.
    alive: BTreeMap<u64, (u32, Instant)>,
    /// Of all that have ended.
    ended: Duration,
    /// Why the latest start failed, until a later one succeeds.
    start_error: Option<String>,
}

impl Ledger {
    /// Enters a child process, until the entry is dropped.
    pub(crate) fn enter(self: &Arc<Self>, replica: u64, pid: u32) -> Entry {
        self.lock().alive.insert(replica, (pid, Instant::now()));
        Entry { ledger: Arc::clone(self), replica }
    }

    pub(crate) fn replica_seconds(&self) -> f64 {
        let books = self.lock();
        let running = books.alive.values().map(|(_, since)| since.elapsed());
        (books.ended + running.sum::<Duration>()).as_secs_f64()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.lock().alive.values().map(|(pid, _)| *pid).collect()
    }

    pub(crate) fn note_start_error(&self, error: Option<String>) {
        self.lock().start_error = error;
    }

    pub(crate) fn start_error(&self) -> Option<String> {
        self.lock().start_error.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child process that runs.
#[derive(Debug)]
pub(crate) struct Entry {
    ledger: Arc<Ledger>,
    replica: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut books = self.ledger.lock();
        if let Some((_, since)) = books.alive.remove(&self.replica) {
            books.ended += since.elapsed();
        }
    }
}
