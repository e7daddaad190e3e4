//! Carrying a target out.

use async_trait::async_trait;
use planner_core::Decision;

/// Makes a number of replicas true.
///
/// The target is absolute, so applying it twice is harmless. An implementation
/// - brings a replica into traffic only when it is ready,
/// - takes a replica out of traffic and lets it finish before it stops it,
/// - never touches what it did not start, and
/// - keeps reconciling in the background until the target is met: a replica that dies is replaced.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Carries a decision out that has a target. One that hands targets on, to a process or an
    /// engine elsewhere, may pass on the argument too; for everybody else a target is enough.
    async fn carry_out(&self, decision: &Decision) -> Result<(), ExecutorError> {
        match decision.target() {
            Some(replicas) => self.scale_to(replicas).await,
            None => Ok(()),
        }
    }

    /// Makes `replicas` the desired state. Returns when the target is accepted, not when it is
    /// met: [`Executor::counts`] tells how far it is.
    async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError>;

    /// How many replicas there are now.
    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError>;
}

/// Replicas by what they are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the three states of a replica that the wire knows")]
pub struct ReplicaCounts {
    /// In traffic.
    pub ready: u32,
    /// On their way into traffic.
    pub starting: u32,
    /// Out of traffic, finishing what they have.
    pub draining: u32,
}

/// Why a target was not accepted or the counts are unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The target cannot be met by this executor, now or later.
    #[error("replicas: {replicas} refused: {rule}")]
    Refused {
        /// The target.
        replicas: u32,
        /// The rule that it breaks, and what to do.
        rule: String,
    },
    /// The executor is shutting down.
    #[error("the executor is shutting down; no target is accepted any more")]
    ShuttingDown,
    /// The engine below cannot be reached or failed; the same target may be met later.
    #[error("{engine} did not answer: {cause}; it is asked again")]
    Unavailable {
        /// What was asked.
        engine: &'static str,
        /// What went wrong.
        cause: String,
    },
}

#[cfg(feature = "mock")]
mockall::mock! {
    /// A mock of the two methods that every executor has; a decision is its target.
    pub Executor {}

    #[async_trait]
    impl Executor for Executor {
        async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError>;
        async fn counts(&self) -> Result<ReplicaCounts, ExecutorError>;
    }
}
