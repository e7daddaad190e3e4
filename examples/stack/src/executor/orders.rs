//! Orders, one after the other: judged, remembered, carried out, answered.

use std::sync::Arc;
use std::time::Duration;

use planner_core::ReplicaBounds;
use planner_ports::ReplicaCounts;
use planner_redis::wire::{ActionResult, Cause, Status, Verb, wall_now};
use planner_redis::{
    Bus, Channel, Order, OrderError, Orders, Received, RedisRouter, Refusal, Step,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::fleet::Fleet;
use super::ledger::Ledger;
use crate::pause::{LOOK, Pause};

/// An order that is not carried out after this long is told to have failed; it goes on.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// What obeys.
pub(super) struct Obeying {
    pub(super) bus: Bus,
    pub(super) router: Arc<RedisRouter>,
    pub(super) fleet: Arc<dyn Fleet>,
    pub(super) ledger: Ledger,
    pub(super) bounds: ReplicaBounds,
    pub(super) pause: Pause,
}

/// What a result is about.
#[derive(Clone, Debug)]
struct Subject {
    verb: &'static str,
    order: Order,
}

impl Obeying {
    /// Goes on with what was accepted before a restart; where nothing ever was, with the fewest
    /// replicas: without one nothing can be measured, and without a measurement nothing decided.
    async fn go_on(&self) {
        while self.pause.is_on() {
            sleep(LOOK).await;
        }
        let target = self.ledger.target().unwrap_or_else(|| self.bounds.min());
        if let Err(error) = self.fleet.scale_to(target).await {
            tracing::warn!(%error, target, "not resumed");
        }
    }

    /// Obeys until the program ends.
    pub(super) async fn obey(&mut self, mut orders: Orders) {
        self.go_on().await;
        let mut settling: Option<(Subject, JoinHandle<()>)> = None;
        loop {
            let received = orders.next().await;
            if let Some(by) = self.pause.by() {
                self.wait_out(&received, by).await;
            }
            let accepted = match received {
                Ok(Received::Order(order)) => self.judge(order).await,
                Ok(Received::OldStep(step)) => self.judge_step(step).await,
                Ok(_) => None,
                Err(error) => {
                    self.tell_refused(&error).await;
                    None
                }
            };
            let Some(subject) = accepted else { continue };
            if let Some((earlier, task)) = settling.take()
                && !task.is_finished()
            {
                task.abort();
                self.tell(&earlier, Status::Skipped, Cause::Superseded, "a newer order came").await;
            }
            if let Err(error) = self.fleet.scale_to(subject.order.replicas).await {
                self.tell(&subject, Status::Error, Cause::Engine, &error.to_string()).await;
                continue;
            }
            let task = tokio::spawn(settle(self.bus.clone(), self.fleet.clone(), subject.clone()));
            settling = Some((subject, task));
        }
    }

    /// Nothing is obeyed while the pause is on; the order is judged when it is over, if it is
    /// still in time.
    async fn wait_out(&self, received: &Result<Received, OrderError>, by: &str) {
        if let Ok(Received::Order(order)) = received {
            let subject = Subject { verb: "noop", order: order.clone() };
            self.tell(&subject, Status::Skipped, Cause::Paused, by).await;
        }
        tracing::info!(by, "paused");
        while self.pause.is_on() {
            sleep(LOOK).await;
        }
        tracing::info!("going on");
    }

    /// Accepts an order, or tells why not.
    async fn judge(&mut self, order: Order) -> Option<Subject> {
        let towards = Verb::towards(self.ready().await, Some(order.replicas));
        let subject = Subject { verb: towards.as_str(), order };
        let mut fence = self.ledger.fence();
        if let Err(refusal) = fence.judge(&subject.order, wall_now()) {
            let cause = match refusal {
                Refusal::Expired { .. } => Cause::Expired,
                Refusal::StaleEpoch { .. } => Cause::StaleEpoch,
                Refusal::StaleSeq { .. } => Cause::StaleSeq,
                // Obeyed already; a restart reads it again.
                _ => return None,
            };
            self.tell(&subject, Status::Skipped, cause, &refusal.to_string()).await;
            return None;
        }
        if !self.allows(subject.order.replicas) {
            let rule = format!("replicas: this executor allows {}", self.bounds);
            self.tell(&subject, Status::Skipped, Cause::Bounds, &rule).await;
            return None;
        }
        if let Err(error) = self.ledger.accept(fence, subject.order.replicas) {
            self.tell(&subject, Status::Error, Cause::Engine, &error.to_string()).await;
            return None;
        }
        self.router.set_epoch(fence.epoch_max);
        let (replicas, epoch, seq) = (subject.order.replicas, fence.epoch_max, fence.seq_last);
        tracing::info!(replicas, epoch, seq, "accepted");
        Some(subject)
    }

    /// One step of an old planner, as a target.
    async fn judge_step(&mut self, step: Step) -> Option<Subject> {
        // From what is wanted, not from what there is: that may be on its way.
        let wanted = self.ledger.target().unwrap_or_else(|| self.bounds.min());
        let (verb, replicas) = match step {
            Step::Up => ("scale_up", wanted.saturating_add(1)),
            Step::Down => ("scale_down", wanted.saturating_sub(1)),
            Step::Restart => ("restart", wanted),
        };
        let order = Order {
            replicas,
            epoch: self.ledger.fence().epoch_max,
            seq: 0,
            id: None,
            expires_ts: wall_now(),
            reason: String::from("a step of an old planner"),
        };
        let subject = Subject { verb, order };
        if verb == "restart" {
            let rule = "restart: not enabled; replicas that die are replaced anyway";
            self.tell(&subject, Status::Skipped, Cause::OldActionRefused, rule).await;
            return None;
        }
        if !self.allows(replicas) {
            let rule = format!("replicas: this executor allows {}", self.bounds);
            self.tell(&subject, Status::Noop, Cause::Bounds, &rule).await;
            return None;
        }
        if let Err(error) = self.ledger.accept(self.ledger.fence(), replicas) {
            self.tell(&subject, Status::Error, Cause::Engine, &error.to_string()).await;
            return None;
        }
        Some(subject)
    }

    fn allows(&self, replicas: u32) -> bool {
        (self.bounds.min()..=self.bounds.max()).contains(&replicas)
    }

    /// Replicas in traffic, where that is known.
    async fn ready(&self) -> Option<u32> {
        self.fleet.counts().await.ok().map(|counts| counts.ready)
    }

    async fn tell_refused(&self, error: &OrderError) {
        tracing::warn!(%error, "no order");
        let cause = match error {
            OrderError::OldAction => Cause::OldActionRefused,
            OrderError::Refused(_) => Cause::Malformed,
            _ => return,
        };
        let mut result =
            ActionResult::new(self.bus.service().clone(), wall_now(), "noop", Status::Skipped);
        (result.cause, result.message) = (Some(cause), Some(error.to_string()));
        publish(&self.bus, &result).await;
    }

    async fn tell(&self, subject: &Subject, status: Status, cause: Cause, message: &str) {
        let mut result = subject.result(&self.bus, status, cause, message);
        result.observed = self.ready().await;
        publish(&self.bus, &result).await;
    }
}

impl Subject {
    fn result(&self, bus: &Bus, status: Status, cause: Cause, message: &str) -> ActionResult {
        let mut result = ActionResult::new(bus.service().clone(), wall_now(), self.verb, status);
        result.target = bus.service().to_string();
        result.reason.clone_from(&self.order.reason);
        result.message = Some(message.to_owned());
        (result.id, result.cause) = (self.order.id, Some(cause));
        (result.epoch, result.seq) = (Some(self.order.epoch), Some(self.order.seq));
        result.replicas = Some(self.order.replicas);
        result
    }
}

/// Tells when an order is carried out, or that it takes too long.
async fn settle(bus: Bus, fleet: Arc<dyn Fleet>, subject: Subject) {
    let start = Instant::now();
    let mut members = fleet.members();
    let wanted = subject.order.replicas;
    let is_met = |members: &Vec<planner_ports::Member>| {
        let counts = ReplicaCounts::of(members);
        counts == ReplicaCounts { ready: wanted, ..ReplicaCounts::default() }
    };
    let met = timeout(SETTLED_WITHIN, members.wait_for(is_met)).await.is_ok_and(|met| met.is_ok());
    let counts = ReplicaCounts::of(&fleet.members().borrow().clone());
    let (status, cause, message) = if met {
        (Status::Ok, Cause::Applied, format!("{wanted} replicas are ready"))
    } else {
        let why = fleet.last_error().unwrap_or_else(|| String::from("it is under way"));
        (Status::Error, Cause::Timeout, format!("{} of {wanted} are ready: {why}", counts.ready))
    };
    let mut result = subject.result(&bus, status, cause, &message);
    result.observed = Some(counts.ready);
    result.took_ms = Some(start.elapsed().as_secs_f64() * 1_000.0);
    publish(&bus, &result).await;
}

/// Tells a result to whoever listens.
async fn publish(bus: &Bus, result: &ActionResult) {
    if let Err(error) = bus.publish(Channel::Results, &result.write()).await {
        tracing::warn!(%error, "a result was not told");
    }
}
