//! The recorded events through both planners, and the decisions that differ.

use std::collections::BTreeMap;
use std::fmt;

use planner_core::journal::Record;
use planner_core::{
    Constraint, ConsultationId, Decision, DecisionId, Event, Mode, Outcome, Step, Timestamp,
};
use serde::Serialize;

use super::WhatIfError;
use crate::shadow::Candidate;

/// Differences that are kept; the others are only counted.
const KEPT_MAX: usize = 100;

/// What a planner did at one record, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Argument {
    /// What it did.
    pub verb: Verb,
    /// The replicas that it arrived at; absent where it did not decide or they are unknown.
    pub replicas: Option<u32>,
    /// What the policy alone preferred; absent where it did not decide.
    pub preferred: Option<u32>,
    /// Decision, first reason and binding constraint in one line.
    pub line: String,
}

/// What a planner can do at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verb {
    /// It asked an advisor.
    Consult,
    /// It left the replicas as they are.
    Hold,
    /// It had nothing to do.
    Idle,
    /// It scaled.
    Scale,
    /// It would have scaled, but only watched.
    Suggest,
}

impl Argument {
    fn of(step: &Step) -> Self {
        let without = |verb, line| Self { verb, replicas: None, preferred: None, line };
        match step {
            Step::Decide(decision) => Self {
                verb: match (decision.target(), decision.replicas()) {
                    (Some(_), _) => Verb::Scale,
                    (None, to) if to != decision.derivation.current => Verb::Suggest,
                    _ => Verb::Hold,
                },
                replicas: decision.replicas(),
                preferred: Some(decision.derivation.proposal.preferred),
                line: decision.to_string(),
            },
            Step::Consult(asked) => {
                without(Verb::Consult, format!("asks an advisor until {}", asked.deadline))
            }
            _ => without(Verb::Idle, String::from("nothing to do")),
        }
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// In what two decisions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The same replicas for another reason: the policy preferred others, or something else bound.
    Argument,
    /// Other replicas.
    Replicas,
}

/// A record at which both planners differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Number of the record, from 0.
    pub record: usize,
    /// When it was, seconds from the journal's origin.
    pub at_s: f64,
    /// In what they differ.
    pub kind: Kind,
    /// Whether both planners stood where they would have stood. Behind the first divergence the
    /// changed planner is only asked what it makes of the recorded windows: it starts from the
    /// recorded count and nothing that it wants is carried out.
    pub exact: bool,
    /// With the recorded settings.
    pub recorded: Argument,
    /// With the changed ones.
    pub changed: Argument,
}

/// Everything that both planners made of the recorded events.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Compared {
    /// Recorded decisions.
    pub(super) decisions: u64,
    /// Number of the record with the first other target that is carried out.
    pub(super) diverged: Option<usize>,
    pub(super) divergence: Option<Difference>,
    /// What both carry out there, the recorded one first.
    pub(super) targets: [Option<u32>; 2],
    /// Differences that are exact, and those that are not, by kind.
    pub(super) exact: Counts,
    pub(super) hindsight: Counts,
    /// The first differences.
    pub(super) kept: Vec<Difference>,
    /// Questions to an advisor that nobody answered then, because they were not asked.
    pub(super) unanswered: u64,
}

/// How many decisions differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Other replicas.
    pub replicas: u64,
    /// The same replicas for another reason.
    pub argument: u64,
}

impl Compared {
    fn note(&mut self, difference: Difference) {
        let counts = if difference.exact { &mut self.exact } else { &mut self.hindsight };
        match difference.kind {
            Kind::Argument => counts.argument += 1,
            Kind::Replicas => counts.replicas += 1,
        }
        if self.kept.len() < KEPT_MAX {
            self.kept.push(difference);
        }
    }
}

/// Both planners side by side until they would carry out different targets, at most to the end.
pub(super) fn exact(
    records: &[Record],
    recorded: &mut Candidate,
    changed: &mut Candidate,
) -> Result<Compared, WhatIfError> {
    let mut compared = Compared::default();
    let mut names = Names::default();
    for (index, record) in records.iter().enumerate() {
        if recorded.step(record.at, record.event.clone()) != record.step {
            return Err(WhatIfError::Unrepeatable { record: index, at: record.at });
        }
        compared.decisions += u64::from(matches!(record.step, Step::Decide(_)));
        let Some(step) = names.step(changed, record) else { continue };
        let asked = |step: &Step| matches!(step, Step::Consult(_));
        compared.unanswered += u64::from(asked(&step) && !asked(&record.step));
        let Some(difference) = difference(index, record, &step, true) else { continue };
        if target(&record.step) != target(&step) {
            compared.divergence = Some(difference.clone());
            compared.diverged = Some(index);
            compared.targets = [target(&record.step), target(&step)];
            compared.note(difference);
            return Ok(compared);
        }
        compared.note(difference);
    }
    Ok(compared)
}

/// What `changed`, which has seen nothing yet, makes of the windows behind the divergence.
pub(super) fn in_hindsight(
    records: &[Record],
    diverged: usize,
    changed: &mut Candidate,
    compared: &mut Compared,
) {
    let mut names = Names::default();
    for (index, record) in records.iter().enumerate() {
        let step = names.step(changed, record);
        if index < diverged {
            continue;
        }
        if index == diverged {
            // What differs is not carried out: it starts no cooldown.
            if let Some(id) = step.as_ref().and_then(|step| Some(scaling(step)?.id)) {
                let _taken_back = changed.step(record.at, Event::Settle(id, Outcome::Refuse));
            }
            changed.watch_only(record.at, names.operation);
            names.watching = true;
            continue;
        }
        compared.decisions += u64::from(matches!(record.step, Step::Decide(_)));
        let found = step.and_then(|step| difference(index, record, &step, false));
        if let Some(difference) = found {
            compared.note(difference);
        }
    }
}

/// The difference between what was recorded and what is made of it now, if there is one.
fn difference(index: usize, record: &Record, now: &Step, exact: bool) -> Option<Difference> {
    let kind = match (&record.step, now) {
        (Step::Decide(then), Step::Decide(now)) if then.replicas() != now.replicas() => {
            Kind::Replicas
        }
        (Step::Decide(then), Step::Decide(now)) if argue_alike(then, now) => return None,
        (Step::Decide(_), Step::Decide(_)) => Kind::Argument,
        // Only one of them decided: it matters where that one scaled.
        (then, now) if scaling(then).is_some() || scaling(now).is_some() => Kind::Replicas,
        _ => return None,
    };
    Some(Difference {
        record: index,
        at_s: record.at.as_secs_f64(),
        kind,
        exact,
        recorded: Argument::of(&record.step),
        changed: Argument::of(now),
    })
}

fn argue_alike(then: &Decision, now: &Decision) -> bool {
    let (then, now) = (&then.derivation, &now.derivation);
    // A cooldown that ends at another time is another one only once it binds no more.
    let bound = |constraint: &Constraint| match constraint {
        Constraint::CooldownIn { .. } => Constraint::CooldownIn { until: Timestamp::ORIGIN },
        Constraint::CooldownOut { .. } => Constraint::CooldownOut { until: Timestamp::ORIGIN },
        other => *other,
    };
    then.proposal.preferred == now.proposal.preferred && bound(&then.binding) == bound(&now.binding)
}

/// The decision of a step that scales or would.
fn scaling(step: &Step) -> Option<&Decision> {
    match step {
        Step::Decide(decision) if decision.replicas() != decision.derivation.current => {
            Some(decision)
        }
        _ => None,
    }
}

/// What a step has carried out.
fn target(step: &Step) -> Option<u32> {
    match step {
        Step::Decide(decision) => decision.target(),
        _ => None,
    }
}

/// How the changed planner numbers what the recorded one numbered, so that answers and outcomes
/// reach the question and the decision of the same record.
#[derive(Debug, Default)]
struct Names {
    asked: BTreeMap<u64, ConsultationId>,
    scaled: BTreeMap<u64, DecisionId>,
    operation: planner_core::Operation,
    watching: bool,
}

impl Names {
    /// Lets `changed` take the record's event; `None` when it means nothing to it.
    fn step(&mut self, changed: &mut Candidate, record: &Record) -> Option<Step> {
        let event = self.translate(record.event.clone())?;
        let step = changed.step(record.at, event);
        if let (Step::Consult(then), Step::Consult(now)) = (&record.step, &step) {
            self.asked.insert(then.id.get(), now.id);
        }
        if let (Some(then), Some(now)) = (scaling(&record.step), scaling(&step)) {
            self.scaled.insert(then.id.get(), now.id);
        }
        Some(step)
    }

    fn translate(&mut self, event: Event) -> Option<Event> {
        Some(match event {
            Event::Advise(id, answer) => Event::Advise(*self.asked.get(&id.get())?, answer),
            Event::Attest(id, receipt) => Event::Attest(*self.asked.get(&id.get())?, receipt),
            Event::Settle(id, outcome) => Event::Settle(*self.scaled.get(&id.get())?, outcome),
            Event::Operate(mut operation) => {
                self.operation = operation;
                if self.watching && operation.mode == Mode::Act {
                    operation.mode = Mode::Shadow;
                }
                Event::Operate(operation)
            }
            event => event,
        })
    }
}
