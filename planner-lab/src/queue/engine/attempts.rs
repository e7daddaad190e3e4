//! One attempt from arrival to its end: answered, given up, failed; and what comes of it.

use rand::{Rng, RngExt};

use super::super::requests::{Attempt, Line, NONE, Stage};
use super::super::units::{nanos, whole};
use super::super::{AfterTimeout, Balancing};
use super::{Deadline, Engine, Event, Phase, ServiceEnd};

/// Retries that can be saved up.
const BUDGET_MAX: f64 = 100.0;
/// The most requests that wait between two attempts; one more is given up.
const BACKING_OFF_MAX: u64 = 1_000_000;
/// Void entries of heap and deadlines that are kept at any rate.
const VOID_MAX: u64 = 1_024;

/// Where an attempt goes.
enum Way {
    /// Nowhere: it fails.
    Refused,
    /// Into a slot of this replica.
    Served(u32),
    /// Into the line of this replica, or the central one.
    Waits(u32),
}

impl Engine {
    /// A request's first attempt.
    #[inline]
    pub(super) fn arrive(&mut self) {
        self.counters.arrivals += 1;
        if let Some(share) = self.settings.retries.and_then(|retries| retries.budget_share) {
            self.budget = (self.budget + share).min(BUDGET_MAX);
        }
        // Drawn even when it is refused: the next request's work must not depend on it.
        let demand_ns = self.settings.sampler.draw(&mut self.demands);
        self.admit(self.now_ns, 0, demand_ns);
    }

    /// A request's attempt after its client backed off.
    pub(super) fn try_again(&mut self, first_ns: u64, retry: u8) {
        self.backing_off -= 1;
        self.counters.arrivals += 1;
        self.counters.retries += 1;
        let demand_ns = self.settings.sampler.draw(&mut self.retrying);
        self.admit(first_ns, retry, demand_ns);
    }

    /// A service ends, or the entry is void.
    #[inline]
    pub(super) fn end_service(&mut self) {
        let Some(&end) = self.services.peek() else { return };
        let Some(&attempt) = self.requests.tagged(end.id, end.tag) else {
            self.services.pop();
            return;
        };
        self.leave(end.id);
        if attempt.awaited {
            self.in_flight -= 1;
            self.counters.completions += 1;
            self.latency.record(self.now_ns - attempt.arrived_ns);
            if attempt.retry > 0 {
                self.retried.record(self.now_ns - attempt.first_ns);
            }
        } else {
            self.counters.wasted += 1;
        }
        match self.follow(attempt.replica) {
            // The slot's next service takes the place of the one that ended: one walk in the heap.
            Some(next) => {
                if let Some(mut first) = self.services.peek_mut() {
                    *first = next;
                }
            }
            None => {
                self.services.pop();
            }
        }
    }

    /// A client gives up, or the attempt has ended before.
    #[inline]
    pub(super) fn reach_deadline(&mut self) {
        let Some(deadline) = self.deadlines.pop_front() else { return };
        if let Some(&attempt) = self.requests.tagged(deadline.id, deadline.tag) {
            self.time_out(deadline.id, attempt);
        }
    }

    fn time_out(&mut self, id: u32, attempt: Attempt) {
        self.counters.timeouts += 1;
        self.in_flight -= 1;
        if attempt.stage == Stage::Waiting {
            self.end_wait(&attempt);
        }
        match self.settings.after_timeout {
            AfterTimeout::IsCancelled => self.cancel(id, &attempt),
            AfterTimeout::IsDone => self.requests.of_mut(id).awaited = false,
        }
        self.come_back(attempt.first_ns, attempt.retry);
    }

    /// Takes an attempt out of its line or its slot.
    fn cancel(&mut self, id: u32, attempt: &Attempt) {
        if attempt.stage == Stage::Waiting {
            self.line_mut(attempt.replica, |line, requests| line.remove(requests, id));
            self.queued -= 1;
            self.leave(id);
            if attempt.replica != NONE {
                self.unload(attempt.replica);
                self.leave_when_drained(attempt.replica);
            }
            return;
        }
        self.leave(id);
        if let Some(next) = self.follow(attempt.replica) {
            self.services.push(next);
        }
        if self.services.len() as u64 > 2 * self.busy_slots.now() + VOID_MAX {
            let requests = &self.requests;
            self.services.retain(|end| requests.tagged(end.id, end.tag).is_some());
        }
    }

    /// Everything that a replica has fails.
    pub(super) fn lose(&mut self, replica: u32) {
        for id in self.requests.at(replica) {
            let attempt = *self.requests.of(id);
            if attempt.stage == Stage::Waiting {
                self.queued -= 1;
                if attempt.awaited {
                    self.end_wait(&attempt);
                }
            }
            self.leave(id);
            if attempt.awaited {
                self.in_flight -= 1;
                self.fail(attempt.first_ns, attempt.retry);
            }
        }
        let left_ns = self.left_ns();
        let replica = self.replicas.of_mut(replica);
        self.busy_slots.lower(replica.busy, left_ns);
        (replica.busy, replica.line) = (0, Line::EMPTY);
    }

    /// A slot of this replica is free: what waits first takes it, or it stays free.
    pub(super) fn follow(&mut self, replica: u32) -> Option<ServiceEnd> {
        let is_central = self.settings.balancing == Balancing::CentralFifo;
        let place = self.replicas.of_mut(replica);
        let next = if !is_central {
            place.line.pop(&mut self.requests)
        } else if place.phase == Phase::Ready {
            self.central.pop(&mut self.requests)
        } else {
            None
        };
        if next.is_none() || !is_central {
            self.unload(replica);
        }
        let Some(next) = next else {
            self.replicas.of_mut(replica).busy -= 1;
            let left_ns = self.left_ns();
            self.busy_slots.lower(1, left_ns);
            self.leave_when_drained(replica);
            return None;
        };
        self.queued -= 1;
        Some(self.serve(next, replica))
    }

    /// Puts what waits centrally into the free slots of this replica.
    pub(super) fn fill(&mut self, replica: u32) {
        while self.replicas.of(replica).busy < self.settings.concurrency
            && let Some(id) = self.central.pop(&mut self.requests)
        {
            self.queued -= 1;
            self.occupy(id, replica);
        }
    }

    /// Lets an attempt in, or lets it fail.
    #[inline]
    fn admit(&mut self, first_ns: u64, retry: u8, demand_ns: u64) {
        let (replica, is_served) = match self.way() {
            Way::Refused => return self.fail(first_ns, retry),
            Way::Served(replica) => (replica, true),
            Way::Waits(replica) => (replica, false),
        };
        let id = self.requests.admit(self.now_ns, first_ns, retry, demand_ns);
        self.in_flight += 1;
        let left_ns = self.left_ns();
        self.held.raise(1, left_ns);
        if let Some(timeout_ns) = self.settings.timeout_ns {
            self.expect(id, timeout_ns);
        }
        if is_served {
            self.occupy(id, replica);
            return;
        }
        self.queued += 1;
        self.requests.of_mut(id).replica = replica;
        self.line_mut(replica, |line, requests| line.push(requests, id));
        if replica != NONE && self.settings.balancing == Balancing::LeastConnections {
            self.balancer.raise(replica);
        }
    }

    /// Where an attempt that arrives now goes.
    #[inline]
    fn way(&mut self) -> Way {
        if self.outages > 0 {
            return Way::Refused;
        }
        let concurrency = self.settings.concurrency;
        let (replica, is_free) = match self.settings.balancing {
            Balancing::CentralFifo => match self.balancer.least() {
                Some((replica, busy)) if busy < concurrency => (replica, true),
                _ => (NONE, false),
            },
            Balancing::LeastConnections => match self.balancer.least() {
                Some((replica, _)) => (replica, self.replicas.of(replica).busy < concurrency),
                None => return Way::Refused,
            },
            Balancing::Random => {
                // The high half of a product: all ranks equally likely to within 2^-50.
                let drawn = u128::from(self.routing.next_u64());
                let rank = (drawn * u128::from(self.replicas.ready())) >> 64;
                match self.replicas.ready_at(u32::try_from(rank).unwrap_or(NONE)) {
                    Some(replica) => (replica, self.replicas.of(replica).busy < concurrency),
                    None => return Way::Refused,
                }
            }
        };
        if is_free {
            Way::Served(replica)
        } else if self.queued < self.settings.queue_max {
            Way::Waits(replica)
        } else {
            Way::Refused
        }
    }

    /// Puts an attempt into a free slot.
    #[inline]
    fn occupy(&mut self, id: u32, replica: u32) {
        self.replicas.of_mut(replica).busy += 1;
        let left_ns = self.left_ns();
        self.busy_slots.raise(1, left_ns);
        if self.settings.balancing != Balancing::Random {
            self.balancer.raise(replica);
        }
        let end = self.serve(id, replica);
        self.services.push(end);
    }

    /// Begins the service of an attempt in a slot that is its own.
    #[inline]
    fn serve(&mut self, id: u32, replica: u32) -> ServiceEnd {
        let now_ns = self.now_ns;
        let attempt = self.requests.of_mut(id);
        (attempt.stage, attempt.replica) = (Stage::InService, replica);
        let attempt = *attempt;
        if attempt.awaited {
            self.end_wait(&attempt);
        }
        let it = self.replicas.of(replica);
        let mut demand_ns = attempt.demand_ns;
        if now_ns < it.warm_ns || it.slow != 1.0 {
            let cold = it.warm_ns.saturating_sub(now_ns) as f64;
            let cold_share = cold / self.settings.warmup_ns.max(1) as f64;
            let warmup = 1.0 + (self.settings.warmup_factor - 1.0) * cold_share;
            demand_ns = whole(demand_ns as f64 * it.slow * warmup);
        }
        ServiceEnd { at_ns: now_ns.saturating_add(demand_ns), id, tag: attempt.tag }
    }

    /// Counts the wait of an attempt that ends now.
    #[inline]
    const fn end_wait(&mut self, attempt: &Attempt) {
        let waited_ns = self.now_ns - attempt.arrived_ns;
        self.counters.waits += 1;
        self.counters.waited_ns += waited_ns as u128;
        if waited_ns > self.settings.wait_threshold_ns {
            self.counters.waited_long += 1;
        }
    }

    /// An attempt is no longer held.
    #[inline]
    fn leave(&mut self, id: u32) {
        let left_ns = self.left_ns();
        self.held.lower(1, left_ns);
        self.requests.release(id);
    }

    /// A replica has one request less for the balancer to count.
    #[inline]
    fn unload(&mut self, replica: u32) {
        let is_member = self.replicas.of(replica).phase == Phase::Ready;
        if is_member && self.settings.balancing != Balancing::Random {
            self.balancer.lower(replica);
        }
    }

    /// Notes when a client gives up.
    fn expect(&mut self, id: u32, timeout_ns: u64) {
        let tag = self.requests.of(id).tag;
        self.deadlines.push_back(Deadline { at_ns: self.now_ns + timeout_ns, id, tag });
        if self.deadlines.len() as u64 > 2 * self.in_flight + VOID_MAX {
            let requests = &self.requests;
            self.deadlines.retain(|it| requests.tagged(it.id, it.tag).is_some_and(|it| it.awaited));
        }
    }

    /// An attempt failed.
    #[cold]
    fn fail(&mut self, first_ns: u64, retry: u8) {
        self.counters.failures += 1;
        self.come_back(first_ns, retry);
    }

    /// A client whose attempt was for nothing tries again later, or gives up for good.
    fn come_back(&mut self, first_ns: u64, retry: u8) {
        let Some(spec) = self.settings.retries.filter(|it| u32::from(retry) < it.max) else {
            self.counters.given_up += 1;
            return;
        };
        let is_paid = spec.budget_share.is_none() || self.budget >= 1.0;
        if !is_paid || self.backing_off >= BACKING_OFF_MAX {
            self.counters.given_up += 1;
            return;
        }
        if spec.budget_share.is_some() {
            self.budget -= 1.0;
        }
        self.backing_off += 1;
        let doubled_s = spec.backoff_s * f64::from(1_u32 << retry.min(16));
        let random: f64 = self.retrying.random();
        let wait_s = doubled_s.min(spec.backoff_max_s) * (1.0 - spec.jitter_share * random);
        let event = Event::Retry { first_ns, retry: retry + 1 };
        self.agenda.enter(self.now_ns + nanos(wait_s), event);
    }

    fn line_mut(&mut self, replica: u32, change: impl FnOnce(&mut Line, &mut super::Requests)) {
        let line = if replica == NONE {
            &mut self.central
        } else {
            &mut self.replicas.of_mut(replica).line
        };
        change(line, &mut self.requests);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Queue, QueueSpec, ServiceTime, TimeoutSpec};
    use super::*;

    fn impatient(mean_s: f64, after_s: f64) -> Queue {
        let timeout = Some(TimeoutSpec { after_s, work: AfterTimeout::IsCancelled });
        let service = ServiceTime::Deterministic { mean_s };
        Queue::new(QueueSpec { timeout, ..QueueSpec::of(service) }, 1, 1).expect("a spec")
    }

    #[test]
    fn services_that_were_cancelled_do_not_pile_up() {
        let mut queue = impatient(3_600.0, 0.01);
        let interval = queue.advance(100.0, 100.0).expect("a rate");
        assert!(interval.timeouts > 9_000, "{}", interval.timeouts);
        assert!(queue.engine.services.len() as u64 <= 2 + VOID_MAX);
    }

    #[test]
    fn deadlines_of_what_was_answered_do_not_pile_up() {
        let mut queue = impatient(0.001, 86_400.0);
        let interval = queue.advance(100.0, 100.0).expect("a rate");
        assert!(interval.completions > 9_000, "{}", interval.completions);
        assert!(queue.engine.deadlines.len() as u64 <= 200 + VOID_MAX);
    }
}
