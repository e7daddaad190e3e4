//! What a simulated service is like: settings, their ranges and defaults.

use serde::{Deserialize, Serialize};

use super::error::within;
use super::{QueueError, ServiceTime};

/// The most scheduled disturbances.
const DISTURBANCES_MAX: usize = 1_000;
/// The rule of most times.
const TIME_RULE: &str = "a time from 0 to 86400 seconds";
/// The latest instant of a disturbance: a hundred years.
const INSTANT_MAX_S: f64 = 3.2e9;

/// A simulated service. [`Queue::new`](super::Queue::new) checks every range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a service")]
pub struct QueueSpec {
    /// How long a warm, undisturbed replica works on a request.
    pub service: ServiceTime,
    /// Requests that a replica works on at a time: 1 to 1000. They do not slow each other down.
    pub concurrency: u32,
    /// Who holds what waits, and who gets what.
    pub balancing: Balancing,
    /// The most requests that may wait, over all replicas: 0 to 10 million. One more is refused,
    /// which is a failure.
    pub queue_max: u32,
    /// Requests that wait for service longer than this are counted apart: 0 to 86400 seconds.
    pub wait_threshold_s: f64,
    /// How replicas come and go.
    pub life: LifeSpec,
    /// When clients give up; `None` never.
    pub timeout: Option<TimeoutSpec>,
    /// How clients try again; `None` never.
    pub retries: Option<RetrySpec>,
    /// What goes wrong, and when: at most 1000.
    pub disturbances: Vec<Disturbance>,
}

impl QueueSpec {
    /// One request at a time and replica, a central queue of at most 100 000, waits counted from
    /// 250 ms, replicas that start in 6 s; patient clients and no disturbance.
    pub fn of(service: ServiceTime) -> Self {
        Self {
            service,
            concurrency: 1,
            balancing: Balancing::CentralFifo,
            queue_max: 100_000,
            wait_threshold_s: 0.25,
            life: LifeSpec::default(),
            timeout: None,
            retries: None,
            disturbances: Vec::new(),
        }
    }

    /// Checks every range.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        self.service.check()?;
        let concurrency = f64::from(self.concurrency);
        within("concurrency", concurrency, 1.0..=1_000.0, "a count from 1 to 1000")?;
        let queue_max = f64::from(self.queue_max);
        within("queue_max", queue_max, 0.0..=1e7, "a count from 0 to 10000000")?;
        within("wait_threshold_s", self.wait_threshold_s, 0.0..=86_400.0, TIME_RULE)?;
        self.life.check()?;
        if let Some(timeout) = self.timeout {
            let rule = "a time from 0.001 to 86400 seconds";
            within("timeout.after_s", timeout.after_s, 1e-3..=86_400.0, rule)?;
        }
        if let Some(retries) = self.retries {
            retries.check()?;
        }
        let (number, max) = (self.disturbances.len() as f64, DISTURBANCES_MAX as f64);
        within("number of disturbances", number, 0.0..=max, "a count from 0 to 1000")?;
        for (index, disturbance) in self.disturbances.iter().enumerate() {
            disturbance.check(index)?;
        }
        Ok(())
    }
}

/// Who holds what waits, and which replica gets a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Balancing {
    /// The balancer holds what waits in one queue and gives it to whoever has a slot free, the
    /// least busy first. Without a replica requests wait.
    CentralFifo,
    /// Each replica has a queue of its own; a request goes to the one with the fewest requests,
    /// waiting ones included, in turn among equals. Without a replica requests fail.
    LeastConnections,
    /// Each replica has a queue of its own; a request goes to any, all equally likely. Without a
    /// replica requests fail.
    Random,
}

/// How replicas come and go.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a service")]
pub struct LifeSpec {
    /// From order to readiness: 0 to 86400 seconds.
    pub startup_s: f64,
    /// How long a replica is slower after it became ready: 0 to 86400 seconds.
    pub warmup_s: f64,
    /// The factor on service times at readiness, which falls linearly to 1 over the warm-up: 1 to
    /// 1000.
    pub warmup_factor: f64,
    /// How long a removed replica may finish what it has; what is left then fails: 0 to 86400
    /// seconds.
    pub drain_s: f64,
}

impl Default for LifeSpec {
    /// 6 s to start, no warm-up, 30 s to drain.
    fn default() -> Self {
        Self { startup_s: 6.0, warmup_s: 0.0, warmup_factor: 1.0, drain_s: 30.0 }
    }
}

impl LifeSpec {
    fn check(&self) -> Result<(), QueueError> {
        for (setting, value) in [
            ("life.startup_s", self.startup_s),
            ("life.warmup_s", self.warmup_s),
            ("life.drain_s", self.drain_s),
        ] {
            within(setting, value, 0.0..=86_400.0, TIME_RULE)?;
        }
        let rule = "a factor from 1 to 1000";
        within("life.warmup_factor", self.warmup_factor, 1.0..=1_000.0, rule)
    }
}

/// When a client gives up on an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a service")]
pub struct TimeoutSpec {
    /// Patience from the arrival of the attempt: 0.001 to 86400 seconds.
    pub after_s: f64,
    /// What becomes of the work.
    pub work: AfterTimeout,
}

/// What becomes of the work that nobody waits for any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "it is stopped or it is not")]
pub enum AfterTimeout {
    /// It leaves the queue or its slot at once.
    IsCancelled,
    /// It keeps its place and is done all the same, for nothing.
    IsDone,
}

/// How clients try again after a timeout or a failure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a service")]
pub struct RetrySpec {
    /// Retries of one request at most: 1 to 10.
    pub max: u32,
    /// The wait before the first retry, which doubles with each: 0 to 3600 seconds.
    pub backoff_s: f64,
    /// The longest wait: 0 to 3600 seconds.
    pub backoff_max_s: f64,
    /// The share of a wait that is random, so that clients do not come back together: 0 to 1.
    pub jitter_share: f64,
    /// Retries as a share of first attempts that all clients together may make, in the long run
    /// and from the start: 0 to 10. At most 100 are saved up. `None` is no budget.
    pub budget_share: Option<f64>,
}

impl RetrySpec {
    fn check(&self) -> Result<(), QueueError> {
        within("retries.max", f64::from(self.max), 1.0..=10.0, "a count from 1 to 10")?;
        let rule = "a time from 0 to 3600 seconds";
        within("retries.backoff_s", self.backoff_s, 0.0..=3_600.0, rule)?;
        within("retries.backoff_max_s", self.backoff_max_s, 0.0..=3_600.0, rule)?;
        within("retries.jitter_share", self.jitter_share, 0.0..=1.0, "a share from 0 to 1")?;
        let budget = self.budget_share.unwrap_or(0.0);
        within("retries.budget_share", budget, 0.0..=10.0, "a share from 0 to 10")
    }
}

/// Something that goes wrong at a scheduled time. Times are seconds since the origin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Disturbance {
    /// Ready replicas die, the longest ready first; all that they had fails.
    Crash {
        /// When: 0 to 3.2e9 seconds.
        at_s: f64,
        /// How many.
        replicas: u32,
        /// After how many seconds each starts again, its start-up time not included: 0 to 86400.
        /// Until then it counts as starting. `None` is never: it is no longer ordered.
        restart_after_s: Option<f64>,
    },
    /// Every attempt that arrives fails at once; what is under way goes on.
    Outage {
        /// When it begins: 0 to 3.2e9 seconds.
        at_s: f64,
        /// How long it lasts: 0 to 86400 seconds.
        for_s: f64,
    },
    /// Some replicas are slower, as beside a noisy neighbour. Several at a time multiply.
    Slowdown {
        /// When it begins: 0 to 3.2e9 seconds.
        at_s: f64,
        /// How long it lasts: 0 to 86400 seconds.
        for_s: f64,
        /// The factor on service times: 0.001 to 1000.
        factor: f64,
        /// The share of the replicas, taken evenly over the order of their starts: 0 to 1.
        share: f64,
    },
}

impl Disturbance {
    /// When it begins, in seconds.
    pub(super) const fn at_s(&self) -> f64 {
        match self {
            Self::Crash { at_s, .. } | Self::Outage { at_s, .. } | Self::Slowdown { at_s, .. } => {
                *at_s
            }
        }
    }

    fn check(&self, index: usize) -> Result<(), QueueError> {
        let named = |part: &str| format!("disturbances[{index}].{part}");
        let rule = "a time from 0 to 3.2e9 seconds";
        within(named("at_s"), self.at_s(), 0.0..=INSTANT_MAX_S, rule)?;
        match *self {
            Self::Crash { restart_after_s, .. } => {
                let after_s = restart_after_s.unwrap_or(0.0);
                within(named("restart_after_s"), after_s, 0.0..=86_400.0, TIME_RULE)
            }
            Self::Outage { for_s, .. } => within(named("for_s"), for_s, 0.0..=86_400.0, TIME_RULE),
            Self::Slowdown { for_s, factor, share, .. } => {
                within(named("for_s"), for_s, 0.0..=86_400.0, TIME_RULE)?;
                let rule = "a factor from 0.001 to 1000";
                within(named("factor"), factor, 1e-3..=1_000.0, rule)?;
                within(named("share"), share, 0.0..=1.0, "a share from 0 to 1")
            }
        }
    }
}
