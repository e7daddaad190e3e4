//! A run as one page: what it cost, what the planner did, and why.
//!
//! The page is self-contained: inline style, inline SVG, no script, nothing fetched. All that it
//! shows is in [`RunReport`], which is also what `run.json` holds.
//!
//! Not for comparing runs, and not for measuring anything: every figure is given.

pub(crate) mod axis;
mod charts;
mod page;
pub(crate) mod svg;
mod thin;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use page::render_html;
pub use write::{WriteError, write_atomically};

/// Everything that is known about a finished run.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RunReport {
    /// The load, as given.
    pub scenario: String,
    /// The seed of its arrivals.
    pub seed: u64,
    /// Which policy decided.
    pub policy: String,
    /// What takes longer is slow.
    pub slo_ms: f64,
    /// Requests that count: all but the cancelled ones.
    pub requests: u64,
    /// Requests without a good answer.
    pub failed: u64,
    /// Requests answered well but later than the objective, if each request was logged.
    pub slow: Option<u64>,
    /// Requests given up by the generator; in no other figure.
    pub cancelled: u64,
    /// `(failed + slow) / requests`, if each request was logged.
    pub slow_or_failed_share: Option<f64>,
    /// What an ideal reaction would have lost, if that was computed.
    pub floor_share: Option<f64>,
    /// Replicas integrated over time: what the run cost.
    pub replica_seconds: f64,
    /// The smallest fleet allowed.
    pub min_replicas: u32,
    /// The largest fleet seen.
    pub max_replicas: u32,
    /// The fleet at the end.
    pub final_replicas: u32,
    /// Whether the run was ended before its time.
    pub interrupted: bool,
    /// How late the generator was at worst.
    pub max_sent_late_ms: f64,
    /// How long the run took.
    pub duration_s: f64,
    /// Everything that was set, by name.
    pub settings: BTreeMap<String, String>,
    /// What was measured, in order of time.
    pub windows: Vec<WindowRow>,
    /// The decisions that scaled, in order of time.
    pub decisions: Vec<DecisionRow>,
    /// How many decisions were made, holds included.
    pub decisions_total: u64,
    /// What went wrong outside the planner, in order of time.
    pub faults: Vec<String>,
    /// Path of the journal that replays the run.
    pub journal: String,
    /// Path of the log with a line per request.
    pub requests_log: String,
}

/// What was measured in one window; `None` is "not known", never zero.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct WindowRow {
    /// When the window ended, in seconds from the start.
    pub t_s: f64,
    /// 95th percentile of latency.
    pub p95_ms: Option<f64>,
    /// Median latency.
    pub p50_ms: Option<f64>,
    /// The latency that the planner takes for normal.
    pub baseline_ms: Option<f64>,
    /// Up to here latency counts as near the baseline.
    pub band_high_ms: Option<f64>,
    /// Requests that arrived per second.
    pub arrivals_per_s: Option<f64>,
    /// Requests under way at the end of the window.
    pub in_flight: Option<u32>,
    /// Share of the requests answered well, 0 to 1.
    pub success_share: Option<f64>,
    /// Replicas that serve.
    pub ready: Option<u32>,
    /// Replicas that will serve soon.
    pub starting: Option<u32>,
}

/// Which way a decision went.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Nothing changes.
    Hold,
    /// Fewer replicas.
    In,
    /// More replicas.
    Out,
}

/// One decision and its reasons.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct DecisionRow {
    /// Its number in the journal.
    pub id: u64,
    /// When it was made, in seconds from the start.
    pub at_s: f64,
    /// Replicas before, if known.
    pub from: Option<u32>,
    /// Replicas after; `None` on hold.
    pub to: Option<u32>,
    /// Which way it went.
    pub direction: Direction,
    /// The reason in one line.
    pub why: String,
    /// Which constraint decided in the end.
    pub binding: String,
    /// The whole derivation, line by line.
    pub derivation: Vec<String>,
}

impl DecisionRow {
    /// `2 → 4`, with a question mark for what is not known; on hold, the count that stays.
    pub(crate) fn change(&self) -> String {
        let count = |replicas: Option<u32>| {
            replicas.map_or_else(|| "?".to_owned(), |replicas| replicas.to_string())
        };
        match self.direction {
            Direction::Hold => count(self.to.or(self.from)),
            Direction::In | Direction::Out => {
                format!("{} → {}", count(self.from), count(self.to))
            }
        }
    }
}

#[cfg(test)]
mod tests;
