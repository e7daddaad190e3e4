//! Journals of a planner that runs for long: one file after the other, within a stated size.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use planner_core::journal::{Header, Record};
use serde::Serialize;

use crate::{JournalError, JournalWriter};

/// A folder's size in files: when one of them is full the next one begins.
const FILES: u64 = 8;

/// Journals in a folder, each of which is replayed alone.
///
/// When the newest is full the next one begins, with the planner's memory of that moment in its
/// header, and the oldest are removed, those of earlier runs too. Their names,
/// `journal-MILLISECONDS.jsonl`, sort by age; files of other names are left alone.
#[derive(Debug)]
pub struct JournalFolder {
    folder: PathBuf,
    bytes_max: u64,
    /// In the name of the newest.
    number: u64,
    writer: JournalWriter,
}

impl JournalFolder {
    /// Begins a journal in `folder`, which must exist. All journals together stay within
    /// `bytes_max`, and each within an eighth of it, by less than one record and a header; there is
    /// always one, however small `bytes_max` is.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the folder cannot be listed, cleared or written.
    pub fn open<S, B>(
        folder: &Path,
        bytes_max: u64,
        header: &Header<S, B>,
    ) -> Result<Self, JournalError>
    where
        Header<S, B>: Serialize,
    {
        let (writer, number) = begin(folder, bytes_max, header)?;
        Ok(Self { folder: folder.to_owned(), bytes_max, number, writer })
    }

    /// The newest journal.
    pub fn path(&self) -> PathBuf {
        path(&self.folder, self.number)
    }

    /// The journals in `folder` by their numbers, oldest first.
    ///
    /// # Errors
    ///
    /// [`JournalError::Read`] when the folder cannot be listed.
    pub fn list(folder: &Path) -> Result<BTreeMap<u64, PathBuf>, JournalError> {
        let cannot = |cause: io::Error| JournalError::Read {
            path: folder.to_owned(),
            cause: cause.to_string(),
        };
        let mut journals = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(cannot)? {
            let name = entry.map_err(cannot)?.file_name();
            journals.extend(name.to_str().and_then(number).map(|it| (it, path(folder, it))));
        }
        Ok(journals)
    }

    /// Appends one record. `header` is asked when the journal is full then: that of a resumed
    /// planner which has made this record.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when it cannot be written; what was written before stays readable.
    pub fn record<E, S, B>(
        &mut self,
        record: &Record<E>,
        header: impl FnOnce() -> Header<S, B>,
    ) -> Result<(), JournalError>
    where
        E: Serialize,
        Header<S, B>: Serialize,
    {
        self.writer.record(record)?;
        if self.writer.bytes() >= self.bytes_max / FILES {
            (self.writer, self.number) = begin(&self.folder, self.bytes_max, &header())?;
        }
        Ok(())
    }
}

/// Makes room, and begins the next journal.
fn begin<S, B>(
    folder: &Path,
    bytes_max: u64,
    header: &Header<S, B>,
) -> Result<(JournalWriter, u64), JournalError>
where
    Header<S, B>: Serialize,
{
    let newest = make_room(folder, bytes_max).map_err(|cause| JournalError::Room {
        folder: folder.to_owned(),
        cause: cause.to_string(),
    })?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    // A clock that was set back must not make it look older.
    let number = newest.map_or(now, |newest| now.max(newest.saturating_add(1)));
    Ok((JournalWriter::create(&path(folder, number), header)?, number))
}

/// Removes the oldest journals until another one fits. The number of the newest.
fn make_room(folder: &Path, bytes_max: u64) -> io::Result<Option<u64>> {
    let mut journals = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(number) {
            journals.push((number, entry.metadata()?.len()));
        }
    }
    journals.sort_unstable();
    let mut bytes: u64 = journals.iter().map(|(_, bytes)| bytes).sum();
    for (number, size) in &journals {
        if bytes <= bytes_max - bytes_max / FILES {
            break;
        }
        std::fs::remove_file(path(folder, *number))?;
        bytes -= size;
    }
    Ok(journals.last().map(|(number, _)| *number))
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("journal-{number}.jsonl"))
}

/// The number in a journal's name, where it is one.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("journal-")?.strip_suffix(".jsonl")?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| is_plain)
}
