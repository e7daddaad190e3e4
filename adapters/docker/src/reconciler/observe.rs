//! What the engine lists becomes what is remembered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::replica::{Done, Phase, Replica, Work};
use super::{ECHO, ECHO_GAP, LIST_GAP, RETRY, Reconciler};
use crate::engine::{BASE, EngineError, Observed, State};
use crate::executor::Source;

impl Reconciler {
    /// Lists as soon as lists may follow each other.
    pub(super) fn list_soon(&mut self) {
        let soon = Instant::now().max(self.list_begun + LIST_GAP);
        self.list_at = self.list_at.min(soon);
    }

    /// Something has happened; maybe the next list does not show it yet.
    pub(super) fn take_event(&mut self) {
        self.echo_until = Instant::now() + ECHO;
        self.list_soon();
    }

    /// Lists when that is due, one at a time.
    pub(super) fn list(&mut self) {
        let now = Instant::now();
        if self.is_listing || now < self.list_at {
            return;
        }
        (self.is_listing, self.list_begun) = (true, now);
        let pause =
            if now < self.echo_until { ECHO_GAP } else { self.parts.settings.resync.max(RETRY) };
        self.list_at = now + pause;
        let (began, engine) = (self.step(), Arc::clone(&self.parts.engine));
        self.spawn(Work::List, async move { Done::Listed(began, engine.list().await) });
    }

    pub(super) fn take_listed(&mut self, began: u64, listed: Result<Vec<Observed>, EngineError>) {
        self.is_listing = false;
        match listed {
            Ok(found) => self.take_over(began, found),
            Err(error) => self.note_failed_list(&error.to_string()),
        }
    }

    pub(super) fn note_failed_list(&mut self, why: &str) {
        self.parts.known.set(Source::List, format!("listing containers: {why}"));
        self.list_at = self.list_at.min(Instant::now() + RETRY);
    }

    /// Makes what is remembered what was found by a list that began at step `began`.
    fn take_over(&mut self, began: u64, found: Vec<Observed>) {
        let now = Instant::now();
        self.buried.retain(|_, step| *step > began);
        let mut found: BTreeMap<u32, Observed> =
            found.into_iter().map(|found| (found.slot, found)).collect();
        if self.is_unbelievable(began, &found) {
            let since = *self.vanished.get_or_insert(now);
            if since.elapsed() < RETRY {
                self.list_at = since + RETRY;
                return;
            }
        }
        self.vanished = None;
        self.listed = began;
        self.parts.known.note_list();
        // Not ours to start or to remove, it counts while it runs.
        let is_down = |base: &Observed| matches!(base.state, State::Created | State::Ended);
        if found.get(&BASE).is_some_and(is_down) {
            found.remove(&BASE);
        }
        let mut died = Vec::new();
        self.replicas.retain(|slot, replica| {
            let is_here = !replica.is_told_by(began) || found.contains_key(slot);
            if !is_here && replica.phase.is_kept() && *slot != BASE {
                died.push(*slot);
            }
            is_here
        });
        for (slot, observed) in found {
            if !self.buried.contains_key(&observed.id) && self.take_over_one(began, &observed) {
                died.push(slot);
            }
        }
        if let Some(slot) = died.first() {
            self.note_failed_start(*slot, "it has ended by itself");
        }
        // One that has no address yet is looked at again soon.
        let is_expected =
            |it: &Replica| !it.is_busy && it.phase.is_kept() && it.state != State::Created;
        if self.replicas.values().any(|it| is_expected(it) && it.address.is_none()) {
            self.list_at = self.list_at.min(now + RETRY);
        }
        self.begun.get_or_insert(now);
    }

    /// Whether most of what was there is gone at once. Maybe the engine is not awake yet, so that
    /// is believed when it is still so a little later.
    fn is_unbelievable(&self, began: u64, found: &BTreeMap<u32, Observed>) -> bool {
        let (mut known, mut gone) = (0, 0);
        for (slot, replica) in &self.replicas {
            if replica.id.is_some() && replica.is_told_by(began) {
                known += 1;
                gone += i32::from(!found.contains_key(slot));
            }
        }
        2 * gone > known
    }

    /// Takes over one container; whether it has died.
    fn take_over_one(&mut self, began: u64, found: &Observed) -> bool {
        let now = Instant::now();
        let is_base = found.slot == BASE;
        let address = found.address.map(|address| {
            let port = self.parts.settings.port;
            SocketAddr::new(address, port)
        });
        let adopted = || Replica::adopted(found, began);
        let replica = self.replicas.entry(found.slot).or_insert_with(adopted);
        if !replica.is_told_by(began) {
            return false; // whoever is at it reports when it is done
        }
        if replica.id.as_ref() != Some(&found.id) {
            // Made anew by somebody else: what was known of the other one is void.
            *replica = Replica::adopted(found, began);
        }
        replica.state = found.state;
        replica.says_healthy = match found.state {
            State::Running { healthy } => healthy,
            _ => None,
        };
        if replica.address != address && replica.phase.is_serving() {
            // It is on the network anew: it is asked before it is routed there.
            replica.enter(Phase::Starting);
            (replica.has_served, replica.failures, replica.probe_at) = (false, 0, now);
        }
        if replica.address.is_none() && address.is_some() && replica.phase == Phase::Starting {
            // It can be asked from now on, however late the engine tells.
            replica.since = now;
        }
        replica.address = address;
        match found.state {
            State::Running { .. } => {
                replica.has_failed_start = false;
                false
            }
            State::Created | State::Unsettled => false,
            State::Ended => {
                let died = replica.phase.is_kept();
                replica.address = None;
                if replica.phase != Phase::Ending {
                    replica.enter(Phase::Ending);
                    replica.probe_at = now;
                }
                died && !is_base
            }
        }
    }
}
