//! What a comparison found, as it is written.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::evaluate::Score;

use super::statistics::{interval, mean};

/// Everything that a comparison found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The seeds of the requests.
    pub seeds: Vec<u64>,
    /// The values that each policy's knob was swept over, by policy.
    pub grids: BTreeMap<String, Vec<f64>>,
    /// Trace by trace, in the order of the plan.
    pub traces: Vec<TraceTable>,
    /// All policies over all traces, the best first.
    pub leaderboard: Vec<Standing>,
    /// The first policy of the plan against each of the others.
    pub against: Vec<Against>,
}

/// What was found on one trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TraceTable {
    /// Its name.
    pub trace: String,
    /// How long it is, in seconds.
    pub seconds: u64,
    /// Requests, on average over the seeds.
    pub requests: f64,
    /// Replicas at first.
    pub initial_replicas: u32,
    /// What was possible; empty when it was not asked for.
    pub optimum: Vec<OptimumAt>,
    /// Policy by policy, in the order of the plan.
    pub policies: Vec<PolicyOnTrace>,
}

/// The least that was possible within a share of violations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OptimumAt {
    /// The share.
    pub share: f64,
    /// No schedule costs fewer replica-hours, on average over the seeds.
    pub lower_replica_hours: f64,
    /// A schedule that costs so many, on average over the seeds.
    pub replica_hours: f64,
}

/// A policy on a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PolicyOnTrace {
    /// The policy, as it was named.
    pub policy: String,
    /// What is swept, if anything.
    pub knob: Option<&'static str>,
    /// With the settings that were given.
    pub given: Measured,
    /// With the knob at each value of the grid, in rising order; empty without a knob.
    pub curve: Vec<Measured>,
    /// The cheapest of the sweep within each share that it reaches. Without a knob, the given
    /// settings.
    pub best: Vec<BestAt>,
}

impl PolicyOnTrace {
    /// The cheapest within this share, if any is.
    pub fn best_at(&self, share: f64) -> Option<&BestAt> {
        self.best.iter().find(|best| best.share == share)
    }
}

/// What some settings scored, as means over the seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measured {
    /// Every setting with its value.
    pub settings: BTreeMap<String, f64>,
    /// Where the knob stands.
    pub knob_value: Option<f64>,
    /// Requests whose wait violates the objective, as a share of all.
    pub violation_share: f64,
    /// 95 % interval of the same.
    pub violation_share_interval: (f64, f64),
    /// Replicas that were ready or starting, times hours.
    pub replica_hours: f64,
    /// 95 % interval of the same.
    pub replica_hours_interval: (f64, f64),
    /// Replicas that were ordered in addition.
    pub starts: f64,
    /// Changes of the number of ordered replicas.
    pub actions: f64,
    /// The same per hour.
    pub actions_per_hour: f64,
    /// Changes in the other direction than the one before, per hour.
    pub direction_changes_per_hour: f64,
    /// 95th percentile of the lengths of episodes with violations, in seconds.
    pub recover_s_p95: f64,
}

impl Measured {
    pub(super) fn new(
        settings: BTreeMap<String, f64>,
        knob_value: Option<f64>,
        scores: &[Score],
    ) -> Self {
        let of = |field: fn(&Score) -> f64| scores.iter().map(field).collect::<Vec<f64>>();
        let mean_of = |field| mean(&of(field));
        let (shares, hours) = (of(|it| it.violation_share), of(|it| it.replica_hours));
        Self {
            settings,
            knob_value,
            violation_share: mean(&shares),
            violation_share_interval: interval(&shares),
            replica_hours: mean(&hours),
            replica_hours_interval: interval(&hours),
            starts: mean_of(|it| it.starts as f64),
            actions: mean_of(|it| it.actions as f64),
            actions_per_hour: mean_of(|it| it.actions_per_hour),
            direction_changes_per_hour: mean_of(|it| it.direction_changes_per_hour),
            recover_s_p95: mean_of(|it| it.recover_s_p95),
        }
    }
}

/// The cheapest settings within a share of violations.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BestAt {
    /// The share.
    pub share: f64,
    /// What they scored.
    #[serde(flatten)]
    pub measured: Measured,
    /// Replica-hours of the optimum's schedule within the same share, if there is one.
    pub optimum_replica_hours: Option<f64>,
    /// Replica-hours divided by those.
    pub cost_ratio: Option<f64>,
}

/// How a policy stands over all traces.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Standing {
    /// The policy, as it was named.
    pub policy: String,
    /// Share by share.
    pub shares: Vec<StandingAt>,
    /// With the settings that were given: the geometric mean of the shares of violations, each
    /// counted as 0.05 % at least.
    pub given_violation_share: f64,
    /// With the settings that were given: all replica-hours.
    pub given_replica_hours: f64,
    /// With the settings that were given: changes per hour, on average over the traces.
    pub given_actions_per_hour: f64,
    /// With the settings that were given: changes of direction per hour, on average.
    pub given_direction_changes_per_hour: f64,
}

/// How a policy stands within a share of violations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StandingAt {
    /// The share.
    pub share: f64,
    /// Traces on which it reaches the share.
    pub traces: usize,
    /// On those with an optimum, the geometric mean of the cost ratios.
    pub cost_ratio: Option<f64>,
}

/// A policy against another.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Against {
    /// The policy.
    pub policy: String,
    /// The other.
    pub other: String,
    /// Geometric mean of the ratios of replica-hours, each knob at its best, at the smallest share
    /// that both reach; `None` when there is no such share on any trace.
    pub hours_ratio: Option<f64>,
    /// Traces on which the policy is dearer.
    pub dearer: usize,
    /// With the settings that were given, geometric mean of the ratios of replica-hours.
    pub given_hours_ratio: f64,
    /// And of shares of violations, each counted as 0.05 % at least.
    pub given_violation_ratio: f64,
    /// Trace by trace.
    pub traces: Vec<AgainstOnTrace>,
}

/// A policy against another on one trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AgainstOnTrace {
    /// The trace.
    pub trace: String,
    /// The smallest share that both reach.
    pub share: Option<f64>,
    /// The policy's replica-hours there.
    pub replica_hours: Option<f64>,
    /// The other's.
    pub other_replica_hours: Option<f64>,
    /// The one divided by the other.
    pub hours_ratio: Option<f64>,
    /// With the settings that were given, the ratio of replica-hours.
    pub given_hours_ratio: f64,
    /// And that of shares of violations, each counted as 0.05 % at least.
    pub given_violation_ratio: f64,
}
