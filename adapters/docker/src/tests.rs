//! The executor on an engine in memory, in time that passes by itself.

mod contract;
mod crash;
mod failures;
mod fake;
mod lifecycle;
mod strangers;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use planner_core::ServiceId;
use planner_ports::{Executor as _, ReplicaCounts};
use tokio::time::{Instant, sleep};

use crate::engine::State;
use crate::{DockerExecutor, DockerSettings, InstallId};
use fake::Fake;

const MINUTE: Duration = Duration::from_secs(60);

/// A size: few for every day, many where somebody has the time and sets `PLANNER_SOAK`.
fn rounds(every_day: u64, full: u64) -> u64 {
    if std::env::var_os("PLANNER_SOAK").is_some() { full } else { every_day }
}

fn settings() -> DockerSettings {
    let service = ServiceId::new("app").expect("an id");
    let install = InstallId::new("test-0001").expect("an id");
    let mut settings = DockerSettings::new(service, install, fake::PORT);
    settings.max_replicas = NonZeroU32::new(8).expect("not zero");
    settings
}

fn executor(fake: &Fake) -> DockerExecutor {
    executor_with(fake, settings())
}

fn executor_with(fake: &Fake, settings: DockerSettings) -> DockerExecutor {
    let engine = Arc::new(fake.clone());
    let router = Arc::new(fake.clone());
    DockerExecutor::on(engine, router, settings).expect("within a runtime")
}

/// Whether exactly `replicas` of ours are there, all of them running and routed.
fn is_exactly(fake: &Fake, replicas: usize) -> bool {
    let world = fake.world();
    let all_run = world.ours().all(|it| matches!(it.state, State::Running { .. }));
    let addresses = world.addresses();
    all_run && addresses.len() == replicas && world.routed == addresses
}

async fn within(limit: Duration, what: &str, fake: &Fake, is: impl Fn() -> bool) {
    let end = Instant::now() + limit;
    while !is() {
        if Instant::now() >= end {
            let world = fake.world();
            panic!(
                "{what}: not after {limit:?}: {:#?} routed {:?}",
                world.containers, world.routed
            );
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn reached(fake: &Fake, replicas: usize) {
    let what = format!("{replicas} run");
    within(2 * MINUTE, &what, fake, || is_exactly(fake, replicas)).await;
}

/// A world in which `replicas` are in traffic, and the executor that brought them there.
async fn with(fake: &Fake, replicas: u32) -> DockerExecutor {
    let executor = executor(fake);
    executor.scale_to(replicas).await.expect("accepted");
    reached(fake, replicas as usize).await;
    within(MINUTE, "all are ready", fake, || ready(&executor) == replicas).await;
    executor
}

fn ready(executor: &DockerExecutor) -> u32 {
    ReplicaCounts::of(&executor.members().borrow()).ready
}

fn nothing_wrong(fake: &Fake) {
    let violations = fake.world().violations.clone();
    assert!(violations.is_empty(), "{violations:#?}");
}
