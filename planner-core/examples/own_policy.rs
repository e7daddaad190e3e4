//! A policy of your own: the guards, the derivation and the replay come with it.
//!
//! This one wants a replica for every 40 requests a second, and remembers its highest wish.

use std::time::Duration;

use planner_core::{
    Config, NoSignal, Planner, Policy, Proposal, Reason, ReplicaBounds, Timestamp, Traffic, View,
    Window,
};

struct PerForty;

impl Policy for PerForty {
    type Signal = NoSignal;
    type State = u32; // part of every snapshot

    fn name(&self) -> &'static str {
        "per-forty"
    }
    fn version(&self) -> u32 {
        1
    }
    fn initial_state(&self) -> u32 {
        0
    }
    fn propose(&self, view: &View<'_>, _highest: &u32) -> Proposal {
        let Some(traffic) = view.window.traffic() else {
            return Proposal::exactly(view.current).because(Reason::Warmup);
        };
        let wanted = (1..=1_000).find(|count| f64::from(*count) * 40.0 >= traffic.arrivals_per_s());
        Proposal::exactly(wanted.unwrap_or(1_000)).because(Reason::Rule(1))
    }
    fn learn(&self, _view: &View<'_>, target: u32, highest: &mut u32) {
        *highest = target.max(*highest);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder(ReplicaBounds::new(1, 6)?).build()?;
    let mut planner = Planner::new(config, PerForty);
    let at = |second| Timestamp::from_origin(Duration::from_secs(second));
    let window = Window::builder(1, at(0), at(1))
        .traffic(Traffic::arriving(500.0)?)
        .outcomes(500, 0, 0)
        .coverage(1.0)
        .ready(2)
        .build()?;
    let decision = planner.decide(at(1), &window);
    println!("{decision}\n{}", decision.derivation);
    // It wanted 13; the step limit and the bounds are not its business.
    assert_eq!(decision.target(), Some(6));
    Ok(())
}
