#![doc = include_str!("../README.md")]

mod driver;
mod journal;

pub use driver::{Driver, Fault, Flow, Observer, Ports};
pub use journal::{JournalError, JournalReader, JournalWriter};
