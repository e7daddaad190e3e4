//! The router: one task writes, validates, reloads and verifies; whoever routes waits for it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use planner_ports::{Router, RouterError, refuse_strange};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::render::render;
use crate::upstream_file::UpstreamFile;
use crate::{NginxError, NginxSettings, Reload, process, status};

/// First wait before a reload that failed is tried again; doubles up to [`RETRY_WAIT_MAX`].
const RETRY_WAIT: Duration = Duration::from_millis(250);
/// Longest wait before it is tried again.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether old workers are gone.
const DRAIN_PAUSE: Duration = Duration::from_millis(50);
/// Longest time that anybody waits for a drain.
const DRAIN_MAX: Duration = Duration::from_secs(86_400);
/// How long it is looked whether a membership is served already, before nginx is reloaded for it.
const LOOK: Duration = Duration::from_millis(500);

/// nginx's membership of one upstream.
///
/// A change counts as made when fresh connections find it. Changes that come faster than
/// [`NginxSettings::interval_min`] are made together, the newest wins; each caller waits until its
/// own or a newer one is in effect. What nginx refuses is refused at once; a reload that fails is
/// tried again with growing waits for [`NginxSettings::patience`]. After an error the last good
/// file is in place again and nothing goes on behind the caller's back: route again.
#[derive(Debug)]
pub struct NginxRouter {
    orders: watch::Sender<Order>,
    progress: watch::Receiver<Progress>,
    /// Workers that were there before the last reload, and may still finish requests.
    old_workers: Arc<Mutex<BTreeSet<i32>>>,
    reload: Reload,
    task: JoinHandle<()>,
}

/// A membership with its number, 0 before there is one.
#[derive(Clone, Debug, Default)]
struct Order {
    number: u64,
    backends: Vec<SocketAddr>,
}

/// How far the task is.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// The newest order that is in effect.
    made: u64,
    /// The newest order that failed, and why.
    failed: Option<(u64, RouterError)>,
    /// How often nginx was reloaded.
    reloads: u64,
}

impl NginxRouter {
    /// A router. Where the include file is not there yet it is written without a backend, so that
    /// nginx can start; one that a crash left unproven is replaced by the last good one. Nothing
    /// else happens before the first membership. Must be called within a tokio runtime with time
    /// and network enabled.
    ///
    /// # Errors
    ///
    /// [`NginxError`] for settings that cannot work, or a file that cannot be written.
    pub fn new(settings: NginxSettings) -> Result<Self, NginxError> {
        settings.check()?;
        let file = UpstreamFile::open(settings.file.clone(), render(&[], &settings).0.as_bytes());
        let file = file.map_err(|error| NginxError::Unwritable {
            file: settings.file.clone(),
            cause: error.to_string(),
        })?;
        let (orders, order) = watch::channel(Order::default());
        let (report, progress) = watch::channel(Progress::default());
        let old_workers = Arc::default();
        let reload = settings.reload.clone();
        let old = Arc::clone(&old_workers);
        let worker = Worker { file, settings, old_workers: old, report };
        let task = tokio::spawn(worker.run(order));
        Ok(Self { orders, progress, old_workers, reload, task })
    }

    /// How often nginx was reloaded by this router.
    pub fn reloads(&self) -> u64 {
        self.progress.borrow().reloads
    }
}

impl Drop for NginxRouter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Router for NginxRouter {
    async fn route(&self, backends: &[SocketAddr]) -> Result<(), RouterError> {
        refuse_strange(backends)?;
        let mut progress = self.progress.clone();
        let mut number = 0;
        self.orders.send_modify(|order| {
            number = order.number + 1;
            *order = Order { number, backends: backends.to_vec() };
        });
        let settled = |progress: &Progress| {
            let failed = progress.failed.as_ref().is_some_and(|(failed, _)| *failed >= number);
            progress.made >= number || failed
        };
        match progress.wait_for(settled).await.map(|found| found.clone()) {
            Ok(Progress { made, .. }) if made >= number => Ok(()),
            Ok(Progress { failed: Some((_, error)), .. }) => Err(error),
            Ok(_) | Err(_) => Err(RouterError::Unavailable {
                cause: String::from("the task that talks to nginx has ended"),
            }),
        }
    }

    /// Idle means: every worker that was there before the last reload is gone, and none is
    /// finishing its requests, whatever backend it talks to. Never true before a first membership
    /// is in effect, nor for an nginx whose processes cannot be seen from here.
    async fn drained(&self, _backend: SocketAddr, deadline: Duration) -> Result<bool, RouterError> {
        let end = Instant::now() + deadline.min(DRAIN_MAX);
        let mut idle_looks = 0;
        loop {
            if let Reload::Signal { pid_file } = &self.reload
                && let Some(present) = process::workers(pid_file)
                && self.progress.borrow().made > 0
            {
                let old = self.old_workers.lock().unwrap_or_else(PoisonError::into_inner);
                let idle = !present.are_finishing && old.is_disjoint(&present.numbers);
                // A list of processes that is read while one ends may leave another out.
                idle_looks = if idle { idle_looks + 1 } else { 0 };
                if idle_looks >= 2 {
                    return Ok(true);
                }
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            sleep(DRAIN_PAUSE).await;
        }
    }
}

/// The task's own.
struct Worker {
    settings: NginxSettings,
    file: UpstreamFile,
    old_workers: Arc<Mutex<BTreeSet<i32>>>,
    report: watch::Sender<Progress>,
}

impl Worker {
    async fn run(mut self, mut orders: watch::Receiver<Order>) {
        let mut next_reload = Instant::now();
        while orders.changed().await.is_ok() {
            sleep_until(next_reload).await;
            let order = orders.borrow_and_update().clone();
            let reloads = self.report.borrow().reloads;
            let made = self.make_with_patience(&order.backends, &orders).await;
            if made.is_err() {
                self.file.restore();
            }
            self.report.send_modify(|progress| match made {
                Ok(()) => progress.made = order.number,
                Err(error) => progress.failed = Some((order.number, error)),
            });
            if self.report.borrow().reloads > reloads {
                next_reload = Instant::now() + self.settings.interval_min;
            }
        }
    }

    /// Tries for a while, unless nginx refuses the file or a newer order has come.
    async fn make_with_patience(
        &mut self,
        backends: &[SocketAddr],
        orders: &watch::Receiver<Order>,
    ) -> Result<(), RouterError> {
        let end = Instant::now() + self.settings.patience;
        let mut wait = RETRY_WAIT;
        loop {
            let error = match self.make(backends).await {
                Err(error @ RouterError::Unavailable { .. }) => error,
                settled => return settled,
            };
            let newer = orders.has_changed().unwrap_or(true);
            if newer || Instant::now() + wait > end {
                return Err(error);
            }
            sleep(wait).await;
            wait = (wait * 2).min(RETRY_WAIT_MAX);
        }
    }

    /// Makes a membership effective, once.
    async fn make(&mut self, backends: &[SocketAddr]) -> Result<(), RouterError> {
        let unavailable = |cause: String| RouterError::Unavailable { cause };
        let written = |error: std::io::Error| {
            unavailable(format!("{}: {error}", self.settings.file.display()))
        };
        let (text, generation) = render(backends, &self.settings);
        let (status, deadline) = (self.settings.status, self.settings.deadline);
        // It may be served already: nothing has changed, or a slow reload has come through.
        if self.file.is(text.as_bytes()) && status::verify(status, generation, LOOK).await.is_ok() {
            return self.file.prove().map_err(written);
        }
        self.file.replace(text.as_bytes()).map_err(written)?;
        process::run(&self.settings.validate, deadline)
            .await
            .map_err(|cause| RouterError::Refused { cause })?;
        self.reload().await.map_err(unavailable)?;
        status::verify(status, generation, deadline).await.map_err(unavailable)?;
        self.file.prove().map_err(|error| RouterError::Unavailable {
            cause: format!("the last good file: {error}"),
        })
    }

    async fn reload(&self) -> Result<(), String> {
        match &self.settings.reload {
            Reload::Command(command) => process::run(command, self.settings.deadline).await?,
            Reload::Signal { pid_file } => {
                let present = process::workers(pid_file);
                {
                    let mut old = self.old_workers.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(present) = present {
                        old.retain(|worker| present.numbers.contains(worker));
                        old.extend(present.numbers);
                    }
                }
                process::hang_up(pid_file)?;
            }
        }
        self.report.send_modify(|progress| progress.reloads += 1);
        Ok(())
    }
}
