//! Replicas as child processes of this one.
//!
//! For a planner that is embedded in a program, or runs on one host. It supervises only what it
//! started, gives no resource limits, and does not check the health of a replica that is in
//! traffic: it notices when one exits.

mod ledger;
mod reconciler;
mod replica;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use planner_ports::{Executor, ExecutorError, ReplicaCounts, Router};
use tokio::sync::watch;
use tokio::time::Instant;

use ledger::Ledger;
use reconciler::{Parts, Reconciler};

/// How a replica is started.
///
/// The contract of the program: it serves HTTP on 127.0.0.1 at the port that it is given, answers
/// `GET` of [`ReplicaTemplate::health_path`] with 200 once it can take traffic, ends on SIGTERM,
/// and **exits when its standard input closes**. The executor holds the other end: whatever ends
/// the executor's process, SIGKILL included, closes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaTemplate {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; `{port}` is replaced by the replica's port.
    pub args: Vec<OsString>,
    /// Its whole environment, besides `PATH`; `{port}` in a value is replaced.
    pub env: BTreeMap<OsString, OsString>,
    /// Path of the health check, `/health` by default.
    pub health_path: String,
}

impl ReplicaTemplate {
    /// A template without arguments; at least one argument or variable has to name the `{port}`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            health_path: "/health".to_owned(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    fn check(&self) -> Result<(), TemplateError> {
        if self.program.as_os_str().is_empty() {
            return Err(TemplateError::NoProgram);
        }
        if !self.names_the_port() {
            return Err(TemplateError::NoPort);
        }
        let is_path = self.health_path.starts_with('/')
            && self.health_path.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_path {
            let path = self.health_path.clone();
            return Err(TemplateError::HealthPath { path });
        }
        Ok(())
    }
}

/// How a [`ProcessExecutor`] behaves. Start from the default and change what differs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ExecutorSettings {
    /// How long a replica out of traffic may take to finish what it has. 15 s by default.
    pub drain_deadline: Duration,
    /// Whether replicas write to this process's standard output; off by default. Their standard
    /// error is always this process's.
    pub inherit_stdout: bool,
    /// The largest target that is accepted. 64 by default.
    pub max_replicas: NonZeroU32,
    /// How long a replica may take to become ready before it is replaced. 10 s by default.
    pub ready_deadline: Duration,
    /// Replicas that are started at the same time. 8 by default.
    pub start_concurrency: NonZeroU32,
    /// How long a replica may take to end after SIGTERM before it is killed. 5 s by default.
    pub stop_deadline: Duration,
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            drain_deadline: Duration::from_secs(15),
            inherit_stdout: false,
            max_replicas: NonZeroU32::MIN.saturating_add(63),
            ready_deadline: Duration::from_secs(10),
            start_concurrency: NonZeroU32::MIN.saturating_add(7),
            stop_deadline: Duration::from_secs(5),
        }
    }
}

/// Why there is no executor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The health check's path is none.
    #[error(
        "health_path: {path:?} is not a path of printable ASCII without spaces that starts \
         with '/'; write it like /health"
    )]
    HealthPath {
        /// What was given.
        path: String,
    },
    /// A replica could not learn its port.
    #[error(
        "template: no argument and no environment value contains {{port}}; pass the port where \
         the program expects it"
    )]
    NoPort,
    /// The program is empty.
    #[error("program: it is empty; name the program that a replica runs")]
    NoProgram,
    /// There is no tokio runtime to run in.
    #[error("no tokio runtime: the executor runs in one; create it within it")]
    NoRuntime,
}

/// What is wanted of the reconciler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Target {
    replicas: u32,
    /// When what is left is killed; present once it is closed.
    kill_at: Option<Instant>,
}

impl Target {
    const fn is_closing(&self) -> bool {
        self.kill_at.is_some()
    }
}

/// Keeps the wanted number of child processes running and routed.
///
/// A new one gets traffic once it is ready; a surplus one is taken out of the route, drained, and
/// stopped, newest first; one that dies is taken out at once and replaced, after a pause of 100 ms
/// to 5 s that doubles while starts keep failing. The router's set of backends is the executor's:
/// it replaces what was there.
///
/// Dropped, it kills its replicas; [`ProcessExecutor::shutdown`] stops them in order.
#[derive(Debug)]
pub struct ProcessExecutor {
    max_replicas: u32,
    target: watch::Sender<Target>,
    counts: watch::Receiver<ReplicaCounts>,
    ended: watch::Receiver<Option<bool>>,
    ledger: Arc<Ledger>,
}

impl ProcessExecutor {
    /// An executor without replicas, which runs in the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] when the template cannot make a replica, or there is no runtime.
    pub fn new(
        template: ReplicaTemplate,
        router: Arc<dyn Router>,
        settings: ExecutorSettings,
    ) -> Result<Self, TemplateError> {
        template.check()?;
        let runtime =
            tokio::runtime::Handle::try_current().map_err(|_| TemplateError::NoRuntime)?;
        let ledger = Arc::new(Ledger::default());
        let (target, wanted) = watch::channel(Target::default());
        let (count, counts) = watch::channel(ReplicaCounts::default());
        let (end, ended) = watch::channel(None);
        let reconciler = Reconciler::new(Parts {
            template: Arc::new(template),
            settings,
            router,
            ledger: Arc::clone(&ledger),
            target: wanted,
            counts: count,
        });
        runtime.spawn(async move { end.send(Some(reconciler.run().await)) });
        Ok(Self { max_replicas: settings.max_replicas.get(), target, counts, ended, ledger })
    }

    /// Why the latest start of a replica failed; `None` when none did, or a later one succeeded.
    pub fn last_start_error(&self) -> Option<String> {
        self.ledger.start_error()
    }

    /// Process ids of all replicas, oldest first, those that start and drain included.
    pub fn pids(&self) -> Vec<u32> {
        self.ledger.pids()
    }

    /// What the replicas have cost so far: seconds from start to exit, summed over all of them.
    pub fn replica_seconds(&self) -> f64 {
        self.ledger.replica_seconds()
    }

    /// The counts as they change, for live views.
    pub fn subscribe(&self) -> watch::Receiver<ReplicaCounts> {
        self.counts.clone()
    }

    /// Drains and stops all replicas; what is left after `deadline` is killed. No target is
    /// accepted from here on. Returns whether all were stopped in order; no process is left
    /// either way. A second call waits too.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let kill_at = Instant::now() + deadline;
        self.target.send_if_modified(|target| {
            let is_first = !target.is_closing();
            target.replicas = 0;
            target.kill_at.get_or_insert(kill_at);
            is_first
        });
        let mut ended = self.ended.clone();
        let in_order = ended.wait_for(Option::is_some).await;
        in_order.is_ok_and(|in_order| *in_order == Some(true))
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError> {
        if replicas > self.max_replicas {
            let max = self.max_replicas;
            let rule = format!("at most {max} here; ask for fewer or raise max_replicas");
            return Err(ExecutorError::Refused { replicas, rule });
        }
        let mut is_closing = false;
        self.target.send_if_modified(|target| {
            is_closing = target.is_closing();
            let is_new = !is_closing && target.replicas != replicas;
            if is_new {
                target.replicas = replicas;
            }
            is_new
        });
        if is_closing {
            return Err(ExecutorError::ShuttingDown);
        }
        if self.target.is_closed() {
            return Err(Self::gone());
        }
        Ok(())
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        let has_ended = self.ended.borrow().is_some();
        if self.counts.has_changed().is_err() && !has_ended {
            return Err(Self::gone());
        }
        Ok(*self.counts.borrow())
    }
}

impl ProcessExecutor {
    /// The runtime that the reconciler ran in has dropped it.
    fn gone() -> ExecutorError {
        ExecutorError::Unavailable {
            engine: "the process executor",
            cause: "its tokio runtime has ended".to_owned(),
        }
    }
}
