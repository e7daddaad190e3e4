//! What a run looked like over time, for plots.

use serde::{Deserialize, Serialize};

use crate::fluid::Second;

/// Some seconds of a run in one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrailPoint {
    /// Its end, in seconds from the origin.
    pub at_s: u64,
    /// Requests per second, on average.
    pub load_per_s: f64,
    /// Replicas that served in its last second.
    pub ready: u32,
    /// Replicas that were ready or starting in its last second.
    pub ordered: u32,
    /// The longest wait at the end of a second, in seconds.
    pub wait_s: f64,
    /// The highest p95 of a second, in milliseconds; 0 where nothing was answered.
    pub p95_ms: f64,
    /// Requests whose wait violates the objective.
    pub violating: f64,
}

/// A run over time, a point for every so many seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trail {
    every_s: u64,
    points: Vec<TrailPoint>,
    gathered_s: u64,
    gathered: TrailPoint,
}

impl Trail {
    /// A trail with a point every so many seconds, from 1.
    pub fn every(every_s: u32) -> Self {
        Self { every_s: u64::from(every_s.max(1)), ..Self::default() }
    }

    /// The points in order; the last may cover fewer seconds.
    pub fn points(&self) -> &[TrailPoint] {
        &self.points
    }

    pub(super) fn add(&mut self, second: &Second) {
        let point = &mut self.gathered;
        self.gathered_s += 1;
        point.at_s = second.at_s;
        point.load_per_s += second.arrivals as f64;
        point.ready = second.ready;
        point.ordered = second.billed();
        point.wait_s = point.wait_s.max(second.wait_s);
        point.p95_ms = point.p95_ms.max(second.p95_ms.unwrap_or(0.0));
        point.violating += second.violating;
        if self.gathered_s >= self.every_s {
            self.finish();
        }
    }

    /// Keeps what was gathered.
    pub(super) fn finish(&mut self) {
        if self.gathered_s > 0 {
            let mut point = std::mem::take(&mut self.gathered);
            point.load_per_s /= self.gathered_s as f64;
            self.points.push(point);
            self.gathered_s = 0;
        }
    }
}
