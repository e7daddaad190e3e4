//! Why a run fails, each reason in one line.

use std::path::PathBuf;
use std::time::Duration;

use planner_core::ServiceIdError;
use planner_local::{BalancerError, TemplateError, TrafficSourceError};
use planner_ports::ExecutorError;
use planner_probe::ProbeError;
use planner_runtime::JournalError;
use thiserror::Error;

use super::folder::FolderError;
use crate::advisor::AdvisorError;
use crate::report::WriteError;

/// Why a run failed.
#[derive(Debug, Error)]
pub enum QuickstartError {
    /// There is no advisor although one is set.
    #[error(transparent)]
    Advisor(#[from] AdvisorError),
    /// The load balancer could not be started.
    #[error("--{0}")]
    Balancer(#[from] BalancerError),
    /// No replica became ready.
    #[error(
        "replicas: none of {replicas} was ready after {waited:?}: {cause}; run `app` alone to see why"
    )]
    NoReplica {
        /// How many were asked for.
        replicas: u32,
        /// How long they had.
        waited: Duration,
        /// The last error.
        cause: String,
    },
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The load generator failed.
    #[error("load: the generator failed: {cause}; its log is {}", log.display())]
    Load {
        /// What it said.
        cause: String,
        /// Its log.
        log: PathBuf,
    },
    /// A report could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The operating system refused something basic.
    #[error("{what}: {cause}; try again with fewer programs running")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it said.
        cause: std::io::Error,
    },
    /// A part refused its settings: a bug of this program.
    #[error("settings: {0}; please report this")]
    Settings(String),
}

impl From<TemplateError> for QuickstartError {
    fn from(error: TemplateError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<TrafficSourceError> for QuickstartError {
    fn from(error: TrafficSourceError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<ServiceIdError> for QuickstartError {
    fn from(error: ServiceIdError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<ProbeError> for QuickstartError {
    fn from(error: ProbeError) -> Self {
        Self::Settings(error.to_string())
    }
}

impl From<ExecutorError> for QuickstartError {
    fn from(error: ExecutorError) -> Self {
        Self::Settings(error.to_string())
    }
}
