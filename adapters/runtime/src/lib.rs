#![doc = include_str!("../README.md")]

mod driver;
mod journal;
mod journal_folder;
mod keeper;
mod snapshot_file;

pub use driver::{Driver, Fault, Flow, Observer, Ports};
pub use journal::{JournalError, JournalReader, JournalWriter};
pub use journal_folder::JournalFolder;
pub use snapshot_file::{SnapshotFile, SnapshotFileError, StoredSnapshot};
