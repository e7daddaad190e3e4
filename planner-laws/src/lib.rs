#![doc = include_str!("../README.md")]

mod case;
mod disturbed;
mod kit;
mod law;
mod peers;
mod plants;
mod report;
mod shrink;
mod standing;
mod twin;
mod watch;
mod world;

pub use case::{Case, Kind, Phase, case, config};
pub use kit::Laws;
pub use law::Law;
pub use peers::{heuristic, peers};
pub use report::{Finding, Report, Verdict};
pub use standing::{Standing, Standings};
