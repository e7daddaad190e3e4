//! From the results of jobs to tables.

use super::job::{Found, Place, setup, sweep};
use super::statistics::{geometric_mean, mean};
use super::{
    Against, AgainstOnTrace, BestAt, CompareError, Comparison, JobResult, Measured, OptimumAt,
    Plan, PolicyOnTrace, SHARE_FLOOR, SHARES, Standing, StandingAt, TraceTable,
};
use crate::evaluate::Score;

const HOUR_S: f64 = 3_600.0;

pub(super) fn assemble(
    plan: &Plan,
    mut results: Vec<JobResult>,
) -> Result<Comparison, CompareError> {
    results.sort_by_key(|result| result.place);
    check(plan, &results)?;
    let at = |trace| results.iter().filter(move |result| result.place.trace == trace);
    let tables =
        (0..plan.traces.len()).map(|trace| table(plan, trace, &at(trace).collect::<Vec<_>>()));
    let traces: Vec<TraceTable> = tables.collect();
    Ok(Comparison {
        seeds: plan.seeds.clone(),
        grids: plan.policies.iter().map(|it| (it.to_string(), it.grid().to_vec())).collect(),
        leaderboard: leaderboard(plan, &traces),
        against: (1..plan.policies.len()).map(|other| against(plan, &traces, other)).collect(),
        traces,
    })
}

/// Refuses results that are not those of the plan's jobs; they are in the order of their places.
fn check(plan: &Plan, results: &[JobResult]) -> Result<(), CompareError> {
    let mut expected = Vec::new();
    for trace in 0..plan.traces.len() {
        let optimum = plan.optimum_every_s.map(|_| None);
        for policy in optimum.into_iter().chain((0..plan.policies.len()).map(Some)) {
            expected.extend((0..plan.seeds.len()).map(|seed| Place { trace, policy, seed }));
        }
    }
    let is_complete = results.iter().map(|result| result.place).eq(expected.iter().copied());
    let fits = |result: &JobResult| match (&result.found, result.place.policy) {
        (Found::Scores(scores), Some(policy)) => {
            plan.policies.get(policy).is_some_and(|it| it.grid().len() + 1 == scores.len())
        }
        (Found::Optimum(brackets), None) => brackets.len() == SHARES.len(),
        _ => false,
    };
    if is_complete && results.iter().all(fits) {
        return Ok(());
    }
    Err(CompareError::Results { given: results.len(), expected: expected.len() })
}

fn table(plan: &Plan, trace: usize, results: &[&JobResult]) -> TraceTable {
    let source = &plan.traces[trace];
    let optimum = optimum(results);
    let mut requests = Vec::new();
    let policies = plan.policies.iter().enumerate().map(|(at, policy)| {
        let by_seed: Vec<&[Score]> = results
            .iter()
            .filter(|result| result.place.policy == Some(at))
            .filter_map(|result| match &result.found {
                Found::Scores(scores) => Some(scores.as_slice()),
                Found::Optimum(_) => None,
            })
            .collect();
        let mut measured: Vec<Measured> = sweep(policy)
            .iter()
            .enumerate()
            .map(|(point, spec)| {
                let scores: Vec<Score> = by_seed.iter().map(|scores| scores[point]).collect();
                requests = scores.iter().map(|score| score.requests).collect();
                Measured::new(spec.settings(), spec.knob_value(), &scores)
            })
            .collect();
        let curve = measured.split_off(1);
        let given = measured.remove(0);
        let pool = if curve.is_empty() { std::slice::from_ref(&given) } else { &curve[..] };
        let best = SHARES.iter().filter_map(|share| best(pool, *share, &optimum)).collect();
        PolicyOnTrace { policy: policy.to_string(), knob: policy.knob(), given, curve, best }
    });
    let policies = policies.collect();
    TraceTable {
        trace: source.name().to_owned(),
        seconds: source.duration_s(),
        requests: mean(&requests),
        initial_replicas: setup(plan, source).initial,
        optimum,
        policies,
    }
}

/// The optimum at each share for which every seed has a schedule.
fn optimum(results: &[&JobResult]) -> Vec<OptimumAt> {
    let by_seed: Vec<&[Option<(f64, f64)>]> = results
        .iter()
        .filter_map(|result| match &result.found {
            Found::Optimum(brackets) => Some(brackets.as_slice()),
            Found::Scores(_) => None,
        })
        .collect();
    let at = |(index, share): (usize, &f64)| {
        let brackets: Option<Vec<(f64, f64)>> = by_seed.iter().map(|it| it[index]).collect();
        let (lower, upper): (Vec<f64>, Vec<f64>) =
            brackets.filter(|it| !it.is_empty())?.into_iter().unzip();
        Some(OptimumAt {
            share: *share,
            lower_replica_hours: mean(&lower) / HOUR_S,
            replica_hours: mean(&upper) / HOUR_S,
        })
    };
    SHARES.iter().enumerate().filter_map(at).collect()
}

fn best(pool: &[Measured], share: f64, optimum: &[OptimumAt]) -> Option<BestAt> {
    let within = pool.iter().filter(|measured| measured.violation_share <= share);
    let measured = within.min_by(|a, b| a.replica_hours.total_cmp(&b.replica_hours))?.clone();
    let optimum = optimum.iter().find(|it| it.share == share).map(|it| it.replica_hours);
    let cost_ratio = optimum.filter(|hours| *hours > 0.0).map(|it| measured.replica_hours / it);
    Some(BestAt { share, measured, optimum_replica_hours: optimum, cost_ratio })
}

/// Those that reach the smallest share on most traces first, then the cheapest.
fn leaderboard(plan: &Plan, traces: &[TraceTable]) -> Vec<Standing> {
    let standing = |policy: usize| {
        let on = || traces.iter().map(|table| &table.policies[policy]);
        let given =
            |field: fn(&Measured) -> f64| on().map(|it| field(&it.given)).collect::<Vec<_>>();
        let at = |share: &f64| {
            let best = || on().filter_map(|it| it.best_at(*share));
            let cost_ratio = geometric_mean(best().filter_map(|it| it.cost_ratio));
            StandingAt { share: *share, traces: best().count(), cost_ratio }
        };
        let floored = on().map(|it| it.given.violation_share.max(SHARE_FLOOR));
        Standing {
            policy: plan.policies[policy].to_string(),
            shares: SHARES.iter().map(at).collect(),
            given_violation_share: geometric_mean(floored).unwrap_or(0.0),
            given_replica_hours: given(|it| it.replica_hours).iter().sum(),
            given_actions_per_hour: mean(&given(|it| it.actions_per_hour)),
            given_direction_changes_per_hour: mean(&given(|it| it.direction_changes_per_hour)),
        }
    };
    let mut standings: Vec<Standing> = (0..plan.policies.len()).map(standing).collect();
    standings.sort_by(|a, b| {
        let reached = |it: &Standing| it.shares.iter().map(|at| at.traces).collect::<Vec<_>>();
        let ratio = |it: &Standing| {
            let first = it.shares.iter().find(|at| at.traces > 0);
            first.and_then(|at| at.cost_ratio).unwrap_or(f64::INFINITY)
        };
        reached(b).cmp(&reached(a)).then(ratio(a).total_cmp(&ratio(b)))
    });
    standings
}

/// The plan's first policy against another one.
fn against(plan: &Plan, traces: &[TraceTable], other: usize) -> Against {
    let rows: Vec<AgainstOnTrace> = traces.iter().map(|table| versus(table, other)).collect();
    let geometric =
        |field: fn(&AgainstOnTrace) -> Option<f64>| geometric_mean(rows.iter().filter_map(field));
    Against {
        policy: plan.policies[0].to_string(),
        other: plan.policies[other].to_string(),
        hours_ratio: geometric(|row| row.hours_ratio),
        dearer: rows.iter().filter(|row| row.hours_ratio.is_some_and(|it| it > 1.0)).count(),
        given_hours_ratio: geometric(|row| Some(row.given_hours_ratio)).unwrap_or(1.0),
        given_violation_ratio: geometric(|row| Some(row.given_violation_ratio)).unwrap_or(1.0),
        traces: rows,
    }
}

fn versus(table: &TraceTable, other: usize) -> AgainstOnTrace {
    let (own, other) = (&table.policies[0], &table.policies[other]);
    let both = SHARES.iter().find_map(|share| Some((own.best_at(*share)?, other.best_at(*share)?)));
    let hours = both.map(|(a, b)| (a.measured.replica_hours, b.measured.replica_hours));
    let floored = |it: &PolicyOnTrace| it.given.violation_share.max(SHARE_FLOOR);
    AgainstOnTrace {
        trace: table.trace.clone(),
        share: both.map(|(best, _)| best.share),
        replica_hours: hours.map(|(hours, _)| hours),
        other_replica_hours: hours.map(|(_, hours)| hours),
        hours_ratio: hours.map(|(own, other)| ratio(own, other)),
        given_hours_ratio: ratio(own.given.replica_hours, other.given.replica_hours),
        given_violation_ratio: floored(own) / floored(other),
    }
}

/// 1 of two equals, so that nothing against nothing is no division by 0.
fn ratio(own: f64, other: f64) -> f64 {
    if own == other { 1.0 } else { own / other }
}
