//! What tasks report becomes what is remembered.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use planner_ports::RouterError;
use tokio::task::{Id, JoinError};
use tokio::time::Instant;

use super::replica::{Done, Phase, Work};
use super::{ILL_AFTER, PROBE_READY, PROBE_STARTING, RETRY, Reconciler};
use crate::engine::EngineError;
use crate::executor::Source;

impl Reconciler {
    pub(super) fn take_joined(&mut self, joined: Result<(Id, Done), JoinError>) {
        match joined {
            Ok((id, done)) => {
                self.works.remove(&id);
                self.take(done);
            }
            Err(error) => {
                if let Some(work) = self.works.remove(&error.id()) {
                    self.take_panic(work, &error);
                }
            }
        }
    }

    /// A task that panicked is one that failed; what is true is listed again.
    fn take_panic(&mut self, work: Work, error: &JoinError) {
        let (cause, again_at) = (error.to_string(), Instant::now() + RETRY);
        match work {
            Work::List => {
                self.is_listing = false;
                self.note_failed_list(&cause);
            }
            Work::Probe(slot) => {
                if let Some(replica) = self.replicas.get_mut(&slot) {
                    (replica.is_probed, replica.probe_at) = (false, again_at);
                }
            }
            Work::Route => {
                self.take_routed(BTreeSet::new(), Err(RouterError::Unavailable { cause }));
            }
            Work::Slot(slot) => {
                let phase = self.replicas.get(&slot).map(|replica| replica.phase);
                let failed = EngineError::Failed(cause);
                match phase {
                    Some(Phase::Making) => self.take_made(slot, Err(failed)),
                    Some(Phase::Ending) => self.take_ended(slot, Err(failed)),
                    _ => self.take_started(slot, Err(failed)),
                }
            }
        }
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Ended(slot, ended) => self.take_ended(slot, ended),
            Done::Listed(began, listed) => self.take_listed(began, listed),
            Done::Made(slot, made) => self.take_made(slot, made),
            Done::Probed(slot, id, is_ready) => self.take_probed(slot, id.as_ref(), is_ready),
            Done::Routed(backends, routed) => self.take_routed(backends, routed),
            Done::Started(slot, started) => self.take_started(slot, started),
        }
    }

    fn take_made(&mut self, slot: u32, made: Result<String, EngineError>) {
        let step = self.step();
        match made {
            Ok(id) => {
                if let Some(replica) = self.replicas.get_mut(&slot) {
                    replica.id = Some(id.clone());
                    replica.touched = step;
                    replica.enter(Phase::Starting);
                }
                self.start(slot, id);
            }
            Err(error) => {
                self.replicas.remove(&slot);
                // It may be there all the same, or another executor's of ours: the list tells.
                self.unsure_since = step;
                if error == EngineError::NameTaken {
                    let until = Instant::now() + self.parts.settings.resync;
                    self.taken.insert(slot, until);
                } else {
                    self.note_failed_start(slot, &error.to_string());
                }
                self.list_soon();
            }
        }
    }

    fn take_started(&mut self, slot: u32, started: Result<(), EngineError>) {
        let step = self.step();
        if let Some(replica) = self.replicas.get_mut(&slot) {
            (replica.is_busy, replica.touched, replica.since) = (false, step, Instant::now());
            // Until a list says otherwise.
            replica.has_failed_start = started.is_err();
        }
        if let Err(error) = started {
            self.note_failed_start(slot, &error.to_string());
        }
        self.list_soon();
    }

    fn take_ended(&mut self, slot: u32, ended: Result<(), EngineError>) {
        let step = self.step();
        match ended {
            Ok(()) => {
                let gone = self.replicas.remove(&slot).and_then(|replica| replica.id);
                self.buried.extend(gone.map(|id| (id, step)));
                self.parts.known.clear(Source::End);
            }
            Err(error) => {
                if let Some(replica) = self.replicas.get_mut(&slot) {
                    (replica.is_busy, replica.touched) = (false, step);
                    replica.probe_at = Instant::now() + RETRY;
                }
                self.parts.known.set(Source::End, format!("ending slot {slot}: {error}"));
            }
        }
        self.list_soon();
    }

    fn take_routed(&mut self, backends: BTreeSet<SocketAddr>, routed: Result<(), RouterError>) {
        self.is_routing = false;
        match routed {
            Ok(()) => {
                self.routed = Some(backends);
                self.asked.clear();
                self.parts.known.clear(Source::Route);
                self.enter_traffic();
            }
            Err(error) => {
                self.parts.known.set(Source::Route, error.to_string());
                self.route_at = Instant::now() + RETRY;
            }
        }
    }

    fn take_probed(&mut self, slot: u32, id: Option<&String>, is_ready: bool) {
        let now = Instant::now();
        let Some(replica) = self.replicas.get_mut(&slot) else { return };
        replica.is_probed = false;
        if replica.id.as_ref() != id {
            return;
        }
        replica.failures = if is_ready { 0 } else { replica.failures.saturating_add(1) };
        let pause = if replica.phase.is_serving() { PROBE_READY } else { PROBE_STARTING };
        replica.probe_at = now + pause;
        if replica.phase == Phase::Starting && is_ready {
            replica.enter(Phase::Healthy);
        } else if replica.phase.is_serving() && replica.failures >= ILL_AFTER {
            self.call_ill(slot);
        }
    }

    /// Takes one out of the route until it answers again, or is late and replaced. Not when many
    /// do not answer: that is the network, or an overload, and would only become worse.
    fn call_ill(&mut self, slot: u32) {
        let served = self.replicas.values().filter(|it| it.phase.is_serving() || it.is_ill());
        let total = served.clone().count();
        // One failure counts: those that are asked a little later would be next.
        let failing = served.filter(|it| it.is_ill() || it.failures > 0).count();
        if total < 2 || failing > (total / 4).max(1) {
            return;
        }
        if let Some(replica) = self.replicas.get_mut(&slot) {
            replica.enter(Phase::Starting);
            let why = format!("slot {slot} does not answer any more");
            self.parts.known.set(Source::Start, why);
        }
    }

    pub(super) fn note_failed_start(&mut self, slot: u32, why: &str) {
        self.parts.known.set(Source::Start, format!("starting slot {slot}: {why}"));
        let now = Instant::now();
        self.backoff.fail(now.into_std());
        self.failed_at = Some(now);
    }
}
