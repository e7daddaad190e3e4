//! The router: one task writes, validates, reloads and verifies; whoever routes waits for it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use planner_ports::{Router, RouterError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::render::{Generation, render};
use crate::upstream_file::UpstreamFile;
use crate::{NginxError, NginxSettings, Reload, process, status};

/// First wait before a membership that failed is tried again; doubles up to [`RETRY_WAIT_MAX`].
const RETRY_WAIT: Duration = Duration::from_millis(500);
/// Longest wait before it is tried again.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether old workers are gone.
const DRAIN_PAUSE: Duration = Duration::from_millis(50);

/// nginx's membership of one upstream.
///
/// A change counts as made when fresh connections find it. Changes that come faster than
/// [`NginxSettings::interval_min`] are made together, the newest wins; each caller waits until its
/// own or a newer one is in effect. What failed is tried again with growing waits until a newer
/// membership replaces it.
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
    /// nginx can start; nothing else happens before the first membership. Must be called within a
    /// tokio runtime with time and network enabled.
    ///
    /// # Errors
    ///
    /// [`NginxError`] for settings that cannot work, or a file that cannot be written.
    pub fn new(settings: NginxSettings) -> Result<Self, NginxError> {
        settings.check()?;
        let file = UpstreamFile::new(settings.file.clone());
        let first = match file.read() {
            Ok(None) => file.replace(render(&[], &settings).0.as_bytes()),
            other => other.map(drop),
        };
        first.map_err(|error| NginxError::Unwritable {
            file: settings.file.clone(),
            cause: error.to_string(),
        })?;
        let (orders, order) = watch::channel(Order::default());
        let (report, progress) = watch::channel(Progress::default());
        let old_workers = Arc::default();
        let reload = settings.reload.clone();
        let worker = Worker {
            file,
            settings,
            old_workers: Arc::clone(&old_workers),
            in_effect: None,
            report,
        };
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

    /// Idle means: every worker that was there before the last reload is gone, whatever backend it
    /// talked to. Never true for an nginx whose processes cannot be seen from here.
    async fn drained(&self, _backend: SocketAddr, deadline: Duration) -> Result<bool, RouterError> {
        let end = Instant::now() + deadline;
        let Reload::Signal { pid_file } = &self.reload else {
            sleep_until(end).await;
            return Ok(false);
        };
        loop {
            if let Some(present) = process::workers(pid_file) {
                let old = self.old_workers.lock().unwrap_or_else(PoisonError::into_inner);
                if old.is_disjoint(&present) {
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
    /// What fresh connections found last.
    in_effect: Option<Generation>,
    report: watch::Sender<Progress>,
}

impl Worker {
    async fn run(mut self, mut orders: watch::Receiver<Order>) {
        let mut next_reload = Instant::now();
        let mut retry: Option<Duration> = None;
        loop {
            let newer = match retry {
                None => orders.changed().await.is_ok(),
                Some(wait) => tokio::select! {
                    changed = orders.changed() => changed.is_ok(),
                    () = sleep(wait) => true,
                },
            };
            if !newer {
                return;
            }
            sleep_until(next_reload).await;
            let order = orders.borrow_and_update().clone();
            let reloads = self.report.borrow().reloads;
            match self.make(&order.backends).await {
                Ok(()) => {
                    retry = None;
                    self.report.send_modify(|progress| progress.made = order.number);
                }
                Err(error) => {
                    let wait = retry.map_or(RETRY_WAIT, |wait| (wait * 2).min(RETRY_WAIT_MAX));
                    retry = Some(wait);
                    self.report.send_modify(|it| it.failed = Some((order.number, error)));
                }
            }
            if self.report.borrow().reloads > reloads {
                next_reload = Instant::now() + self.settings.interval_min;
            }
        }
    }

    /// Makes a membership effective, or leaves the one before in effect.
    async fn make(&mut self, backends: &[SocketAddr]) -> Result<(), RouterError> {
        let unavailable = |cause: String| RouterError::Unavailable { cause };
        let (text, generation) = render(backends, &self.settings);
        let written = |error: std::io::Error| {
            unavailable(format!("{}: {error}", self.settings.file.display()))
        };
        let before = self.file.read().map_err(written)?;
        let stands = before.as_deref() == Some(text.as_bytes());
        if stands && self.in_effect == Some(generation) {
            return Ok(());
        }
        if !stands {
            self.file.replace(text.as_bytes()).map_err(written)?;
        }
        let deadline = self.settings.deadline;
        if let Err(mut cause) = process::run(&self.settings.validate, deadline).await {
            if let Err(error) = self.file.restore(before.as_deref()) {
                cause = format!("{cause}; and the file before could not be put back: {error}");
            }
            return Err(RouterError::Refused { cause });
        }
        self.reload().await.map_err(unavailable)?;
        status::verify(self.settings.status, generation, deadline).await.map_err(unavailable)?;
        self.in_effect = Some(generation);
        Ok(())
    }

    async fn reload(&mut self) -> Result<(), String> {
        // Whatever happens from here on, nginx may serve something else.
        self.in_effect = None;
        match &self.settings.reload {
            Reload::Command(command) => process::run(command, self.settings.deadline).await?,
            Reload::Signal { pid_file } => {
                let before = process::workers(pid_file).unwrap_or_default();
                let mut old = self.old_workers.lock().unwrap_or_else(PoisonError::into_inner);
                old.retain(|worker| before.contains(worker));
                old.extend(before);
                process::hang_up(pid_file)?;
            }
        }
        self.report.send_modify(|progress| progress.reloads += 1);
        Ok(())
    }
}
