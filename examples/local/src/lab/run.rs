//! `lab run`: policies on a load, second by second, beside the best that was possible.

mod page;
mod simulate;

use planner_lab::evaluate::Score;
use planner_lab::optimum::{Bracket, Clairvoyant, OptimumError};
use planner_lab::policy_spec::{PolicySpec, PolicySpecError};
use serde_json::{Value, json};

use super::chart::percent;
use super::load::{Load, LoadArgs};
use super::optimum::instance;
use super::out::{OutArgs, Results};
use super::pool::in_order;
use super::progress::Progress;
use super::service::ServiceArgs;
use super::table::Table;
use super::{JobsArgs, LabError};
use crate::report::axis::format_number;

use simulate::{Course, simulate};

pub(super) const HOUR_S: f64 = 3_600.0;
/// Work of an optimum as a multiple of that of a run, about.
const OPTIMUM_WORK: f64 = 20.0;

/// Run policies on loads.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = help())]
pub struct Args {
    #[command(flatten)]
    load: LoadArgs,

    /// Who decides, with settings: such as planner, or hpa:target=0.6
    #[arg(long = "policy", value_name = "NAME[:KEY=VALUE,...]", default_value = "planner")]
    policies: Vec<PolicySpec>,

    /// Do not compute the optimum, which takes longer than all policies
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
Each is compared with the least cost that was possible on the fluid plant at its own share of
violations.

Examples:
  lab run --trace access.log --policy planner --out first
  lab run --trace flash:base=100,peak=1500,at=1h --policy planner --policy hpa:target=0.6
  lab run --trace week.csv --first 7d --policy planner:slow_price=40 --json";

fn help() -> String {
    format!("Policies:\n{}{EXAMPLES}", policies_help())
}

/// Every policy in a line, with its settings below.
pub(super) fn policies_help() -> String {
    let line = |(name, summary): (&str, &str)| {
        let settings: Vec<_> = PolicySpec::settings_of(name).map(|(name, _)| name).collect();
        let settings = if settings.is_empty() {
            String::new()
        } else {
            format!("      settings: {}\n", settings.join(", "))
        };
        format!("  {name}: {summary}\n{settings}")
    };
    PolicySpec::all().map(line).collect()
}

/// A policy on a load.
pub(super) struct Ran<'a> {
    pub(super) load: &'a Load,
    pub(super) policy: &'a PolicySpec,
    pub(super) seed: u64,
    pub(super) course: Course,
    /// The best at its share of violations, if that was asked for.
    pub(super) optimum: Option<Result<Bracket, OptimumError>>,
}

impl Args {
    pub(super) fn out(&self) -> &OutArgs {
        &self.out
    }

    /// Runs everything.
    ///
    /// # Errors
    ///
    /// [`LabError`] for what was asked wrongly.
    pub(super) fn run(&self) -> Result<Results, LabError> {
        self.service.check()?;
        check_policies(&self.policies, &self.service)?;
        let loads = self.load.read(self.service.rate)?.loads;
        let mut progress = self.progress(&loads);
        let pairs: Vec<(usize, &PolicySpec)> = (0..loads.len())
            .flat_map(|load| self.policies.iter().map(move |policy| (load, policy)))
            .collect();
        let courses = in_order(
            &pairs,
            self.jobs.threads(),
            |(load, policy)| simulate(&loads[*load], &self.service, policy, self.load.seed),
            |index, _| {
                let (load, _) = pairs[index];
                progress.advance(load, loads[load].trace.duration_s() as f64);
            },
        );
        let mut ran = Vec::new();
        for ((load, policy), course) in pairs.iter().zip(courses) {
            let load = &loads[*load];
            let course = course.map_err(|cause| cause.of(&load.label))?;
            ran.push(Ran { load, policy, seed: self.load.seed, course, optimum: None });
        }
        if !self.no_optimum {
            self.add_optimum(&loads, &mut ran, &mut progress)?;
        }
        progress.finish();
        Ok(Results {
            name: "run",
            tables: tables(&ran),
            json: json!({ "runs": ran.iter().map(object).collect::<Vec<_>>() }),
            page: Some(page::page(&ran, &self.service)),
        })
    }

    fn progress(&self, loads: &[Load]) -> Progress {
        let optimum = if self.no_optimum { 0.0 } else { OPTIMUM_WORK };
        let work = self.policies.len() as f64 + optimum;
        let part = |load: &Load| (load.label.clone(), work * load.trace.duration_s() as f64);
        self.jobs.progress(loads.iter().map(part).collect())
    }

    /// The best at the share of violations that each policy had.
    fn add_optimum<'a>(
        &self,
        loads: &'a [Load],
        ran: &mut [Ran<'a>],
        progress: &mut Progress,
    ) -> Result<(), LabError> {
        let policies = self.policies.len();
        let shares: Vec<(usize, Vec<f64>)> = ran
            .chunks(policies)
            .map(|chunk| chunk.iter().map(|ran| ran.course.score.violation_share).collect())
            .enumerate()
            .collect();
        let brackets = in_order(
            &shares,
            self.jobs.threads(),
            |(load, shares)| best(&loads[*load], &self.service, self.load.seed, shares),
            |load, _| progress.advance(load, OPTIMUM_WORK * loads[load].trace.duration_s() as f64),
        );
        for (chunk, brackets) in ran.chunks_mut(policies).zip(brackets) {
            for (ran, bracket) in chunk.iter_mut().zip(brackets?) {
                ran.optimum = Some(bracket);
            }
        }
        Ok(())
    }
}

/// Whether every policy can be made for the service: asked before anything is computed.
pub(super) fn check_policies(
    policies: &[PolicySpec],
    service: &ServiceArgs,
) -> Result<(), PolicySpecError> {
    policies.iter().try_for_each(|policy| policy.build(&service.fluid()).map(drop))
}

fn best(
    load: &Load,
    service: &ServiceArgs,
    seed: u64,
    shares: &[f64],
) -> Result<Vec<Result<Bracket, OptimumError>>, LabError> {
    let label = || load.label.clone();
    let instance = instance(load, service, seed)
        .map_err(|cause| LabError::Instance { label: label(), cause })?;
    let mut clairvoyant =
        Clairvoyant::new(&instance).map_err(|cause| LabError::Optimum { label: label(), cause })?;
    Ok(shares.iter().map(|share| clairvoyant.bracket(*share)).collect())
}

/// Replica-hours of the optimum, at least and at most, where it is known.
pub(super) fn optimum_hours(ran: &Ran) -> Option<(f64, f64)> {
    let bracket = ran.optimum.as_ref()?.as_ref().ok()?;
    Some((bracket.lower_replica_s / HOUR_S, bracket.plan.outcome.replica_s / HOUR_S))
}

/// A run's cost as a multiple of that of the best schedule that is known.
pub(super) fn cost_ratio(ran: &Ran) -> Option<f64> {
    let (_, upper) = optimum_hours(ran)?;
    (upper > 0.0).then(|| ran.course.score.replica_hours / upper)
}

fn tables(ran: &[Ran]) -> String {
    let mut text = String::new();
    for of_load in ran.chunk_by(|one, next| std::ptr::eq(one.load, next.load)) {
        text.push_str(&of_load[0].load.label);
        text.push('\n');
        text.push_str(&table(of_load).text());
        text.push('\n');
    }
    text
}

/// All policies on one load.
pub(super) fn table(ran: &[Ran]) -> Table {
    let mut table = Table::new([
        "policy",
        "violations",
        "replica-hours",
        "least possible",
        "ratio",
        "actions/h",
        "turns/h",
        "recovers in",
    ]);
    let unknown = || "–".to_owned();
    for ran in ran {
        let Score {
            violation_share,
            replica_hours,
            actions_per_hour,
            direction_changes_per_hour,
            recover_s_p95,
            ..
        } = ran.course.score;
        table.row([
            ran.policy.to_string(),
            percent(violation_share),
            format_number(replica_hours),
            optimum_hours(ran).map_or_else(unknown, |(_, upper)| format_number(upper)),
            cost_ratio(ran).map_or_else(unknown, |ratio| format!("{ratio:.2}")),
            format_number(actions_per_hour),
            format_number(direction_changes_per_hour),
            format!("{} s", format_number(recover_s_p95)),
        ]);
    }
    table
}

fn object(ran: &Ran) -> Value {
    let Score {
        violation_share,
        replica_hours,
        starts,
        actions,
        actions_per_hour,
        direction_changes_per_hour,
        recover_s_p95,
        seconds,
        requests,
        violating,
        ..
    } = ran.course.score;
    let optimum = optimum_hours(ran);
    json!({
        "trace": ran.load.label,
        "provenance": ran.load.trace.provenance(),
        "policy": ran.policy.name(),
        "settings": ran.policy.settings(),
        "seed": ran.seed,
        "violation_share": violation_share,
        "replica_hours": replica_hours,
        "optimum_replica_hours": optimum.map(|(_, upper)| upper),
        "optimum_replica_hours_at_least": optimum.map(|(lower, _)| lower),
        "cost_ratio": cost_ratio(ran),
        "starts": starts,
        "actions": actions,
        "actions_per_hour": actions_per_hour,
        "direction_changes_per_hour": direction_changes_per_hour,
        "recover_s_p95": recover_s_p95,
        "seconds": seconds,
        "requests": requests,
        "violating": violating,
        "events": ran.course.orders.iter().map(|it| (it.at_s, it.from, it.to)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
