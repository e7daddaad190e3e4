//! The parts of a comparison that know nothing of each other.

use std::sync::Arc;

use super::{CompareError, Plan, SHARES};
use crate::evaluate::{Score, Setup, evaluate};
use crate::optimum::{Clairvoyant, Instance, OptimumError};
use crate::policy_spec::PolicySpec;
use crate::trace::{Arrivals, Trace};

/// Runs of a policy that take as long as the optimum.
const OPTIMUM_RUNS: u64 = 60;

/// A part of a comparison: one policy's sweep, or the optimum, on one trace with one seed.
#[derive(Clone, Debug)]
pub struct Job {
    place: Place,
    trace: Arc<Trace>,
    seed: u64,
    setup: Setup,
    work: Work,
}

/// Where the result of a job belongs: trace, policy (all of them for the optimum), seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) trace: usize,
    pub(super) policy: Option<usize>,
    pub(super) seed: usize,
}

#[derive(Clone, Debug)]
enum Work {
    /// Runs of these policies.
    Sweep(Arc<[PolicySpec]>),
    /// The optimum that decides every so many seconds.
    Optimum(u32),
}

/// What a job has found.
#[derive(Clone, Debug, PartialEq)]
pub struct JobResult {
    pub(super) place: Place,
    pub(super) found: Found,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// A score for each policy of the sweep.
    Scores(Vec<Score>),
    /// Lower bound and schedule in replica-seconds for each share, where there is a schedule.
    Optimum(Vec<Option<(f64, f64)>>),
}

/// The settings of a sweep: the given ones first, then the grid.
pub(super) fn sweep(policy: &PolicySpec) -> Vec<PolicySpec> {
    let grid = policy.grid().iter().map(|value| policy.with_knob(*value));
    std::iter::once(policy.clone()).chain(grid).collect()
}

/// The replicas that a trace begins with.
pub(super) fn setup(plan: &Plan, trace: &Trace) -> Setup {
    Setup::starting_at(plan.fluid, trace.rate_at(0))
}

pub(super) fn jobs(plan: &Plan) -> Result<Vec<Job>, CompareError> {
    // The service first: what is wrong with it, policies would say in their own words.
    for trace in &plan.traces {
        let Setup { fluid, initial } = setup(plan, trace);
        fluid.check(initial)?;
    }
    let sweeps: Vec<Arc<[PolicySpec]>> = plan.policies.iter().map(|it| sweep(it).into()).collect();
    for spec in sweeps.iter().flat_map(|sweep| sweep.iter()) {
        spec.build(&plan.fluid)?;
    }
    let mut jobs = Vec::new();
    for (trace, source) in plan.traces.iter().enumerate() {
        let setup = setup(plan, source);
        let shared = Arc::new(source.clone());
        for (seed, value) in plan.seeds.iter().enumerate() {
            let optimum = plan.optimum_every_s.map(|every_s| (None, Work::Optimum(every_s)));
            let sweeps = sweeps.iter().enumerate();
            let sweeps = sweeps.map(|(at, sweep)| (Some(at), Work::Sweep(Arc::clone(sweep))));
            for (policy, work) in optimum.into_iter().chain(sweeps) {
                let place = Place { trace, policy, seed };
                let trace = Arc::clone(&shared);
                jobs.push(Job { place, trace, seed: *value, setup, work });
            }
        }
    }
    jobs.sort_by_key(|job| (std::cmp::Reverse(job.effort_s()), job.place));
    Ok(jobs)
}

impl Job {
    /// The trace's name.
    pub fn trace(&self) -> &str {
        self.trace.name()
    }

    /// What is looked at: a policy's name, or `optimum`.
    pub fn subject(&self) -> &str {
        match &self.work {
            Work::Sweep(sweep) => sweep.first().map_or("", PolicySpec::name),
            Work::Optimum(_) => "optimum",
        }
    }

    /// The seed of its requests.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Roughly what it takes, in seconds of virtual time: for progress, and for the time left.
    pub fn effort_s(&self) -> u64 {
        let runs = match &self.work {
            Work::Sweep(sweep) => sweep.len() as u64,
            Work::Optimum(_) => OPTIMUM_RUNS,
        };
        self.trace.duration_s() * runs
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// [`CompareError`] when the optimum is too large to be kept in memory, or a setting was
    /// refused after all.
    pub fn run(&self) -> Result<JobResult, CompareError> {
        let arrivals: Vec<u64> = Arrivals::poisson(&self.trace, self.seed).collect();
        let found = match &self.work {
            Work::Sweep(sweep) => {
                let runs = sweep.iter().map(|spec| self.score(spec, &arrivals));
                Found::Scores(runs.collect::<Result<_, _>>()?)
            }
            Work::Optimum(every_s) => Found::Optimum(self.optimum(&arrivals, *every_s)?),
        };
        Ok(JobResult { place: self.place, found })
    }

    fn score(&self, spec: &PolicySpec, arrivals: &[u64]) -> Result<Score, CompareError> {
        let mut autoscaler = spec.build(&self.setup.fluid)?;
        Ok(evaluate(arrivals, &self.setup, &mut autoscaler, None)?)
    }

    fn optimum(
        &self,
        arrivals: &[u64],
        every_s: u32,
    ) -> Result<Vec<Option<(f64, f64)>>, CompareError> {
        let trace = || self.trace.name().to_owned();
        let load = arrivals.iter().map(|count| *count as f64).collect();
        let rules = self.setup.fluid.rules(self.setup.initial, every_s);
        let instance = Instance::new(load, rules)
            .map_err(|why| CompareError::Instance { trace: trace(), why })?;
        let refused = |why| CompareError::Optimum { trace: trace(), why };
        let mut clairvoyant = Clairvoyant::new(&instance).map_err(refused)?;
        let brackets = SHARES.iter().map(|share| match clairvoyant.bracket(*share) {
            Ok(bracket) => Ok(Some((bracket.lower_replica_s, bracket.plan.outcome.replica_s))),
            Err(OptimumError::Impossible { .. } | OptimumError::NotFound { .. }) => Ok(None),
            Err(why) => Err(refused(why)),
        });
        brackets.collect()
    }
}
