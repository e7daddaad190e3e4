//! The advisor's key on its way to the planner of a run.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use planner_examples_local::settings::Settings;
use rustix::fs::{MemfdFlags, memfd_create};

use super::error::DemoError;

/// A key in memory, with a path for processes of the same user: it is in no environment, on no
/// command line and on no disk, and is gone with this program.
pub(super) struct Key {
    _held: File,
    pub(super) path: PathBuf,
}

impl Key {
    /// The key of the settings, if there is one.
    pub(super) fn of(settings: &Settings) -> Result<Option<Self>, DemoError> {
        let Some(key) = settings.text("LLM_API_KEY") else { return Ok(None) };
        let told = |cause| DemoError::File { path: PathBuf::from("memory for a key"), cause };
        let file = memfd_create("planner-key", MemfdFlags::CLOEXEC);
        let mut file = File::from(file.map_err(|error| told(error.into()))?);
        file.write_all(key.as_bytes()).map_err(told)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into();
        Ok(Some(Self { _held: file, path }))
    }
}
