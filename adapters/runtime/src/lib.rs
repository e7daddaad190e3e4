#![doc = include_str!("../README.md")]

mod driver;
mod journal;
mod keeper;
mod snapshot_file;

pub use driver::{Driver, Fault, Flow, Observer, Ports};
pub use journal::{JournalError, JournalReader, JournalWriter};
pub use snapshot_file::{SnapshotFile, SnapshotFileError, StoredSnapshot};
