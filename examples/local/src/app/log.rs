//! What happened to each request and when, for whoever checks that nothing is lost.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

/// A log of one object a line, in a file of this process' own; nothing where none is wanted.
#[derive(Debug, Default)]
pub(super) struct Log {
    file: Option<Mutex<File>>,
    reached: OnceLock<()>,
    requests: AtomicU64,
}

impl Log {
    /// A new file in `folder`, named after the machine, or container, and the process.
    pub(super) fn create(folder: &Path) -> std::io::Result<Self> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
        let name = format!("{}-{}.jsonl", host.trim(), std::process::id());
        let file = OpenOptions::new().append(true).create(true).open(folder.join(name))?;
        Ok(Self { file: Some(Mutex::new(file)), ..Self::default() })
    }

    /// The address by which clients have found it, said once.
    pub(super) fn reached(&self, address: SocketAddr) {
        if self.file.is_some() && self.reached.set(()).is_ok() {
            self.write("reached", &json!(address.to_string()));
        }
    }

    /// SIGTERM or SIGINT has come.
    pub(super) fn told_to_end(&self) {
        self.write("told_to_end", &json!(null));
    }

    /// A request has come.
    pub(super) fn received(&self) -> Request<'_> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        self.write("received", &json!(number));
        Request { log: self, number, is_answered: false }
    }

    fn write(&self, what: &str, of: &serde_json::Value) {
        let Some(file) = &self.file else { return };
        let at_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let line = format!("{}\n", json!({ "at_s": at_s, "what": what, "of": of }));
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let _as_far_as_it_can_be_written = file.write_all(line.as_bytes());
    }
}

/// A request under way; cut unless it is answered.
pub(super) struct Request<'a> {
    log: &'a Log,
    number: u64,
    is_answered: bool,
}

impl Request<'_> {
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let what = if self.is_answered { "answered" } else { "cut" };
        self.log.write(what, &json!(self.number));
    }
}
