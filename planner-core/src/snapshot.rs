//! A planner's memory as a value: opaque, versioned, portable.
//!
//! A snapshot holds everything that a later step depends on. Restored anywhere with the same
//! configuration, the planner goes on with the same next step. Writing it to a disk is the
//! runtime's business.

#[cfg(feature = "serde")]
mod stored;

use alloc::string::String;

use crate::baseline::QuarantinedBaseline;
use crate::gateway::GateState;
use crate::kernel::Kernel;
use crate::planner::Tally;
use crate::policy::Policy;

/// A planner's memory. `S` is the policy's state, `B` the baseline.
///
/// With the feature `serde` it is written in format [`Snapshot::VERSION`], and read in that and
/// every earlier format. What cannot be a planner's memory is refused when it is read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot<S, B = QuarantinedBaseline> {
    pub(crate) version: u16,
    pub(crate) policy: String,
    pub(crate) policy_version: u32,
    pub(crate) kernel: Kernel<S, B>,
    pub(crate) tally: Tally,
    pub(crate) gate: GateState,
}

impl<S, B> Snapshot<S, B> {
    /// The format that this version writes. It reads 1 and 2.
    pub const VERSION: u16 = 2;
    /// The oldest format that this version reads.
    pub const VERSION_MIN: u16 = 1;

    /// The memory of a planner that never had an advisor.
    pub(crate) fn of<P: Policy>(policy: &P, kernel: Kernel<S, B>) -> Self {
        let tally = Tally {
            taught: true,
            before: kernel.streaks,
            next_consultation: 1,
            ..Tally::default()
        };
        Self::with_tally(policy, kernel, tally, GateState::default())
    }

    pub(crate) fn with_tally<P: Policy>(
        policy: &P,
        kernel: Kernel<S, B>,
        tally: Tally,
        gate: GateState,
    ) -> Self {
        Self {
            version: Self::VERSION,
            policy: policy.name().into(),
            policy_version: policy.version(),
            kernel,
            tally,
            gate,
        }
    }

    pub(crate) fn into_parts(self) -> (Kernel<S, B>, Tally, GateState) {
        (self.kernel, self.tally, self.gate)
    }

    /// Refuses a snapshot that this planner cannot go on from.
    pub(crate) fn check<P>(&self, policy: &P) -> Result<(), RestoreError>
    where
        P: Policy<State = S>,
    {
        if !(Self::VERSION_MIN..=Self::VERSION).contains(&self.version) {
            let (found, supported) = (self.version, Self::VERSION);
            return Err(RestoreError::Version { found, supported });
        }
        if self.policy != policy.name() || !policy.continues(self.policy_version) {
            let (policy, version) = (policy.name(), policy.version());
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
        "snapshot: format {found} is not one of 1 to {supported}, which this version reads; start without it"
    )]
    Version {
        /// The format found.
        found: u16,
        /// The newest format that can be read.
        supported: u16,
    },
}
