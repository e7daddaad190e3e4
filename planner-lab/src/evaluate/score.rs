//! What a run cost, what it gave, and how restless it was.

use serde::{Deserialize, Serialize};

use super::episodes::Episodes;
use crate::fluid::Second;

const HOUR_S: f64 = 3_600.0;

/// What a run scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Score {
    /// Requests whose wait violates the objective, as a share of all; 0 without requests.
    pub violation_share: f64,
    /// Replicas that were ready or starting, times hours.
    pub replica_hours: f64,
    /// Replicas that were ordered in addition.
    pub starts: u64,
    /// Changes of the number of ordered replicas.
    pub actions: u64,
    /// The same per hour.
    pub actions_per_hour: f64,
    /// Changes in the other direction than the one before, per hour.
    pub direction_changes_per_hour: f64,
    /// 95th percentile of the lengths of episodes with violations, in seconds; 0 without any.
    pub recover_s_p95: f64,
    /// How long the run was, in seconds.
    pub seconds: u64,
    /// All requests.
    pub requests: f64,
    /// Those whose wait violates the objective.
    pub violating: f64,
    /// Those that left unanswered.
    pub dropped: f64,
}

/// A score on its way.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    seconds: u64,
    requests: f64,
    violating: f64,
    dropped: f64,
    replica_s: u64,
    starts: u64,
    actions: u64,
    direction_changes: u64,
    /// Whether the last action added replicas.
    last_added: Option<bool>,
    episodes: Episodes,
}

impl Tally {
    pub(super) fn add(&mut self, second: &Second) {
        self.seconds += 1;
        self.requests += second.arrivals as f64;
        self.violating += second.violating;
        self.dropped += second.dropped;
        self.replica_s += u64::from(second.billed());
        self.episodes.add(self.seconds, second.violating > 0.0);
    }

    /// Takes note of an order, by what was ordered before and after.
    pub(super) fn add_order(&mut self, before: u32, after: u32) {
        if before == after {
            return;
        }
        let added = after > before;
        self.actions += 1;
        self.starts += u64::from(after.saturating_sub(before));
        self.direction_changes += u64::from(self.last_added.is_some_and(|last| last != added));
        self.last_added = Some(added);
    }

    pub(super) fn score(self) -> Score {
        let hours = self.seconds as f64 / HOUR_S;
        let per_hour = |count: u64| if hours > 0.0 { count as f64 / hours } else { 0.0 };
        let share = if self.requests > 0.0 { self.violating / self.requests } else { 0.0 };
        Score {
            violation_share: share,
            replica_hours: self.replica_s as f64 / HOUR_S,
            starts: self.starts,
            actions: self.actions,
            actions_per_hour: per_hour(self.actions),
            direction_changes_per_hour: per_hour(self.direction_changes),
            recover_s_p95: self.episodes.p95_s(),
            seconds: self.seconds,
            requests: self.requests,
            violating: self.violating,
            dropped: self.dropped,
        }
    }
}
