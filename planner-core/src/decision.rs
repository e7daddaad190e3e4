//! A decision and its whole argument, as data.
//!
//! A [`Decision`] says what to do; its [`Derivation`] holds each stage's inputs and result, from
//! the window to the final count, so that each stage can be recomputed and the constraint that
//! bound is named. Text exists only in `Display`.

mod text;

use core::fmt;

use crate::Timestamp;
use crate::advice::Verdict;
use crate::baseline::{Estimate, Lesson};
use crate::config::Thresholds;
use crate::guard::Effect;
use crate::operation::Operation;
use crate::policy::Proposal;
use crate::signal::{Breach, Signal};
use crate::telemetry::{Doubt, Quality, Window};

/// Number of a decision; rises with every decision of a planner, across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
// As for `Timestamp`: it stands beside 32-bit numbers.
#[repr(Rust, packed(4))]
pub struct DecisionId(pub(crate) u64);

impl DecisionId {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.get())
    }
}

/// What to do. Absolute: doing it twice is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Action {
    /// Leave the replicas as they are.
    Hold,
    /// What would be done if the planner were not in shadow mode; nobody carries it out.
    Suggest {
        /// How many replicas it would be.
        to: u32,
    },
    /// Make it this many replicas.
    Scale {
        /// How many.
        to: u32,
    },
}

/// Whose target it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Origin {
    /// The advisor's, within the policy's band.
    Advisor,
    /// The policy's.
    Policy,
}

/// One decision. Only the guards make a scaling one.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
#[must_use]
pub struct Decision {
    /// Its number.
    pub id: DecisionId,
    /// When it was made.
    pub at: Timestamp,
    /// What to do.
    pub action: Action,
    /// Whose target it is.
    pub origin: Origin,
    /// The whole argument.
    pub derivation: Derivation,
}

impl Decision {
    /// The new number of replicas to carry out; `None` when they stay as they are.
    pub const fn target(&self) -> Option<u32> {
        match self.action {
            Action::Hold | Action::Suggest { .. } => None,
            Action::Scale { to } => Some(to),
        }
    }

    /// The number of replicas that the decision arrives at, carried out or only suggested; the
    /// current one where it holds, `None` where that is unknown.
    pub const fn replicas(&self) -> Option<u32> {
        match self.action {
            Action::Hold => self.derivation.current,
            Action::Scale { to } | Action::Suggest { to } => Some(to),
        }
    }
}

impl fmt::Display for Decision {
    /// One line: what, why, and the constraint that bound.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.derivation.current;
        match (self.action, from) {
            (Action::Scale { to }, Some(from)) => write!(f, "{} {from} -> {to}", self.id)?,
            (Action::Scale { to }, None) => write!(f, "{} -> {to}", self.id)?,
            (Action::Suggest { to }, Some(from)) => {
                write!(f, "{} would go {from} -> {to}", self.id)?;
            }
            (Action::Suggest { to }, None) => write!(f, "{} would go to {to}", self.id)?,
            (Action::Hold, Some(from)) => write!(f, "{} hold {from}", self.id)?,
            (Action::Hold, None) => write!(f, "{} hold", self.id)?,
        }
        if let Some(reason) = self.derivation.proposal.reasons.first() {
            write!(f, ": {reason}")?;
        }
        match self.derivation.binding {
            Constraint::Unconstrained => Ok(()),
            binding => write!(f, " [{binding}]"),
        }
    }
}

/// Every stage's inputs and result.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Derivation {
    /// The window.
    pub window: Window,
    /// How far it could be trusted.
    pub quality: Quality,
    /// What was normal; `None` while warming up.
    pub estimate: Option<Estimate>,
    /// What the baseline made of the window afterwards; absent where it was not shown it.
    pub lesson: Option<Lesson>,
    /// The thresholds in force.
    pub thresholds: Thresholds,
    /// How the window compared with normal.
    pub signal: Signal,
    /// Replicas that were ready or ordered; `None` when unknown.
    pub current: Option<u32>,
    /// What the policy proposed.
    pub proposal: Proposal,
    /// What became of the advice; `None` when none was asked for.
    pub advice: Option<Verdict>,
    /// What the operator allowed.
    pub operation: Operation,
    /// How things stood at the last scale-out under a breach, while its effect is watched.
    pub effect: Option<Effect>,
    /// What each guard made of it, in order.
    pub guards: [GuardStep; Stage::COUNT],
    /// The constraint that decided the final count.
    pub binding: Constraint,
}

/// A guard's name, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Stage {
    /// Doubt never scales in.
    Doubt,
    /// Nothing is scaled in while it hurts.
    Health,
    /// Scaling that does not help stops.
    Efficacy,
    /// The highest proposal of a while counts.
    Stabilise,
    /// Cooldown and step limit of each direction.
    Rate,
    /// Changes of direction are rationed.
    Flap,
    /// Fewest and most replicas.
    Bounds,
    /// What the operator allows.
    Operator,
}

impl Stage {
    /// How many guards there are.
    pub const COUNT: usize = 8;
    /// All guards in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Doubt,
        Self::Health,
        Self::Efficacy,
        Self::Stabilise,
        Self::Rate,
        Self::Flap,
        Self::Bounds,
        Self::Operator,
    ];

    /// Its name as it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Doubt => "doubt",
            Self::Health => "health",
            Self::Efficacy => "efficacy",
            Self::Stabilise => "stabilise",
            Self::Rate => "rate",
            Self::Flap => "flap",
            Self::Bounds => "bounds",
            Self::Operator => "operator",
        }
    }
}

/// What one guard made of the count.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuardStep {
    /// Which guard.
    pub stage: Stage,
    /// The count that came in.
    pub before: u32,
    /// The count that went out.
    pub after: u32,
    /// Why they differ; [`Constraint::Unconstrained`] when they do not.
    pub constraint: Constraint,
}

/// What bound a decision. Every guard has its own.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Constraint {
    /// The signal is above the near-baseline band: no scale-in.
    AboveBand,
    /// The advisor chose another count of the policy's band.
    Advice {
        /// The policy's own choice.
        preferred: u32,
    },
    /// Fewer than the least: corrected or refused.
    BelowMin {
        /// The least.
        min: u32,
    },
    /// The window is a breach: no scale-in.
    Breach(Breach),
    /// Scaled in too recently to scale in again.
    CooldownIn {
        /// Until when.
        until: Timestamp,
    },
    /// Scaled out too recently to scale out again.
    CooldownOut {
        /// Until when.
        until: Timestamp,
    },
    /// The window cannot carry a scale-in.
    Doubt(Doubt),
    /// Errors above their limit: no scale-in.
    Failing {
        /// The share of timeouts and failures.
        error_share: f64,
    },
    /// The changes of direction of this hour are spent.
    FlapBudget {
        /// How many there may be.
        budget: u32,
        /// When the next one is free.
        until: Timestamp,
    },
    /// The operator holds scale-ins.
    HoldIn,
    /// The operator holds scale-outs.
    HoldOut,
    /// Scaling out did not help.
    Ineffective {
        /// How many times.
        attempts: u32,
    },
    /// More than the most: corrected or refused.
    OverMax {
        /// The most.
        max: u32,
    },
    /// The operator has paused the planner.
    Paused,
    /// How many replicas there are is unknown: no target.
    ReplicasUnknown,
    /// A higher proposal is too recent.
    Stabilisation {
        /// The highest proposal.
        replicas: u32,
    },
    /// The window had been seen already, or is older than one that had.
    StaleWindow,
    /// The step limit of scaling in.
    StepIn {
        /// The least count that it allows now.
        least: u32,
    },
    /// The step limit of scaling out.
    StepOut {
        /// The most that it allows now.
        most: u32,
    },
    /// Nothing bound: the target is the policy's or the advisor's own.
    Unconstrained,
    /// What is normal is not known yet: no scale-in.
    Warmup,
}
