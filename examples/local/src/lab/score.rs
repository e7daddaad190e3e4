//! `lab score`: what violations and replicas cost each policy, on many loads.

mod page;
mod tables;

use std::collections::BTreeMap;

use planner_lab::compare::{CompareError, Comparison, Job, Plan, PolicyOnTrace, TraceTable};
use planner_lab::policy_spec::PolicySpec;
use serde_json::{Value, json};

use super::load::{LoadArgs, Loads};
use super::out::{OutArgs, Results};
use super::plant::PlantKind;
use super::pool::in_order;
use super::run::{check_policies, policies_help};
use super::service::{DECIDE_EVERY_S, ServiceArgs};
use super::{JobsArgs, LabError};

/// The policy that is compared with each of the others, where it takes part.
const OURS: &str = "planner";
/// Seeds of a comparison, at most: intervals hardly shrink beyond.
const SEEDS_MAX: u64 = 1_000;

/// Sweep each policy's knob on all loads, and compare.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = help())]
pub struct Args {
    #[command(flatten)]
    load: LoadArgs,

    /// A policy, with settings: such as planner, or hpa:target=0.6; repeat it for more
    /// [default: planner, hpa and kpa]
    #[arg(long = "policy", value_name = "NAME[:KEY=VALUE,...]")]
    policies: Vec<PolicySpec>,

    /// How many seeds, from --seed on; intervals are over them
    #[arg(long, value_name = "N", default_value_t = 3)]
    seeds: u64,

    /// Do not compute the optimum
    #[arg(long)]
    no_optimum: bool,

    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    out: OutArgs,
}

const EXAMPLES: &str = "\
The knob of each is swept; what counts is the least replica-hours within a share of violations,
beside the least that was possible.

Examples:
  lab score --trace traces/ --at-least 22h --out score
  lab score --trace access.log --policy planner --policy hpa:target=0.7 --seeds 1
  lab score --trace weekly:low=100,high=1500 --first 7d --json";

fn help() -> String {
    format!("Policies:\n{}{EXAMPLES}", policies_help())
}

impl Args {
    pub(super) fn out(&self) -> &OutArgs {
        &self.out
    }

    /// Runs the comparison.
    ///
    /// # Errors
    ///
    /// [`LabError`] for what was asked wrongly.
    pub(super) fn run(&self) -> Result<Results, LabError> {
        self.service.check()?;
        if let PlantKind::Queue(_) = self.service.plant {
            return Err(LabError::FluidOnly { plant: self.service.plant.to_string() });
        }
        let policies = self.policies();
        check_policies(&policies, &self.service)?;
        let loads = self.load.read(self.service.rate)?;
        let traces = loads.loads.iter().map(|load| load.trace.clone()).collect();
        let mut plan = Plan::new(traces, policies);
        plan.seeds = self.seeds()?;
        plan.fluid = self.service.fluid();
        plan.optimum_every_s = (!self.no_optimum).then_some(DECIDE_EVERY_S);
        let comparison = self.compare(&plan, &loads)?;
        Ok(Results {
            name: "score",
            tables: tables::text(&comparison, &loads),
            json: self.json(&comparison, &loads),
            page: Some(page::page(&comparison, &self.service)),
        })
    }

    /// As named, ours first: it is the one that the others are compared with.
    fn policies(&self) -> Vec<PolicySpec> {
        let mut policies = self.policies.clone();
        if policies.is_empty() {
            policies.extend([OURS, "hpa", "kpa"].iter().filter_map(|name| name.parse().ok()));
        }
        policies.sort_by_key(|policy| policy.name() != OURS);
        policies
    }

    fn seeds(&self) -> Result<Vec<u64>, LabError> {
        let first = self.load.seed;
        match first.checked_add(self.seeds) {
            Some(end) if (1..=SEEDS_MAX).contains(&self.seeds) => Ok((first..end).collect()),
            _ => Err(LabError::Seeds { seeds: self.seeds, first }),
        }
    }

    fn compare(&self, plan: &Plan, loads: &Loads) -> Result<Comparison, CompareError> {
        let jobs = plan.jobs()?;
        let part_of: BTreeMap<&str, usize> =
            loads.loads.iter().map(|load| load.label.as_str()).zip(0..).collect();
        let part = |job: &Job| part_of.get(job.trace()).copied().unwrap_or(usize::MAX);
        let mut parts: Vec<(String, f64)> =
            loads.loads.iter().map(|load| (load.label.clone(), 0.0)).collect();
        for job in &jobs {
            if let Some((_, work)) = parts.get_mut(part(job)) {
                *work += job.effort_s() as f64;
            }
        }
        let mut progress = self.jobs.progress(parts);
        let results = in_order(&jobs, self.jobs.threads(), Job::run, |index, _| {
            progress.advance(part(&jobs[index]), jobs[index].effort_s() as f64);
        });
        progress.finish();
        plan.assemble(results.into_iter().collect::<Result<_, _>>()?)
    }

    /// One object for each trace and policy, and everything that was found over all of them.
    fn json(&self, comparison: &Comparison, loads: &Loads) -> Value {
        let results = comparison.traces.iter().flat_map(|table| {
            table.policies.iter().map(|policy| object(table, policy)).collect::<Vec<_>>()
        });
        let traces = loads.loads.iter().zip(&comparison.traces).map(|(load, table)| {
            json!({
                "trace": load.label,
                "name": load.name,
                "licence": load.trace.metadata("licence"),
                "provenance": load.trace.provenance(),
                "seconds": table.seconds,
                "requests": table.requests,
                "initial_replicas": table.initial_replicas,
                "optimum": table.optimum,
            })
        });
        let service = &self.service;
        json!({
            "service": {
                "rate_per_replica_per_s": service.rate,
                "startup_s": service.startup_s(),
                "replicas_min": service.min,
                "replicas_max": service.max,
                "plant": service.plant.to_string(),
            },
            "seeds": comparison.seeds,
            "grids": comparison.grids,
            "traces": traces.collect::<Vec<_>>(),
            "left_out": loads.short.iter().map(|(label, length_s)| {
                json!({ "trace": label, "seconds": length_s })
            }).collect::<Vec<_>>(),
            "results": results.collect::<Vec<_>>(),
            "leaderboard": comparison.leaderboard,
            "against": comparison.against,
        })
    }
}

/// A policy on a trace. The figures on top are those of the cheapest settings within `share`, the
/// smallest that the policy reaches; where it reaches none, those of the given settings.
fn object(table: &TraceTable, policy: &PolicyOnTrace) -> Value {
    let best = policy.best.first();
    let top = best.map_or(&policy.given, |best| &best.measured);
    json!({
        "trace": table.trace,
        "policy": policy.policy,
        "share": best.map(|best| best.share),
        "violation_share": top.violation_share,
        "replica_hours": top.replica_hours,
        "optimum_replica_hours": best.and_then(|best| best.optimum_replica_hours),
        "cost_ratio": best.and_then(|best| best.cost_ratio),
        "actions": top.actions,
        "direction_changes_per_hour": top.direction_changes_per_hour,
        "recover_s_p95": top.recover_s_p95,
        "settings": top.settings,
        "knob": policy.knob,
        "given": policy.given,
        "best": policy.best,
        "curve": policy.curve,
    })
}

#[cfg(test)]
mod tests;
