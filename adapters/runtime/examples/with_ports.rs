//! The tokio runtime with ports: a closed loop on a service made of arithmetic.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use planner_core::journal::Record;
use planner_core::{Planner, ReplicaBounds, Step, Window};
use planner_ports::{
    Executor, ExecutorError, ReplicaCounts, TelemetryError, TelemetrySource, Timeline,
};
use planner_runtime::{Driver, Flow, Observer, Ports};

struct Fleet(AtomicU32); // yours: containers, processes, virtual machines
#[async_trait]
impl Executor for Fleet {
    async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError> {
        self.0.store(replicas, Relaxed);
        Ok(())
    }
    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        Ok(ReplicaCounts { ready: self.0.load(Relaxed), ..ReplicaCounts::default() })
    }
}

struct Meter(Arc<Fleet>, Timeline, u32); // yours: a load balancer, probes, a metrics server
#[async_trait]
impl TelemetrySource for Meter {
    async fn next_window(&mut self) -> Result<Window, TelemetryError> {
        let start = self.1.now();
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.2 += 1;
        let work_ms = if self.2 > 20 { 900.0 } else { 30.0 }; // a step after twenty windows
        let ready = self.0.counts().await.map_or(1, |counts| counts.ready);
        let end = self.1.now();
        Ok(Window::probes(start, end, &[work_ms / f64::from(ready); 40], 0, ready)?)
    }
}

struct Print(u32);
impl Observer for Print {
    fn on_record(&mut self, record: &Record, _: &Planner) -> Flow {
        if let Step::Decide(decision) = &record.step {
            println!("{} {decision}", record.at);
        }
        self.0 += 1;
        if self.0 < 60 { Flow::Continue } else { Flow::Break }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (fleet, timeline) = (Arc::new(Fleet(AtomicU32::new(1))), Timeline::begin());
    let telemetry = Box::new(Meter(fleet.clone(), timeline, 0));
    let ports = Ports { telemetry, executor: fleet.clone(), advisor: None };
    let driver = Driver::new(Planner::heuristic(ReplicaBounds::new(1, 8)?), timeline);
    driver.run(ports, &mut Print(0), std::future::pending()).await;
    assert!(fleet.0.load(Relaxed) > 1, "the step was not answered");
    Ok(())
}
