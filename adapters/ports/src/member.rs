//! Replicas one by one, for those who route to them or show them.

use std::net::SocketAddr;

use crate::ReplicaCounts;

/// What a replica is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the three states of a replica that the wire knows")]
pub enum ReplicaState {
    /// Out of traffic, or on its way out.
    Draining,
    /// In traffic.
    Ready,
    /// On its way into traffic.
    Starting,
}

/// One replica as its executor knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the wire says of a replica")]
pub struct Member {
    /// Its name, unique within the service.
    pub slot: String,
    /// Where it serves; absent until that is known.
    pub address: Option<SocketAddr>,
    /// What it is doing.
    pub state: ReplicaState,
}

impl ReplicaCounts {
    /// How many of `members` are in each state.
    pub fn of(members: &[Member]) -> Self {
        let mut counts = Self::default();
        for member in members {
            let count = match member.state {
                ReplicaState::Draining => &mut counts.draining,
                ReplicaState::Ready => &mut counts.ready,
                ReplicaState::Starting => &mut counts.starting,
            };
            *count += 1;
        }
        counts
    }
}
