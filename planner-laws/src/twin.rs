//! Laws that compare two planners: the same events, a restart, other units.

use std::time::Duration;

use planner_core::journal::Record;
use planner_core::{
    Config, Event, Field, NoSignal, Planner, Policy, Snapshot, Step, Timestamp, Window,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::case::{Case, Kind};
use crate::kit::{Tally, Watch, live};
use crate::world::{Records, World, mixed};

/// Watches nothing.
struct Nothing;

impl<P: Policy> Watch<P> for Nothing {
    fn after(&mut self, _: &Planner<P>, _: &Record) -> Result<(), String> {
        Ok(())
    }

    fn exercised(&self) -> u64 {
        0
    }
}

fn recorded<P>(policy: P, case: &Case, tally: &mut Tally) -> Result<Records, String>
where
    P: Policy<Signal = NoSignal>,
{
    live(&mut Planner::new(case.config.clone(), policy), case, tally, &mut Nothing)
}

/// Law 6: the records, written and read again, repeat byte for byte.
pub(crate) fn determinism<P, F>(make: &F, case: &Case, tally: &mut Tally) -> Result<(), String>
where
    F: Fn() -> P,
    P: Policy<Signal = NoSignal>,
{
    let records = recorded(make(), case, tally)?;
    let mut again = Planner::new(case.config.clone(), make());
    for (index, record) in records.iter().enumerate() {
        let written = serde_json::to_string(record).map_err(|error| error.to_string())?;
        let read: Record = serde_json::from_str(&written).map_err(|error| error.to_string())?;
        let step = again.step(read.at, read.event.clone());
        let repeated =
            serde_json::to_string(&Record { step, ..read }).map_err(|error| error.to_string())?;
        if repeated != written {
            return Err(format!("record {index} repeats as another\n{written}\n{repeated}"));
        }
        tally.exercised += 1;
    }
    Ok(())
}

/// Restores a planner from its own snapshot, through text.
fn restarted<P>(planner: &Planner<P>, policy: P) -> Result<Planner<P>, String>
where
    P: Policy<Signal = NoSignal>,
    P::State: Serialize + DeserializeOwned,
{
    let text = serde_json::to_string(&planner.snapshot()).map_err(|error| error.to_string())?;
    let snapshot: Snapshot<P::State> =
        serde_json::from_str(&text).map_err(|error| format!("unreadable snapshot: {error}"))?;
    let config = planner.config().clone();
    Planner::restore(config, policy, snapshot).map_err(|error| error.to_string())
}

/// Law 7: a planner that is restarted now and then takes the same steps; one without history holds
/// at least the current count until it is warm.
pub(crate) fn restart<P, F>(make: &F, case: &Case, tally: &mut Tally) -> Result<(), String>
where
    F: Fn() -> P,
    P: Policy<Signal = NoSignal>,
    P::State: Serialize + DeserializeOwned,
{
    let records = recorded(make(), case, tally)?;
    let mut planner = Planner::new(case.config.clone(), make());
    for (index, record) in records.iter().enumerate() {
        if mixed(case.seed ^ index as u64).is_multiple_of(5) {
            planner = restarted(&planner, make())?;
            tally.exercised += 1;
        }
        let step = planner.step(record.at, record.event.clone());
        if step != record.step {
            let expected = &record.step;
            return Err(format!("step {index} after a restart: {step:?}\nnot {expected:?}"));
        }
        let (Step::Decide(decision), max) = (&step, case.config.bounds().max()) else { continue };
        let (current, replicas) = (decision.derivation.current, decision.replicas());
        let cold = decision.derivation.estimate.is_none();
        if cold && replicas < current && current.is_some_and(|current| current <= max) {
            return Err(format!("scaled in without history: {decision}"));
        }
    }
    Ok(())
}

/// Law 14. Cases whose clock is adrift reach the ends of time, and extreme numbers those of their
/// ranges: there nothing can be shifted.
pub(crate) fn invariance<P, F>(make: &F, case: &Case, tally: &mut Tally) -> Result<(), String>
where
    F: Fn() -> P,
    P: Policy<Signal = NoSignal>,
{
    if case.phases.iter().any(|phase| matches!(phase.kind, Kind::Adrift | Kind::Extreme)) {
        return Ok(());
    }
    let records = recorded(make(), case, tally)?;
    let later = Duration::from_secs(86_400 * (1 + case.seed % 1_000));
    let shifted = |record: &Record| {
        let event = match &record.event {
            Event::Observe(window) => Event::Observe(moved(window, later)),
            other => other.clone(),
        };
        (record.at.saturating_add(later), event)
    };
    compare(make(), &case.config, &records, shifted, "shifted in time")?;
    let factor = [0.25, 2.0, 16.0][usize::try_from(case.seed % 3).unwrap_or(0)];
    let scaled = |record: &Record| {
        let event = match &record.event {
            Event::Observe(window) => Event::Observe(match Field::P95.of(window) {
                Some(p95_ms) => Field::P95.with(window, p95_ms * factor),
                None => window.clone(),
            }),
            other => other.clone(),
        };
        (record.at, event)
    };
    let config = in_other_units(&case.config, factor)?;
    compare(make(), &config, &records, scaled, "in other units")?;
    tally.exercised += 2 * records.len() as u64;
    Ok(())
}

/// The same window at another time.
fn moved(window: &Window, later: Duration) -> Window {
    let mut value = serde_json::to_value(window).unwrap_or_default();
    for end in ["start", "end"] {
        if let Some(nanos) = value[end].as_u64() {
            value[end] = Timestamp::from_nanos(nanos).saturating_add(later).as_nanos().into();
        }
    }
    serde_json::from_value(value).unwrap_or_else(|_| window.clone())
}

/// The same settings with every latency multiplied.
fn in_other_units(config: &Config, factor: f64) -> Result<Config, String> {
    let mut value = serde_json::to_value(config).map_err(|error| error.to_string())?;
    value["sigma_floor_ms"] = (config.sigma_floor_ms() * factor).into();
    value["baseline_hint_ms"] = (config.baseline_hint_ms().unwrap_or(0.0) * factor).into();
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Repeats records in another guise; every decision must come out with the same counts.
fn compare<P>(
    policy: P,
    config: &Config,
    records: &Records,
    guise: impl Fn(&Record) -> (Timestamp, Event),
    what: &str,
) -> Result<(), String>
where
    P: Policy<Signal = NoSignal>,
{
    let counts = |step: &Step| match step {
        Step::Decide(decision) => (1, decision.derivation.current, decision.replicas()),
        Step::Consult(it) => (2, it.fallback.derivation.current, it.fallback.replicas()),
        _ => (0, None, None),
    };
    let mut planner = Planner::new(config.clone(), policy);
    for (index, record) in records.iter().enumerate() {
        let (at, event) = guise(record);
        let step = planner.step(at, event);
        if counts(&step) != counts(&record.step) {
            let told = |step: &Step| match counts(step) {
                (_, Some(from), Some(to)) => format!("{from} -> {to}"),
                _ => String::from("no count"),
            };
            let (expected, other) = (told(&record.step), told(&step));
            let steps = format!("{step:?}\nnot {:?}", record.step);
            return Err(format!("{other} {what}, {expected} as it was: record {index}\n{steps}"));
        }
    }
    Ok(())
}

/// Law 16: two calls are never closer than the budget's period, across restarts; and no call is
/// made where only one target is legal.
pub(crate) fn budget<P, F>(make: &F, case: &Case, tally: &mut Tally) -> Result<(), String>
where
    F: Fn() -> P,
    P: Policy<Signal = NoSignal>,
    P::State: Serialize + DeserializeOwned,
{
    let Some(advice) = case.config.advice() else { return Ok(()) };
    let mut planner = Planner::new(case.config.clone(), make());
    let mut world = World::new(case);
    let (mut last, mut now) = (None::<Timestamp>, Timestamp::ORIGIN);
    while let Some((at, event)) = world.next() {
        tally.steps += 1;
        if mixed(case.seed ^ tally.steps).is_multiple_of(7) {
            planner = restarted(&planner, make())?;
        }
        // A clock that was set back cannot be measured against.
        if now.saturating_since(at) > case.config.window_age_max() {
            (last, now) = (None, at);
        }
        now = now.max(at);
        let step = planner.step(at, event);
        if let Step::Consult(consultation) = &step {
            tally.exercised += 1;
            let since = last.map(|last| now.saturating_since(last));
            if since.is_some_and(|since| since < advice.period) {
                return Err(format!("asked again after {since:?}, allowed {:?}", advice.period));
            }
            if consultation.brief.floor >= consultation.brief.ceiling {
                return Err(String::from("asked although there was nothing to choose"));
            }
            last = Some(now);
        }
        world.saw(&step);
    }
    Ok(())
}
