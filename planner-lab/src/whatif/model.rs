//! What the plant assumes of the service, and where each number comes from.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// Where an assumption comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// Recorded windows up to the divergence.
    Before,
    /// Nothing in the journal tells it: a usual value.
    Default,
    /// The caller's number, or the recorded configuration's.
    Setting,
    /// The whole journal, because what was recorded before the divergence does not tell it.
    WholeRecord,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "recorded before the divergence",
            Self::Default => "a usual value, nothing recorded tells it",
            Self::Setting => "a setting",
            Self::WholeRecord => "the whole record",
        })
    }
}

/// One assumption.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Assumed {
    /// Its value, in the unit that its name says.
    pub value: f64,
    /// Where it comes from.
    pub source: Source,
    /// Windows or scale-outs that it rests on.
    pub evidence: u64,
}

/// A service as the plant takes it to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Model {
    /// Requests per second that one replica answers: the median of windows with a steady count and
    /// a growing backlog, or else the most that one did answer while the count was steady.
    pub capacity_per_s: Assumed,
    /// Whether replicas were ever used up, so that this is what they can do. Otherwise it is only
    /// what they did, they may be able to do more, and the model is too pessimistic.
    pub capacity_is_tight: bool,
    /// p95 in milliseconds in calm: the median of windows without breach, backlog or high use.
    pub base_ms: Assumed,
    /// Seconds from an order to the first window that counts it ready: the median.
    pub startup_s: Assumed,
    /// Seconds after which a waiting request leaves: the highest p95 of windows with timeouts.
    pub patience_s: Assumed,
    /// The p95 in milliseconds that both runs are measured by.
    pub objective_ms: Assumed,
    /// Windows behind the divergence without an arrival rate: the last known one stands in.
    pub arrivals_filled: u64,
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = if self.capacity_is_tight { "" } else { "at least " };
        for (name, lower, assumed, unit) in [
            ("capacity", lower, self.capacity_per_s, "/s per replica"),
            ("calm p95", "", self.base_ms, " ms"),
            ("start-up", "", self.startup_s, " s"),
            ("patience", "", self.patience_s, " s"),
            ("objective", "", self.objective_ms, " ms"),
        ] {
            let Assumed { value, source, evidence } = assumed;
            write!(f, "  {name:<10} {lower}{value:.1}{unit}: {source}")?;
            if evidence > 0 {
                write!(f, " ({evidence})")?;
            }
            writeln!(f)?;
        }
        write!(f, "  arrivals   as recorded")?;
        if self.arrivals_filled > 0 {
            write!(f, ", in {} windows the last known rate", self.arrivals_filled)?;
        }
        Ok(())
    }
}

/// Why no plant can take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoPlant {
    /// The load is unknown.
    #[error(
        "no plant can take over: no window tells how many requests arrived; measure traffic at the balancer, then record again"
    )]
    ArrivalsUnknown,
    /// What a replica can do is unknown.
    #[error(
        "no plant can take over: no window tells what a steady number of replicas answered; measure completions, or set capacity_hint_per_s"
    )]
    CapacityUnknown,
    /// What calm looks like is unknown.
    #[error("no plant can take over: no window has a p95; measure latency, then record again")]
    LatencyUnknown,
    /// There is nothing to go on with.
    #[error("no plant can take over: no window follows the divergence; record for longer")]
    NothingFollows,
    /// How many replicas there were is unknown.
    #[error(
        "no plant can take over: how many replicas were ready at the divergence is unknown; record with a source that counts them"
    )]
    ReplicasUnknown,
}
