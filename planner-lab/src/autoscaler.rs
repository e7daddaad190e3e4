//! Whoever decides in a closed loop: seconds in, targets out.
//!
//! An [`Autoscaler`] is anything that watches a service second by second. [`Seat`] seats a
//! [`Policy`] in a real [`Planner`], guards included, so that what is compared is what would run.
//! It turns seconds into what the policy would see: a [`Window`] with the traffic, latency and
//! replicas of several seconds, and through a [`Sense`] the observations of its own.
//!
//! A policy with a period of its own gets a window for each of its ticks, because a planner teaches
//! once a window; any other gets one every `window_s` seconds.

mod sense;

use std::time::Duration;

use planner_core::policy::Policy;
use planner_core::{
    Config, Event, Latencies, Latency, Planner, Step, Timestamp, Traffic, Window, WindowError,
};
pub use sense::{Averaged, EachSecond, Nothing, Sense};

use crate::fluid::Second;

/// Health probes of a window at least: a service that nobody uses is measured all the same.
const PROBES: u32 = 20;

/// Decides how many replicas a service should have.
pub trait Autoscaler {
    /// What it is called.
    fn name(&self) -> &str;

    /// Takes note of a second; the replicas to be ordered at its end, if it decided so.
    fn see(&mut self, second: &Second) -> Option<u32>;
}

impl<A: Autoscaler + ?Sized> Autoscaler for Box<A> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn see(&mut self, second: &Second) -> Option<u32> {
        (**self).see(second)
    }
}

/// Always the same number of replicas: what a policy has to be better than.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    replicas: u32,
}

impl Fixed {
    /// So many replicas, from the first second on.
    pub const fn new(replicas: u32) -> Self {
        Self { replicas }
    }
}

impl Autoscaler for Fixed {
    fn name(&self) -> &str {
        "fixed"
    }

    fn see(&mut self, _second: &Second) -> Option<u32> {
        Some(self.replicas)
    }
}

/// A policy in a planner, fed from seconds.
///
/// ```
/// use planner_core::policy::Heuristic;
/// use planner_core::{Config, ReplicaBounds};
/// use planner_lab::autoscaler::{Autoscaler as _, Nothing, Seat};
/// use planner_lab::fluid::{Fluid, FluidSpec, SteppedPlant as _};
///
/// let config = Config::builder(ReplicaBounds::new(1, 100)?).capacity_hint_per_s(50.0).build()?;
/// let mut seat = Seat::new(config, Heuristic, Nothing, 5);
/// let mut plant = Fluid::new(FluidSpec::default(), 1)?;
/// for _ in 0..10 {
///     if let Some(target) = seat.see(&plant.pass(200)) {
///         plant.scale_to(target);
///     }
/// }
/// assert!(plant.ordered() >= 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Seat<P: Policy, S> {
    planner: Planner<P>,
    sense: S,
    window_s: u64,
    gathered: Gathered,
}

impl<P: Policy, S: Sense<Signal = P::Signal>> Seat<P, S> {
    /// A policy with these settings. `window_s` is the length of its windows in seconds, from 1; a
    /// policy with a period has windows of that length.
    pub fn new(config: Config, policy: P, sense: S, window_s: u32) -> Self {
        let period_s = policy.period().map(|period| period.as_secs_f64().ceil() as u64);
        let window_s = period_s.unwrap_or(window_s.into()).max(1);
        Self {
            planner: Planner::new(config, policy),
            sense,
            window_s,
            gathered: Gathered::default(),
        }
    }

    /// The planner, with what it has learned.
    pub const fn planner(&self) -> &Planner<P> {
        &self.planner
    }
}

impl<P: Policy, S: Sense<Signal = P::Signal>> Autoscaler for Seat<P, S> {
    fn name(&self) -> &str {
        self.planner.policy().name()
    }

    fn see(&mut self, second: &Second) -> Option<u32> {
        self.gathered.add(second);
        let now = at(second.at_s);
        let is_due = second.at_s % self.window_s == 0;
        if let Some(signal) = self.sense.sense(now, second, is_due) {
            let _noted = self.planner.step(now, Event::Signal(signal));
        }
        if !is_due {
            return None;
        }
        let window = self.gathered.window(second).ok()?;
        let mut step = self.planner.step(now, Event::Observe(window));
        if self.planner.policy().period().is_some() {
            step = self.planner.step(now, Event::Wake);
        }
        match step {
            Step::Decide(decision) => decision.target(),
            _ => None,
        }
    }
}

/// The time after so many seconds.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_origin(Duration::from_secs(seconds))
}

/// Seconds on their way to become a window.
#[derive(Clone, Copy, Debug, Default)]
struct Gathered {
    seq: u64,
    start_s: u64,
    arrivals: f64,
    completions: f64,
    dropped: f64,
    p95_ms: Option<f64>,
}

impl Gathered {
    fn add(&mut self, second: &Second) {
        self.arrivals += second.arrivals as f64;
        self.completions += second.completions;
        self.dropped += second.dropped;
        self.p95_ms = match (self.p95_ms, second.p95_ms) {
            (Some(most), Some(p95_ms)) => Some(most.max(p95_ms)),
            (most, p95_ms) => most.or(p95_ms),
        };
    }

    /// The window that ends with `last`, and a new beginning.
    fn window(&mut self, last: &Second) -> Result<Window, WindowError> {
        let begun = *self;
        *self = Self { seq: begun.seq + 1, start_s: last.at_s, ..Self::default() };
        let length_s = (last.at_s - begun.start_s) as f64;
        let traffic = Traffic::arriving(begun.arrivals / length_s)?
            .with_completions(begun.completions / length_s)?
            .with_in_flight(count(last.in_flight));
        let timeouts = count(begun.dropped);
        let samples = count(begun.completions + begun.dropped).max(timeouts).max(PROBES);
        let builder = Window::builder(self.seq, at(begun.start_s), at(last.at_s))
            .outcomes(samples, timeouts, 0)
            .coverage(1.0)
            .ready(last.ready)
            .starting(last.starting)
            .traffic(traffic);
        let p95 = begun.p95_ms.filter(|_| samples > timeouts).and_then(Latency::from_millis);
        match p95 {
            Some(p95) => builder.latencies(Latencies::from_p95(p95)).build(),
            None => builder.build(),
        }
    }
}

/// A number of requests, rounded down.
fn count(requests: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within u32")]
    let count = requests.clamp(0.0, 1e9) as u32;
    count
}
