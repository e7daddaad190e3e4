//! Replicas come and go, and what goes wrong.

use super::super::Disturbance;
use super::super::units::nanos;
use super::{Balancing, Engine, Event, Phase};

impl Engine {
    /// Orders this many replicas.
    pub(in crate::queue) fn scale_to(&mut self, replicas: u32) {
        let ordered = |engine: &Self| engine.replicas.ready() + engine.replicas.starting();
        while ordered(self) < replicas {
            let replica = self.start();
            self.await_ready(replica, self.settings.startup_ns);
        }
        while ordered(self) > replicas
            && let Some(replica) = self.replicas.youngest_starting()
        {
            self.remove(replica);
        }
        while ordered(self) > replicas
            && let Some(replica) = self.replicas.youngest_ready()
        {
            self.drain(replica);
        }
    }

    /// A new replica, which is paid for from now on.
    pub(super) fn start(&mut self) -> u32 {
        self.counters.starts += 1;
        let left_ns = self.left_ns();
        self.billed.raise(1, left_ns);
        let replica = self.replicas.start();
        self.replicas.of_mut(replica).slow = self.slow_of(self.replicas.of(replica).number);
        replica
    }

    /// A starting replica begins to serve, cold.
    pub(super) fn become_ready(&mut self, replica: u32) {
        self.replicas.become_ready(replica);
        self.replicas.of_mut(replica).warm_ns = self.now_ns + self.settings.warmup_ns;
        let left_ns = self.left_ns();
        self.ready_slots.raise(self.settings.concurrency, left_ns);
        if self.settings.balancing != Balancing::Random {
            self.balancer.join(replica, 0);
        }
        self.fill(replica);
    }

    /// Removes a draining replica that has nothing to do any more.
    pub(super) fn leave_when_drained(&mut self, replica: u32) {
        let it = self.replicas.of(replica);
        if it.phase == Phase::Draining && it.is_idle() {
            self.remove(replica);
        }
    }

    /// A replica that has nothing is no more, and no longer paid for.
    pub(super) fn remove(&mut self, replica: u32) {
        let left_ns = self.left_ns();
        self.billed.lower(1, left_ns);
        self.replicas.remove(replica);
    }

    /// Begins a disturbance.
    pub(super) fn disturb(&mut self, index: usize) {
        match self.settings.disturbances.get(index).copied() {
            Some(Disturbance::Crash { replicas, restart_after_s, .. }) => {
                for _ in 0..replicas.min(self.replicas.ready()) {
                    self.crash(restart_after_s);
                }
            }
            Some(Disturbance::Outage { for_s, .. }) => {
                self.outages += 1;
                self.agenda.enter(self.now_ns + nanos(for_s), Event::EndOutage);
            }
            Some(Disturbance::Slowdown { for_s, .. }) => {
                self.slowdowns.push(index);
                self.slow_down();
                self.agenda.enter(self.now_ns + nanos(for_s), Event::EndSlowdown(index));
            }
            None => {}
        }
    }

    /// Tells every replica how slow its neighbours make it.
    pub(super) fn slow_down(&mut self) {
        let mut replicas = std::mem::take(&mut self.replicas);
        for replica in replicas.iter_mut() {
            replica.slow = self.slow_of(replica.number);
        }
        self.replicas = replicas;
    }

    /// The factor of all slow-downs that last on the replica with that number.
    fn slow_of(&self, number: u64) -> f64 {
        let mut slow = 1.0;
        for index in &self.slowdowns {
            if let Some(Disturbance::Slowdown { factor, share, .. }) =
                self.settings.disturbances.get(*index)
            {
                let until = |count: u64| (count as f64 * share).floor();
                if until(number + 1) > until(number) {
                    slow *= factor;
                }
            }
        }
        slow
    }

    fn await_ready(&mut self, replica: u32, after_ns: u64) {
        let number = self.replicas.of(replica).number;
        self.agenda.enter(self.now_ns + after_ns, Event::Ready { replica, number });
    }

    /// A ready replica takes nothing new and goes when it has finished, or when its time is over.
    fn drain(&mut self, replica: u32) {
        self.retire(replica);
        self.replicas.drain(replica);
        let number = self.replicas.of(replica).number;
        let cut_ns = self.now_ns + self.settings.drain_ns;
        self.agenda.enter(cut_ns, Event::CutDrain { replica, number });
        self.leave_when_drained(replica);
    }

    /// The longest ready replica dies with all that it has.
    fn crash(&mut self, restart_after_s: Option<f64>) {
        let Some(replica) = self.replicas.ready_at(0) else { return };
        self.retire(replica);
        self.lose(replica);
        self.remove(replica);
        if let Some(after_s) = restart_after_s {
            let again = self.start();
            self.await_ready(again, nanos(after_s) + self.settings.startup_ns);
        }
    }

    /// A ready replica takes no requests any more.
    fn retire(&mut self, replica: u32) {
        if self.settings.balancing != Balancing::Random {
            self.balancer.leave(replica);
        }
        let left_ns = self.left_ns();
        self.ready_slots.lower(self.settings.concurrency, left_ns);
    }
}
