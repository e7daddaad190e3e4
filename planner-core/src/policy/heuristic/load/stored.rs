//! The last windows as they are stored. Format 1 had replicas and steadiness beside every load.

use alloc::vec::Vec;

use super::{Load, RATE_WINDOWS};

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Recent {
    Current { loads: Vec<Load>, steady: u8, ready: u32 },
    Format1(Vec<Past>),
}

#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Past {
    seconds: f32,
    arrivals_per_s: f32,
    ready: u32,
    steady_and_near: bool,
}

impl From<super::Recent> for Recent {
    fn from(recent: super::Recent) -> Self {
        let loads = recent.as_slice().to_vec();
        Self::Current { loads, steady: recent.steady, ready: recent.ready }
    }
}

impl From<Recent> for super::Recent {
    fn from(stored: Recent) -> Self {
        let mut recent = Self::default();
        match stored {
            Recent::Current { loads, steady, ready } => {
                for load in loads {
                    recent.push(load, ready, false);
                }
                recent.steady = steady;
                recent.ready = ready;
            }
            Recent::Format1(windows) => {
                for Past { seconds, arrivals_per_s, ready, steady_and_near } in windows {
                    let same = recent.len == 0 || recent.ready == ready;
                    let load = Load { seconds, arrivals_per_s };
                    recent.push(load, ready, steady_and_near && same);
                }
            }
        }
        // A proof needs as many windows as it claims.
        let claimed = usize::from(recent.steady).min(RATE_WINDOWS);
        if claimed > usize::from(recent.len) {
            recent.steady = recent.len;
        }
        recent
    }
}
