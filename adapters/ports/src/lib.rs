//! What the planner needs from the outside, as async traits with one error enum each.
//!
//! Adapters implement these traits, [`planner-runtime`](https://docs.rs/planner-runtime) drives
//! them. There is no I/O here. With the feature `mock` every port has a mockall mock
//! (`MockExecutor`, ...); with the feature `contract` there is a suite of tests that every executor
//! and every router has to pass.
//!
//! # What does this crate not do?
//!
//! It does not decide anything (`planner-core`) and does not sleep or retry (`planner-runtime`).

mod advisor;
mod backoff;
#[cfg(feature = "contract")]
pub mod contract;
mod executor;
mod latency;
mod member;
mod router;
mod telemetry;
mod timeline;

pub use advisor::{Advised, Advisor};
pub use backoff::Backoff;
pub use executor::{Executor, ExecutorError, ReplicaCounts};
pub use latency::{LatencySummary, summarise};
pub use member::{Member, ReplicaState};
pub use router::{Router, RouterError, refuse_strange};
pub use telemetry::{TelemetryError, TelemetrySource};
pub use timeline::Timeline;

#[cfg(feature = "mock")]
pub use {
    advisor::MockAdvisor, executor::MockExecutor, router::MockRouter,
    telemetry::MockTelemetrySource,
};
