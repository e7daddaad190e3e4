//! Why a run failed.

use std::path::PathBuf;
use std::time::Duration;

use planner_examples_local::quickstart::QuickstartError;
use thiserror::Error;

/// Why a run failed.
#[derive(Debug, Error)]
pub enum DemoError {
    /// What it shares with `quickstart`.
    #[error(transparent)]
    Quickstart(#[from] QuickstartError),
    /// A flag that nobody would look at.
    #[error("build-on: has no effect without --engine swarm; set that too, or leave it out")]
    BuildOn,
    /// The engine refused, or is not there.
    #[error("docker: {what}: {cause}; is the engine at {} up, and may you use it?", socket.display())]
    Engine {
        /// What was tried.
        what: &'static str,
        /// What it said.
        cause: String,
        /// Where.
        socket: PathBuf,
    },
    /// A file could not be read or written.
    #[error("{}: {cause}; make room, or name another --out", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A part of ours refused what it was given: a bug of this program.
    #[error("settings: {0}; please report this")]
    Settings(String),
    /// A server did not come up.
    #[error("{program}: {cause}; its log is {}", log.display())]
    Server {
        /// Which.
        program: &'static str,
        /// What went wrong.
        cause: String,
        /// Its log.
        log: PathBuf,
    },
    /// No replica became ready.
    #[error(
        "replicas: none of {replicas} was ready after {waited:?}; {} says why", log.display()
    )]
    NoReplica {
        /// How many were asked for.
        replicas: u32,
        /// How long they had.
        waited: Duration,
        /// The executor's log.
        log: PathBuf,
    },
}
