//! Laws that need a service to react: they run in a fluid plant in virtual time.

use std::time::Duration;

use planner_core::{
    Config, Constraint, Decision, GuardSet, NoSignal, Planner, Policy, ReplicaBounds,
};
use planner_core::{Event, Field, Step, Window};
use planner_lab::{Plant, PlantSpec, Point, Run, run};

use crate::case::Case;
use crate::kit::{Tally, is_alone};
use crate::watch::is_above_band;
use crate::world::mixed;

/// A service that differs from case to case, and the guards before it.
pub(crate) struct Service {
    seed: u64,
    spec: PlantSpec,
    guard_set: GuardSet,
}

impl Service {
    /// The service of a case. Its replicas answer `capacity_per_s` requests per second each, or as
    /// many as the case says.
    pub(crate) fn of(case: &Case, capacity_per_s: Option<f64>) -> Self {
        let hash = mixed(case.seed);
        let spec = PlantSpec {
            base_ms: case.usual_ms.min(200.0),
            rate_per_replica_per_s: capacity_per_s.unwrap_or(20.0 + (hash % 100) as f64),
            startup: Duration::from_secs(hash / 100 % 20),
            noise_share: 0.02 * (hash / 2_000 % 5) as f64,
            seed: hash,
            traffic_known: !(hash / 10_000).is_multiple_of(3),
            ..PlantSpec::default()
        };
        Self { seed: case.seed, spec, guard_set: case.config.guard_set() }
    }

    fn is_alone(&self) -> bool {
        is_alone(self.guard_set)
    }

    /// Default settings within these bounds.
    fn settings(&self, min: u32, max: u32) -> Config {
        let bounds = ReplicaBounds::new(min, max).unwrap_or_else(|_| unreachable!("min <= max"));
        let builder = Config::builder(bounds).guard_set(self.guard_set);
        builder.build().unwrap_or_else(|_| unreachable!("default settings"))
    }

    /// Whether this is one of `rarity` cases in which a run that takes long is worth it. A policy
    /// alone has no guard that was seen in every other case already.
    fn is_chosen(&self, rarity: u64) -> bool {
        self.seed.is_multiple_of(if self.is_alone() { 2 } else { rarity })
    }
}

/// Adds what a run was to the count.
fn count(tally: &mut Tally, run: &Run) {
    tally.steps += run.points.len() as u64;
}

fn decisions(run: &Run) -> impl Iterator<Item = &Decision> {
    run.points.iter().filter_map(|point| point.decision.as_ref())
}

/// Windows of `load_per_s` as `seen` makes them, and what is decided on them.
fn decisions_on<P>(
    planner: &mut Planner<P>,
    plant: &mut Plant,
    (windows, load_per_s): (u32, f64),
    seen: impl Fn(Window) -> Window,
) -> Vec<Decision>
where
    P: Policy<Signal = NoSignal>,
{
    let mut decisions = Vec::new();
    for _ in 0..windows {
        let Ok(window) = plant.window(load_per_s) else { continue };
        let step = planner.step(window.end(), Event::Observe(seen(window)));
        if let Step::Decide(decision) = step {
            if let Some(target) = decision.target() {
                plant.scale_to(target);
            }
            decisions.push(decision);
        }
    }
    decisions
}

fn is_scale_in(decision: &Decision) -> bool {
    decision.target() < decision.derivation.current && decision.target().is_some()
}

/// A planner and three replicas after calm at a load that needs all of them, and that load.
fn calm_at_three<P>(policy: P, service: &Service, tally: &mut Tally) -> (Planner<P>, Plant, f64)
where
    P: Policy<Signal = NoSignal>,
{
    let mut planner = Planner::new(service.settings(1, 8), policy);
    let mut plant = Plant::new(service.spec, 3);
    let load = service.spec.rate_per_replica_per_s * 2.3;
    count(tally, &run(&mut planner, &mut plant, 60, |_| load));
    (planner, plant, load)
}

/// Law 4: half of all requests fail, and callers give up and send less. Whoever looks at the load
/// alone sees idleness.
pub(crate) fn failure<P>(policy: P, service: &Service, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    if !service.is_chosen(16) {
        return Ok(());
    }
    let (mut planner, mut plant, load) = calm_at_three(policy, service, tally);
    let failing = |window: Window| {
        let half = window.successes() / 2;
        Field::Failures.with(&window, f64::from(half))
    };
    let decisions = decisions_on(&mut planner, &mut plant, (200, load * 0.3), failing);
    tally.steps += decisions.len() as u64;
    let too_many = Some(planner.config().error_share_max());
    let failed = |it: &&Decision| it.derivation.window.error_share() > too_many;
    match decisions.iter().filter(failed).find(|it| is_scale_in(it)) {
        Some(decision) => Err(format!(
            "scaled in while half of all requests failed and 30 % of the load was left: {decision}"
        )),
        None => Ok(()),
    }
}

/// Law 7: eight replicas where two would do, and a planner that knows nothing yet.
pub(crate) fn cold_start<P>(policy: P, service: &Service, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    let mut planner = Planner::new(service.settings(1, 8), policy);
    let mut plant = Plant::new(service.spec, 8);
    let load = service.spec.rate_per_replica_per_s * 1.3;
    let decisions = decisions_on(&mut planner, &mut plant, (10, load), |window| window);
    tally.steps += decisions.len() as u64;
    let cold = |it: &&Decision| it.derivation.estimate.is_none();
    match decisions.iter().filter(cold).find(|it| is_scale_in(it)) {
        Some(decision) => Err(format!(
            "scaled in without history, started at eight replicas where two would do: {decision}"
        )),
        None => Ok(()),
    }
}

/// Law 9: a dependency is slow, so callers that wait send less.
pub(crate) fn slow_callers<P>(policy: P, service: &Service, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    if !service.is_chosen(16) {
        return Ok(());
    }
    let (mut planner, mut plant, load) = calm_at_three(policy, service, tally);
    plant.set_dependency_ms(service.spec.base_ms * 9.5);
    let decisions = decisions_on(&mut planner, &mut plant, (200, load * 0.3), |window| window);
    tally.steps += decisions.len() as u64;
    let above = |it: &&Decision| is_above_band(planner.config(), it);
    match decisions.iter().filter(above).find(|it| is_scale_in(it)) {
        Some(decision) => Err(format!(
            "scaled in while p95 was tenfold and 30 % of the load was left: {decision}"
        )),
        None => Ok(()),
    }
}

/// Law 9: at the most replicas and beyond, for as long as it takes, overload is overload.
pub(crate) fn no_poisoning<P>(policy: P, service: &Service, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    if !service.is_chosen(16) {
        return Ok(());
    }
    let spec = service.spec;
    let mut planner = Planner::new(service.settings(1, 4), policy);
    let mut plant = Plant::new(spec, 2);
    let calm = spec.rate_per_replica_per_s * 0.5;
    let warm = run(&mut planner, &mut plant, 60, |_| calm);
    let overload = spec.rate_per_replica_per_s * 12.0;
    let drowning = run(&mut planner, &mut plant, 400, |_| overload);
    count(tally, &warm);
    count(tally, &drowning);
    // The first windows may still carry out what calm had decided.
    match drowning.scalings().find(|it| it.target() < it.derivation.current) {
        Some(decision) => Err(format!("scaled in under twelvefold overload: {decision}")),
        None => Ok(()),
    }
}

/// Law 10: a steady load that needs three of four replicas keeps three, with few trials.
pub(crate) fn no_ratchet<P>(policy: P, service: &Service, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    let spec = service.spec;
    let mut planner = Planner::new(service.settings(1, 8), policy);
    let mut plant = Plant::new(spec, 4);
    // Two replicas could not carry it, three can.
    let load = spec.rate_per_replica_per_s * 2.3;
    let run = run(&mut planner, &mut plant, 1_200, |_| load);
    count(tally, &run);
    // Behind all guards fewer replicas are tried; a policy alone may know the load.
    let at_stake = |point: &&Point| service.is_alone() || point.window.ready() == Some(3);
    tally.exercised += run.points.iter().filter(at_stake).count() as u64;
    let tried = run.scalings().filter(|it| it.target() < it.derivation.current).count();
    let short = |point: &&Point| point.window.ready() < Some(3);
    let short = run.points.iter().skip(200).filter(short).count();
    // An hour of windows: a trial is undone at once and its wait doubles.
    if short > 60 {
        return Err(format!(
            "a steady load that needs three of four replicas: {short} of 1000 windows with fewer, \
             {tried} scale-ins"
        ));
    }
    if tried > 12 {
        return Err(format!("{tried} scale-ins within an hour of steady load"));
    }
    Ok(())
}

/// Law 11: whatever the load does near a threshold, changes of direction stay within the budget.
pub(crate) fn no_flapping<P>(policy: P, service: &Service, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    if !service.is_chosen(8) {
        return Ok(());
    }
    let spec = service.spec;
    let config = service.settings(1, 10);
    let budget = config.flap_budget_per_hour() as usize;
    let mut planner = Planner::new(config, policy);
    let mut plant = Plant::new(spec, 4);
    let unit = spec.rate_per_replica_per_s;
    let period_s = 40.0 + (service.seed / 8 % 400) as f64;
    let shape = service.seed / 3_200 % 3;
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
        let shape = ["sawtooth", "step", "wave"][usize::try_from(shape).unwrap_or(2)];
        return Err(format!(
            "{flips} changes of direction in an hour, budget {budget}, under a {shape} of {period_s} s"
        ));
    }
    Ok(())
}

/// Law 15: a dependency that replicas do not cure. Scaling stops after the allowed attempts, says
/// so, and goes on when there is new evidence.
pub(crate) fn efficacy<P>(policy: P, service: &Service, tally: &mut Tally) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    let spec = PlantSpec { noise_share: 0.01, ..service.spec };
    let config = service.settings(1, 40);
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
        return Err(format!(
            "{outs} scale-outs against a slow dependency, {attempts} in vain are allowed"
        ));
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
