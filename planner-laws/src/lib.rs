#![doc = include_str!("../README.md")]

mod case;
mod disturbed;
mod kit;
mod law;
mod plants;
mod report;
mod twin;
mod watch;
mod world;

pub use case::{Case, Kind, Phase, case, config};
pub use kit::Laws;
pub use law::Law;
pub use report::{Finding, Report, Verdict};
