//! The closed loop in virtual time: windows to the planner, targets to the plant.

use planner_core::journal::Record;
use planner_core::{
    AdviceGate, Baseline, Decision, Event, NoSignal, Planner, Policy, Step, Window,
};

use crate::Plant;

/// One window of a run and what was made of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// The load offered, in requests per second.
    pub load_per_s: f64,
    /// What was seen.
    pub window: Window,
    /// What was decided; absent while an advisor was awaited.
    pub decision: Option<Decision>,
}

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// Window by window.
    pub points: Vec<Point>,
}

impl Run {
    /// Decisions that scaled, in order.
    pub fn scalings(&self) -> impl Iterator<Item = &Decision> {
        self.points
            .iter()
            .filter_map(|point| point.decision.as_ref())
            .filter(|decision| decision.target().is_some())
    }

    /// The records of the run, as a journal would hold them.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.points.iter().filter_map(|point| {
            Some(Record {
                at: point.window.end(),
                event: Event::Observe(point.window.clone()),
                step: Step::Decide(point.decision.clone()?),
            })
        })
    }
}

/// Runs `planner` on `plant` for so many windows; `load_per_s` is a function of the time in
/// seconds. Loads outside 0 to 1e9 count as 0.
pub fn run<P, B, G>(
    planner: &mut Planner<P, B, G>,
    plant: &mut Plant,
    windows: u32,
    load_per_s: impl Fn(f64) -> f64,
) -> Run
where
    P: Policy<Signal = NoSignal>,
    B: Baseline,
    G: AdviceGate,
{
    let mut run = Run::default();
    for _ in 0..windows {
        let offered = load_per_s(plant.now().as_secs_f64());
        let load_per_s = if (0.0..=1e8).contains(&offered) { offered } else { 0.0 };
        let Ok(window) = plant.window(load_per_s) else { continue };
        let step = planner.step(window.end(), Event::Observe(window.clone()));
        let decision = if let Step::Decide(decision) = step { Some(decision) } else { None };
        if let Some(target) = decision.as_ref().and_then(Decision::target) {
            plant.scale_to(target);
        }
        run.points.push(Point { load_per_s, window, decision });
    }
    run
}
