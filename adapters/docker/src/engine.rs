//! What the reconciler needs of a container engine, and nothing else.
//!
//! Every call is safe to repeat: to create what exists is told as [`EngineError::NameTaken`], to
//! start what runs, to stop what has stopped and to remove what is gone succeeds.

use std::net::IpAddr;

use async_trait::async_trait;
use thiserror::Error;

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Made, never started.
    Created,
    /// Exited or dead.
    Ended,
    /// It runs; `healthy` is what its own health check says, absent without one.
    Running { healthy: Option<bool> },
    /// Neither: paused, being restarted or removed.
    Unsettled,
}

/// One of our containers, as the engine lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The engine's id; a container that is made anew has another.
    pub(crate) id: String,
    /// Its slot; [`BASE`] for the one that was there before us.
    pub(crate) slot: u32,
    pub(crate) state: State,
    /// Where it is on the network that replicas are reached on; absent until it runs.
    pub(crate) address: Option<IpAddr>,
}

/// The slot of the container that replicas are copies of: it serves, and is never ours to stop.
pub(crate) const BASE: u32 = 0;

/// Why the engine did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum EngineError {
    /// It could not be reached, took too long, or refused.
    #[error("{0}")]
    Failed(String),
    /// There is a container of this name.
    #[error("the name is taken")]
    NameTaken,
}

/// A container engine, as far as one service needs it.
#[async_trait]
pub(crate) trait Engine: Send + Sync + 'static {
    /// Every container of ours, whatever it is doing. The truth; events are hints.
    async fn list(&self) -> Result<Vec<Observed>, EngineError>;

    /// Makes the container of a slot; its id.
    async fn create(&self, slot: u32) -> Result<String, EngineError>;

    /// Starts it.
    async fn start(&self, id: &str) -> Result<(), EngineError>;

    /// Asks it to end, and ends it when its time is over. Returns when it has ended.
    async fn stop(&self, id: &str) -> Result<(), EngineError>;

    /// Removes it.
    async fn remove(&self, id: &str) -> Result<(), EngineError>;

    /// Completes when something has happened to a container of ours, or may have been missed.
    async fn changed(&self);

    /// Whether a replica is ready for traffic, asked at its address.
    async fn probe(&self, address: std::net::SocketAddr) -> bool;
}
