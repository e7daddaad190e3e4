//! The task that makes the wanted number of containers true.
//!
//! What the engine lists is the truth, whatever is remembered. A round is: list, take over what is
//! there, mark what is too much, make the route true, start what is missing. Every call to engine
//! and router runs in a task of its own and reports, so a slow one holds up nothing else.
//!
//! ```text
//! Making --> Starting -- probed --> Healthy -- routed --> Ready
//!               |                      |                    |
//!            surplus                surplus        surplus, or ill
//!               |                      +------> Leaving <---+
//!               v                                  |
//!            Ending  <---------- out of the route -+    (drain, stop, remove)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use planner_ports::{Backoff, Member, ReplicaState, Router, RouterError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::DockerSettings;
use crate::engine::{BASE, Engine, EngineError, Observed, State};
use crate::executor::{LastError, Target};

/// Pause after a start that failed or a replica that died; doubles up to [`START_PAUSE_MAX`].
const START_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const START_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause before engine or router are asked again after they failed.
const RETRY: Duration = Duration::from_millis(500);
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

/// What a container is doing, as far as this reconciler is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is being drained, stopped and removed.
    Ending,
    /// Ready for traffic, not known to be routed.
    Healthy,
    /// Surplus or ill, not known to be out of the route.
    Leaving,
    /// It is being made.
    Making,
    /// In traffic.
    Ready,
    /// Not ready for traffic yet.
    Starting,
}

impl Phase {
    /// Whether it counts towards the target.
    const fn is_kept(self) -> bool {
        matches!(self, Self::Making | Self::Starting | Self::Healthy | Self::Ready)
    }

    const fn is_serving(self) -> bool {
        matches!(self, Self::Healthy | Self::Ready)
    }

    const fn state(self) -> ReplicaState {
        match self {
            Self::Ready => ReplicaState::Ready,
            Self::Making | Self::Starting | Self::Healthy => ReplicaState::Starting,
            Self::Leaving | Self::Ending => ReplicaState::Draining,
        }
    }
}

#[derive(Debug)]
struct Replica {
    /// Absent while it is being made.
    id: Option<String>,
    address: Option<SocketAddr>,
    phase: Phase,
    since: Instant,
    /// Whether a task of ours is making, starting or ending it.
    is_busy: bool,
    is_probed: bool,
    probe_at: Instant,
    /// Probes that failed in a row.
    failures: u32,
    /// What its own health check says, if it has one.
    says_healthy: Option<bool>,
}

/// What a task reports.
enum Done {
    Ended(u32, Result<(), EngineError>),
    Made(u32, Result<String, EngineError>),
    Probed(u32, Option<String>, bool),
    Routed(BTreeSet<SocketAddr>, Result<(), RouterError>),
    Started(u32, Result<(), EngineError>),
}

/// What the reconciler is made of.
pub(crate) struct Parts {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) settings: DockerSettings,
    pub(crate) target: watch::Receiver<Target>,
    pub(crate) members: watch::Sender<Vec<Member>>,
    pub(crate) error: Arc<LastError>,
}

pub(crate) struct Reconciler {
    parts: Parts,
    /// By slot.
    replicas: BTreeMap<u32, Replica>,
    tasks: JoinSet<Done>,
    /// What the router has; none when that is not known.
    routed: Option<BTreeSet<SocketAddr>>,
    is_routing: bool,
    route_at: Instant,
    list_at: Instant,
    backoff: Backoff,
    /// Slots whose name somebody else has, and until when that is believed.
    taken: BTreeMap<u32, Instant>,
    /// A list from which most was gone is believed when it comes twice.
    has_vanished: bool,
    /// When the first list was taken over.
    begun: Option<Instant>,
}

impl Reconciler {
    pub(crate) fn new(parts: Parts) -> Self {
        let now = Instant::now();
        Self {
            parts,
            replicas: BTreeMap::new(),
            tasks: JoinSet::new(),
            routed: None,
            is_routing: false,
            route_at: now,
            list_at: now,
            backoff: Backoff::new(START_PAUSE, START_PAUSE_MAX),
            taken: BTreeMap::new(),
            has_vanished: false,
            begun: None,
        }
    }

    /// Reconciles until it is closed and nothing is left.
    pub(crate) async fn run(mut self) {
        loop {
            if Instant::now() >= self.list_at {
                self.list().await;
            }
            let target = *self.parts.target.borrow_and_update();
            if self.has_settled() {
                self.retire(target.replicas);
                self.route();
                self.end_leaving();
                self.start_missing(target.replicas);
            }
            self.probe();
            self.publish();
            let nothing_left = self.replicas.keys().all(|slot| *slot == BASE);
            if target.is_closing && self.has_settled() && nothing_left && self.tasks.is_empty() {
                return;
            }
            let wake = self.next_wake();
            tokio::select! {
                changed = self.parts.target.changed() => if changed.is_err() {
                    return;
                },
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => self.take(done),
                    // A task that panicked is one that failed; what is true is listed again.
                    Err(error) => self.fail(&error),
                },
                () = self.parts.engine.changed() => self.list_at = Instant::now(),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Whether what was there at the start had its time to answer.
    fn has_settled(&self) -> bool {
        let answered =
            |replica: &Replica| replica.phase != Phase::Starting || replica.address.is_none();
        self.begun
            .is_some_and(|begun| begun.elapsed() >= SETTLE || self.replicas.values().all(answered))
            || self.routed.is_some()
    }

    fn fail(&mut self, error: &dyn std::fmt::Display) {
        self.parts.error.set(Some(error.to_string()));
        for replica in self.replicas.values_mut() {
            replica.is_probed = false;
        }
        self.list_at = Instant::now() + RETRY;
    }

    async fn list(&mut self) {
        self.list_at = Instant::now() + self.parts.settings.resync;
        match self.parts.engine.list().await {
            Ok(found) => self.take_over(found),
            Err(error) => {
                let what = format!("listing containers: {error}");
                self.fail(&what);
            }
        }
    }

    /// Makes what is remembered what was found.
    fn take_over(&mut self, found: Vec<Observed>) {
        let known = |replica: &Replica| replica.id.is_some() && replica.phase.is_kept();
        let present: BTreeSet<&str> = found.iter().map(|found| found.id.as_str()).collect();
        let (mut kept, mut gone) = (0, 0);
        for replica in self.replicas.values().filter(|replica| known(replica)) {
            kept += 1;
            gone += i32::from(!replica.id.as_deref().is_some_and(|id| present.contains(id)));
        }
        // Most of them at once: maybe the engine is not awake yet. It is asked once more.
        if gone >= 2 && 2 * gone > kept && !self.has_vanished {
            self.has_vanished = true;
            self.list_at = Instant::now() + RETRY;
            return;
        }
        self.has_vanished = false;
        self.parts.error.set(None);
        let present: BTreeSet<String> = present.into_iter().map(str::to_owned).collect();
        let mut died = false;
        self.replicas.retain(|_, replica| {
            let is_here = replica.id.as_ref().is_none_or(|id| present.contains(id));
            died |= !is_here && replica.phase.is_kept();
            is_here || replica.is_busy
        });
        for observed in found {
            died |= self.take_over_one(observed);
        }
        if died {
            self.backoff.fail(Instant::now().into_std());
        }
        self.begun.get_or_insert_with(Instant::now);
    }

    /// Takes over one container; whether it has died.
    fn take_over_one(&mut self, found: Observed) -> bool {
        let now = Instant::now();
        let port = self.parts.settings.port;
        let replica = self.replicas.entry(found.slot).or_insert_with(|| Replica {
            id: Some(found.id.clone()),
            address: None,
            phase: Phase::Starting,
            since: now,
            is_busy: false,
            is_probed: false,
            probe_at: now,
            failures: 0,
            says_healthy: None,
        });
        if replica.is_busy {
            return false; // whoever is at it reports when it is done
        }
        if replica.id.as_ref() != Some(&found.id) {
            // Made anew by somebody else: what was known of the other one is void.
            replica.id = Some(found.id.clone());
            (replica.phase, replica.since, replica.failures) = (Phase::Starting, now, 0);
        }
        replica.address = found.address.map(|address| SocketAddr::new(address, port));
        replica.says_healthy = match found.state {
            State::Running { healthy } => healthy,
            _ => None,
        };
        match found.state {
            State::Running { .. } | State::Unsettled => false,
            State::Created => {
                self.start(found.slot, found.id);
                false
            }
            State::Ended => {
                let died = replica.phase.is_kept();
                replica.phase = Phase::Ending;
                replica.address = None;
                if found.slot == BASE {
                    replica.phase = Phase::Starting;
                } else {
                    self.end(found.slot, false);
                }
                died && found.slot != BASE
            }
        }
    }

    fn take(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Made(slot, made) => self.take_made(slot, made),
            Done::Started(slot, started) => {
                if let Some(replica) = self.replicas.get_mut(&slot) {
                    replica.is_busy = false;
                }
                if let Err(error) = started {
                    self.note_failed_start(slot, &error.to_string());
                    self.replace(slot);
                }
                self.list_at = now;
            }
            Done::Ended(slot, ended) => {
                match ended {
                    Ok(()) => drop(self.replicas.remove(&slot)),
                    Err(error) => {
                        if let Some(replica) = self.replicas.get_mut(&slot) {
                            replica.is_busy = false;
                            replica.probe_at = now + RETRY;
                        }
                        self.parts.error.set(Some(format!("ending slot {slot}: {error}")));
                    }
                }
                self.list_at =
                    now + if self.replicas.contains_key(&slot) { RETRY } else { RETRY / 5 };
            }
            Done::Probed(slot, id, is_ready) => self.take_probed(slot, id.as_ref(), is_ready),
            Done::Routed(backends, routed) => {
                self.is_routing = false;
                match routed {
                    Ok(()) => {
                        self.routed = Some(backends);
                        self.enter_traffic();
                    }
                    Err(error) => {
                        self.parts.error.set(Some(error.to_string()));
                        self.route_at = now + RETRY;
                    }
                }
            }
        }
    }

    fn take_made(&mut self, slot: u32, made: Result<String, EngineError>) {
        match made {
            Ok(id) => {
                if let Some(replica) = self.replicas.get_mut(&slot) {
                    replica.id = Some(id.clone());
                    (replica.phase, replica.since) = (Phase::Starting, Instant::now());
                }
                self.start(slot, id);
            }
            Err(error) => {
                self.replicas.remove(&slot);
                if error == EngineError::NameTaken {
                    // By another executor of ours, which the list tells, or by a stranger.
                    let until = Instant::now() + self.parts.settings.resync;
                    self.taken.insert(slot, until);
                } else {
                    self.note_failed_start(slot, &error.to_string());
                }
                self.list_at = Instant::now();
            }
        }
    }

    fn take_probed(&mut self, slot: u32, id: Option<&String>, is_ready: bool) {
        let now = Instant::now();
        let ready_deadline = self.parts.settings.ready_deadline;
        let may_be_ill = self.may_be_ill();
        let Some(replica) = self.replicas.get_mut(&slot) else { return };
        replica.is_probed = false;
        if replica.id.as_ref() != id {
            return;
        }
        replica.failures = if is_ready { 0 } else { replica.failures.saturating_add(1) };
        let pause = if replica.phase.is_serving() { PROBE_READY } else { PROBE_STARTING };
        replica.probe_at = now + pause;
        match replica.phase {
            Phase::Starting if is_ready => {
                (replica.phase, replica.since) = (Phase::Healthy, now);
            }
            Phase::Starting if replica.since.elapsed() > ready_deadline && slot != BASE => {
                let why = format!("it was not ready within {ready_deadline:?}");
                self.note_failed_start(slot, &why);
                self.replace(slot);
            }
            Phase::Healthy | Phase::Ready if replica.failures >= ILL_AFTER && may_be_ill => {
                // Out of the route, and in again when it answers; replaced when it does not.
                (replica.phase, replica.since) = (Phase::Starting, now);
                self.parts.error.set(Some(format!("slot {slot} does not answer any more")));
            }
            _ => {}
        }
    }

    /// Whether one more replica may be taken for ill: when most do not answer, it is the network,
    /// or an overload, and taking them out would make it worse.
    fn may_be_ill(&self) -> bool {
        let count = |is: fn(&Replica) -> bool| self.replicas.values().filter(|r| is(r)).count();
        let serving = count(|replica| replica.phase.is_serving());
        let failing = count(|replica| replica.phase.is_serving() && replica.failures >= ILL_AFTER);
        serving >= 2 && failing * 4 <= serving.max(4)
    }

    fn note_failed_start(&mut self, slot: u32, why: &str) {
        self.parts.error.set(Some(format!("starting slot {slot}: {why}")));
        self.backoff.fail(Instant::now().into_std());
    }

    /// Removes one that did not come up; another is made in its place.
    fn replace(&mut self, slot: u32) {
        if slot != BASE && self.replicas.get(&slot).is_some_and(|replica| !replica.is_busy) {
            self.end(slot, false);
        }
    }

    /// Marks what is too much: first what is not ready, then the highest slots.
    fn retire(&mut self, target: Option<u32>) {
        let Some(target) = target else { return };
        let mut kept: Vec<(bool, u32)> = self
            .replicas
            .iter()
            .filter(|(slot, replica)| replica.phase.is_kept() && **slot != BASE)
            .map(|(slot, replica)| (!replica.phase.is_serving(), *slot))
            .collect();
        kept.sort_unstable();
        let base = usize::from(self.replicas.contains_key(&BASE));
        for (_, slot) in kept.into_iter().skip((target as usize).saturating_sub(base)) {
            let Some(replica) = self.replicas.get_mut(&slot) else { continue };
            if replica.is_busy {
                continue; // it is made, then found to be too much
            }
            if self.routed.is_some()
                && !replica.phase.is_serving()
                && !is_routed(self.routed.as_ref(), replica.address)
            {
                self.end(slot, false);
            } else {
                (replica.phase, replica.since) = (Phase::Leaving, Instant::now());
            }
        }
    }

    /// Makes the router's set the replicas that serve; its answer comes as a report.
    fn route(&mut self) {
        let serving = self.replicas.values().filter(|replica| replica.phase.is_serving());
        let wanted: BTreeSet<SocketAddr> = serving.filter_map(|replica| replica.address).collect();
        if self.routed.as_ref() == Some(&wanted) {
            return self.enter_traffic();
        }
        if self.is_routing || Instant::now() < self.route_at {
            return;
        }
        // Nobody answers, and nothing is known of the route: whoever routed before knew better.
        let somebody_may =
            self.replicas.values().any(|it| it.phase.is_kept() && it.address.is_some());
        if self.routed.is_none() && wanted.is_empty() && somebody_may {
            return;
        }
        self.is_routing = true;
        let router = Arc::clone(&self.parts.router);
        self.tasks.spawn(async move {
            let backends: Vec<SocketAddr> = wanted.iter().copied().collect();
            let cause = format!("no answer after {ROUTE_MAX:?}");
            let routed = timeout(ROUTE_MAX, router.route(&backends)).await;
            Done::Routed(wanted, routed.unwrap_or(Err(RouterError::Unavailable { cause })))
        });
    }

    /// What is healthy and routed is in traffic.
    fn enter_traffic(&mut self) {
        for replica in self.replicas.values_mut() {
            if replica.phase == Phase::Healthy && is_routed(self.routed.as_ref(), replica.address) {
                (replica.phase, replica.since) = (Phase::Ready, Instant::now());
                self.backoff.reset();
            }
        }
    }

    /// Ends what is out of the route.
    fn end_leaving(&mut self) {
        if self.routed.is_none() || self.is_routing {
            return;
        }
        let now = Instant::now();
        let leaving = self.replicas.iter().filter(|(_, replica)| {
            let again = replica.phase == Phase::Ending && now >= replica.probe_at;
            !replica.is_busy
                && (replica.phase == Phase::Leaving || again)
                && !is_routed(self.routed.as_ref(), replica.address)
        });
        let slots: Vec<u32> = leaving.map(|(slot, _)| *slot).collect();
        for slot in slots {
            self.end(slot, true);
        }
    }

    /// Drains if need be, stops and removes, in a task.
    fn end(&mut self, slot: u32, drains: bool) {
        let Some(replica) = self.replicas.get_mut(&slot) else { return };
        let Some(id) = replica.id.clone() else { return };
        (replica.phase, replica.is_busy) = (Phase::Ending, true);
        let address = replica.address.filter(|_| drains);
        let (engine, router) = (Arc::clone(&self.parts.engine), Arc::clone(&self.parts.router));
        let deadline = self.parts.settings.drain_deadline;
        self.tasks.spawn(async move {
            if let Some(address) = address {
                let end = Instant::now() + deadline;
                while router.drained(address, end - Instant::now()).await.is_err() {
                    sleep_until(end.min(Instant::now() + RETRY)).await;
                    if Instant::now() >= end {
                        break;
                    }
                }
            }
            let stopped = engine.stop(&id).await;
            let ended = match stopped {
                Ok(()) => engine.remove(&id).await,
                Err(error) => Err(error),
            };
            Done::Ended(slot, ended)
        });
    }

    fn start(&mut self, slot: u32, id: String) {
        if let Some(replica) = self.replicas.get_mut(&slot) {
            replica.is_busy = true;
        }
        let engine = Arc::clone(&self.parts.engine);
        self.tasks.spawn(async move { Done::Started(slot, engine.start(&id).await) });
    }

    /// Makes what is missing, as many at once as allowed; one at a time while starts fail.
    fn start_missing(&mut self, target: Option<u32>) {
        let now = Instant::now();
        let Some(target) = target else { return };
        if self.backoff.until(now.into_std()).is_some() {
            return;
        }
        self.taken.retain(|_, until| now < *until);
        let settings = &self.parts.settings;
        let count = |is: fn(Phase) -> bool| {
            self.replicas.values().filter(|replica| is(replica.phase)).count()
        };
        let at_once =
            if self.backoff.is_failing() { 1 } else { settings.start_concurrency.get() as usize };
        let starting = count(|phase| matches!(phase, Phase::Making | Phase::Starting));
        // Those that drain are bounded too, however often the target changes.
        let containers_max = 2 * settings.max_replicas.get() as usize;
        let missing = (target as usize)
            .saturating_sub(count(Phase::is_kept))
            .min(at_once.saturating_sub(starting))
            .min(containers_max.saturating_sub(self.replicas.len()));
        let is_free =
            |slot: &u32| !self.replicas.contains_key(slot) && !self.taken.contains_key(slot);
        let slots: Vec<u32> = (BASE + 1..).filter(is_free).take(missing).collect();
        for slot in slots {
            self.make(slot, now);
        }
    }

    fn make(&mut self, slot: u32, now: Instant) {
        let replica = Replica {
            id: None,
            address: None,
            phase: Phase::Making,
            since: now,
            is_busy: true,
            is_probed: false,
            probe_at: now,
            failures: 0,
            says_healthy: None,
        };
        self.replicas.insert(slot, replica);
        let engine = Arc::clone(&self.parts.engine);
        self.tasks.spawn(async move { Done::Made(slot, engine.create(slot).await) });
    }

    /// Asks those that are due whether they are ready.
    fn probe(&mut self) {
        let now = Instant::now();
        for (slot, replica) in &mut self.replicas {
            let is_due = !replica.is_busy && !replica.is_probed && now >= replica.probe_at;
            let counts = matches!(replica.phase, Phase::Starting | Phase::Healthy | Phase::Ready);
            let Some(address) = replica.address.filter(|_| is_due && counts) else { continue };
            replica.is_probed = true;
            let (engine, slot, id) = (Arc::clone(&self.parts.engine), *slot, replica.id.clone());
            let says_ill = replica.says_healthy == Some(false);
            self.tasks.spawn(async move {
                let is_ready = !says_ill && engine.probe(address).await;
                Done::Probed(slot, id, is_ready)
            });
        }
    }

    fn publish(&self) {
        let name = |slot: u32| match slot {
            BASE => self.parts.settings.service.to_string(),
            slot => format!("{}-dup-{slot}", self.parts.settings.service),
        };
        let all = self.replicas.iter().filter(|(slot, replica)| {
            **slot != BASE || replica.phase.is_serving() || replica.address.is_some()
        });
        let now: Vec<Member> = all
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
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let probes = self
            .replicas
            .values()
            .filter(|replica| !replica.is_busy && !replica.is_probed && replica.address.is_some());
        let mut wake = probes.map(|replica| replica.probe_at).min().unwrap_or(self.list_at);
        wake = wake.min(self.list_at);
        if let Some(until) = self.backoff.until(now.into_std()) {
            wake = wake.min(Instant::from_std(until));
        }
        if let Some(begun) = self.begun.filter(|_| !self.has_settled()) {
            wake = wake.min(begun + SETTLE);
        }
        if self.route_at > now {
            wake = wake.min(self.route_at);
        }
        // A container that has no address yet is looked at again soon.
        if self.replicas.values().any(|replica| replica.address.is_none() && !replica.is_busy) {
            wake = wake.min(now + RETRY);
        }
        wake.max(now + Duration::from_millis(5))
    }
}

fn is_routed(routed: Option<&BTreeSet<SocketAddr>>, address: Option<SocketAddr>) -> bool {
    address.is_some_and(|address| routed.is_some_and(|routed| routed.contains(&address)))
}
