//! The planner's journal as it grows, for the view and the report.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use planner_core::NoSignal;
use planner_core::journal::Record;

/// Reads a journal that another process writes, up to its last whole line.
pub(super) struct Follower {
    folder: PathBuf,
    journal: Option<(PathBuf, BufReader<File>)>,
    line: Vec<u8>,
    is_past_header: bool,
}

impl Follower {
    /// Follows the first journal that comes to stand in `folder`.
    pub(super) fn of(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { folder, journal: None, line: Vec::new(), is_past_header: false }
    }

    /// The journal, once there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.journal.as_ref().map(|(path, _)| path.as_path())
    }

    /// What was written since the last time.
    pub(super) fn news(&mut self) -> Vec<Record<NoSignal>> {
        self.open();
        let mut records = Vec::new();
        let Some((_, reader)) = &mut self.journal else { return records };
        while reader.read_until(b'\n', &mut self.line).is_ok_and(|length| length > 0) {
            if self.line.last() != Some(&b'\n') {
                break; // the rest comes later
            }
            if self.is_past_header
                && let Ok(record) = serde_json::from_slice(&self.line)
            {
                records.push(record);
            }
            self.is_past_header = true;
            self.line.clear();
        }
        records
    }

    fn open(&mut self) {
        if self.journal.is_some() {
            return;
        }
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let journals = entries.filter_map(Result::ok).map(|entry| entry.path());
        let path = journals.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).min();
        if let Some(path) = path
            && let Ok(file) = File::open(&path)
        {
            self.journal = Some((path, BufReader::new(file)));
        }
    }
}
