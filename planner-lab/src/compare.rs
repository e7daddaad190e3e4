//! Policies against each other and against the optimum, on many loads with several seeds.
//!
//! A [`Plan`] says what is compared. It falls into [`Job`]s that know nothing of each other, so the
//! caller may run them in any order and on any number of threads; [`Plan::assemble`] puts their
//! results together, to the same bytes whatever the order was.
//!
//! For each trace and policy the knob is swept over its grid, and the given setting stands beside
//! it. Every policy meets the same requests: those of each seed.
//!
//! - *Best at a share*: the least replica-hours over the sweep with at most that share of
//!   violations, both as means over the seeds.
//! - *Cost ratio*: these replica-hours, divided by those of the cheapest schedule that the
//!   clairvoyant optimum has found for the same share.
//! - *Intervals*: 95 % by Student's t over the seeds; with one seed, the number itself.
//!
//! ```
//! use planner_lab::compare::Plan;
//! use planner_lab::trace::Trace;
//!
//! let trace = Trace::new("two levels", 600, vec![200.0, 600.0])?;
//! let mut plan = Plan::new(vec![trace], vec!["hpa".parse()?, "fixed:replicas=20".parse()?]);
//! plan.optimum_every_s = None;
//! let results = plan.jobs()?.iter().map(|job| job.run()).collect::<Result<_, _>>()?;
//! let comparison = plan.assemble(results)?;
//! let hpa = &comparison.traces[0].policies[0];
//! assert_eq!((hpa.policy.as_str(), hpa.curve.len()), ("hpa", 20));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assemble;
mod job;
mod statistics;
mod tables;

use std::collections::BTreeSet;

pub use job::{Job, JobResult};
pub use tables::{
    Against, AgainstOnTrace, BestAt, Comparison, Measured, OptimumAt, PolicyOnTrace, Standing,
    StandingAt, TraceTable,
};
use thiserror::Error;

use crate::fluid::{FluidError, FluidSpec};
use crate::optimum::{InstanceError, OptimumError};
use crate::policy_spec::{PolicySpec, PolicySpecError};
use crate::trace::Trace;

/// The shares of violations at which policies are compared.
pub const SHARES: [f64; 5] = [0.01, 0.02, 0.05, 0.10, 0.20];
/// Below this a share of violations counts as this in ratios.
pub const SHARE_FLOOR: f64 = 0.0005;

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The loads, scaled as they are to be, each of its own name.
    pub traces: Vec<Trace>,
    /// The policies, no two alike. The first is the one that the others are compared with.
    pub policies: Vec<PolicySpec>,
    /// Seeds of the requests, no two alike.
    pub seeds: Vec<u64>,
    /// The service.
    pub fluid: FluidSpec,
    /// How often the optimum decides, in seconds; `None` leaves it out.
    pub optimum_every_s: Option<u32>,
}

impl Plan {
    /// These traces and policies, seeds 1 to 3, the default service, and an optimum that decides
    /// every 5 s.
    pub fn new(traces: Vec<Trace>, policies: Vec<PolicySpec>) -> Self {
        Self {
            traces,
            policies,
            seeds: vec![1, 2, 3],
            fluid: FluidSpec::default(),
            optimum_every_s: Some(5),
        }
    }

    /// The jobs that the comparison takes, long ones first.
    ///
    /// # Errors
    ///
    /// [`CompareError`] when there is nothing to compare, two of a kind are alike, or a policy or
    /// the service refuses its settings.
    pub fn jobs(&self) -> Result<Vec<Job>, CompareError> {
        self.check()?;
        job::jobs(self)
    }

    /// What the jobs have found, in any order.
    ///
    /// # Errors
    ///
    /// [`CompareError::Results`] unless there is one result of each job of this plan.
    pub fn assemble(&self, results: Vec<JobResult>) -> Result<Comparison, CompareError> {
        assemble::assemble(self, results)
    }

    fn check(&self) -> Result<(), CompareError> {
        check_distinct("trace", self.traces.iter().map(|it| it.name().to_owned()))?;
        check_distinct("policy", self.policies.iter().map(ToString::to_string))?;
        check_distinct("seed", self.seeds.iter().map(ToString::to_string))
    }
}

/// Refuses none, and two of one name.
fn check_distinct(
    what: &'static str,
    names: impl Iterator<Item = String>,
) -> Result<(), CompareError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if let Some(twice) = seen.replace(name) {
            return Err(CompareError::Twice { what, name: twice });
        }
    }
    if seen.is_empty() { Err(CompareError::Nothing { what }) } else { Ok(()) }
}

/// Why a comparison cannot be made.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CompareError {
    /// The service cannot be simulated.
    #[error(transparent)]
    Fluid(#[from] FluidError),
    /// The optimum cannot be asked for.
    #[error("optimum of trace {trace:?}: {why}")]
    Instance {
        /// The trace.
        trace: String,
        /// What was wrong.
        why: InstanceError,
    },
    /// Something that a comparison needs is missing.
    #[error("there is no {what} to compare; give at least one")]
    Nothing {
        /// What.
        what: &'static str,
    },
    /// The optimum is beyond what is kept in memory.
    #[error("optimum of trace {trace:?}: {why}")]
    Optimum {
        /// The trace.
        trace: String,
        /// What was wrong.
        why: OptimumError,
    },
    /// A policy refuses its settings.
    #[error(transparent)]
    Policy(#[from] PolicySpecError),
    /// Results that are not those of the plan's jobs.
    #[error(
        "there are {given} results of {expected} jobs, or some are of another plan; give one \
             of each job of this plan"
    )]
    Results {
        /// Results given.
        given: usize,
        /// Jobs of the plan.
        expected: usize,
    },
    /// Two of a kind are alike.
    #[error("{what} {name:?} is given twice; leave one of them out, or rename it")]
    Twice {
        /// What.
        what: &'static str,
        /// Its name.
        name: String,
    },
}
