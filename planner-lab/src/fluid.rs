//! The fast plant: a service as a fluid, second by second.
//!
//! [`Fluid`] is the service that the clairvoyant optimum assumes ([`optimum::fluid`] for the
//! requests, one fleet for the replicas), driven from outside, so that what a policy cost and what
//! the least was are of one service. About 20 ns a second of virtual time and no allocation.
//!
//! [`SteppedPlant`] is what a closed loop needs of a plant; [`QueuePlant`] is the queue of single
//! requests behind it.
//!
//! [`optimum::fluid`]: crate::optimum::fluid

mod queued;

pub use queued::{QueuePlant, QueuePlantError};
use thiserror::Error;

use crate::optimum::fleet::Fleet;
use crate::optimum::fluid::{Capacity, Service};
use crate::optimum::{Instance, InstanceError, Rules};

/// The range of [`FluidSpec::base_ms`].
const BASE_MS: std::ops::RangeInclusive<f64> = 1e-3..=1e6;
/// The longest start-up, in seconds.
const STARTUP_S_MAX: u32 = 86_400;

/// What a service is like.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a service")]
pub struct FluidSpec {
    /// What a replica answers, and what users bear. Its steps have to be of 1 s.
    pub service: Service,
    /// From an order to readiness, in seconds: 0 to 86400.
    pub startup_s: u32,
    /// Fewest replicas that can be ordered.
    pub replicas_min: u32,
    /// Most replicas that can be ordered, at least 1.
    pub replicas_max: u32,
    /// p95 of the time that a request takes when it does not wait, in milliseconds: 0.001 to 1e6.
    pub base_ms: f64,
}

impl Default for FluidSpec {
    /// 1 to 100 replicas of 50 requests a second at 40 ms, ready after 30 s; 0.25 s of wait
    /// allowed, 10 s of patience.
    fn default() -> Self {
        Self {
            service: Service::default(),
            startup_s: 30,
            replicas_min: 1,
            replicas_max: 100,
            base_ms: 40.0,
        }
    }
}

impl FluidSpec {
    /// The rules of the optimum for this service.
    pub const fn rules(&self, initial: u32, decide_every_s: u32) -> Rules {
        Rules {
            service: self.service,
            replicas_min: self.replicas_min,
            replicas_max: self.replicas_max,
            initial,
            startup_steps: self.startup_s,
            decide_every_steps: decide_every_s,
            added_max: None,
            removed_max: None,
        }
    }

    /// Checks it together with the replicas at first.
    ///
    /// # Errors
    ///
    /// Those of [`Fluid::new`].
    pub fn check(&self, initial: u32) -> Result<(), FluidError> {
        let Service { step_s, .. } = self.service;
        if step_s != 1.0 {
            return Err(FluidError::Step { step_s });
        }
        if !BASE_MS.contains(&self.base_ms) {
            return Err(FluidError::Base { base_ms: self.base_ms });
        }
        if self.startup_s > STARTUP_S_MAX {
            return Err(FluidError::Startup { startup_s: self.startup_s });
        }
        // An instance of one second checks everything that the two have in common.
        Instance::new(vec![0.0], self.rules(initial, 1))?;
        Ok(())
    }
}

/// Why a service cannot be simulated.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum FluidError {
    /// The time of a request that does not wait.
    #[error("base_ms is {base_ms}; give a time from 0.001 to 1e6 ms")]
    Base {
        /// What was given.
        base_ms: f64,
    },
    /// The service, its bounds or the replicas at first.
    #[error(transparent)]
    Service(#[from] InstanceError),
    /// The start-up takes too long.
    #[error("startup_s is {startup_s}; give a time from 0 to 86400 s")]
    Startup {
        /// What was given.
        startup_s: u32,
    },
    /// Steps that are not seconds.
    #[error("step_s is {step_s}; this plant goes second by second: give 1")]
    Step {
        /// What was given.
        step_s: f64,
    },
}

/// What happened in one second, and how things stand at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who simulate a service")]
pub struct Second {
    /// Its end, in seconds from the origin: 1 for the first.
    pub at_s: u64,
    /// Requests that arrived.
    pub arrivals: u64,
    /// Requests that were answered.
    pub completions: f64,
    /// Requests that left unanswered.
    pub dropped: f64,
    /// Requests that wait at its end.
    pub backlog: f64,
    /// Requests under way at its end: those that wait and those that are served.
    pub in_flight: f64,
    /// How long who arrives at its end will wait, in seconds.
    pub wait_s: f64,
    /// p95 of the latency in milliseconds; `None` where nothing could be answered.
    pub p95_ms: Option<f64>,
    /// Arrivals whose wait violates the objective.
    pub violating: f64,
    /// Replicas that served.
    pub ready: u32,
    /// Replicas that were ordered and did not serve yet.
    pub starting: u32,
}

impl Second {
    /// Replicas that were billed for it: ready or starting.
    pub const fn billed(&self) -> u32 {
        self.ready + self.starting
    }
}

/// A service that goes second by second and whose replicas can be ordered.
pub trait SteppedPlant {
    /// Lets a second with so many requests pass.
    fn pass(&mut self, arrivals: u64) -> Second;

    /// Orders this many replicas, ready or starting, for the seconds to come. New ones start,
    /// superfluous ones go, the latest order first.
    fn scale_to(&mut self, replicas: u32);

    /// Replicas that are ordered, ready or starting.
    fn ordered(&self) -> u32;
}

/// The fluid plant.
///
/// ```
/// use planner_lab::fluid::{Fluid, FluidSpec, SteppedPlant as _};
///
/// let mut plant = Fluid::new(FluidSpec::default(), 1)?;
/// plant.scale_to(3);
/// let first = plant.pass(120);
/// assert_eq!((first.ready, first.starting, first.billed()), (1, 2, 3));
/// assert_eq!((first.completions, first.backlog, first.wait_s), (50.0, 70.0, 1.4));
/// # Ok::<(), planner_lab::fluid::FluidError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fluid {
    spec: FluidSpec,
    fleet: Fleet,
    capacity: Capacity,
    per_s: f64,
    backlog: f64,
    /// Seconds that have passed.
    passed: usize,
}

impl Fluid {
    /// The service with so many ready replicas at the origin of time.
    ///
    /// # Errors
    ///
    /// [`FluidError`] when a number of the spec is out of its range, or `ready` is not within the
    /// bounds.
    pub fn new(spec: FluidSpec, ready: u32) -> Result<Self, FluidError> {
        spec.check(ready)?;
        let mut plant = Self {
            spec,
            fleet: Fleet::new(ready),
            capacity: spec.service.capacity(ready),
            per_s: 0.0,
            backlog: 0.0,
            passed: 0,
        };
        plant.count_capacity();
        Ok(plant)
    }

    /// What the service is like.
    pub const fn spec(&self) -> &FluidSpec {
        &self.spec
    }

    fn count_capacity(&mut self) {
        let ready = self.fleet.ready();
        self.capacity = self.spec.service.capacity(ready);
        self.per_s = f64::from(ready) * self.spec.service.rate_per_replica_per_s;
    }

    /// How long this many waiting requests wait; nobody waits for nobody.
    fn wait_s(&self, waiting: f64) -> f64 {
        if self.per_s > 0.0 { waiting.max(0.0) / self.per_s } else { 0.0 }
    }
}

impl SteppedPlant for Fluid {
    fn pass(&mut self, arrivals: u64) -> Second {
        if self.fleet.become_ready(self.passed) {
            self.count_capacity();
        }
        self.passed += 1;
        let (before, arriving) = (self.backlog, arrivals as f64);
        let passed = self.capacity.pass(before, arriving);
        self.backlog = passed.backlog;
        let completions = (before + arriving - passed.backlog - passed.dropped).max(0.0);
        let (ready, total) = (self.fleet.ready(), self.fleet.total());
        // The backlog is a line over the second: who waits longest arrives at one of its ends.
        let longest_s = self.wait_s(before).max(self.wait_s(passed.backlog + passed.dropped));
        let longest_s = longest_s.min(self.spec.service.patience_s);
        let p95_ms = self.spec.base_ms + 1_000.0 * longest_s;
        Second {
            at_s: self.passed as u64,
            arrivals,
            completions,
            dropped: passed.dropped,
            backlog: passed.backlog,
            in_flight: passed.backlog + completions * self.spec.base_ms / 1_000.0,
            wait_s: self.wait_s(passed.backlog),
            p95_ms: (ready > 0).then_some(p95_ms),
            violating: passed.violating,
            ready,
            starting: total - ready,
        }
    }

    fn scale_to(&mut self, replicas: u32) {
        let target = replicas.clamp(self.spec.replicas_min, self.spec.replicas_max);
        let before = self.fleet.ready();
        self.fleet.order(target, self.passed + self.spec.startup_s as usize);
        if self.fleet.ready() != before {
            self.count_capacity();
        }
    }

    fn ordered(&self) -> u32 {
        self.fleet.total()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plant(ready: u32) -> Fluid {
        Fluid::new(FluidSpec::default(), ready).expect("a plant")
    }

    fn refusal(spec: FluidSpec, ready: u32) -> String {
        Fluid::new(spec, ready).expect_err("refused").to_string()
    }

    #[test]
    fn a_service_that_cannot_be_simulated_is_refused() {
        let spec = FluidSpec::default();
        assert_eq!(
            refusal(FluidSpec { base_ms: f64::NAN, ..spec }, 1),
            "base_ms is NaN; give a time from 0.001 to 1e6 ms"
        );
        assert_eq!(
            refusal(FluidSpec { startup_s: 86_401, ..spec }, 1),
            "startup_s is 86401; give a time from 0 to 86400 s"
        );
        let service = Service { step_s: 5.0, ..Service::default() };
        assert_eq!(
            refusal(FluidSpec { service, ..spec }, 1),
            "step_s is 5; this plant goes second by second: give 1"
        );
        assert_eq!(
            refusal(spec, 0),
            "replicas are 0 at first and bounded by 1 to 100; give bounds of at most 10000, not \
             both 0, that hold the initial count"
        );
        let service = Service { rate_per_replica_per_s: -1.0, ..Service::default() };
        assert!(refusal(FluidSpec { service, ..spec }, 1).starts_with("rate_per_replica_per_s"));
    }

    #[test]
    fn without_replicas_everybody_leaves_and_no_latency_is_known() {
        let spec = FluidSpec { replicas_min: 0, ..FluidSpec::default() };
        let second = Fluid::new(spec, 0).expect("a plant").pass(30);
        assert_eq!((second.dropped, second.violating, second.completions), (30.0, 30.0, 0.0));
        assert_eq!((second.p95_ms, second.wait_s, second.billed()), (None, 0.0, 0));
    }

    #[test]
    fn who_would_wait_beyond_their_patience_leaves() {
        let mut plant = plant(1);
        let second = plant.pass(10_000);
        assert_eq!((second.backlog, second.dropped, second.wait_s), (500.0, 9_450.0, 10.0));
        assert_eq!(second.p95_ms, Some(10_040.0));
    }

    #[test]
    fn ordered_replicas_are_billed_at_once_and_serve_after_their_start_up() {
        let mut plant = plant(1);
        plant.pass(0);
        plant.scale_to(4);
        let seconds: Vec<Second> = (0..32).map(|_| plant.pass(0)).collect();
        assert!(seconds.iter().all(|second| second.billed() == 4));
        let ready: Vec<u32> = seconds.iter().map(|second| second.ready).collect();
        // Ordered at the end of the 1st second, they start for 30 and serve from the 32nd on.
        assert_eq!((ready[29], ready[30], seconds[30].at_s), (1, 4, 32));
    }

    #[test]
    fn without_a_start_up_replicas_serve_in_the_next_second() {
        let spec = FluidSpec { startup_s: 0, ..FluidSpec::default() };
        let mut plant = Fluid::new(spec, 1).expect("a plant");
        plant.scale_to(2);
        assert_eq!(plant.pass(100).completions, 100.0);
    }

    #[test]
    fn removed_replicas_are_gone_in_the_next_second_those_that_start_first() {
        let mut plant = plant(5);
        plant.scale_to(8);
        plant.pass(0);
        plant.scale_to(6);
        let second = plant.pass(0);
        assert_eq!((second.ready, second.starting), (5, 1));
        plant.scale_to(2);
        let second = plant.pass(300);
        assert_eq!((second.ready, second.starting, second.completions), (2, 0, 100.0));
    }

    #[test]
    fn orders_are_kept_within_the_bounds() {
        let mut plant = plant(5);
        plant.scale_to(0);
        assert_eq!(plant.ordered(), 1);
        plant.scale_to(u32::MAX);
        assert_eq!(plant.ordered(), 100);
    }

    #[test]
    fn latency_is_the_base_and_the_longest_wait_of_the_second() {
        let mut plant = plant(2);
        assert_eq!(plant.pass(100).p95_ms, Some(40.0));
        // 20 wait at its end: 0.2 s.
        assert_eq!(plant.pass(120).p95_ms, Some(240.0));
        // Who came first still waited for them.
        let drained = plant.pass(50);
        assert_eq!((drained.p95_ms, drained.wait_s), (Some(240.0), 0.0));
        assert_eq!((drained.completions, drained.in_flight), (70.0, 2.8));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn nobody_appears_and_nobody_vanishes(
            seconds in prop::collection::vec((0_u64..900, 0_u32..20), 1..120),
            startup_s in 0_u32..9,
        ) {
            let spec = FluidSpec { startup_s, replicas_min: 0, ..FluidSpec::default() };
            let mut plant = Fluid::new(spec, 3).expect("a plant");
            let mut waiting = 0.0;
            for (arrivals, target) in seconds {
                let second = plant.pass(arrivals);
                waiting += arrivals as f64 - second.completions - second.dropped;
                prop_assert!((waiting - second.backlog).abs() < 1e-6);
                prop_assert!(second.violating <= arrivals as f64);
                prop_assert!(second.completions <= f64::from(second.ready) * 50.0 + 1e-9);
                prop_assert_eq!(second.billed(), plant.ordered());
                plant.scale_to(target);
            }
        }
    }
}
