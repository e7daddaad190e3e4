//! How many requests the queue simulates in a second of the clock on the wall, on one core: build
//! it in release mode.

use std::time::Instant;

use planner_lab::queue::{
    AfterTimeout, Balancing, Queue, QueueSpec, RetrySpec, ServiceTime, TimeoutSpec,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let exponential = ServiceTime::Exponential { mean_s: 0.02 };
    let plain = QueueSpec { concurrency: 4, ..QueueSpec::of(exponential) };
    let least = QueueSpec { balancing: Balancing::LeastConnections, ..plain.clone() };
    let random = QueueSpec { balancing: Balancing::Random, ..plain.clone() };
    let lognormal = ServiceTime::LogNormal { mean_s: 0.02, cv: 1.5 };
    let impatient = QueueSpec {
        service: lognormal,
        timeout: Some(TimeoutSpec { after_s: 0.25, work: AfterTimeout::IsCancelled }),
        retries: Some(RetrySpec {
            max: 2,
            backoff_s: 0.1,
            backoff_max_s: 1.0,
            jitter_share: 0.5,
            budget_share: Some(0.2),
        }),
        ..plain.clone()
    };
    let heavy = ServiceTime::Pareto { mean_s: 0.02, shape: 1.5, max_over_min: 1e3 };
    for (name, spec) in [
        ("central FIFO, exponential", plain.clone()),
        ("central FIFO, Pareto", QueueSpec { service: heavy, ..plain }),
        ("least connections", least),
        ("random", random),
        ("timeouts and retries, lognormal", impatient),
    ] {
        for replicas in [2, 20, 200] {
            let mut queue = Queue::new(spec.clone(), replicas, 1)?;
            // 85 % of what the slots can do.
            let rate_per_s = 0.85 * f64::from(replicas * 4) / 0.02;
            let (mut requests, begun) = (0, Instant::now());
            while requests < 3_000_000 {
                requests += queue.advance(3.0, rate_per_s)?.arrivals;
            }
            let per_s = requests as f64 / begun.elapsed().as_secs_f64();
            println!("{name}, {replicas} replicas: {:.1} million a second", per_s / 1e6);
        }
    }
    Ok(())
}
