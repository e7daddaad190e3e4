//! The task that makes the wanted number of containers true.
//!
//! What the engine lists is the truth, whatever is remembered. A round is: list, take over what is
//! there, mark what is too much, make the route true, start what is missing. Every call to engine
//! and router runs in a task of its own and reports, so a slow one holds up nothing else.
//!
//! ```text
//! Making --> Starting -- probed --> Healthy -- routed --> Ready
//!               |  ^                   |                    |
//!        surplus|  +------- ill -------+--------------------+
//!        or late|                      |                    |
//!               |                   surplus              surplus
//!               v                      v                    v
//!            Ending <-- out of the route -- Leaving <-------+
//!       (drain, stop, remove)
//! ```

mod act;
mod observe;
mod replica;
mod report;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use planner_ports::{Backoff, Member, Router};
use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::DockerSettings;
use crate::engine::{BASE, Engine};
use crate::executor::{Known, Target};
use replica::{Done, Phase, Replica, Work};

/// Pause after a start that failed or a replica that died; doubles up to [`START_PAUSE_MAX`].
const START_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const START_PAUSE_MAX: Duration = Duration::from_secs(60);
/// A replica that was in traffic for this long came up: the next failure counts as the first.
const STABLE: Duration = Duration::from_secs(10);
/// Pause before engine or router are asked again after they failed.
const RETRY: Duration = Duration::from_millis(500);
/// Lists begin at least this far apart, however much happens.
const LIST_GAP: Duration = Duration::from_millis(50);
/// An engine tells of an end a moment before it lists it: after an event it is listed for a while.
const ECHO: Duration = Duration::from_millis(500);
/// Time between two of these lists.
const ECHO_GAP: Duration = Duration::from_millis(100);
/// A router that has not answered after this long has failed.
const ROUTE_MAX: Duration = Duration::from_secs(30);
/// Time between two probes of a replica that is not ready.
const PROBE_STARTING: Duration = Duration::from_millis(100);
/// Time between two probes of one that is.
const PROBE_READY: Duration = Duration::from_secs(2);
/// Probes in a row that fail before a ready replica counts as ill.
const ILL_AFTER: u32 = 3;
/// What is found at the start has this long to answer before anything is decided on it.
const SETTLE: Duration = Duration::from_secs(3);
/// Rounds are at least this far apart when only time has passed.
const ROUND_GAP: Duration = Duration::from_millis(5);

/// What the reconciler is made of.
pub(crate) struct Parts {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) settings: DockerSettings,
    pub(crate) target: watch::Receiver<Target>,
    pub(crate) members: watch::Sender<Vec<Member>>,
    pub(crate) known: Arc<Known>,
}

pub(crate) struct Reconciler {
    parts: Parts,
    /// By slot.
    replicas: BTreeMap<u32, Replica>,
    tasks: JoinSet<Done>,
    works: HashMap<Id, Work>,
    /// Counts what is begun and what is reported: tells what a list can know of.
    step: u64,
    /// What the router has, verified; none when that is not known.
    routed: Option<BTreeSet<SocketAddr>>,
    /// What it was asked for since: it may have that, too.
    asked: BTreeSet<SocketAddr>,
    is_routing: bool,
    route_at: Instant,
    is_listing: bool,
    list_at: Instant,
    list_begun: Instant,
    /// Until when lists follow each other closely.
    echo_until: Instant,
    /// The step at which the latest list that was believed began.
    listed: u64,
    /// Nothing is made until a list tells that began after this step.
    unsure_since: u64,
    backoff: Backoff,
    failed_at: Option<Instant>,
    /// Slots whose name somebody else has, and until when that is believed.
    taken: BTreeMap<u32, Instant>,
    /// Ids of removed containers, which a list that began before may still name.
    buried: BTreeMap<String, u64>,
    /// Since when lists lack most of what was there.
    vanished: Option<Instant>,
    /// When the first list was taken over.
    begun: Option<Instant>,
    is_settled: bool,
}

impl Reconciler {
    pub(crate) fn new(parts: Parts) -> Self {
        let now = Instant::now();
        Self {
            parts,
            replicas: BTreeMap::new(),
            tasks: JoinSet::new(),
            works: HashMap::new(),
            step: 0,
            routed: None,
            asked: BTreeSet::new(),
            is_routing: false,
            route_at: now,
            is_listing: false,
            list_at: now,
            list_begun: now,
            echo_until: now,
            listed: 0,
            unsure_since: 0,
            backoff: Backoff::new(START_PAUSE, START_PAUSE_MAX),
            failed_at: None,
            taken: BTreeMap::new(),
            buried: BTreeMap::new(),
            vanished: None,
            begun: None,
            is_settled: false,
        }
    }

    /// Reconciles until it is closed and nothing is left.
    pub(crate) async fn run(mut self) {
        let events = Arc::new(Notify::new());
        // Waits for itself: a wait that is cut short by every other report would miss some.
        let mut listener = JoinSet::new();
        listener.spawn(listen(Arc::clone(&self.parts.engine), Arc::clone(&events)));
        loop {
            let target = *self.parts.target.borrow_and_update();
            self.round(target);
            if target.is_closing && self.has_ended() {
                return;
            }
            let wake = self.next_wake(target);
            tokio::select! {
                changed = self.parts.target.changed() => if changed.is_err() {
                    return;
                },
                Some(done) = self.tasks.join_next_with_id() => self.take_joined(done),
                () = events.notified() => self.take_event(),
                () = sleep_until(wake) => {}
            }
        }
    }

    fn round(&mut self, target: Target) {
        self.parts.known.count_round();
        self.list();
        self.settle();
        if self.is_settled {
            self.retire(target.replicas);
            self.route();
            if target.replicas.is_some() {
                self.give_up_late();
                self.mend();
            }
            self.start_missing(target.replicas);
        }
        self.probe();
        self.publish();
    }

    /// Whether nothing of ours is left, nor on its way.
    fn has_ended(&self) -> bool {
        self.is_settled
            && self.listed >= self.unsure_since
            && self.replicas.keys().all(|slot| *slot == BASE)
            && self.works.values().all(|work| matches!(work, Work::Probe(_)))
    }

    /// Decides when what was there at the start had its time to answer.
    fn settle(&mut self) {
        let answered =
            |replica: &Replica| replica.phase != Phase::Starting || replica.address.is_none();
        self.is_settled |= self
            .begun
            .is_some_and(|begun| begun.elapsed() >= SETTLE || self.replicas.values().all(answered));
    }

    /// The next step.
    fn step(&mut self) -> u64 {
        self.step += 1;
        self.step
    }

    fn spawn(&mut self, work: Work, task: impl Future<Output = Done> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.works.insert(id, work);
    }

    /// Whether it counts towards the target. One that was there before us is never replaced, so
    /// while it is down for long, others do its work.
    fn is_counted(&self, slot: u32, replica: &Replica) -> bool {
        let is_late = replica.since.elapsed() >= self.parts.settings.ready_deadline;
        let is_down = slot == BASE && !replica.phase.is_serving() && is_late;
        replica.phase.is_kept() && !is_down
    }

    /// Whether requests may reach it. Of what somebody else routed nothing is known at first.
    fn may_be_routed(&self, replica: &Replica) -> bool {
        replica.address.is_some_and(|address| {
            let routed = self.routed.as_ref();
            self.asked.contains(&address)
                || routed.map_or(replica.is_adopted, |routed| routed.contains(&address))
        })
    }

    fn publish(&self) {
        let name = |slot: u32| match slot {
            BASE => self.parts.settings.service.to_string(),
            slot => format!("{}-dup-{slot}", self.parts.settings.service),
        };
        let now: Vec<Member> = self
            .replicas
            .iter()
            .map(|(slot, replica)| Member {
                slot: name(*slot),
                address: replica.address,
                state: replica.phase.state(),
            })
            .collect();
        self.parts.members.send_if_modified(|members| {
            let is_new = *members != now;
            *members = now;
            is_new
        });
    }

    /// When to look again although nothing has happened.
    fn next_wake(&self, target: Target) -> Instant {
        let now = Instant::now();
        let acts = self.is_settled && target.replicas.is_some();
        let mut wake = now + self.parts.settings.resync.max(RETRY);
        if !self.is_listing {
            wake = wake.min(self.list_at);
        }
        for (slot, replica) in self.replicas.iter().filter(|(_, replica)| !replica.is_busy) {
            let is_asked = replica.phase.is_asked() && replica.address.is_some();
            if (is_asked && !replica.is_probed) || (acts && replica.phase == Phase::Ending) {
                wake = wake.min(replica.probe_at);
            }
            let late_at = replica.since + self.parts.settings.ready_deadline;
            let is_late = now >= late_at;
            if replica.phase == Phase::Starting && !is_late && (acts || *slot == BASE) {
                wake = wake.min(late_at);
            }
        }
        if let Some(until) = self.backoff.until(now.into_std()) {
            wake = wake.min(Instant::from_std(until));
        }
        if let Some(begun) = self.begun.filter(|_| !self.is_settled) {
            wake = wake.min(begun + SETTLE);
        }
        if self.route_at > now {
            wake = wake.min(self.route_at);
        }
        wake.max(now + ROUND_GAP)
    }
}

/// Tells of every change, and of the last one even when nobody waits at that moment.
async fn listen(engine: Arc<dyn Engine>, events: Arc<Notify>) {
    loop {
        engine.changed().await;
        events.notify_one();
    }
}
