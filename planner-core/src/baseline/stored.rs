//! The learned state as it is stored, and what cannot be one.

use alloc::vec::Vec;

use super::{Level, QuarantinedBaseline};
use crate::Timestamp;
use crate::stats::RollingMedian;
use crate::telemetry::Latency;

/// The learned state as it is stored.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct RawQuarantined {
    capacity: u32,
    reference_ms: Vec<Latency>,
    newest: Option<Timestamp>,
    anchor_ms: Option<Latency>,
    pool: (u32, Latency),
    /// Format 1: each window of the run with its replicas.
    #[serde(default, skip_serializing)]
    shift: Vec<(u32, Latency)>,
    #[serde(default)]
    run: [Level; 2],
}

impl From<QuarantinedBaseline> for RawQuarantined {
    fn from(baseline: QuarantinedBaseline) -> Self {
        let latency = |millis| Latency::from_millis(millis);
        Self {
            capacity: u32::try_from(baseline.reference.capacity()).unwrap_or(u32::MAX),
            reference_ms: baseline.reference.iter().filter_map(latency).collect(),
            newest: (!baseline.reference.is_empty()).then_some(baseline.newest),
            anchor_ms: latency(baseline.anchor_ms),
            pool: (baseline.pool.0, latency(baseline.pool.1).unwrap_or(Latency::ZERO)),
            shift: Vec::new(),
            run: baseline.run,
        }
    }
}

impl TryFrom<RawQuarantined> for QuarantinedBaseline {
    type Error = BaselineError;

    fn try_from(raw: RawQuarantined) -> Result<Self, BaselineError> {
        let capacity = raw.capacity as usize;
        if !(3..=100_000).contains(&capacity) || raw.reference_ms.len() > capacity {
            return Err(BaselineError::Windows { windows: raw.reference_ms.len(), capacity });
        }
        let mut reference = RollingMedian::new(capacity);
        for latency in raw.reference_ms {
            reference.push(latency.as_millis());
        }
        let mut run = raw.run;
        for (replicas, p95) in raw.shift {
            let [earlier, later] = run;
            if later.replicas != replicas {
                run =
                    [later, if earlier.replicas == replicas { earlier } else { Level::default() }];
            }
            run[1].replicas = replicas;
            run[1].windows = run[1].windows.saturating_add(1);
            run[1].total_ms += p95.as_millis();
        }
        if run.iter().any(|level| Latency::from_millis(level.mean_ms()).is_none()) {
            return Err(BaselineError::Run);
        }
        Ok(Self {
            reference,
            newest: raw.newest.unwrap_or_default(),
            anchor_ms: raw.anchor_ms.map_or(f64::INFINITY, Latency::as_millis),
            pool: (raw.pool.0, raw.pool.1.as_millis()),
            run,
        })
    }
}

/// A stored reference that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// The run above the band has no latency as its mean.
    #[error("baseline: the run above the band has no mean; start without the snapshot")]
    Run,
    /// More windows than the reference holds.
    #[error(
        "baseline: {windows} windows do not fit a reference of {capacity}; start without the snapshot"
    )]
    Windows {
        /// Windows stored.
        windows: usize,
        /// Windows that the reference holds.
        capacity: usize,
    },
}
