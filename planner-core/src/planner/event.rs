//! What goes into a planner and what comes out: events, steps, consultations.

use crate::Timestamp;
use crate::advice::{Advice, AdvisorFault, Receipt};
use crate::baseline::Estimate;
use crate::config::{ReplicaBounds, Thresholds};
use crate::decision::{Decision, DecisionId};
use crate::operation::Operation;
use crate::policy::NoSignal;
use crate::telemetry::Window;

/// What can happen to a planner. `S` is the policy's own observation.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Event<S = NoSignal> {
    /// The advisor answered, or did not.
    Advise(ConsultationId, Result<Advice, AdvisorFault>),
    /// What the call behind a consultation was: on record to be read, and its tokens are taken out
    /// of the budget. It changes no decision.
    Attest(ConsultationId, Receipt),
    /// A window of telemetry is complete.
    Observe(Window),
    /// The operator allows something else from now on: mode and holds.
    Operate(Operation),
    /// What became of a decision. Leaving it out is safe: applied is assumed.
    Settle(DecisionId, Outcome),
    /// An observation of the policy's own kind.
    Signal(S),
    /// Time passed. Useful at [`Planner::next_wake`](crate::Planner::next_wake), harmless earlier.
    Wake,
}

/// What became of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// It was carried out, or will be.
    Apply,
    /// It was refused: it starts no cooldown and spends no budget.
    Refuse,
}

/// What to do about an event.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[must_use]
#[non_exhaustive]
pub enum Step {
    /// Ask the advisor; the fallback is ready should it not answer.
    Consult(Consultation),
    /// Carry this out.
    Decide(Decision),
    /// Nothing to do.
    Idle(Idle),
}

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Idle {
    /// The advisor's answer, or its deadline, will decide for this window too.
    Await(ConsultationId),
    /// Woken before there was something to do.
    Early,
    /// Taken note of.
    Note,
    /// A repeated or older window, an answer nobody waits for, or an unknown decision.
    Stale,
}

/// Number of a consultation; rises with every one, across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConsultationId(pub(crate) u64);

impl ConsultationId {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A question to the advisor, with the decision that stands if it is not answered.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use]
#[non_exhaustive]
pub struct Consultation {
    /// Its number; the answer carries it.
    pub id: ConsultationId,
    /// What the advisor is shown.
    pub brief: Brief,
    /// When the answer is no longer awaited.
    pub deadline: Timestamp,
    /// What is decided without an answer, as things stand now. Its number is not taken yet.
    pub fallback: Decision,
}

/// What the advisor is shown: numbers only.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Brief {
    /// p95 of the window in milliseconds, when it has one.
    pub p95_ms: Option<f64>,
    /// What is normal, when that is known.
    pub estimate: Option<Estimate>,
    /// p95 ÷ baseline median.
    pub ratio: Option<f64>,
    /// (p95 − baseline median) ÷ σ.
    pub z: Option<f64>,
    /// Replicas that serve.
    pub ready: u32,
    /// Replicas that are ready or ordered.
    pub current: u32,
    /// Whether scaling out is cooling down.
    pub cooling_out: bool,
    /// Whether scaling in is cooling down.
    pub cooling_in: bool,
    /// Near-baseline windows in a row.
    pub near_streak: u32,
    /// Fewest and most replicas.
    pub bounds: ReplicaBounds,
    /// The thresholds in force.
    pub thresholds: Thresholds,
    /// The band that the advisor may choose from.
    pub floor: u32,
    /// The upper end of that band.
    pub ceiling: u32,
}
