//! `lab optimum`: the least that was possible for each load, for shares of violations.

use serde_json::{Value, json};

use planner_lab::compare::SHARES;
use planner_lab::optimum::{Bracket, Clairvoyant, Instance, OptimumError};
use planner_lab::trace::Arrivals;

use super::chart::{Chart, format_time, percent, time_axis};
use super::load::{Load, LoadArgs};
use super::out::{OutArgs, Results};
use super::page::{Key, Page, SERIES};
use super::pool::in_order;
use super::service::ServiceArgs;
use super::table::Table;
use super::{JobsArgs, LabError};
use crate::report::axis::{Scale, format_number};

/// Points of a line on a page, at most.
const POINTS_MAX: usize = 800;

/// The least replica-hours that each load needed, known in advance.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    load: LoadArgs,

    /// Share of requests that may violate, from 0 to 1 [default: 0.01, 0.02, 0.05, 0.1 and 0.2]
    #[arg(long = "share", value_name = "SHARE")]
    shares: Vec<f64>,

    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    jobs: JobsArgs,

    #[command(flatten)]
    out: OutArgs,
}

const HELP: &str = "\
The optimum is a bracket: no schedule costs less than the lower bound, and one that can be
followed costs the upper one. Decisions are every 5 s, on the fluid plant.

Examples:
  lab optimum --trace access.log
  lab optimum --trace sine:low=100,high=1800,period=1d --share 0.01 --json";

impl Args {
    pub(super) fn out(&self) -> &OutArgs {
        &self.out
    }

    /// Computes the brackets.
    ///
    /// # Errors
    ///
    /// [`LabError`] for what was asked wrongly, and for a load that is too large.
    pub(super) fn run(&self) -> Result<Results, LabError> {
        self.service.check()?;
        let shares = if self.shares.is_empty() { &SHARES[..] } else { &self.shares };
        if let Some(share) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(LabError::Share { share: *share });
        }
        let loads = self.load.read(self.service.rate)?;
        let parts = |load: &Load| (load.label.clone(), load.trace.duration_s() as f64);
        let mut progress = self.jobs.progress(loads.loads.iter().map(parts).collect());
        let found = in_order(
            &loads.loads,
            self.jobs.threads(),
            |load| optimum(load, &self.service, self.load.seed, shares),
            |index, _| progress.advance(index, loads.loads[index].trace.duration_s() as f64),
        );
        progress.finish();
        let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Results {
            name: "optimum",
            tables: tables(&found),
            json: json!({ "optimum": found.iter().flat_map(objects).collect::<Vec<_>>() }),
            page: Some(page(&found)),
        })
    }
}

/// A load with the brackets of some shares.
struct Found<'a> {
    load: &'a Load,
    decide_every_s: u32,
    brackets: Vec<(f64, Result<Bracket, OptimumError>)>,
}

fn optimum<'a>(
    load: &'a Load,
    service: &ServiceArgs,
    seed: u64,
    shares: &[f64],
) -> Result<Found<'a>, LabError> {
    let refused = |cause| LabError::Instance { label: load.label.clone(), cause };
    let rules = service.rules(&load.trace);
    let instance = instance(load, service, seed).map_err(refused)?;
    let too_large = |cause| LabError::Optimum { label: load.label.clone(), cause };
    let mut clairvoyant = Clairvoyant::new(&instance).map_err(too_large)?;
    let brackets = shares.iter().map(|share| (*share, clairvoyant.bracket(*share))).collect();
    Ok(Found { load, decide_every_s: rules.decide_every_steps, brackets })
}

/// What is known in advance: the requests that were drawn from a load.
pub(super) fn instance(
    load: &Load,
    service: &ServiceArgs,
    seed: u64,
) -> Result<Instance, planner_lab::optimum::InstanceError> {
    let arrivals = Arrivals::poisson(&load.trace, seed).map(|count| count as f64).collect();
    Instance::new(arrivals, service.rules(&load.trace))
}

const HOUR_S: f64 = 3_600.0;

fn tables(found: &[Found]) -> String {
    let mut text = String::new();
    for found in found {
        text.push_str(&found.load.label);
        text.push('\n');
        text.push_str(&table(found).text());
        text.push('\n');
    }
    text
}

fn table(found: &Found) -> Table {
    let mut table = Table::new([
        "violations at most",
        "replica-hours at least",
        "and at most",
        "known to",
        "replicas on average",
    ]);
    for (share, bracket) in &found.brackets {
        match bracket {
            Ok(bracket) => {
                let upper_s = bracket.plan.outcome.replica_s;
                table.row([
                    percent(*share),
                    format_number(bracket.lower_replica_s / HOUR_S),
                    format_number(upper_s / HOUR_S),
                    percent(bracket.gap()),
                    format_number(upper_s / found.load.trace.duration_s() as f64),
                ]);
            }
            Err(error) => table.row([percent(*share), error.to_string()]),
        }
    }
    table
}

fn objects(found: &Found) -> Vec<Value> {
    let brackets = found.brackets.iter();
    brackets.map(|(share, bracket)| object(found, *share, bracket)).collect()
}

fn object(found: &Found, share: f64, bracket: &Result<Bracket, OptimumError>) -> Value {
    let trace = &found.load.trace;
    let common = json!({
        "trace": found.load.label,
        "share": share,
        "duration_s": trace.duration_s(),
        "provenance": trace.provenance(),
    });
    let own = match bracket {
        Ok(bracket) => json!({
            "lower_replica_hours": bracket.lower_replica_s / HOUR_S,
            "upper_replica_hours": bracket.plan.outcome.replica_s / HOUR_S,
            "gap": bracket.gap(),
            "violation_share": bracket.plan.outcome.violating_share(),
            "requests": bracket.plan.outcome.requests,
            "schedule": changes(&bracket.plan.targets, found.decide_every_s),
        }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    match (common, own) {
        (Value::Object(mut all), Value::Object(own)) => {
            all.extend(own);
            Value::Object(all)
        }
        (common, _) => common,
    }
}

/// A schedule as its changes: seconds from the start, and replicas from there on.
fn changes(targets: &[u32], decide_every_s: u32) -> Vec<(u64, u32)> {
    let mut changes: Vec<(u64, u32)> = Vec::new();
    for (target, decision) in targets.iter().zip(0_u64..) {
        if changes.last().is_none_or(|(_, before)| before != target) {
            changes.push((decision * u64::from(decide_every_s), *target));
        }
    }
    changes
}

/// A schedule as places of a chart: each the most of several decisions in a row.
pub(super) fn places(targets: &[u32], decide_every_s: u32) -> Vec<(f64, f64)> {
    let per_place = targets.len().div_ceil(POINTS_MAX).max(1);
    let mut decisions = 0;
    let chunks = targets.chunks(per_place);
    let place = chunks.map(|chunk| {
        decisions += chunk.len();
        let most = chunk.iter().copied().max().unwrap_or(0);
        (decisions as f64 * f64::from(decide_every_s), f64::from(most))
    });
    place.collect()
}

/// A load as places of a chart: each the most of several steps in a row.
pub(super) fn load_places(load: &Load) -> Vec<(f64, f64)> {
    let rates = load.trace.rates_per_s();
    let per_place = rates.len().div_ceil(POINTS_MAX).max(1);
    let mut steps = 0;
    let place = rates.chunks(per_place).map(|chunk| {
        steps += chunk.len();
        let most = chunk.iter().copied().fold(0.0, f64::max);
        (steps as f64 * f64::from(load.trace.step_s()), most)
    });
    place.collect()
}

/// The chart of a load over time.
pub(super) fn load_chart(load: &Load) -> String {
    let duration_s = load.trace.duration_s() as f64;
    let places = load_places(load);
    let scale = Scale::from_zero(places.iter().map(|(_, rate)| *rate));
    let mut chart = Chart::over_time("load over time", 150.0, duration_s, scale);
    chart.grid(&time_axis(duration_s), |rate| format!("{}/s", format_number(rate)));
    chart.steps_area("arrivals-area", &places);
    chart.steps("arrivals", &places);
    chart.tooltips(places.iter().map(|(at_s, rate)| {
        (*at_s, format!("{}: {}/s", format_time(*at_s, duration_s), format_number(*rate)))
    }));
    chart.finish()
}

fn page(found: &[Found]) -> String {
    let headline = match found {
        [one] => format!("The least that {} needed", one.load.label),
        more => format!("The least that {} loads needed", more.len()),
    };
    let lead = "Schedules that know the whole load in advance. No schedule costs less than the \
                lower bound; the one shown costs the upper one.";
    let mut page = Page::new("planner lab optimum", &headline, lead);
    for found in found {
        page.heading(&found.load.label);
        page.table(&table(found));
        let key = [Key::line("arrivals", "requests per second")];
        page.chart("Load", &key, &load_chart(found.load));
        let duration_s = found.load.trace.duration_s() as f64;
        let known =
            found.brackets.iter().filter_map(|(share, it)| Some((*share, it.as_ref().ok()?)));
        let lines: Vec<_> = known
            .map(|(share, it)| (share, places(&it.plan.targets, found.decide_every_s)))
            .collect();
        let all = lines.iter().flat_map(|(_, places)| places.iter().map(|(_, count)| *count));
        let mut chart =
            Chart::over_time("schedules over time", 220.0, duration_s, Scale::from_zero(all));
        chart.grid(&time_axis(duration_s), format_number);
        let mut keys = Vec::new();
        for (index, (share, places)) in lines.iter().enumerate() {
            let series = format!("s{}", index % SERIES);
            chart.steps(&format!("curve {series}"), places);
            keys.push(Key::line(&series, &format!("{} may violate", percent(*share))));
        }
        page.chart("Replicas ordered", &keys, &chart.finish());
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use planner_lab::trace::Trace;

    use super::super::service::tests::service;
    use super::*;

    fn load(rates_per_s: Vec<f64>) -> Load {
        Load::new("t".to_owned(), Trace::new("t", 60, rates_per_s).expect("a trace"))
    }

    #[test]
    fn what_is_impossible_is_said_beside_what_is_not() {
        let load = load(vec![9_000.0; 10]);
        let found = optimum(&load, &service(), 1, &[0.0, 1.0]).expect("computed");
        let text = tables(std::slice::from_ref(&found));
        assert!(text.contains("no schedule keeps violations within 0"), "{text}");
        let objects = objects(&found);
        assert!(objects[0]["error"].is_string() && objects[0]["schedule"].is_null());
        assert_eq!(objects[1]["schedule"], json!([[0, 1]]));
        assert!(page(&[found]).contains("may violate"));
    }

    #[test]
    fn a_schedule_is_told_by_its_changes_and_drawn_without_losing_its_peaks() {
        assert_eq!(changes(&[2, 2, 5, 5, 2], 10), [(0, 2), (20, 5), (40, 2)]);
        let mut targets = vec![1; 50_000];
        targets[30_001] = 9;
        let places = places(&targets, 10);
        assert!(places.len() <= POINTS_MAX);
        assert!(places.iter().any(|(_, count)| *count == 9.0));
        assert_eq!(places.last().map(|(at_s, _)| *at_s), Some(500_000.0));
    }

    #[test]
    fn the_bracket_of_a_steady_load_is_what_it_needs() {
        let load = load(vec![120.0; 60]);
        let found = optimum(&load, &service(), 1, &[0.01]).expect("computed");
        let lower = objects(&found)[0]["lower_replica_hours"].as_f64().expect("a number");
        assert!((2.4..=3.0).contains(&lower), "{lower}");
    }
}
