//! What is known in advance: the load, the service and the rules for ordering replicas.

use std::ops::RangeInclusive;

use thiserror::Error;

use super::fleet::Fleet;
use super::fluid::Service;

/// Most steps of an instance: 115 days of seconds.
pub const STEPS_MAX: usize = 10_000_000;
/// Most replicas of an instance.
pub const REPLICAS_MAX: u32 = 10_000;

/// How replicas may be ordered.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a service")]
pub struct Rules {
    /// What the replicas can do.
    pub service: Service,
    /// Fewest replicas that may be ordered.
    pub replicas_min: u32,
    /// Most replicas that may be ordered, 1 to [`REPLICAS_MAX`].
    pub replicas_max: u32,
    /// Replicas that are ready before the first step, within the bounds.
    pub initial: u32,
    /// Steps from an order to readiness; 0: ready in the step of the order.
    pub startup_steps: u32,
    /// Steps from one decision to the next, from 1; the first decision is at the first step.
    pub decide_every_steps: u32,
    /// Most replicas that one decision may add.
    pub added_max: Option<u32>,
    /// Most replicas that one decision may remove.
    pub removed_max: Option<u32>,
}

impl Default for Rules {
    /// 1 to 100 replicas from 1 on, ready after 30 s, decided every 10 s, without rate limits.
    fn default() -> Self {
        Self {
            service: Service::default(),
            replicas_min: 1,
            replicas_max: 100,
            initial: 1,
            startup_steps: 30,
            decide_every_steps: 10,
            added_max: None,
            removed_max: None,
        }
    }
}

/// Why an instance is refused.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum InstanceError {
    /// The load has no steps, or too many.
    #[error("load has {steps} steps; 1 to {STEPS_MAX} are possible: cut it into stretches")]
    Steps {
        /// How many it has.
        steps: usize,
    },
    /// Arrivals of a step are no count.
    #[error("arrivals of step {step} are {arrivals}; give a finite number from 0 to 1e9")]
    Arrivals {
        /// The step, from 0.
        step: usize,
        /// What was given.
        arrivals: f64,
    },
    /// A number that describes the service is out of its range.
    #[error("{name} is {value}; give a finite number {range}")]
    Service {
        /// The field.
        name: &'static str,
        /// What was given.
        value: f64,
        /// What is possible.
        range: &'static str,
    },
    /// Bounds and initial count contradict each other.
    #[error(
        "replicas are {initial} at first and bounded by {min} to {max}; give bounds of at most \
         {REPLICAS_MAX}, not both 0, that hold the initial count"
    )]
    Replicas {
        /// Fewest.
        min: u32,
        /// At first.
        initial: u32,
        /// Most.
        max: u32,
    },
    /// Decisions never come.
    #[error("decide_every_steps is 0; decide every step (1) or less often")]
    Cadence,
}

/// Why a schedule cannot be followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleError {
    /// It is for another number of decisions.
    #[error("schedule has {given} targets, the load {expected} decisions; give one for each")]
    Length {
        /// Targets given.
        given: usize,
        /// Decisions there are.
        expected: usize,
    },
    /// A target that bounds or rate limits forbid.
    #[error(
        "target {target} of decision {decision} follows {from} replicas; {least} to {most} are \
         allowed there"
    )]
    Target {
        /// The decision, from 0.
        decision: usize,
        /// Replicas ordered before.
        from: u32,
        /// Replicas to be ordered.
        target: u32,
        /// Fewest allowed.
        least: u32,
        /// Most allowed.
        most: u32,
    },
}

/// A recorded load with the service that met it.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    arrivals: Vec<f64>,
    requests: f64,
    rules: Rules,
}

impl Instance {
    /// An instance with the `arrivals` of each step, as a number of requests.
    ///
    /// # Errors
    ///
    /// [`InstanceError`] when the load is empty, too long or no count, or the rules contradict
    /// themselves.
    pub fn new(arrivals: Vec<f64>, rules: Rules) -> Result<Self, InstanceError> {
        check_service(&rules.service)?;
        let Rules { replicas_min: min, replicas_max: max, initial, .. } = rules;
        if max == 0 || max > REPLICAS_MAX || !(min..=max).contains(&initial) {
            return Err(InstanceError::Replicas { min, initial, max });
        }
        if rules.decide_every_steps == 0 {
            return Err(InstanceError::Cadence);
        }
        if !(1..=STEPS_MAX).contains(&arrivals.len()) {
            return Err(InstanceError::Steps { steps: arrivals.len() });
        }
        let odd = arrivals.iter().position(|count| !(0.0..=1e9).contains(count));
        if let Some(step) = odd {
            return Err(InstanceError::Arrivals { step, arrivals: arrivals[step] });
        }
        let requests = arrivals.iter().sum();
        Ok(Self { arrivals, requests, rules })
    }

    /// Requests that arrive in each step.
    pub fn arrivals(&self) -> &[f64] {
        &self.arrivals
    }

    /// All requests together.
    pub const fn requests(&self) -> f64 {
        self.requests
    }

    /// How replicas may be ordered.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// How many decisions there are.
    pub const fn decisions(&self) -> usize {
        self.arrivals.len().div_ceil(self.decide_every())
    }

    /// Follows a schedule: the replicas to be ordered at each decision, ready or starting.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] when there are more or fewer targets than decisions, or one of them breaks
    /// bounds or rate limits.
    pub fn replay(&self, targets: &[u32]) -> Result<Outcome, ScheduleError> {
        if targets.len() != self.decisions() {
            return Err(ScheduleError::Length { given: targets.len(), expected: self.decisions() });
        }
        let mut from = self.rules.initial;
        for (decision, target) in targets.iter().copied().enumerate() {
            let allowed = self.allowed(from);
            if !allowed.contains(&target) {
                let (least, most) = allowed.into_inner();
                return Err(ScheduleError::Target { decision, from, target, least, most });
            }
            from = target;
        }
        Ok(self.follow(targets))
    }

    /// What a decision may order when `from` replicas were ordered before.
    pub(super) fn allowed(&self, from: u32) -> RangeInclusive<u32> {
        let least = self.rules.removed_max.map_or(0, |removed| from.saturating_sub(removed));
        let most = self.rules.added_max.map_or(u32::MAX, |added| from.saturating_add(added));
        least.max(self.rules.replicas_min)..=most.min(self.rules.replicas_max)
    }

    /// Follows targets that are allowed.
    pub(super) fn follow(&self, targets: &[u32]) -> Outcome {
        let mut pass = Pass::new(self);
        for target in targets {
            pass.decide(self, *target);
        }
        let replica_s = pass.replica_steps as f64 * self.rules.service.step_s;
        Outcome { replica_s, violating: pass.violating, requests: self.requests }
    }

    /// The violations of the steps of each decision.
    pub(super) fn violating_by_decision(&self, targets: &[u32]) -> Vec<f64> {
        let mut pass = Pass::new(self);
        let violating = targets.iter().map(|target| {
            let before = pass.violating;
            pass.decide(self, *target);
            pass.violating - before
        });
        violating.collect()
    }

    pub(super) const fn decide_every(&self) -> usize {
        self.rules.decide_every_steps as usize
    }

    /// Requests that may violate at this share.
    pub(super) fn budget(&self, share: f64) -> f64 {
        share * self.requests
    }

    /// What counts as within a budget: sums of many steps carry rounding.
    pub(super) fn tolerated(budget: f64) -> f64 {
        budget + 1e-9 * (1.0 + budget)
    }
}

/// A service on its way through an instance.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) fleet: Fleet,
    pub(super) backlog: f64,
    pub(super) violating: f64,
    pub(super) replica_steps: u64,
    step: usize,
}

impl Pass {
    pub(super) const fn new(instance: &Instance) -> Self {
        Self {
            fleet: Fleet::new(instance.rules.initial),
            backlog: 0.0,
            violating: 0.0,
            replica_steps: 0,
            step: 0,
        }
    }

    /// Orders `target` replicas and lets the steps until the next decision pass.
    pub(super) fn decide(&mut self, instance: &Instance, target: u32) {
        let rules = &instance.rules;
        let startup = rules.startup_steps as usize;
        let end = instance.arrivals.len().min(self.step + instance.decide_every());
        self.fleet.order(target, self.step + startup);
        let mut capacity = rules.service.capacity(self.fleet.ready());
        for step in self.step..end {
            if self.fleet.become_ready(step) {
                capacity = rules.service.capacity(self.fleet.ready());
            }
            let passed = capacity.pass(self.backlog, instance.arrivals[step]);
            self.violating += passed.violating;
            self.backlog = passed.backlog;
        }
        self.replica_steps += u64::from(self.fleet.total()) * (end - self.step) as u64;
        self.step = end;
    }
}

/// What a schedule cost and what it gave.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// Replicas that were ready or starting, times seconds.
    pub replica_s: f64,
    /// Requests whose wait violated the objective.
    pub violating: f64,
    /// All requests.
    pub requests: f64,
}

impl Outcome {
    /// Violating requests as a share of all; 0 without requests.
    pub fn violating_share(&self) -> f64 {
        if self.requests > 0.0 { self.violating / self.requests } else { 0.0 }
    }
}

/// A schedule with what it costs and gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Replicas ordered at each decision, ready or starting.
    pub targets: Vec<u32>,
    /// What follows from them.
    pub outcome: Outcome,
}

fn check_service(service: &Service) -> Result<(), InstanceError> {
    let above_zero = 1e-6..=1e6;
    let checks = [
        (
            "rate_per_replica_per_s",
            service.rate_per_replica_per_s,
            above_zero.clone(),
            "from 1e-6 to 1e6",
        ),
        ("step_s", service.step_s, above_zero, "from 1e-6 to 1e6"),
        ("slo_wait_s", service.slo_wait_s, 0.0..=1e6, "from 0 to 1e6"),
        ("patience_s", service.patience_s, service.slo_wait_s..=1e6, "from slo_wait_s to 1e6"),
    ];
    for (name, value, possible, range) in checks {
        if !possible.contains(&value) {
            return Err(InstanceError::Service { name, value, range });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arrivals: &[f64], rules: Rules) -> String {
        Instance::new(arrivals.to_vec(), rules).expect_err("refused").to_string()
    }

    #[test]
    fn a_load_that_is_no_load_is_refused() {
        let rules = Rules::default();
        assert_eq!(
            refusal(&[], rules),
            "load has 0 steps; 1 to 10000000 are possible: cut it into stretches"
        );
        assert_eq!(
            refusal(&[1.0, f64::NAN], rules),
            "arrivals of step 1 are NaN; give a finite number from 0 to 1e9"
        );
        assert!(refusal(&[-1.0], rules).starts_with("arrivals of step 0 are -1;"));
    }

    #[test]
    fn rules_that_contradict_themselves_are_refused() {
        let rules = Rules { replicas_min: 2, initial: 1, ..Rules::default() };
        assert_eq!(
            refusal(&[1.0], rules),
            "replicas are 1 at first and bounded by 2 to 100; give bounds of at most 10000, not \
             both 0, that hold the initial count"
        );
        let rules = Rules { decide_every_steps: 0, ..Rules::default() };
        assert_eq!(
            refusal(&[1.0], rules),
            "decide_every_steps is 0; decide every step (1) or less often"
        );
    }

    #[test]
    fn a_service_that_cannot_be_is_refused() {
        let service = Service { patience_s: 0.1, ..Service::default() };
        assert_eq!(
            refusal(&[1.0], Rules { service, ..Rules::default() }),
            "patience_s is 0.1; give a finite number from slo_wait_s to 1e6"
        );
        let service = Service { rate_per_replica_per_s: 0.0, ..Service::default() };
        assert_eq!(
            refusal(&[1.0], Rules { service, ..Rules::default() }),
            "rate_per_replica_per_s is 0; give a finite number from 1e-6 to 1e6"
        );
    }

    #[test]
    fn a_schedule_that_cannot_be_followed_is_refused() {
        let rules = Rules { added_max: Some(2), decide_every_steps: 1, ..Rules::default() };
        let instance = Instance::new(vec![1.0; 3], rules).expect("an instance");
        assert_eq!(
            instance.replay(&[1]).expect_err("too short").to_string(),
            "schedule has 1 targets, the load 3 decisions; give one for each"
        );
        assert_eq!(
            instance.replay(&[2, 5, 5]).expect_err("too fast").to_string(),
            "target 5 of decision 1 follows 2 replicas; 1 to 4 are allowed there"
        );
    }

    #[test]
    fn starting_replicas_are_billed_and_do_not_serve() {
        let rules = Rules { startup_steps: 3, decide_every_steps: 2, ..Rules::default() };
        let instance = Instance::new(vec![100.0; 5], rules).expect("an instance");
        assert_eq!(instance.decisions(), 3);
        let outcome = instance.replay(&[2, 2, 2]).expect("a schedule");
        assert_eq!(outcome.replica_s, 10.0);
        // One replica for three steps: 12.5 of the backlog are borne, then 137.5 drain no more.
        assert!((outcome.violating - 475.0).abs() < 1e-9, "{outcome:?}");
        assert!((outcome.violating_share() - 0.95).abs() < 1e-9);
    }
}
