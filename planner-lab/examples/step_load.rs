//! A service in virtual time: an hour of load with a step in it, in a few milliseconds.

use planner_core::{Planner, ReplicaBounds};
use planner_lab::{Plant, PlantSpec, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut planner = Planner::heuristic(ReplicaBounds::new(1, 12)?);
    let mut plant = Plant::new(PlantSpec::default(), 2);
    let load = |second: f64| if (1_200.0..1_800.0).contains(&second) { 300.0 } else { 60.0 };
    let run = run(&mut planner, &mut plant, 1_200, load);
    for decision in run.scalings() {
        println!("{} {decision}", decision.at);
    }
    let most = run.points.iter().filter_map(|point| point.window.ready()).max();
    assert!(most.is_some_and(|most| most >= 7), "300/s need seven replicas at 80 %");
    Ok(())
}
