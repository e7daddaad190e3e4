//! The ways in which an advisor fails, one test each: what it may do is bounded, what it costs is
//! bounded, and what it says is read strictly. `docs/advisor.md` lists them.

#[path = "../support/mod.rs"]
mod support;

mod calling;
mod deciding;
mod reading;
mod world;
