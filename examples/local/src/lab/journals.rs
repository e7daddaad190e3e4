//! The records of a run, one journal after the other, while they are still being written too.

use std::path::{Path, PathBuf};

use planner_core::journal::Record;
use planner_core::{Config, NoSignal, ServiceId};
use planner_runtime::{JournalError, JournalFolder, JournalReader};
use serde::Deserialize;

/// What a journal says of its run, whatever policy made it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Head {
    pub(super) service: ServiceId,
    pub(super) policy: String,
    pub(super) config: Config,
}

/// One journal, or all of a folder, oldest first.
#[derive(Debug)]
pub(super) struct Journals {
    folder: Option<PathBuf>,
    path: PathBuf,
    reader: JournalReader<NoSignal>,
}

impl Journals {
    /// The journal at `path`, or those of the folder there, with what the first says of its run.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when there is none, or the first cannot be read.
    pub(super) fn open(path: &Path) -> Result<(Head, Self), JournalError> {
        let folder = path.is_dir().then(|| path.to_owned());
        let first = match &folder {
            None => path.to_owned(),
            Some(folder) => JournalFolder::list(folder)?.into_iter().next().ok_or_else(|| {
                let cause = "there is no journal-NUMBER.jsonl in this folder".to_owned();
                JournalError::Read { path: folder.clone(), cause }
            })?,
        };
        let head = JournalReader::<NoSignal>::first_line(&first)?;
        let reader = JournalReader::records(&first)?;
        Ok((head, Self { folder, path: first, reader }))
    }

    /// The next record; `None` when there is none yet.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when a journal cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Record>, JournalError> {
        loop {
            if let Some(record) = self.reader.next() {
                return record.map(Some);
            }
            let Some(newer) = self.newer()? else { return Ok(None) };
            // Its writer had begun the newer one after its last word here.
            if let Some(record) = self.reader.next() {
                return record.map(Some);
            }
            self.reader = match JournalReader::records(&newer) {
                Ok(reader) => reader,
                // Made, and not written yet.
                Err(JournalError::Empty { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            self.path = newer;
        }
    }

    /// Whether the last journal ends within a record.
    pub(super) const fn is_torn(&self) -> bool {
        self.reader.is_torn()
    }

    /// The journal that follows the present one in the folder.
    fn newer(&self) -> Result<Option<PathBuf>, JournalError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let all = JournalFolder::list(folder)?;
        let at = all.iter().position(|path| *path == self.path);
        // When the present one was removed to make room, whatever is oldest comes next.
        Ok(all.into_iter().nth(at.map_or(0, |at| at + 1)))
    }
}
