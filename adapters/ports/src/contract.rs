//! What every executor and every router has to hold, as suites that run on any of them.
//!
//! One suite for each port, so that a fake holds what the real thing does, and an executor of your
//! own what ours do. A suite drives the port and does, through its rig, what happens behind its
//! back. It panics with the case that does not hold: call it from a test.

mod executor;
mod router;

pub use executor::{ExecutorRig, executor_keeps_its_contract};
pub use router::{RouterRig, router_keeps_its_contract};
