//! A question to try an advisor with.

use std::time::Duration;

use planner_core::{Config, Consultation, Event, Heuristic, Planner, Step, Timestamp, Window};

/// Windows after which a service that gets slower must have raised a question.
const WINDOWS_MAX: u32 = 2_000;

/// The first question that a planner of this configuration asks about a service that is normal at
/// about 20 ms for a hundred windows and then gets slower; `None` when none arises, since there is
/// no advisor in it or only one target.
pub fn sample(config: Config) -> Option<Consultation> {
    let ready = config.bounds().min().max(1);
    let mut planner = Planner::new(config, Heuristic);
    let at = |second: u32| Timestamp::from_origin(Duration::from_secs(second.into()));
    for second in 1..WINDOWS_MAX {
        let slower_ms = f64::from(second.saturating_sub(100)) * 0.4;
        let latencies = [20.0 + f64::from(second % 7) + slower_ms; 40];
        let window = Window::probes(at(second - 1), at(second), &latencies, 0, ready).ok()?;
        if let Step::Consult(consultation) = planner.step(at(second), Event::Observe(window)) {
            return Some(consultation);
        }
    }
    None
}

/// The question of a planner of two to ten replicas with default settings, to test with.
#[cfg(test)]
pub(crate) fn consultation() -> Consultation {
    let bounds = planner_core::ReplicaBounds::new(2, 10).expect("bounds");
    let config = Config::builder(bounds).advice(planner_core::AdviceConfig::default()).build();
    sample(config.expect("settings")).expect("a question")
}
