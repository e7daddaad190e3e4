//! An executor of nothing: orders are obeyed in memory, and their results say so.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use planner_core::ReplicaBounds;
use planner_examples_local::settings::Settings;
use planner_ports::Router as _;
use planner_redis::wire::{ActionResult, Cause, Routing, Status, Verb, wall_now};
use planner_redis::{
    Bus, Channel, Fence, MembershipReader, Order, Orders, OrdersSettings, Received, RedisRouter,
    RedisRouterSettings, Refusal, Step,
};
use tokio::task::JoinHandle;

use crate::program::Failure;

/// Begins to obey.
pub(super) fn start(settings: &Settings, bus: &Bus) -> Result<JoinHandle<()>, Failure> {
    let bounds = settings.config()?.bounds();
    let mut listening = OrdersSettings::default();
    listening.consumer = String::from("simulation");
    listening.accept_old_actions = settings.text("KEY_FILE").is_none();
    let orders = Orders::new(bus, listening)?;
    let router = RedisRouter::new(bus, &RedisRouterSettings::default())?;
    let bus = bus.clone();
    Ok(tokio::spawn(async move {
        tokio::spawn(route(bus.clone()));
        let (replicas, fence) = (bounds.min(), Fence::default());
        let mut simulation = Simulation { bus, router: Arc::new(router), bounds, replicas, fence };
        simulation.serve().await;
        simulation.obey(orders).await;
    }))
}

/// What is simulated.
struct Simulation {
    bus: Bus,
    router: Arc<RedisRouter>,
    bounds: ReplicaBounds,
    replicas: u32,
    fence: Fence,
}

impl Simulation {
    async fn obey(&mut self, mut orders: Orders) {
        loop {
            match orders.next().await {
                Ok(Received::Order(order)) => self.take(&order).await,
                Ok(Received::OldStep(step)) => self.take_step(step).await,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "no order"),
            }
        }
    }

    async fn take(&mut self, order: &Order) {
        let verb = Verb::towards(Some(self.replicas), Some(order.replicas));
        let (status, cause, message) = match self.fence.judge(order, wall_now()) {
            Err(Refusal::Repeated { .. }) => return,
            Err(refusal) => {
                let cause = match refusal {
                    Refusal::StaleEpoch { .. } => Cause::StaleEpoch,
                    Refusal::StaleSeq { .. } => Cause::StaleSeq,
                    _ => Cause::Expired,
                };
                (Status::Skipped, cause, refusal.to_string())
            }
            Ok(()) => self.scale(order.replicas).await,
        };
        let mut result = self.result(verb.as_str(), status, cause, message);
        result.reason.clone_from(&order.reason);
        (result.id, result.replicas) = (order.id, Some(order.replicas));
        (result.epoch, result.seq) = (Some(order.epoch), Some(order.seq));
        self.tell(&result).await;
    }

    async fn take_step(&mut self, step: Step) {
        let (verb, replicas) = match step {
            Step::Up => ("scale_up", self.replicas.saturating_add(1)),
            Step::Down => ("scale_down", self.replicas.saturating_sub(1)),
            Step::Restart => ("restart", self.replicas),
        };
        let (status, cause, message) = self.scale(replicas).await;
        self.tell(&self.result(verb, status, cause, message)).await;
    }

    /// Makes it so many, within the bounds.
    async fn scale(&mut self, replicas: u32) -> (Status, Cause, String) {
        if !(self.bounds.min()..=self.bounds.max()).contains(&replicas) {
            let message = format!("replicas: this executor allows {}", self.bounds);
            return (Status::Noop, Cause::Bounds, message);
        }
        self.replicas = replicas;
        self.serve().await;
        (Status::Ok, Cause::Simulated, format!("{replicas} replicas, in memory"))
    }

    /// Says which replicas there are, at addresses that nobody is asked to call.
    async fn serve(&self) {
        self.router.set_epoch(self.fence.epoch_max);
        let last = u16::try_from(self.replicas).unwrap_or(u16::MAX);
        let backends: Vec<SocketAddr> =
            (1..=last).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).collect();
        if let Err(error) = self.router.route(&backends).await {
            tracing::warn!(%error, "the replicas were not told");
        }
    }

    fn result(&self, verb: &str, status: Status, cause: Cause, message: String) -> ActionResult {
        let service = self.bus.service().clone();
        let target = service.to_string();
        let mut result = ActionResult::new(service, wall_now(), verb, status);
        (result.target, result.message, result.cause) = (target, Some(message), Some(cause));
        (result.observed, result.simulated) = (Some(self.replicas), Some(true));
        result.took_ms = Some(0.0);
        result
    }

    async fn tell(&self, result: &ActionResult) {
        if let Err(error) = self.bus.publish(Channel::Results, &result.write()).await {
            tracing::warn!(%error, "a result was not told");
        }
    }
}

/// Routes at once: there is no traffic.
async fn route(bus: Bus) {
    let mut members = MembershipReader::new(&bus);
    loop {
        let Ok(membership) = members.next().await else { continue };
        let service = bus.service().clone();
        let routing = Routing::new(service, "0", membership.ready(), wall_now());
        let routing = routing.answering(membership.seq).drained(wall_now());
        if let Err(error) = bus.publish_routing(&routing).await {
            tracing::warn!(%error, "a routing was not told");
        }
    }
}
