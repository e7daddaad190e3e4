//! The last good snapshot of a planner on disk, and the one before it.
//!
//! A file is one line of JSON that says what follows, with its length and checksum, then the
//! snapshot as JSON. It is written beside the old one, synced, and renamed into place, so that a
//! crash, a full disk or a signal leaves the last good one. What is torn or edited is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use std::time::{Duration, SystemTime};

use planner_core::{QuarantinedBaseline, ServiceId, Snapshot, Timestamp};
use planner_ports::Timeline;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The envelope's format.
const ENVELOPE: u16 = 1;
/// Largest file that is read: a thousand times what a planner with default settings needs.
const BYTES_MAX: u64 = 16 << 20;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Envelope {
    planner_snapshot: u16,
    service: ServiceId,
    /// The planner's time at saving, and the wall clock's in milliseconds since 1970.
    at: Timestamp,
    wall_unix_ms: u64,
    bytes: u64,
    checksum: String,
}

/// Where one planner's memory is kept.
///
/// A program starts where the one before it ended, whatever ended it:
///
/// ```no_run
/// use std::time::Duration;
///
/// use planner_core::{Config, Heuristic, Planner, ReplicaBounds, ServiceId};
/// use planner_ports::Timeline;
/// use planner_runtime::{Driver, SnapshotFile};
///
/// let config = Config::builder(ReplicaBounds::new(2, 10)?).build()?;
/// let file = SnapshotFile::new("/var/lib/planner/shop.snapshot", ServiceId::new("shop")?);
/// let (planner, timeline) = match file.load()? {
///     Some(stored) => {
///         let timeline = stored.timeline();
///         (Planner::restore(config, Heuristic, stored.snapshot)?, timeline)
///     }
///     None => (Planner::new(config, Heuristic), Timeline::begin()),
/// };
/// let driver = Driver::new(planner, timeline).saving_to(file, Duration::from_secs(60));
/// # drop(driver);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    service: ServiceId,
}

/// A snapshot that was read.
#[derive(Debug)]
#[non_exhaustive]
pub struct StoredSnapshot<S, B = QuarantinedBaseline> {
    /// The memory.
    pub snapshot: Snapshot<S, B>,
    /// The planner's time when it was saved.
    pub at: Timestamp,
    /// The wall clock's time when it was saved.
    pub wall: SystemTime,
    /// Why the newer file was not used, when this is the one before it.
    pub refused: Option<SnapshotFileError>,
}

impl<S, B> StoredSnapshot<S, B> {
    /// The planner's time, going on from where it was saved.
    pub fn timeline(&self) -> Timeline {
        Timeline::resume(self.at, self.wall)
    }
}

impl SnapshotFile {
    /// The snapshot of `service` in the file `path`; `path.previous` holds the one before.
    pub fn new(path: impl Into<PathBuf>, service: ServiceId) -> Self {
        Self { path: path.into(), service }
    }

    /// Saves a snapshot taken at `at` of the planner's time. The one before it is kept. Blocks.
    ///
    /// # Errors
    ///
    /// [`SnapshotFileError::Write`]; the last good snapshot is still in place then.
    pub fn save<S: Serialize, B: Serialize>(
        &self,
        at: Timestamp,
        snapshot: &Snapshot<S, B>,
    ) -> Result<(), SnapshotFileError> {
        self.write(&self.render(at, snapshot)?)
    }

    /// The whole file of a snapshot taken now, at `at` of the planner's time.
    pub(crate) fn render<S: Serialize, B: Serialize>(
        &self,
        at: Timestamp,
        snapshot: &Snapshot<S, B>,
    ) -> Result<Vec<u8>, SnapshotFileError> {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let wall = wall.unwrap_or(Duration::ZERO).as_millis();
        let render = || {
            let body = serde_json::to_vec(snapshot)?;
            let mut envelope = Envelope {
                planner_snapshot: ENVELOPE,
                service: self.service.clone(),
                at,
                wall_unix_ms: u64::try_from(wall).unwrap_or(u64::MAX),
                bytes: body.len() as u64,
                checksum: String::new(),
            };
            envelope.checksum = envelope.checksum_of(&body);
            let mut text = serde_json::to_vec(&envelope)?;
            text.push(b'\n');
            text.extend_from_slice(&body);
            Ok(text)
        };
        render().map_err(|error: serde_json::Error| self.not_written(&error))
    }

    /// Writes the whole file beside the old one, and puts it in its place.
    pub(crate) fn write(&self, text: &[u8]) -> Result<(), SnapshotFileError> {
        self.replace(text).map_err(|error| self.not_written(&error))
    }

    fn not_written(&self, error: &dyn std::error::Error) -> SnapshotFileError {
        SnapshotFileError::Write { path: self.path.clone(), cause: error.to_string() }
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let draft = self.beside("draft");
        // One left by a crash is nobody's; a link in its place is not followed.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = write_new(&draft, text);
        if written.is_err() {
            let _what_was_half_written = fs::remove_file(&draft);
        }
        written?;
        match fs::rename(&self.path, self.beside("previous")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(&draft, &self.path)?;
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }

    /// Reads the last good snapshot; `None` when none was ever saved.
    ///
    /// # Errors
    ///
    /// [`SnapshotFileError`] of the newer file, when neither it nor the one before it is good.
    pub fn load<S, B>(&self) -> Result<Option<StoredSnapshot<S, B>>, SnapshotFileError>
    where
        S: DeserializeOwned,
        B: DeserializeOwned,
    {
        let previous = self.beside("previous");
        let newer = match self.read(&self.path) {
            Ok(Some(stored)) => return Ok(Some(stored)),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        match (self.read(&previous), newer) {
            (Ok(Some(stored)), refused) => Ok(Some(StoredSnapshot { refused, ..stored })),
            (Ok(None), None) => Ok(None),
            (Ok(None) | Err(_), Some(error)) | (Err(error), None) => Err(error),
        }
    }

    fn read<S, B>(&self, path: &Path) -> Result<Option<StoredSnapshot<S, B>>, SnapshotFileError>
    where
        S: DeserializeOwned,
        B: DeserializeOwned,
    {
        let refuse = |cause: String| SnapshotFileError::Refused { path: path.into(), cause };
        let bytes = match fs::metadata(path) {
            Ok(found) if found.len() > BYTES_MAX => {
                return Err(refuse(format!("{} bytes, at most {BYTES_MAX} are read", found.len())));
            }
            Ok(_) => fs::read(path).map_err(|error| refuse(error.to_string()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refuse(error.to_string())),
        };
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            return Err(refuse(String::from("its first line is torn")));
        };
        let (head, body) = (&bytes[..end], &bytes[end + 1..]);
        let envelope: Envelope = serde_json::from_slice(head)
            .map_err(|error| refuse(format!("its first line is no envelope: {error}")))?;
        if envelope.planner_snapshot != ENVELOPE {
            let found = envelope.planner_snapshot;
            return Err(refuse(format!("envelope {found} is not {ENVELOPE}, which is read here")));
        }
        if envelope.bytes != body.len() as u64 {
            let (found, said) = (body.len(), envelope.bytes);
            return Err(refuse(format!("{found} bytes where it says {said}: it is torn")));
        }
        if envelope.checksum != envelope.checksum_of(body) {
            return Err(refuse(String::from("its checksum does not match: it was edited")));
        }
        if envelope.service != self.service {
            return Err(refuse(format!("it is of service {}", envelope.service)));
        }
        let snapshot = serde_json::from_slice(body).map_err(|error| refuse(error.to_string()))?;
        let wall = Duration::from_millis(envelope.wall_unix_ms);
        let wall = SystemTime::UNIX_EPOCH.checked_add(wall).unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Some(StoredSnapshot { snapshot, at: envelope.at, wall, refused: None }))
    }

    /// The path with another ending behind its own.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(ending);
        path.into()
    }
}

/// Writes a file that must not exist yet, readable by its owner only, and syncs it.
fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

impl Envelope {
    /// FNV-1a over service, times and body. It is no defence against somebody who can write here
    /// and means harm; it tells accidents, of which it misses one in 2⁶⁴, and never a single
    /// changed byte.
    fn checksum_of(&self, body: &[u8]) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let head = format!("{} {} {} ", self.service, self.at.as_nanos(), self.wall_unix_ms);
        for byte in head.bytes().chain(body.iter().copied()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        format!("{hash:016x}")
    }
}

/// Why a snapshot was not saved or not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotFileError {
    /// It is not what was written, or not for this planner.
    #[error("{}: not taken as a snapshot, {cause}; move it away to start without it", path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// It could not be written.
    #[error("{}: the snapshot was not saved, the last good one is kept: {cause}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
}
