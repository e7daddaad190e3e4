//! The request log: one JSON object per line, buffered.
//!
//! Not for reading a log back (each line is a [`RequestRecord`]), and not for rotating one.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::RequestRecord;

/// The log could not be written.
#[derive(Debug, Error)]
#[error("cannot write the request log {path}: {source}; free some space, or give another --log")]
pub struct LogError {
    path: PathBuf,
    source: std::io::Error,
}

/// A log being written.
#[derive(Debug)]
pub struct RequestLog {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl RequestLog {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Self, LogError> {
        match File::create(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), writer: BufWriter::new(file) }),
            Err(source) => Err(LogError { path: path.to_owned(), source }),
        }
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// When the buffer was full and could not be written.
    pub fn write(&mut self, record: &RequestRecord) -> Result<(), LogError> {
        let written = serde_json::to_writer(&mut self.writer, record)
            .map_err(std::io::Error::from)
            .and_then(|()| self.writer.write_all(b"\n"));
        written.map_err(|source| LogError { path: self.path.clone(), source })
    }

    /// Hands what is buffered to the operating system.
    ///
    /// # Errors
    ///
    /// When it does not take it: a full disk, for example.
    pub fn flush(&mut self) -> Result<(), LogError> {
        self.writer.flush().map_err(|source| LogError { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadgen::Outcome;

    const RECORD: RequestRecord = RequestRecord {
        at_s: 1.0,
        latency_ms: 20.0,
        sent_late_ms: 0.0,
        outcome: Outcome::Ok,
        status: Some(200),
        cause: None,
    };

    #[test]
    fn a_full_disk_is_one_clear_error() {
        let mut log = RequestLog::create(Path::new("/dev/full")).expect("opening succeeds");
        log.write(&RECORD).expect("the buffer takes it");
        assert_eq!(
            log.flush().expect_err("the device is full").to_string(),
            "cannot write the request log /dev/full: No space left on device (os error 28); \
             free some space, or give another --log"
        );
    }

    #[test]
    fn a_missing_folder_is_one_clear_error() {
        let error = RequestLog::create(Path::new("/nonexistent/requests.jsonl"))
            .expect_err("there is no such folder");
        assert!(error.to_string().starts_with(
            "cannot write the request log /nonexistent/requests.jsonl: No such file or directory"
        ));
    }

    #[test]
    fn each_record_is_a_line_and_a_flush_makes_it_visible() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("requests.jsonl");
        let mut log = RequestLog::create(&path).expect("writable");
        log.write(&RECORD).expect("space left");
        log.write(&RECORD).expect("space left");
        log.flush().expect("space left");
        let text = std::fs::read_to_string(&path).expect("readable");
        let records: Vec<RequestRecord> =
            text.lines().map(|line| serde_json::from_str(line).expect("one object")).collect();
        assert_eq!(records, [RECORD, RECORD]);
    }
}
