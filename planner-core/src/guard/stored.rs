//! What the guards remember as it is stored. Format 1 had the scalings of the last hour, each with
//! whether it changed direction.

use alloc::vec::Vec;

use super::ailment::Ailment;
use super::flips::Flips;
use super::memory::{GuardState, Scaling};
use crate::Timestamp;

#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Guards {
    scalings: Vec<StoredScaling>,
    proposals: Vec<(Timestamp, u32)>,
    flips: StoredFlips,
    ailment: Option<Ailment>,
    ineffective: u32,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StoredScaling {
    at: Timestamp,
    id: u32,
    from: u32,
    to: u32,
    /// Format 1: it changed direction.
    #[serde(default, skip_serializing)]
    flipped: bool,
    /// Where an advisor added what the policy alone would not have.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    advised: bool,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum StoredFlips {
    Current(Flips),
    Format1(Vec<Timestamp>),
}

impl From<GuardState> for Guards {
    fn from(state: GuardState) -> Self {
        let scaling = |past: &Scaling| {
            let Scaling { at, id, from, to, advised } = *past;
            StoredScaling { at, id, from, to, flipped: false, advised }
        };
        Self {
            scalings: state.scalings.iter().map(scaling).collect(),
            proposals: state.proposals.into_vec(),
            flips: StoredFlips::Current(state.flips),
            ailment: state.ailment,
            ineffective: state.ineffective,
        }
    }
}

impl From<Guards> for GuardState {
    fn from(stored: Guards) -> Self {
        let mut state = Self {
            proposals: stored.proposals.into(),
            ailment: stored.ailment,
            ineffective: stored.ineffective,
            ..Self::default()
        };
        let flipped = stored.scalings.iter().filter(|past| past.flipped).map(|past| past.at);
        match stored.flips {
            StoredFlips::Current(flips) => state.flips = flips,
            StoredFlips::Format1(flips) => {
                for at in flips.into_iter().chain(flipped) {
                    state.flips.add(at);
                }
            }
        }
        let scaling = |past: StoredScaling| {
            let StoredScaling { at, id, from, to, advised, .. } = past;
            Scaling { at, id, from, to, advised }
        };
        state.scalings = stored.scalings.into_iter().map(scaling).collect();
        state
    }
}
