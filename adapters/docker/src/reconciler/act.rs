//! What is asked of engine and router.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use planner_ports::{Router, RouterError};
use tokio::time::{Instant, sleep_until, timeout};

use super::replica::{Done, Phase, Replica, Work};
use super::{RETRY, ROUTE_MAX, Reconciler, STABLE};
use crate::engine::{BASE, State};
use crate::executor::Source;

impl Reconciler {
    /// Marks what is too much: first what is not ready, then the highest slots.
    pub(super) fn retire(&mut self, target: Option<u32>) {
        let Some(target) = target else { return };
        let base = self.replicas.get(&BASE).filter(|replica| self.is_counted(BASE, replica));
        let ours = (target as usize).saturating_sub(usize::from(base.is_some()));
        let mut kept: Vec<(bool, u32)> = self
            .replicas
            .iter()
            .filter(|(slot, replica)| replica.phase.is_kept() && **slot != BASE)
            .map(|(slot, replica)| (!replica.phase.is_serving(), *slot))
            .collect();
        kept.sort_unstable();
        for (_, slot) in kept.into_iter().skip(ours) {
            self.give_up(slot);
        }
    }

    /// Gives up what is not ready after its time.
    pub(super) fn give_up_late(&mut self) {
        let deadline = self.parts.settings.ready_deadline;
        let late = self.replicas.iter().filter(|(slot, replica)| {
            // The engine has told what became of it, and since then it had its time.
            let is_late = replica.touched <= self.listed && replica.since.elapsed() >= deadline;
            is_late && replica.phase == Phase::Starting && !replica.is_busy && **slot != BASE
        });
        let late: Vec<u32> = late.map(|(slot, _)| *slot).collect();
        for slot in late {
            self.note_failed_start(slot, &format!("it was not ready within {deadline:?}"));
            self.give_up(slot);
        }
    }

    /// Out with it: out of the route first, unless it cannot be in it.
    fn give_up(&mut self, slot: u32) {
        let Some(replica) = self.replicas.get(&slot).filter(|replica| !replica.is_busy) else {
            return; // it is made, then looked at again
        };
        if replica.phase.is_serving() || self.may_be_routed(replica) {
            if let Some(replica) = self.replicas.get_mut(&slot) {
                replica.enter(Phase::Leaving);
            }
        } else {
            let drains = replica.has_served;
            self.end(slot, drains);
        }
    }

    /// Makes the router's set the replicas that serve; its answer comes as a report.
    pub(super) fn route(&mut self) {
        let serving = self.replicas.values().filter(|replica| replica.phase.is_serving());
        let wanted: BTreeSet<SocketAddr> = serving.filter_map(|replica| replica.address).collect();
        if self.is_routing || Instant::now() < self.route_at {
            return;
        }
        if self.routed.as_ref() == Some(&wanted) && self.asked.is_empty() {
            return self.enter_traffic();
        }
        // Nobody answers, and nothing is known of the route: whoever routed before knew better.
        let somebody_may =
            self.replicas.values().any(|it| it.phase.is_kept() && it.address.is_some());
        if self.routed.is_none() && wanted.is_empty() && somebody_may {
            return;
        }
        self.is_routing = true;
        self.asked.extend(&wanted);
        let router = Arc::clone(&self.parts.router);
        self.spawn(Work::Route, async move {
            let backends: Vec<SocketAddr> = wanted.iter().copied().collect();
            let cause = format!("no answer after {ROUTE_MAX:?}");
            let routed = timeout(ROUTE_MAX, router.route(&backends)).await;
            Done::Routed(wanted, routed.unwrap_or(Err(RouterError::Unavailable { cause })))
        });
    }

    /// What is healthy and routed is in traffic.
    pub(super) fn enter_traffic(&mut self) {
        let Some(routed) = &self.routed else { return };
        for replica in self.replicas.values_mut() {
            let is_routed = replica.address.is_some_and(|address| routed.contains(&address));
            if replica.phase == Phase::Healthy && is_routed {
                replica.enter(Phase::Ready);
                self.parts.known.clear(Source::Start);
            }
        }
    }

    /// Starts what is made and ends what is dead or out of the route, be it left by whomever.
    pub(super) fn mend(&mut self) {
        let now = Instant::now();
        let mut starts = Vec::new();
        let mut ends = Vec::new();
        for (slot, replica) in self.replicas.iter().filter(|(_, replica)| !replica.is_busy) {
            match replica.phase {
                // It was out of the route before, and had its time to drain.
                Phase::Ending if now >= replica.probe_at => ends.push((*slot, false)),
                Phase::Leaving if !self.may_be_routed(replica) => ends.push((*slot, true)),
                // What a call has done is known from a list that began after it.
                Phase::Starting
                    if replica.state == State::Created && replica.touched <= self.listed =>
                {
                    match &replica.id {
                        Some(id) if !replica.has_failed_start => starts.push((*slot, id.clone())),
                        _ => ends.push((*slot, false)),
                    }
                }
                _ => {}
            }
        }
        for (slot, id) in starts {
            self.start(slot, id);
        }
        for (slot, drains) in ends {
            self.end(slot, drains);
        }
    }

    /// Drains if need be, stops and removes, in a task.
    fn end(&mut self, slot: u32, drains: bool) {
        let Some(replica) = self.replicas.get_mut(&slot).filter(|_| slot != BASE) else { return };
        let Some(id) = replica.id.clone() else { return };
        if replica.phase != Phase::Ending {
            replica.enter(Phase::Ending);
        }
        replica.is_busy = true;
        let address = replica.address.filter(|_| drains);
        let (engine, router) = (Arc::clone(&self.parts.engine), Arc::clone(&self.parts.router));
        let deadline = self.parts.settings.drain_deadline;
        self.spawn(Work::Slot(slot), async move {
            if let Some(address) = address {
                drain(router.as_ref(), address, deadline).await;
            }
            let stopped = engine.stop(&id).await;
            let ended = match stopped {
                Ok(()) => engine.remove(&id).await,
                Err(error) => Err(error),
            };
            Done::Ended(slot, ended)
        });
    }

    pub(super) fn start(&mut self, slot: u32, id: String) {
        if let Some(replica) = self.replicas.get_mut(&slot) {
            replica.is_busy = true;
        }
        let engine = Arc::clone(&self.parts.engine);
        self.spawn(Work::Slot(slot), async move { Done::Started(slot, engine.start(&id).await) });
    }

    /// Makes what is missing, as many at once as allowed; one at a time while starts fail.
    pub(super) fn start_missing(&mut self, target: Option<u32>) {
        let now = Instant::now();
        let Some(target) = target else { return };
        if self.backoff.until(now.into_std()).is_some() || self.listed < self.unsure_since {
            return;
        }
        self.forget_failures();
        self.taken.retain(|_, until| now < *until);
        let settings = &self.parts.settings;
        let at_once =
            if self.backoff.is_failing() { 1 } else { settings.start_concurrency.get() as usize };
        let is_starting = |(slot, it): &(&u32, &Replica)| {
            let is_new = matches!(it.phase, Phase::Making | Phase::Starting) && !it.is_ill();
            is_new && **slot != BASE
        };
        let starting = self.replicas.iter().filter(is_starting).count();
        let kept = self.replicas.iter().filter(|(slot, it)| self.is_counted(**slot, it)).count();
        // Those that drain are bounded too, however often the target changes.
        let containers_max = 2 * settings.max_replicas.get() as usize;
        let missing = (target as usize)
            .saturating_sub(kept)
            .min(at_once.saturating_sub(starting))
            .min(containers_max.saturating_sub(self.replicas.len()));
        let is_free =
            |slot: &u32| !self.replicas.contains_key(slot) && !self.taken.contains_key(slot);
        let slots: Vec<u32> = (BASE + 1..).filter(is_free).take(missing).collect();
        for slot in slots {
            let step = self.step();
            self.replicas.insert(slot, Replica::making(step));
            let engine = Arc::clone(&self.parts.engine);
            self.spawn(
                Work::Slot(slot),
                async move { Done::Made(slot, engine.create(slot).await) },
            );
        }
    }

    /// One that came up after the last failure and stayed up ends the series.
    fn forget_failures(&mut self) {
        let Some(failed_at) = self.failed_at else { return };
        let is_stable = |it: &Replica| {
            it.phase == Phase::Ready && it.since > failed_at && it.since.elapsed() >= STABLE
        };
        if self.replicas.values().any(is_stable) {
            self.backoff.reset();
            self.failed_at = None;
        }
    }

    /// Asks those that are due whether they are ready.
    pub(super) fn probe(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        for (slot, replica) in &mut self.replicas {
            let is_due = !replica.is_busy && !replica.is_probed && now >= replica.probe_at;
            let is_due = is_due && replica.phase.is_asked();
            let Some(address) = replica.address.filter(|_| is_due) else { continue };
            replica.is_probed = true;
            let says_ill = replica.says_healthy == Some(false);
            due.push((*slot, replica.id.clone(), address, says_ill));
        }
        for (slot, id, address, says_ill) in due {
            let engine = Arc::clone(&self.parts.engine);
            self.spawn(Work::Probe(slot), async move {
                let is_ready = !says_ill && engine.probe(address).await;
                Done::Probed(slot, id, is_ready)
            });
        }
    }
}

/// Waits until a backend has finished what it has, at most `deadline` long. While nobody knows
/// whether it has, that time is its own.
async fn drain(router: &dyn Router, address: SocketAddr, deadline: Duration) {
    let end = Instant::now() + deadline;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match timeout(left + RETRY, router.drained(address, left)).await {
            Ok(Err(_)) => sleep_until(end.min(Instant::now() + RETRY)).await,
            Ok(Ok(_)) | Err(_) => return,
        }
        if Instant::now() >= end {
            return;
        }
    }
}
