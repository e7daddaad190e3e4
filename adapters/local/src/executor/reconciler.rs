//! The task that makes the wanted number of replicas true.
//!
//! It alone knows every replica's phase, so no lock guards them:
//!
//! ```text
//! Starting -- healthy --> Healthy -- routed --> Ready
//!     |                      |                    |
//!  surplus                surplus              surplus
//!     |                      +------> Leaving <---+
//!     v                                  |
//!   Ending <---------- out of the route -+
//! ```
//!
//! A replica whose task ends is forgotten, whatever its phase; the next round starts another if
//! one is missing. It starts and stops no process itself (`replica`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use planner_ports::{Backoff, ReplicaCounts, Router};
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::ledger::Ledger;
use super::replica::{Ending, Job, Order, ROUTER_PAUSE, address};
use super::{ExecutorSettings, ReplicaTemplate, Target};

/// A router that has not answered after this long has failed.
const ROUTE_DEADLINE: Duration = Duration::from_secs(10);
/// Pause after a start that failed or a replica that died; doubles up to [`START_PAUSE_MAX`].
const START_PAUSE: Duration = Duration::from_millis(100);
/// Longest such pause.
const START_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Times a free port is looked for before that counts as a failed start.
const PORT_ATTEMPTS: usize = 16;

/// What a replica is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Told to end.
    Ending,
    /// Ready for traffic, not known to be routed.
    Healthy,
    /// Surplus, not known to be out of the route.
    Leaving,
    /// In traffic.
    Ready,
    /// Not ready yet.
    Starting,
}

impl Phase {
    /// Whether it counts towards the target.
    fn is_kept(self) -> bool {
        matches!(self, Self::Starting | Self::Healthy | Self::Ready)
    }

    fn is_starting(self) -> bool {
        matches!(self, Self::Starting | Self::Healthy)
    }
}

struct Replica {
    port: u16,
    phase: Phase,
    orders: watch::Sender<Order>,
    task: task::Id,
}

/// What the reconciler is made of.
pub(crate) struct Parts {
    pub(crate) template: Arc<ReplicaTemplate>,
    pub(crate) settings: ExecutorSettings,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) target: watch::Receiver<Target>,
    pub(crate) counts: watch::Sender<ReplicaCounts>,
}

pub(crate) struct Reconciler {
    parts: Parts,
    /// By number, which rises: the last is the newest.
    replicas: BTreeMap<u64, Replica>,
    tasks: JoinSet<Ending>,
    healthy: (mpsc::Sender<u64>, mpsc::Receiver<u64>),
    last_replica: u64,
    /// What the router has; none when that is not known.
    routed: Option<BTreeSet<SocketAddr>>,
    route_again_at: Option<Instant>,
    backoff: Backoff,
    has_killed: bool,
}

impl Reconciler {
    pub(crate) fn new(parts: Parts) -> Self {
        let most = parts.settings.max_replicas.get() as usize;
        Self {
            parts,
            replicas: BTreeMap::new(),
            tasks: JoinSet::new(),
            healthy: mpsc::channel(most),
            last_replica: 0,
            routed: None,
            route_again_at: None,
            backoff: Backoff::new(START_PAUSE, START_PAUSE_MAX),
            has_killed: false,
        }
    }

    /// Reconciles until it is closed and no replica is left; returns whether all of them were
    /// stopped in order. When the executor is dropped, it ends at once and kills them.
    pub(crate) async fn run(mut self) -> bool {
        loop {
            let target = *self.parts.target.borrow_and_update();
            self.kill_if_due(target);
            self.retire_surplus(target.replicas);
            self.publish();
            self.route(target).await;
            self.start_missing(target);
            self.publish();
            if target.is_closing() && self.replicas.is_empty() {
                return !self.has_killed;
            }
            let wake = self.next_wake(target);
            tokio::select! {
                changed = self.parts.target.changed() => if changed.is_err() {
                    return false;
                },
                Some(replica) = self.healthy.1.recv() => self.on_healthy(replica),
                Some(ended) = self.tasks.join_next_with_id() => self.on_ended(ended),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    fn on_healthy(&mut self, replica: u64) {
        if let Some(replica) = self.replicas.get_mut(&replica)
            && replica.phase == Phase::Starting
        {
            replica.phase = Phase::Healthy;
        }
    }

    fn on_ended(&mut self, ended: Result<(task::Id, Ending), JoinError>) {
        let (task, ending) = match ended {
            Ok(ended) => ended,
            Err(broken) => (broken.id(), Ending::NeverReady(broken.to_string())),
        };
        let found = self.replicas.iter().find(|(_, replica)| replica.task == task);
        let Some(number) = found.map(|(number, _)| *number) else {
            return;
        };
        self.replicas.remove(&number);
        match ending {
            Ending::Stopped => {}
            Ending::Died => self.backoff.fail(Instant::now().into_std()),
            Ending::NeverReady(why) => self.note_failed_start(format!("replica {number}: {why}")),
        }
    }

    fn note_failed_start(&mut self, error: String) {
        self.parts.ledger.note_start_error(Some(error));
        self.backoff.fail(Instant::now().into_std());
    }

    fn kill_if_due(&mut self, target: Target) {
        let is_due = target.kill_at.is_some_and(|at| at <= Instant::now());
        if is_due && !self.has_killed && !self.replicas.is_empty() {
            self.has_killed = true;
            for replica in self.replicas.values_mut() {
                replica.phase = Phase::Ending;
                replica.orders.send_replace(Order::Kill);
            }
        }
    }

    /// Marks what is too much: first what is not in traffic yet, then the newest.
    fn retire_surplus(&mut self, wanted: u32) {
        let mut kept: Vec<(bool, u64)> = self
            .replicas
            .iter()
            .filter(|(_, replica)| replica.phase.is_kept())
            .map(|(number, replica)| (replica.phase.is_starting(), *number))
            .collect();
        kept.sort_unstable();
        for (_, number) in kept.into_iter().skip(wanted as usize) {
            let Some(replica) = self.replicas.get_mut(&number) else {
                continue;
            };
            if replica.phase == Phase::Starting {
                replica.phase = Phase::Ending;
                replica.orders.send_replace(Order::Stop);
            } else {
                replica.phase = Phase::Leaving;
            }
        }
    }

    /// Makes the router's set the healthy replicas that are kept; then, and not before, new ones
    /// are ready and leaving ones may end.
    async fn route(&mut self, target: Target) {
        let serving = self
            .replicas
            .values()
            .filter(|replica| matches!(replica.phase, Phase::Healthy | Phase::Ready));
        let wanted: BTreeSet<SocketAddr> = serving.map(|replica| address(replica.port)).collect();
        let now = Instant::now();
        if self.routed.as_ref() != Some(&wanted) {
            if self.route_again_at.is_some_and(|at| now < at) || self.has_killed {
                return;
            }
            self.route_again_at = None;
            let backends: Vec<SocketAddr> = wanted.iter().copied().collect();
            let latest = now + ROUTE_DEADLINE;
            let latest = target.kill_at.map_or(latest, |kill_at| kill_at.min(latest));
            let done = timeout_at(latest, self.parts.router.route(&backends)).await;
            if !matches!(done, Ok(Ok(()))) {
                if done.is_err() {
                    self.routed = None;
                }
                self.route_again_at = Some(Instant::now() + ROUTER_PAUSE);
                return;
            }
            self.routed = Some(wanted);
        }
        for replica in self.replicas.values_mut() {
            match replica.phase {
                Phase::Healthy => {
                    replica.phase = Phase::Ready;
                    self.backoff.reset();
                    self.parts.ledger.note_start_error(None);
                }
                Phase::Leaving => {
                    replica.phase = Phase::Ending;
                    replica.orders.send_replace(Order::Drain);
                }
                Phase::Ending | Phase::Ready | Phase::Starting => {}
            }
        }
    }

    /// Starts what is missing, as many at once as allowed; one at a time while starts fail.
    fn start_missing(&mut self, target: Target) {
        let count = |is: fn(Phase) -> bool| {
            self.replicas.values().filter(|replica| is(replica.phase)).count()
        };
        if target.is_closing() || self.backoff.until(Instant::now().into_std()).is_some() {
            return;
        }
        let settings = &self.parts.settings;
        let at_once =
            if self.backoff.is_failing() { 1 } else { settings.start_concurrency.get() as usize };
        // Those that drain are bounded too, however often the target changes.
        let processes_max = 2 * settings.max_replicas.get() as usize;
        let missing = (target.replicas as usize)
            .saturating_sub(count(Phase::is_kept))
            .min(at_once.saturating_sub(count(Phase::is_starting)))
            .min(processes_max.saturating_sub(self.replicas.len()));
        for _ in 0..missing {
            match self.free_port() {
                Ok(port) => self.start(port),
                Err(cause) => {
                    let error = format!("no free port on 127.0.0.1: {cause}; free some");
                    return self.note_failed_start(error);
                }
            }
        }
    }

    fn start(&mut self, port: u16) {
        self.last_replica += 1;
        let (orders, received) = watch::channel(Order::Serve);
        let job = Job {
            replica: self.last_replica,
            port,
            template: Arc::clone(&self.parts.template),
            settings: self.parts.settings,
            router: Arc::clone(&self.parts.router),
            ledger: Arc::clone(&self.parts.ledger),
            orders: received,
            healthy: self.healthy.0.clone(),
        };
        let replica = Replica {
            port,
            phase: Phase::Starting,
            orders,
            task: self.tasks.spawn(job.live()).id(),
        };
        self.replicas.insert(self.last_replica, replica);
    }

    /// A port that was free a moment ago and that no replica of ours was given.
    fn free_port(&self) -> std::io::Result<u16> {
        for _ in 0..PORT_ATTEMPTS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            if self.replicas.values().all(|replica| replica.port != port) {
                return Ok(port);
            }
        }
        Err(std::io::ErrorKind::AddrInUse.into())
    }

    fn publish(&self) {
        let mut now = ReplicaCounts::default();
        for replica in self.replicas.values() {
            let count = match replica.phase {
                Phase::Ready => &mut now.ready,
                Phase::Starting | Phase::Healthy => &mut now.starting,
                Phase::Leaving | Phase::Ending => &mut now.draining,
            };
            *count += 1;
        }
        self.parts.counts.send_if_modified(|counts| std::mem::replace(counts, now) != now);
    }

    /// When to look again although nothing has happened.
    fn next_wake(&self, target: Target) -> Option<Instant> {
        let kill_at = target.kill_at.filter(|_| !self.has_killed);
        let now = Instant::now();
        let backoff = self.backoff.until(now.into_std()).map(Instant::from_std);
        [kill_at, self.route_again_at, backoff].into_iter().flatten().min()
    }
}
