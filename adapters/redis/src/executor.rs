//! The planner's side: decisions become orders, fenced, sealed and on record.

use std::time::Duration;

use async_trait::async_trait;
use planner_core::Decision;
use planner_ports::{Executor, ExecutorError, ReplicaCounts};
use tokio::sync::Mutex;

use crate::connection::span;
use crate::scripts::ORDER;
use crate::steps::Steps;
use crate::wire::{Action, Membership, SKEW_MAX_S, Stamp, wall_now};
use crate::{Bus, BusError, Channel, LeaseHold, Mode};

/// Age beyond which the counts are unknown.
const COUNTS_AGE_MAX: Duration = Duration::from_secs(15);
/// What is asked, as errors name it.
const ENGINE: &str = "the executor behind Redis";

/// How orders are given. Start from [`RedisExecutorSettings::default`] and change what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisExecutorSettings {
    /// The container that old executors look for; `app` by default.
    pub container: String,
    /// How long an order may be obeyed, 1 s to an hour; 60 s by default.
    pub order_ttl: Duration,
    /// Least time between two steps towards an old executor, 100 ms to an hour; 2 s by default.
    pub step_pause: Duration,
}

impl Default for RedisExecutorSettings {
    fn default() -> Self {
        Self {
            container: String::from("app"),
            order_ttl: Duration::from_secs(60),
            step_pause: Duration::from_secs(2),
        }
    }
}

/// Hands targets on to an executor that reads them from Redis.
///
/// The desired state is a key; a message only wakes the executor. In pub/sub mode, where an old
/// executor may listen that knows single steps only, steps are repeated until the count that
/// [`RedisExecutor::note_counts`] is told is the target.
#[derive(Debug)]
pub struct RedisExecutor {
    bus: Bus,
    lease: LeaseHold,
    settings: RedisExecutorSettings,
    /// Epoch and number of the last order; held while one is given, so that numbers rise.
    last: Mutex<(u64, u64)>,
    steps: Steps,
}

impl RedisExecutor {
    /// An executor that gives orders while the lease is held. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BusError::Span`] names the setting that cannot work.
    pub fn new(
        bus: &Bus,
        lease: LeaseHold,
        settings: RedisExecutorSettings,
    ) -> Result<Self, BusError> {
        let hour = Duration::from_secs(3_600);
        span("order_ttl", settings.order_ttl, Duration::from_secs(1), hour)?;
        span("step_pause", settings.step_pause, Duration::from_millis(100), hour)?;
        let steps =
            Steps::start(bus.clone(), lease.clone(), settings.step_pause, settings.order_ttl);
        Ok(Self { bus: bus.clone(), lease, settings, last: Mutex::new((0, 0)), steps })
    }

    /// Says how many replicas the newest window counted.
    pub fn note_counts(&self, counts: ReplicaCounts) {
        self.steps.note(counts);
    }

    /// Tells listeners of a decision that orders nothing, as the proof of concept's planner does.
    /// One that orders something is left to [`Executor::carry_out`].
    ///
    /// # Errors
    ///
    /// [`BusError`] when it may not have been sent.
    pub async fn publish_hold(&self, decision: &Decision) -> Result<(), BusError> {
        if decision.target().is_some() {
            return Ok(());
        }
        let stamp = self.stamp(self.lease.epoch().unwrap_or(0), 0);
        let text = self.bus.sealed(Action::of_decision(decision, stamp).write());
        self.bus.publish(Channel::Actions, &text).await
    }

    /// Gives an order, unless a newer one stands.
    async fn give(
        &self,
        replicas: u32,
        action: impl FnOnce(Stamp) -> Action + Send,
    ) -> Result<(), ExecutorError> {
        let mut last = self.last.lock().await;
        let Some(epoch) = self.lease.epoch() else {
            let rule = "this planner does not hold the lease; leave it to the one that does";
            return Err(ExecutorError::Refused { replicas, rule: String::from(rule) });
        };
        if last.0 != epoch {
            *last = (epoch, self.stored_seq(epoch).await?);
        }
        last.1 += 1;
        let action = action(self.stamp(epoch, last.1));
        let newer = self.run(&action).await.map_err(|error| unavailable(&error))?;
        let [newer_epoch, newer_seq] = newer.as_slice() else {
            if self.bus.mode() == Mode::PubSub {
                self.steps.order(action);
            }
            return Ok(());
        };
        let [newer_epoch, newer_seq] =
            [newer_epoch, newer_seq].map(|number| number.parse::<u64>().unwrap_or(0));
        if newer_epoch == epoch {
            last.1 = newer_seq;
            let cause = String::from("a newer number of this epoch was used");
            return Err(ExecutorError::Unavailable { engine: ENGINE, cause });
        }
        self.lease.saw(newer_epoch);
        let rule = format!("a planner of epoch {newer_epoch} leads; leave it to that one");
        Err(ExecutorError::Refused { replicas, rule })
    }

    /// Runs the script that gives an order; what is newer, if something is.
    async fn run(&self, action: &Action) -> Result<Vec<String>, BusError> {
        let Some(stamp) = action.order else { return Ok(Vec::new()) };
        let text = self.bus.sealed(action.write());
        let mut script = ORDER.prepare_invoke();
        script.key(self.bus.key("epoch")).key(self.bus.key("desired"));
        script.key(self.bus.channel(Channel::Actions));
        script.arg(stamp.epoch).arg(stamp.seq).arg(stamp.replicas);
        script.arg(action.id.unwrap_or(0)).arg(stamp.expires_ts).arg(text);
        script.arg(self.bus.stream_max_len());
        script.arg(match self.bus.mode() {
            Mode::PubSub => "publish",
            Mode::Streams => "stream",
        });
        self.bus.script("ordering", &script).await
    }

    /// The number of the last order of this epoch that Redis knows.
    async fn stored_seq(&self, epoch: u64) -> Result<u64, ExecutorError> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.bus.key("desired")).arg("epoch").arg("seq");
        let stored: (Option<u64>, Option<u64>) =
            self.bus.twice("ordering", &command).await.map_err(|error| unavailable(&error))?;
        Ok(if stored.0 == Some(epoch) { stored.1.unwrap_or(0) } else { 0 })
    }

    fn stamp(&self, epoch: u64, seq: u64) -> Stamp {
        let ts = wall_now();
        Stamp {
            service: self.bus.service().clone(),
            container: self.settings.container.clone(),
            ts,
            epoch,
            seq,
            expires_ts: ts + self.settings.order_ttl.as_secs_f64(),
        }
    }
}

#[async_trait]
impl Executor for RedisExecutor {
    async fn carry_out(&self, decision: &Decision) -> Result<(), ExecutorError> {
        match decision.target() {
            Some(to) => self.give(to, |stamp| Action::of_decision(decision, stamp)).await,
            None => Ok(()),
        }
    }

    async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError> {
        let counted = self.steps.counted(COUNTS_AGE_MAX).map(|counts| counts.ready);
        self.give(replicas, |stamp| Action::of_target(replicas, counted, stamp)).await
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        match membership(&self.bus).await {
            Ok(membership) => {
                self.lease.saw(membership.epoch);
                Ok(membership.counts())
            }
            // An old executor says nothing, but its monitor counts.
            Err(cause) => match self.steps.counted(COUNTS_AGE_MAX) {
                Some(counts) if self.bus.mode() == Mode::PubSub => Ok(counts),
                _ => Err(ExecutorError::Unavailable { engine: ENGINE, cause }),
            },
        }
    }
}

fn unavailable(error: &BusError) -> ExecutorError {
    ExecutorError::Unavailable { engine: ENGINE, cause: error.to_string() }
}

/// What the executor says there is, if it said so a moment ago.
async fn membership(bus: &Bus) -> Result<Membership, String> {
    let kept = bus.kept("members").await.map_err(|error| error.to_string())?;
    let bytes = kept.ok_or("it has not said anything yet")?;
    bus.verify(&bytes).map_err(|error| error.to_string())?;
    let membership = Membership::parse(&bytes).map_err(|error| error.to_string())?;
    let age_s = wall_now() - membership.ts;
    if membership.service != *bus.service() {
        return Err(format!("it speaks of the service {}", membership.service));
    }
    if !(-SKEW_MAX_S..=COUNTS_AGE_MAX.as_secs_f64()).contains(&age_s) {
        return Err(format!("its counts are {age_s:.1} s old"));
    }
    Ok(membership)
}

/// Counts what the executor says there is, for a monitor; it carries nothing out.
#[derive(Clone, Debug)]
pub struct RedisCounts(Bus);

impl RedisCounts {
    /// The counts that the executor tells on `bus`.
    pub const fn new(bus: Bus) -> Self {
        Self(bus)
    }
}

#[async_trait]
impl Executor for RedisCounts {
    async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError> {
        let rule = String::from("this one only counts; give orders through a planner");
        Err(ExecutorError::Refused { replicas, rule })
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        let told = membership(&self.0).await;
        let unknown = |cause| ExecutorError::Unavailable { engine: ENGINE, cause };
        told.map(|membership| membership.counts()).map_err(unknown)
    }
}
