//! The executor's outside: targets in, counts and members out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use planner_ports::{Executor, ExecutorError, Member, ReplicaCounts, Router};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::docker::Containers;
use crate::engine::Engine;
use crate::reconciler::{Parts, Reconciler};
use crate::{DockerError, DockerSettings, Template};

/// Counts are unknown when no list came for two of its intervals and this long.
const STALE: Duration = Duration::from_secs(60);

/// What is wanted of the reconciler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// How many replicas; until the first target everything is left as it is.
    pub(crate) replicas: Option<u32>,
    /// Whether none is to be left and no target is accepted any more.
    pub(crate) is_closing: bool,
}

/// What an error is about: it is over when that works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    End,
    List,
    Route,
    Start,
}

/// What the reconciler knows, beside the members.
#[derive(Debug, Default)]
pub(crate) struct Known {
    told: Mutex<Told>,
    /// How often it has looked: tests count it.
    rounds: AtomicU64,
}

#[derive(Debug, Default)]
struct Told {
    error: Option<(Source, String)>,
    /// When the engine listed its containers last.
    listed: Option<Instant>,
}

impl Known {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, source: Source, error: String) {
        self.told().error = Some((source, error));
    }

    pub(crate) fn clear(&self, source: Source) {
        self.told().error.take_if(|(of, _)| *of == source);
    }

    pub(crate) fn note_list(&self) {
        self.told().listed = Some(Instant::now());
        self.clear(Source::List);
    }

    pub(crate) fn count_round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    fn error(&self) -> Option<String> {
        self.told().error.as_ref().map(|(_, error)| error.clone())
    }

    fn age(&self) -> Option<Duration> {
        self.told().listed.map(|listed| listed.elapsed())
    }
}

/// Keeps the wanted number of containers running and routed on one engine.
///
/// It is driven by what the engine lists, not by what it remembers: whatever killed an executor
/// half-way, the next one finishes the work from the containers themselves. Slots have numbers, so
/// two executors that want the same make the same containers, and the engine gives a name once.
///
/// A container counts as ready when it is ready for traffic and routed. One that ends is taken out
/// of the route at once and replaced, after a pause of 1 s to 60 s that doubles until one has
/// stayed in traffic for 10 s. One that does not answer any more is taken out of the route until it
/// does, and replaced when it does not; not when many are so, which is the network or an overload.
/// A surplus one is taken out of the route, drained, stopped, removed: those that are not ready
/// first, then the highest numbers.
///
/// Dropped, it leaves its containers running; [`DockerExecutor::shutdown`] removes them in order.
#[derive(Debug)]
pub struct DockerExecutor {
    max_replicas: u32,
    target: watch::Sender<Target>,
    members: watch::Receiver<Vec<Member>>,
    known: Arc<Known>,
    stale: Duration,
    task: JoinHandle<()>,
}

impl DockerExecutor {
    /// An executor of containers made from `template`, which runs in the current tokio runtime. The
    /// engine need not be reachable yet.
    ///
    /// # Errors
    ///
    /// [`DockerError`] for settings or a template that cannot work, or without a runtime.
    pub fn new(
        template: Template,
        router: Arc<dyn Router>,
        settings: DockerSettings,
    ) -> Result<Self, DockerError> {
        Self::with_base(template, None, router, settings)
    }

    /// An executor of copies of the container `base`, which counts as a replica that is never
    /// stopped. `network` is the one that replicas are reached on, the base's first by default.
    ///
    /// # Errors
    ///
    /// [`DockerError`] as those of [`DockerExecutor::new`], and when the base cannot be read.
    pub async fn copying(
        base: &str,
        network: Option<&str>,
        router: Arc<dyn Router>,
        settings: DockerSettings,
    ) -> Result<Self, DockerError> {
        settings.check()?;
        let (template, base) = Template::of_named(&settings.socket, base, network).await?;
        Self::with_base(template, Some(base), router, settings)
    }

    fn with_base(
        template: Template,
        base: Option<String>,
        router: Arc<dyn Router>,
        settings: DockerSettings,
    ) -> Result<Self, DockerError> {
        settings.check()?;
        template.check()?;
        let engine = Arc::new(Containers::new(settings.clone(), template, base));
        Self::on(engine, router, settings)
    }

    /// An executor on any engine.
    pub(crate) fn on(
        engine: Arc<dyn Engine>,
        router: Arc<dyn Router>,
        settings: DockerSettings,
    ) -> Result<Self, DockerError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| DockerError::NoRuntime)?;
        let (target, wanted) = watch::channel(Target::default());
        let (tell, members) = watch::channel(Vec::new());
        let known = Arc::<Known>::default();
        let stale = 2 * settings.resync + STALE;
        let max_replicas = settings.max_replicas.get();
        let parts =
            Parts { engine, router, settings, target: wanted, members: tell, known: known.clone() };
        let task = runtime.spawn(Reconciler::new(parts).run());
        Ok(Self { max_replicas, target, members, known, stale, task })
    }

    /// What went wrong last with engine, router or a start; `None` when that works
    /// again.
    pub fn last_error(&self) -> Option<String> {
        self.known.error()
    }

    /// How often the reconciler has looked so far.
    #[cfg(test)]
    pub(crate) fn rounds(&self) -> u64 {
        self.known.rounds.load(Ordering::Relaxed)
    }

    /// The replicas as they change.
    pub fn members(&self) -> watch::Receiver<Vec<Member>> {
        self.members.clone()
    }

    /// Drains, stops and removes all containers of this service and installation. Returns whether
    /// none was left after `deadline`; until then no target is accepted.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        self.target.send_modify(|target| *target = Target { replicas: Some(0), is_closing: true });
        let mut members = self.members.clone();
        // The reconciler ends when nothing is left; then nobody tells members any more.
        let gone = async { while members.changed().await.is_ok() {} };
        tokio::time::timeout(deadline, gone).await.is_ok()
    }
}

impl Drop for DockerExecutor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError> {
        if replicas > self.max_replicas {
            let max = self.max_replicas;
            let rule = format!("at most {max} here; ask for fewer or raise max_replicas");
            return Err(ExecutorError::Refused { replicas, rule });
        }
        let mut is_closing = false;
        self.target.send_if_modified(|target| {
            is_closing = target.is_closing;
            let is_new = !is_closing && target.replicas != Some(replicas);
            if is_new {
                target.replicas = Some(replicas);
            }
            is_new
        });
        if is_closing {
            return Err(ExecutorError::ShuttingDown);
        }
        if self.target.is_closed() {
            return Err(ended());
        }
        Ok(())
    }

    /// Unknown until the engine has listed what is there, and when it has not for long.
    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        if self.members.has_changed().is_err() {
            if !self.target.borrow().is_closing {
                return Err(ended());
            }
        } else if self.known.age().is_none_or(|age| age > self.stale) {
            let unknown = || String::from("no list of containers was given yet");
            let cause = self.known.error().unwrap_or_else(unknown);
            return Err(ExecutorError::Unavailable { engine: "Docker", cause });
        }
        Ok(ReplicaCounts::of(&self.members.borrow()))
    }
}

/// The runtime that the reconciler ran in has dropped it.
fn ended() -> ExecutorError {
    let cause = String::from("its tokio runtime has ended");
    ExecutorError::Unavailable { engine: "the Docker executor", cause }
}
