//! Laws that need a service to react: they run in a fluid plant in virtual time.

use std::time::Duration;

use planner_core::{Config, Constraint, Decision, NoSignal, Planner, Policy, ReplicaBounds};
use planner_lab::{Plant, PlantSpec, Run, run};

use crate::case::Case;
use crate::kit::Tally;
use crate::world::mixed;

/// Default settings within these bounds.
fn settings(min: u32, max: u32) -> Config {
    let bounds = ReplicaBounds::new(min, max).unwrap_or_else(|_| unreachable!("min <= max"));
    Config::builder(bounds).build().unwrap_or_else(|_| unreachable!("default settings"))
}

/// A service that differs from case to case.
fn spec(case: &Case) -> PlantSpec {
    let hash = mixed(case.seed);
    PlantSpec {
        base_ms: case.usual_ms.min(200.0),
        rate_per_replica_per_s: 20.0 + (hash % 100) as f64,
        startup: Duration::from_secs(hash / 100 % 20),
        noise_share: 0.02 * (hash / 2_000 % 5) as f64,
        seed: hash,
        traffic_known: !(hash / 10_000).is_multiple_of(3),
        ..PlantSpec::default()
    }
}

/// Adds what a run was to the count.
fn count(tally: &mut Tally, run: &Run) {
    tally.steps += run.points.len() as u64;
}

fn decisions(run: &Run) -> impl Iterator<Item = &Decision> {
    run.points.iter().filter_map(|point| point.decision.as_ref())
}

/// Law 9: at the most replicas and beyond, for as long as it takes, overload is overload.
pub(crate) fn no_poisoning<P>(policy: P, case: &Case, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    if !case.seed.is_multiple_of(16) {
        return Ok(());
    }
    let spec = spec(case);
    let mut planner = Planner::new(settings(1, 4), policy);
    let mut plant = Plant::new(spec, 2);
    let calm = spec.rate_per_replica_per_s * 0.5;
    let warm = run(&mut planner, &mut plant, 60, |_| calm);
    let overload = spec.rate_per_replica_per_s * 12.0;
    let drowning = run(&mut planner, &mut plant, 400, |_| overload);
    count(tally, &warm);
    count(tally, &drowning);
    // The first windows may still carry out what calm had decided.
    match drowning.scalings().find(|it| it.target() < it.derivation.current) {
        Some(decision) => Err(format!("scaled in under overload: {decision}")),
        None => Ok(()),
    }
}

/// Law 10: a steady load that needs three of four replicas keeps three, with few trials.
pub(crate) fn no_ratchet<P>(policy: P, case: &Case, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    let spec = spec(case);
    let mut planner = Planner::new(settings(1, 8), policy);
    let mut plant = Plant::new(spec, 4);
    // Two replicas could not carry it, three can.
    let load = spec.rate_per_replica_per_s * 2.3;
    let run = run(&mut planner, &mut plant, 1_200, |_| load);
    count(tally, &run);
    tally.exercised += run.points.iter().filter(|it| it.window.ready() == Some(3)).count() as u64;
    let tried = run.scalings().filter(|it| it.target() < it.derivation.current).count();
    let short = |point: &&planner_lab::Point| point.window.ready() < Some(3);
    let short = run.points.iter().skip(200).filter(short).count();
    // An hour of windows: a trial is undone at once and its wait doubles.
    if short > 60 {
        return Err(format!("{short} of 1000 windows with too few replicas, {tried} trials"));
    }
    if tried > 12 {
        return Err(format!("{tried} scale-ins within an hour of steady load"));
    }
    Ok(())
}

/// Law 11: whatever the load does near a threshold, changes of direction stay within the budget.
pub(crate) fn no_flapping<P>(policy: P, case: &Case, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    if !case.seed.is_multiple_of(8) {
        return Ok(());
    }
    let spec = spec(case);
    let config = settings(1, 10);
    let budget = config.flap_budget_per_hour() as usize;
    let mut planner = Planner::new(config, policy);
    let mut plant = Plant::new(spec, 4);
    let unit = spec.rate_per_replica_per_s;
    let period_s = 40.0 + (case.seed / 8 % 400) as f64;
    let shape = case.seed / 3_200 % 3;
    let load = |second: f64| {
        let turn = second / period_s;
        let turn = turn.fract();
        unit * match shape {
            // Sawtooth, step, and a parabola for a sine.
            0 => 1.0 + 3.0 * turn,
            1 if turn < 0.5 => 1.5,
            1 => 3.5,
            _ => 1.0 + 12.0 * turn * (1.0 - turn),
        }
    };
    let run = run(&mut planner, &mut plant, 1_200, load);
    count(tally, &run);
    let mut last = None;
    let mut flips = 0;
    for decision in run.scalings() {
        let out = decision.target() > decision.derivation.current;
        let emergency = out && decision.derivation.signal.breach.is_some();
        flips += usize::from(last.is_some_and(|last| last != out) && !emergency);
        last = Some(out);
    }
    if flips > budget {
        return Err(format!("{flips} changes of direction in an hour, budget {budget}"));
    }
    Ok(())
}

/// Law 15: a dependency that replicas do not cure. Scaling stops after the allowed attempts, says
/// so, and goes on when there is new evidence.
pub(crate) fn efficacy<P>(policy: P, case: &Case, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    let spec = PlantSpec { noise_share: 0.01, ..spec(case) };
    let config = settings(1, 40);
    let attempts = config.efficacy_attempts();
    let mut planner = Planner::new(config, policy);
    let mut plant = Plant::new(spec, 2);
    let load = spec.rate_per_replica_per_s;
    let calm = run(&mut planner, &mut plant, 60, |_| load);
    plant.set_dependency_ms(spec.base_ms * 9.5);
    let hopeless = run(&mut planner, &mut plant, 200, |_| load);
    count(tally, &calm);
    count(tally, &hopeless);
    let outs = hopeless.scalings().filter(|it| it.target() > it.derivation.current).count();
    if outs > attempts as usize + 1 {
        return Err(format!("{outs} scale-outs that could not help, {attempts} allowed"));
    }
    let stopped = |decision: &&Decision| {
        matches!(decision.derivation.binding, Constraint::Ineffective { .. })
    };
    tally.exercised += decisions(&hopeless).filter(stopped).count() as u64;
    if outs >= attempts as usize && !decisions(&hopeless).any(|it| stopped(&it)) {
        return Err(String::from("it stopped without saying that scaling out does not help"));
    }
    // The load is another: new evidence.
    let risen = run(&mut planner, &mut plant, 60, |_| load * 20.0);
    count(tally, &risen);
    if outs > 0 && !risen.scalings().any(|it| it.target() > it.derivation.current) {
        return Err(String::from("it never scaled out again although the load rose twentyfold"));
    }
    Ok(())
}
