//! The records of a run, one journal after the other, while they are still being written too.

use std::ops::Bound;
use std::path::{Path, PathBuf};

use planner_core::journal::{Header, HeaderError, Record};
use planner_core::{Config, ServiceId};
use planner_runtime::{JournalError, JournalFolder, JournalReader};
use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

/// What a journal says of its run, whatever policy made it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Head {
    schema: u16,
    pub(super) service: ServiceId,
    pub(super) policy: String,
    pub(super) config: Config,
    config_fingerprint: u64,
}

impl Head {
    fn check(&self) -> Result<(), HeaderError> {
        let supported = Header::<IgnoredAny>::SCHEMA;
        if self.schema != supported {
            return Err(HeaderError::Schema { found: self.schema, supported });
        }
        if self.config_fingerprint != self.config.fingerprint() {
            return Err(HeaderError::ConfigEdited);
        }
        Ok(())
    }
}

/// Why journals cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalsError {
    /// One that is of another format, or was edited.
    #[error("{}: {cause}", path.display())]
    Header {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: HeaderError,
    },
    /// One that cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A folder without any.
    #[error("{}: no journal-NUMBER.jsonl with a header is in this folder; name that of a planner", folder.display())]
    None {
        /// Which.
        folder: PathBuf,
    },
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A record. Observations that a policy makes itself are left out: they say nothing to others.
    Record(Box<Record<IgnoredAny>>),
    /// A journal of another service, policy or configuration than before: see [`Journals::head`].
    Other,
}

/// One journal, or all of a folder, oldest first.
#[derive(Debug)]
pub(super) struct Journals {
    /// The folder, and the number of the present journal in it.
    folder: Option<(PathBuf, u64)>,
    head: Head,
    reader: JournalReader<IgnoredAny>,
}

impl Journals {
    /// The journal at `path`, or those of the folder there.
    ///
    /// # Errors
    ///
    /// [`JournalsError`] when there is none, or the first cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, JournalsError> {
        if !path.is_dir() {
            let (head, reader) = begin(path)?;
            return Ok(Self { folder: None, head, reader });
        }
        let none = || JournalsError::None { folder: path.to_owned() };
        let (number, head, reader) = first_after(path, Bound::Unbounded)?.ok_or_else(none)?;
        Ok(Self { folder: Some((path.to_owned(), number)), head, reader })
    }

    /// What the present journal says of its run.
    pub(super) const fn head(&self) -> &Head {
        &self.head
    }

    /// What comes next; `None` when nothing has come yet.
    ///
    /// # Errors
    ///
    /// [`JournalsError`] when a journal cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Next>, JournalsError> {
        loop {
            if let Some(record) = self.reader.next() {
                return Ok(Some(Next::Record(Box::new(record?))));
            }
            let Some((folder, number)) = &self.folder else { return Ok(None) };
            let newer = first_after(folder, Bound::Excluded(*number))?;
            let Some((number, head, reader)) = newer else { return Ok(None) };
            // Its writer had begun the newer one after its last word here.
            if let Some(record) = self.reader.next() {
                return Ok(Some(Next::Record(Box::new(record?))));
            }
            self.folder = Some((folder.clone(), number));
            self.reader = reader;
            if head != self.head {
                self.head = head;
                return Ok(Some(Next::Other));
            }
        }
    }

    /// Whether the last journal ends within a record.
    pub(super) const fn is_torn(&self) -> bool {
        self.reader.is_torn()
    }
}

fn begin(path: &Path) -> Result<(Head, JournalReader<IgnoredAny>), JournalsError> {
    let head: Head = JournalReader::<IgnoredAny>::first_line(path)?;
    head.check().map_err(|cause| JournalsError::Header { path: path.to_owned(), cause })?;
    Ok((head, JournalReader::records(path)?))
}

/// The first journal behind `after` that has a header, with its number. One without may still get
/// it, or never, when its writer had no room for it.
fn first_after(
    folder: &Path,
    after: Bound<u64>,
) -> Result<Option<(u64, Head, JournalReader<IgnoredAny>)>, JournalsError> {
    for (&number, path) in JournalFolder::list(folder)?.range((after, Bound::Unbounded)) {
        match begin(path) {
            Ok((head, reader)) => return Ok(Some((number, head, reader))),
            Err(JournalsError::Journal(JournalError::Empty { .. })) => {}
            // Its writer has made room since the folder was listed.
            Err(_) if !path.exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
pub(super) mod testing {
    use planner_core::journal::Header;
    use planner_core::{Planner, ReplicaBounds, ServiceId};
    use planner_lab::{Plant, PlantSpec, run};

    /// The first line of a journal of a planner within these bounds.
    pub(in super::super) fn header(bounds: (u32, u32)) -> String {
        let planner = Planner::heuristic(ReplicaBounds::new(bounds.0, bounds.1).expect("bounds"));
        let service = ServiceId::new("shop").expect("a name");
        serde_json::to_string(&Header::of(service, &planner, false)).expect("plain")
    }

    /// The journal of a step from 60 to 240 requests a second after five minutes, line by line.
    pub(in super::super) fn lines() -> Vec<String> {
        let mut planner = Planner::heuristic(ReplicaBounds::new(1, 8).expect("bounds"));
        let mut plant = Plant::new(PlantSpec::default(), 2);
        let run = run(&mut planner, &mut plant, 200, |t| if t < 300.0 { 60.0 } else { 240.0 });
        let records = run.records().map(|record| serde_json::to_string(&record).expect("plain"));
        std::iter::once(header((1, 8))).chain(records).collect()
    }
}
