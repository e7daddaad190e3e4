//! One container, and what tasks report of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use planner_ports::{ReplicaState, RouterError};
use tokio::time::Instant;

use crate::engine::{EngineError, Observed, State};

/// What a container is doing, as far as this reconciler is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has ended, or is being drained, stopped and removed.
    Ending,
    /// Ready for traffic, not known to be routed.
    Healthy,
    /// Surplus or given up, not known to be out of the route.
    Leaving,
    /// It is being made.
    Making,
    /// In traffic.
    Ready,
    /// Not ready for traffic yet, or not any more.
    Starting,
}

impl Phase {
    /// Whether it counts towards the target.
    pub(super) const fn is_kept(self) -> bool {
        matches!(self, Self::Making | Self::Starting | Self::Healthy | Self::Ready)
    }

    pub(super) const fn is_serving(self) -> bool {
        matches!(self, Self::Healthy | Self::Ready)
    }

    /// Whether it is asked if it is ready.
    pub(super) const fn is_asked(self) -> bool {
        matches!(self, Self::Starting | Self::Healthy | Self::Ready)
    }

    pub(super) const fn state(self) -> ReplicaState {
        match self {
            Self::Ready => ReplicaState::Ready,
            Self::Making | Self::Starting | Self::Healthy => ReplicaState::Starting,
            Self::Leaving | Self::Ending => ReplicaState::Draining,
        }
    }
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Replica {
    /// Absent while it is being made.
    pub(super) id: Option<String>,
    pub(super) address: Option<SocketAddr>,
    pub(super) phase: Phase,
    /// When it came into its phase.
    pub(super) since: Instant,
    /// As it was listed last.
    pub(super) state: State,
    /// Found rather than made here: whoever made it may have routed it.
    pub(super) is_adopted: bool,
    /// Whether a task of ours is making, starting or ending it.
    pub(super) is_busy: bool,
    pub(super) is_probed: bool,
    /// When it is asked next; for one that is ending, when that is tried again.
    pub(super) probe_at: Instant,
    /// Probes that failed in a row.
    pub(super) failures: u32,
    /// What its own health check says, if it has one.
    pub(super) says_healthy: Option<bool>,
    /// Whether it was ready for traffic before: one that is starting then is ill.
    pub(super) has_served: bool,
    /// Whether a start failed. It may have worked nevertheless: the next list tells.
    pub(super) has_failed_start: bool,
    /// The step at which it was changed from here last: an older list says nothing of it.
    pub(super) touched: u64,
}

impl Replica {
    fn new(phase: Phase, state: State, step: u64) -> Self {
        let now = Instant::now();
        Self {
            id: None,
            address: None,
            phase,
            since: now,
            state,
            is_adopted: false,
            is_busy: false,
            is_probed: false,
            probe_at: now,
            failures: 0,
            says_healthy: None,
            has_served: false,
            has_failed_start: false,
            touched: step,
        }
    }

    /// One that is being made.
    pub(super) fn making(step: u64) -> Self {
        Self { is_busy: true, ..Self::new(Phase::Making, State::Created, step) }
    }

    /// One that a list names.
    pub(super) fn adopted(found: &Observed, step: u64) -> Self {
        let id = Some(found.id.clone());
        Self { id, is_adopted: true, ..Self::new(Phase::Starting, found.state, step) }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, Instant::now());
        self.has_served |= phase.is_serving();
    }

    /// Whether it was ready before and does not answer any more.
    pub(super) fn is_ill(&self) -> bool {
        self.phase == Phase::Starting && self.has_served
    }

    /// Whether a list that began at `step` says anything of it.
    pub(super) fn is_told_by(&self, step: u64) -> bool {
        !self.is_busy && self.touched <= step
    }
}

/// What a task is about, for one that panics and reports nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    List,
    Probe(u32),
    Route,
    /// It makes, starts or ends the container of a slot.
    Slot(u32),
}

/// What a task reports.
pub(super) enum Done {
    Ended(u32, Result<(), EngineError>),
    /// With the step at which the list began.
    Listed(u64, Result<Vec<Observed>, EngineError>),
    Made(u32, Result<String, EngineError>),
    Probed(u32, Option<String>, bool),
    Routed(BTreeSet<SocketAddr>, Result<(), RouterError>),
    Started(u32, Result<(), EngineError>),
}
