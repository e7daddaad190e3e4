//! The events of a queue in the order of their times: the loop, and what it counts.
//!
//! Four sources are compared for the earliest event: arrivals, services that end, clients that
//! give up, and an agenda of all that is rare. At the same instant the agenda comes first, then
//! what ends, then who gives up, then who arrives.

mod agenda;
mod attempts;
mod level;
mod life;

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use agenda::{Agenda, Event};
use level::Level;
use planner_core::Timestamp;
use rand::rngs::Xoshiro256PlusPlus;

use super::arrivals::Arrivals;
use super::balancer::Balancer;
use super::replicas::{Phase, Replicas};
use super::requests::{Line, Requests};
use super::service_time::Sampler;
use super::units::{nanos, seconds_of_sum};
use super::{AfterTimeout, Balancing, Disturbance, Histogram, Interval, QueueError, QueueSpec};

/// The spec in the units of the loop.
#[derive(Clone, Debug)]
struct Settings {
    sampler: Sampler,
    concurrency: u32,
    balancing: Balancing,
    queue_max: u32,
    wait_threshold_ns: u64,
    startup_ns: u64,
    warmup_ns: u64,
    warmup_factor: f64,
    drain_ns: u64,
    timeout_ns: Option<u64>,
    after_timeout: AfterTimeout,
    retries: Option<super::RetrySpec>,
    disturbances: Vec<Disturbance>,
}

impl Settings {
    fn new(spec: &QueueSpec) -> Result<Self, QueueError> {
        Ok(Self {
            sampler: Sampler::new(&spec.service)?,
            concurrency: spec.concurrency,
            balancing: spec.balancing,
            queue_max: spec.queue_max,
            wait_threshold_ns: nanos(spec.wait_threshold_s),
            startup_ns: nanos(spec.life.startup_s),
            warmup_ns: nanos(spec.life.warmup_s),
            warmup_factor: spec.life.warmup_factor,
            drain_ns: nanos(spec.life.drain_s),
            timeout_ns: spec.timeout.map(|timeout| nanos(timeout.after_s)),
            after_timeout: spec.timeout.map_or(AfterTimeout::IsDone, |timeout| timeout.work),
            retries: spec.retries,
            disturbances: spec.disturbances.clone(),
        })
    }
}

/// A service that ends: of an attempt, by place and tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ServiceEnd {
    at_ns: u64,
    id: u32,
    tag: u32,
}

impl Ord for ServiceEnd {
    /// The earliest is the greatest, as the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ns, other.id, other.tag).cmp(&(self.at_ns, self.id, self.tag))
    }
}

impl PartialOrd for ServiceEnd {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// When a client gives up on an attempt, by place and tag.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at_ns: u64,
    id: u32,
    tag: u32,
}

/// What an interval counts.
#[derive(Clone, Debug, Default)]
struct Counters {
    arrivals: u64,
    retries: u64,
    completions: u64,
    timeouts: u64,
    failures: u64,
    given_up: u64,
    wasted: u64,
    waits: u64,
    waited_ns: u128,
    waited_long: u64,
    starts: u64,
}

/// The state of a queue between and within intervals.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    settings: Settings,
    now_ns: u64,
    /// End of the interval; what is integrated is integrated until then.
    end_ns: u64,
    /// The work of first attempts, one draw each in the order of arrival.
    demands: Xoshiro256PlusPlus,
    /// The work of retries, and their jitter.
    retrying: Xoshiro256PlusPlus,
    /// Which replica, where chance decides.
    routing: Xoshiro256PlusPlus,
    requests: Requests,
    replicas: Replicas,
    balancer: Balancer,
    central: Line,
    /// Attempts in all lines.
    queued: u32,
    /// Attempts whose client waits.
    in_flight: u64,
    backing_off: u64,
    /// Saved-up retries.
    budget: f64,
    services: BinaryHeap<ServiceEnd>,
    /// Ascending, as the patience is the same for all. Those of attempts that have ended stay
    /// until their time, or until they are too many.
    deadlines: VecDeque<Deadline>,
    agenda: Agenda,
    /// Outages that last.
    outages: u32,
    /// Slow-downs that last, by their place among the disturbances.
    slowdowns: Vec<usize>,
    counters: Counters,
    latency: Histogram,
    retried: Histogram,
    billed: Level,
    ready_slots: Level,
    busy_slots: Level,
    held: Level,
}

impl Engine {
    /// A service whose `ready` replicas are warm. The spec is checked already.
    pub(super) fn new(
        spec: &QueueSpec,
        ready: u32,
        [demands, retrying, routing]: [Xoshiro256PlusPlus; 3],
    ) -> Result<Self, QueueError> {
        let mut engine = Self {
            settings: Settings::new(spec)?,
            now_ns: 0,
            end_ns: 0,
            demands,
            retrying,
            routing,
            requests: Requests::default(),
            replicas: Replicas::default(),
            balancer: Balancer::default(),
            central: Line::EMPTY,
            queued: 0,
            in_flight: 0,
            backing_off: 0,
            budget: 0.0,
            services: BinaryHeap::new(),
            deadlines: VecDeque::new(),
            agenda: Agenda::default(),
            outages: 0,
            slowdowns: Vec::new(),
            counters: Counters::default(),
            latency: Histogram::default(),
            retried: Histogram::default(),
            billed: Level::default(),
            ready_slots: Level::default(),
            busy_slots: Level::default(),
            held: Level::default(),
        };
        for (index, disturbance) in engine.settings.disturbances.iter().enumerate() {
            engine.agenda.enter(nanos(disturbance.at_s()), Event::Disturb(index));
        }
        for _ in 0..ready {
            let replica = engine.start();
            engine.become_ready(replica);
            engine.replicas.of_mut(replica).warm_ns = 0;
        }
        engine.counters.starts = 0;
        Ok(engine)
    }

    pub(super) const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    pub(super) const fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// Begins an interval that ends at `end_ns`.
    pub(super) fn open(&mut self, end_ns: u64) {
        self.end_ns = end_ns;
        let left_ns = self.left_ns();
        for level in [&mut self.billed, &mut self.ready_slots, &mut self.busy_slots, &mut self.held]
        {
            level.open(left_ns);
        }
    }

    /// Lets everything happen that happens before `until_ns`.
    pub(super) fn run(&mut self, until_ns: u64, arrivals: &mut impl Arrivals) {
        let mut arrival_ns = arrivals.next_ns();
        loop {
            let service_ns = self.services.peek().map_or(u64::MAX, |it| it.at_ns);
            let deadline_ns = self.deadlines.front().map_or(u64::MAX, |it| it.at_ns);
            let event_ns = self.agenda.next_ns();
            let next_ns = service_ns.min(deadline_ns).min(event_ns).min(arrival_ns);
            if next_ns >= until_ns {
                break;
            }
            self.now_ns = next_ns;
            if event_ns == next_ns {
                self.happen();
            } else if service_ns == next_ns {
                self.end_service();
            } else if deadline_ns == next_ns {
                self.reach_deadline();
            } else {
                self.arrive();
                arrival_ns = arrivals.next_ns();
            }
        }
        self.now_ns = until_ns;
    }

    /// Ends the interval that began at `start_ns`; what happened in it.
    pub(super) fn close(&mut self, start_ns: u64) -> Interval {
        let counted = std::mem::take(&mut self.counters);
        Interval {
            start: Timestamp::from_nanos(start_ns),
            end: Timestamp::from_nanos(self.now_ns),
            arrivals: counted.arrivals,
            retries: counted.retries,
            completions: counted.completions,
            timeouts: counted.timeouts,
            failures: counted.failures,
            given_up: counted.given_up,
            wasted: counted.wasted,
            waits: counted.waits,
            waited_s: seconds_of_sum(counted.waited_ns),
            waited_long: counted.waited_long,
            in_flight: self.in_flight,
            backing_off: self.backing_off,
            queued: u64::from(self.queued),
            busy: self.busy_slots.now(),
            ready: self.replicas.ready(),
            starting: self.replicas.starting(),
            draining: self.replicas.draining(),
            starts: counted.starts,
            billed_replica_s: seconds_of_sum(self.billed.area_ns()),
            ready_slot_s: seconds_of_sum(self.ready_slots.area_ns()),
            busy_slot_s: seconds_of_sum(self.busy_slots.area_ns()),
            held_request_s: seconds_of_sum(self.held.area_ns()),
            latency: self.latency.take(),
            retried: self.retried.take(),
        }
    }

    /// What is left of the interval.
    const fn left_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.now_ns)
    }

    /// Does the earliest event of the agenda.
    #[cold]
    fn happen(&mut self) {
        match self.agenda.take() {
            Some(Event::CutDrain { replica, number })
                if self.replicas.is(replica, number, Phase::Draining) =>
            {
                self.lose(replica);
                self.remove(replica);
            }
            Some(Event::Disturb(index)) => self.disturb(index),
            Some(Event::EndOutage) => self.outages -= 1,
            Some(Event::EndSlowdown(index)) => {
                self.slowdowns.retain(|it| *it != index);
                self.slow_down();
            }
            Some(Event::Ready { replica, number })
                if self.replicas.is(replica, number, Phase::Starting) =>
            {
                self.become_ready(replica);
            }
            Some(Event::Retry { first_ns, retry }) => self.try_again(first_ns, retry),
            // Of a replica that has gone before.
            Some(Event::CutDrain { .. } | Event::Ready { .. }) | None => {}
        }
    }
}
