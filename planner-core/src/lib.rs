//! planner-core
#![no_std]
extern crate alloc;
pub mod config;
pub mod stats;
pub mod telemetry;
pub mod time;
pub use config::*;
pub use telemetry::*;
pub use time::Timestamp;
/// Placeholder.
pub mod signal {}
/// Placeholder.
pub mod advice {}
