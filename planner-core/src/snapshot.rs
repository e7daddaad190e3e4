//! A planner's memory as a value: opaque, versioned, portable.
//!
//! A snapshot holds everything that a later step depends on. Restored anywhere with the same
//! configuration, the planner goes on with the same next step. Writing it to a disk is the
//! runtime's business.

use alloc::string::String;

use crate::baseline::QuarantinedBaseline;
use crate::gateway::GateState;
use crate::guard::GuardState;
use crate::planner::Tally;

/// A planner's memory. `S` is the policy's state, `B` the baseline.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Snapshot<S, B = QuarantinedBaseline> {
    pub(crate) version: u16,
    pub(crate) policy: String,
    pub(crate) policy_version: u32,
    pub(crate) state: S,
    pub(crate) baseline: B,
    pub(crate) gate: GateState,
    pub(crate) guards: GuardState,
    pub(crate) tally: Tally,
}

impl<S, B> Snapshot<S, B> {
    /// The format that this version writes.
    pub const VERSION: u16 = 1;

    /// Refuses a snapshot that this planner cannot go on from.
    pub(crate) fn check(&self, policy: &'static str, version: u32) -> Result<(), RestoreError> {
        if self.version != Self::VERSION {
            let (found, supported) = (self.version, Self::VERSION);
            return Err(RestoreError::Version { found, supported });
        }
        if self.policy != policy || self.policy_version != version {
            return Err(RestoreError::Policy { policy, version, found: self.policy_version });
        }
        Ok(())
    }
}

/// Why a planner cannot go on from a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The snapshot was taken with another policy or another version of it.
    #[error(
        "snapshot: not of policy {policy} version {version} (its version is {found}); restore it with the policy it was taken with, or start without it"
    )]
    Policy {
        /// The policy to be restored.
        policy: &'static str,
        /// Its version.
        version: u32,
        /// The version in the snapshot.
        found: u32,
    },
    /// The snapshot's format is not known here.
    #[error(
        "snapshot: format {found} is not {supported}, the one this version reads; start without it"
    )]
    Version {
        /// The format found.
        found: u16,
        /// The format that can be read.
        supported: u16,
    },
}
