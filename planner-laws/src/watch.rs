//! The laws that can be seen on every single step.

mod guarded;
mod told;

use planner_core::{Constraint, Decision, Stage, Step};

pub(crate) use guarded::{Bounds, Doubt, Failure, NoFlapping, NoPoisoning, Rate, is_above_band};
pub(crate) use told::{Deadline, Explained, Idempotence, Monotone, OneSidedAdvice, Total};

/// The decision of a step, a consultation's fallback included.
fn decision(step: &Step) -> Option<&Decision> {
    match step {
        Step::Decide(decision) => Some(decision),
        Step::Consult(consultation) => Some(&consultation.fallback),
        _ => None,
    }
}

/// What bound at a stage; `Unconstrained` when nothing did.
fn bound(decision: &Decision, stage: Stage) -> Constraint {
    let steps = &decision.derivation.guards;
    let found = steps.iter().find(|step| step.stage == stage);
    found.map_or(Constraint::Unconstrained, |step| step.constraint)
}

/// A decision in one line with its argument, for saying what broke.
fn told_of(decision: &Decision) -> String {
    format!("{decision}\n{}", decision.derivation)
}
