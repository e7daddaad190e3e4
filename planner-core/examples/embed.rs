//! Embedding the core: your own loop, your own measurements, no runtime, no adapter.
//!
//! The service here is arithmetic: each replica carries 50 requests a second, and what is beyond
//! that waits. A step from 20 to 120 requests a second is answered.

use std::time::Duration;

use planner_core::{Planner, ReplicaBounds, Timestamp, Window};

/// The latencies of one second's requests, 40 of them sampled.
fn measure(requests_per_s: f64, replicas: u32, waiting: &mut f64) -> Vec<f64> {
    let capacity_per_s = 50.0 * f64::from(replicas);
    *waiting = (*waiting + requests_per_s - capacity_per_s).max(0.0);
    let wait_ms = *waiting / capacity_per_s * 1_000.0;
    (0..40).map(|sample| 20.0 + wait_ms + f64::from(sample % 5)).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut planner = Planner::heuristic(ReplicaBounds::new(1, 8)?);
    let (mut replicas, mut waiting, mut most) = (1, 0.0, 1);
    for second in 1..=120 {
        let requests_per_s = if (30..90).contains(&second) { 120.0 } else { 20.0 };
        let latencies_ms = measure(requests_per_s, replicas, &mut waiting);
        let at = |second| Timestamp::from_origin(Duration::from_secs(second));
        let window = Window::probes(at(second - 1), at(second), &latencies_ms, 0, replicas)?;
        let decision = planner.decide(at(second), &window);
        if let Some(target) = decision.target() {
            println!("{second:>3} s  {decision}");
            replicas = target;
            most = most.max(target);
        }
    }
    assert!(most >= 3, "120 requests a second need three replicas");
    Ok(())
}
