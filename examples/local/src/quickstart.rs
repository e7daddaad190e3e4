//! The main job on one machine: a real service under real load, scaled by the real planner.
//!
//! Starts replicas of the toy service as child processes, a load balancer in front of them and an
//! open-loop load, runs the planner on what the balancer measures, and writes down everything:
//! journal, request log, `run.json`, `report.html`. Not for production: the pieces it wires are.

mod advisor;
mod args;
mod error;
mod folder;
mod load;
mod outcome;
mod policy;
mod recorder;
mod run;
mod service;

pub use args::{Args, Plan, UsageError};
pub use error::QuickstartError;
pub use folder::{Folder, FolderError};
pub use load::{Interrupt, Load, create_log};
pub use outcome::Ended;
pub use policy::{PolicyName, UnknownPolicy};
pub use recorder::{Recorder, Rows, View};
pub use run::{announce, finish, needed_bytes, run, view_state};
