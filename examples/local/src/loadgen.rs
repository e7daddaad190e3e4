//! An open-loop load generator: every request is sent when it is due, answered or not.
//!
//! Latency counts from the instant at which a request was *due*, so that a service that stalls
//! cannot hide the requests which would have arrived meanwhile (no coordinated omission). How
//! late the generator itself was is part of every record.
//!
//! Not for finding the highest rate that a service can bear, and not for HTTP/2 or TLS.

mod client;
mod log;
mod program;
mod record;
mod target;

use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

pub use log::{LogError, RequestLog};
pub use program::{Args, ProgramError, run_program};
pub use record::{Cause, Outcome, RequestRecord, Summary};
pub use target::{Target, TargetError};

use client::{Client, Due};

/// How long requests under way may still take once the run is cancelled.
pub const CANCEL_GRACE: Duration = Duration::from_secs(1);
/// How long one request may take from when it was sent, unless set otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How long one request may take in total, from when it was sent.
    pub timeout: Duration,
    /// Reuse connections rather than open one per request.
    pub keep_alive: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timeout: TIMEOUT_DEFAULT, keep_alive: false }
    }
}

/// What happens during a run, as it happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LoadEvent {
    /// A request was handed to the network.
    Sent {
        /// When it was due, in seconds from the start.
        at_s: f64,
        /// How much later than due it was sent.
        sent_late_ms: f64,
    },
    /// A request ended, one way or another.
    Ended(RequestRecord),
}

/// Why a run could not be made or finished.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The planned instants are unusable.
    #[error(
        "arrival {index} is due at {at_s} s: instants are finite, not negative and ascending; \
         take them from Scenario::arrivals_s"
    )]
    Arrivals {
        /// Index of the first unusable instant, from 0.
        index: usize,
        /// The instant as given.
        at_s: f64,
    },
    /// This process may not open more sockets, so nothing further would measure the service.
    #[error(
        "the load generator itself ran out of sockets with {under_way} requests under way \
         ({reason}): raise `ulimit -n`, lower the rate, or lower the timeout"
    )]
    OutOfSockets {
        /// Requests under way at that moment.
        under_way: usize,
        /// What the operating system said.
        reason: String,
    },
}

/// Sends one request at each of `arrivals_s` (seconds from now, ascending) to `target`.
///
/// Returns one record per request sent, in the order in which they were due. `events` gets the
/// same as it happens; nobody has to listen. Once `cancel` turns true nothing more is sent, and
/// what is under way after [`CANCEL_GRACE`] is recorded as cancelled, not as failed.
///
/// # Errors
///
/// [`LoadError::Arrivals`] for unusable instants, before anything is sent;
/// [`LoadError::OutOfSockets`] when this process, not the service, is the bottleneck.
pub async fn run(
    target: &Target,
    arrivals_s: &[f64],
    settings: Settings,
    events: mpsc::UnboundedSender<LoadEvent>,
    cancel: watch::Receiver<bool>,
) -> Result<Vec<RequestRecord>, LoadError> {
    check(arrivals_s)?;
    let (give_up, given_up) = watch::channel(false);
    let mut run = Run {
        client: Client::new(target.clone(), settings, events),
        start: Instant::now(),
        under_way: JoinSet::new(),
        records: Vec::with_capacity(arrivals_s.len()),
        given_up,
    };
    let cancelled = turned_true(cancel);
    tokio::pin!(cancelled);
    let completed = tokio::select! {
        biased;
        () = &mut cancelled => None,
        result = run.send_all(arrivals_s) => Some(result),
    };
    let all_sent = completed.is_some();
    completed.transpose()?;
    if all_sent {
        tokio::select! {
            biased;
            () = &mut cancelled => {}
            result = run.collect_all() => result?,
        }
    }
    if !run.under_way.is_empty() {
        if let Ok(result) = timeout(CANCEL_GRACE, run.collect_all()).await {
            result?;
        }
        give_up.send_replace(true);
        run.collect_all().await?;
    }
    run.records.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    Ok(run.records)
}

/// A run in progress. Its futures may be dropped at any await point without losing a request.
struct Run {
    client: Client,
    start: Instant,
    under_way: JoinSet<Result<RequestRecord, LoadError>>,
    records: Vec<RequestRecord>,
    given_up: watch::Receiver<bool>,
}

impl Run {
    async fn send_all(&mut self, arrivals_s: &[f64]) -> Result<(), LoadError> {
        for &at_s in arrivals_s {
            let due = Due { at_s, at: self.start + Duration::from_secs_f64(at_s) };
            self.collect_until(due.at).await?;
            let client = self.client.clone();
            let given_up = self.given_up.clone();
            let under_way = self.under_way.len();
            self.under_way.spawn(async move { client.request(due, under_way, given_up).await });
        }
        Ok(())
    }

    async fn collect_until(&mut self, deadline: Instant) -> Result<(), LoadError> {
        loop {
            tokio::select! {
                biased;
                () = sleep_until(deadline) => return Ok(()),
                Some(ended) = self.under_way.join_next() => {
                    self.records.push(unwrap_panic(ended)?);
                }
            }
        }
    }

    async fn collect_all(&mut self) -> Result<(), LoadError> {
        while let Some(ended) = self.under_way.join_next().await {
            self.records.push(unwrap_panic(ended)?);
        }
        Ok(())
    }
}

/// A task that panicked is a bug here, and goes on panicking; no task is ever aborted.
fn unwrap_panic<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn check(arrivals_s: &[f64]) -> Result<(), LoadError> {
    let mut earliest_s = 0.0;
    for (index, &at_s) in arrivals_s.iter().enumerate() {
        // A century: beyond it a duration could overflow the clock.
        if !(earliest_s..3.2e9).contains(&at_s) {
            return Err(LoadError::Arrivals { index, at_s });
        }
        earliest_s = at_s;
    }
    Ok(())
}

/// Resolves when the switch turns true, and never when it was dropped before that.
async fn turned_true(mut switch: watch::Receiver<bool>) {
    if switch.wait_for(|is_on| *is_on).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
