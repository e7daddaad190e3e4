//! A snapshot as it is written: one flat layout since format 1, whatever the memory looks like.

use alloc::string::String;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Snapshot;
use crate::Timestamp;
use crate::config::Thresholds;
use crate::gateway::{GateState, is_zero};
use crate::guard::GuardState;
use crate::kernel::{Kernel, Streaks};
use crate::operation::Operation;
use crate::planner::{ConsultKey, Open, Tally};
use crate::telemetry::Window;
use crate::track::TrackRecord;

/// The layout. Generic over how the generic parts are held, so that writing borrows.
#[derive(Serialize, Deserialize)]
struct Stored<S, B> {
    version: u16,
    policy: String,
    policy_version: u32,
    state: S,
    baseline: B,
    gate: GateState,
    guards: GuardState,
    tally: StoredTally,
}

#[derive(Serialize, Deserialize)]
struct StoredTally {
    now: Timestamp,
    /// Since format 2; before, it was the window's.
    #[serde(default)]
    ended: Option<Timestamp>,
    /// Since format 2.
    #[serde(default)]
    operation: Operation,
    /// Since format 2.
    #[serde(default)]
    settled_before: u16,
    /// Since format 2.
    #[serde(default)]
    believed: u32,
    /// Since format 2.
    #[serde(default)]
    vanished_ms: u32,
    window: Option<Window>,
    taught: bool,
    before: Streaks,
    streaks: Streaks,
    next_decision: u64,
    next_consultation: u64,
    open: Option<Open>,
    advised: Option<(Thresholds, Timestamp)>,
    last_consulted: Option<(Timestamp, ConsultKey)>,
    last_tick: Option<Timestamp>,
    /// Where there was an advisor.
    #[serde(default, skip_serializing_if = "is_zero")]
    charged: u64,
    /// Where an answer was judged.
    #[serde(default, skip_serializing_if = "TrackRecord::is_empty")]
    track: TrackRecord,
}

impl<S: Serialize, B: Serialize> Serialize for Snapshot<S, B> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let (kernel, tally) = (&self.kernel, self.tally.clone());
        Stored {
            version: self.version,
            policy: self.policy.clone(),
            policy_version: self.policy_version,
            state: &kernel.state,
            baseline: &kernel.baseline,
            gate: self.gate,
            guards: kernel.guards.clone(),
            tally: StoredTally {
                now: kernel.now,
                ended: kernel.last(),
                operation: kernel.operation,
                settled_before: kernel.settled_before,
                believed: kernel.believed,
                vanished_ms: kernel.vanished_ms,
                window: tally.window,
                taught: tally.taught,
                before: tally.before,
                streaks: kernel.streaks,
                next_decision: kernel.next_decision,
                next_consultation: tally.next_consultation,
                open: tally.open,
                advised: tally.advised,
                last_consulted: tally.last_consulted,
                last_tick: tally.last_tick,
                charged: tally.charged,
                track: tally.track,
            },
        }
        .serialize(serializer)
    }
}

impl<'de, S, B> Deserialize<'de> for Snapshot<S, B>
where
    S: Deserialize<'de>,
    B: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let tally: StoredTally = stored.tally;
        let seen = tally.window.as_ref().map(|window| window.end);
        let mut kernel = Kernel::new(stored.state, stored.baseline);
        kernel.guards = stored.guards;
        kernel.now = tally.now;
        kernel.set_last(tally.ended.or(seen));
        kernel.streaks = tally.streaks;
        kernel.operation = tally.operation;
        kernel.settled_before = tally.settled_before;
        kernel.believed = tally.believed;
        kernel.vanished_ms = tally.vanished_ms;
        kernel.next_decision = tally.next_decision;
        Ok(Self {
            version: stored.version,
            policy: stored.policy,
            policy_version: stored.policy_version,
            kernel,
            tally: Tally {
                window: tally.window,
                taught: tally.taught,
                before: tally.before,
                next_consultation: tally.next_consultation,
                open: tally.open,
                advised: tally.advised,
                last_consulted: tally.last_consulted,
                last_tick: tally.last_tick,
                charged: tally.charged,
                track: tally.track,
            },
            gate: stored.gate,
        })
    }
}
