//! Journals on disk: JSON Lines, a header and one record per event.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek as _, Write};
use std::path::{Path, PathBuf};

use planner_core::journal::{Header, Record};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest line that is read: a record is a few kilobytes.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// Appends records to a new journal, each handed to the operating system when it is written.
#[derive(Debug)]
pub struct JournalWriter {
    path: PathBuf,
    file: File,
    /// Length up to the last whole record.
    length: u64,
}

impl JournalWriter {
    /// Starts a journal at `path`, which must not exist yet.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`] when the file exists or cannot be written.
    pub fn create<S, B>(path: &Path, header: &Header<S, B>) -> Result<Self, JournalError>
    where
        Header<S, B>: Serialize,
    {
        let file = OpenOptions::new().append(true).create_new(true).open(path);
        let file = file.map_err(|cause| JournalError::write(path, &cause))?;
        let mut journal = Self { path: path.to_owned(), file, length: 0 };
        journal.append(header)?;
        Ok(journal)
    }

    /// Appends one record.
    ///
    /// # Errors
    ///
    /// [`JournalError::Write`] when it cannot be written; what was written before stays readable.
    pub fn record<S: Serialize>(&mut self, record: &Record<S>) -> Result<(), JournalError> {
        self.append(record)
    }

    /// How long it is by now.
    pub(crate) const fn bytes(&self) -> u64 {
        self.length
    }

    /// Writes one line at once. What a full disk has cut is taken back, so that the journal ends
    /// with a whole record.
    fn append(&mut self, line: &impl Serialize) -> Result<(), JournalError> {
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            self.file.write_all(&text)?;
            Ok(text.len() as u64)
        });
        match written {
            Ok(bytes) => {
                self.length += bytes;
                Ok(())
            }
            Err(cause) => {
                let _readers_stop_at_the_cut_anyway = self.file.set_len(self.length);
                Err(JournalError::write(&self.path, &cause))
            }
        }
    }
}

/// Reads a journal back: the header at once, the records one by one.
///
/// The iterator ends where the journal ends for now. Of one that is still being written it goes on
/// when it is asked again, in the middle of a record too.
#[derive(Debug)]
pub struct JournalReader<S> {
    path: PathBuf,
    lines: BufReader<File>,
    /// What there is of a line that is not whole yet.
    begun: Vec<u8>,
    line: u64,
    torn: bool,
    signal: std::marker::PhantomData<fn() -> S>,
}

impl<S: DeserializeOwned> JournalReader<S> {
    /// Opens the journal at `path` and reads its header.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the file cannot be read or its first line is no header.
    pub fn open<T, B>(path: &Path) -> Result<(Header<T, B>, Self), JournalError>
    where
        Header<T, B>: DeserializeOwned,
    {
        Self::open_with(path)
    }

    /// Reads the first line of the journal at `path` as a `T`: a part of the header that does not
    /// depend on the policy, such as the policy's name.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the file cannot be read or its first line is no `T`.
    pub fn first_line<T: DeserializeOwned>(path: &Path) -> Result<T, JournalError> {
        Self::open_with(path).map(|(first, _)| first)
    }

    /// Opens the journal at `path` for its records alone, whatever policy made it.
    ///
    /// # Errors
    ///
    /// [`JournalError`] when the file cannot be read or its first line is no JSON.
    pub fn records(path: &Path) -> Result<Self, JournalError> {
        Self::open_with::<serde::de::IgnoredAny>(path).map(|(_, reader)| reader)
    }

    fn open_with<T: DeserializeOwned>(path: &Path) -> Result<(T, Self), JournalError> {
        let file = File::open(path).map_err(|cause| JournalError::read(path, &cause))?;
        let mut reader = Self {
            path: path.to_owned(),
            lines: BufReader::new(file),
            begun: Vec::new(),
            line: 0,
            torn: false,
            signal: std::marker::PhantomData,
        };
        match reader.parse_next() {
            Some(first) => Ok((first?, reader)),
            None => Err(JournalError::Empty { path: path.to_owned() }),
        }
    }

    /// Whether the journal ends in the middle of a record, as after a kill. Known at its end; a
    /// record that is still being written looks the same.
    pub const fn is_torn(&self) -> bool {
        self.torn
    }

    /// The next line as a value; `None` at the end, a torn last line included.
    fn parse_next<T: DeserializeOwned>(&mut self) -> Option<Result<T, JournalError>> {
        if let Err(cause) = self.forget_what_was_taken_back() {
            return Some(Err(JournalError::read(&self.path, &cause)));
        }
        let room = LINE_BYTES_MAX.saturating_sub(self.begun.len() as u64);
        let limited = &mut io::Read::take(&mut self.lines, room);
        if let Err(cause) = limited.read_until(b'\n', &mut self.begun) {
            return Some(Err(JournalError::read(&self.path, &cause)));
        }
        let is_whole =
            self.begun.last() == Some(&b'\n') || self.begun.len() as u64 >= LINE_BYTES_MAX;
        self.torn = !is_whole && !self.begun.is_empty();
        if !is_whole {
            return None;
        }
        self.line += 1;
        let text = std::mem::take(&mut self.begun);
        let parsed = serde_json::from_slice(&text).map_err(|cause| JournalError::Line {
            path: self.path.clone(),
            line: self.line,
            cause: cause.to_string(),
        });
        Some(parsed)
    }
}

impl<S> JournalReader<S> {
    /// A writer that had no room for a record takes back what it had written of it.
    fn forget_what_was_taken_back(&mut self) -> io::Result<()> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let read = self.lines.stream_position()?;
        if self.lines.get_ref().metadata()?.len() < read {
            self.lines.seek(io::SeekFrom::Start(read - self.begun.len() as u64))?;
            self.begun.clear();
        }
        Ok(())
    }
}

impl<S: DeserializeOwned> Iterator for JournalReader<S> {
    type Item = Result<Record<S>, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.parse_next()
    }
}

/// Why a journal cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// There is nothing in it.
    #[error("journal {path}: empty; the run that wrote it never began", path = path.display())]
    Empty {
        /// Where.
        path: PathBuf,
    },
    /// A line that cannot be understood.
    #[error("journal {path}, line {line}: {cause}; it was edited, or written by another version", path = path.display())]
    Line {
        /// Where.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// The file cannot be read.
    #[error("journal {path}: cannot be read: {cause}; check path and permissions", path = path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// Older journals could not be listed or removed.
    #[error("journals in {folder}: no room made: {cause}; check permissions, or remove the oldest by hand", folder = folder.display())]
    Room {
        /// Where.
        folder: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// The file cannot be written.
    #[error("journal {path}: cannot be written: {cause}; name a folder with space and permission", path = path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
}

impl JournalError {
    fn read(path: &Path, cause: &io::Error) -> Self {
        Self::Read { path: path.to_owned(), cause: cause.to_string() }
    }

    fn write(path: &Path, cause: &io::Error) -> Self {
        Self::Write { path: path.to_owned(), cause: cause.to_string() }
    }
}
