//! The recorded events through both planners, and the decisions that differ.

use std::collections::BTreeMap;
use std::fmt;

use planner_core::journal::Record;
use planner_core::{
    Constraint, ConsultationId, Decision, DecisionId, Event, Mode, Operation, Outcome, Step,
    Timestamp,
};
use serde::Serialize;

use super::WhatIfError;
use crate::shadow::Candidate;

/// Differences of a kind, exact ones and others apart, that are kept; the rest is only counted.
const KEPT_MAX: u64 = 50;

/// What a planner did on one window, in short.
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

/// What a planner can do on a window.
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

/// A window on which both planners differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Number of the last record of the window on which they differ, from 0.
    pub record: usize,
    /// When that was, seconds from the journal's origin.
    pub at_s: f64,
    /// In what they differ.
    pub kind: Kind,
    /// Whether both planners stood where they would have stood. Behind the first divergence both
    /// only watch: they are asked what they make of the recorded windows, start from the recorded
    /// count, and nothing that they want is carried out. So cooldowns and budgets never bind there.
    pub exact: bool,
    /// With the recorded settings: what was done where it is exact.
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
        let count = match difference.kind {
            Kind::Argument => &mut counts.argument,
            Kind::Replicas => &mut counts.replicas,
        };
        *count += 1;
        if *count <= KEPT_MAX {
            self.kept.push(difference);
        }
    }
}

/// Both planners side by side until they would carry out different targets on a window, at most to
/// the end.
pub(super) fn exact(
    records: &[Record],
    candidates: &mut [Candidate; 2],
) -> Result<Compared, WhatIfError> {
    let mut compared = Compared::default();
    let mut sides = candidates.each_mut().map(Side::new);
    for (index, record) in records.iter().enumerate() {
        let [recorded, changed] = &mut sides;
        if recorded.take(record).as_ref() != Some(&record.step) {
            return Err(WhatIfError::Unrepeatable { record: index, at: record.at });
        }
        compared.decisions += u64::from(matches!(record.step, Step::Decide(_)));
        let asks = matches!(changed.take(record), Some(Step::Consult(_)));
        compared.unanswered += u64::from(asks && !matches!(record.step, Step::Consult(_)));
        if !ends_window(records, index) {
            continue;
        }
        let Some(difference) = difference(index, record.at, &sides, true) else { continue };
        let targets = sides.each_ref().map(Side::target);
        if targets[0] != targets[1] {
            compared.divergence = Some(difference.clone());
            (compared.diverged, compared.targets) = (Some(index), targets);
            compared.note(difference);
            return Ok(compared);
        }
        compared.note(difference);
    }
    Ok(compared)
}

/// What both candidates, which have seen nothing yet, make of the windows behind the divergence.
/// Both only watch there, so that what differs is due to the change and not to what was done.
pub(super) fn in_hindsight(
    records: &[Record],
    diverged: usize,
    candidates: &mut [Candidate; 2],
    compared: &mut Compared,
) {
    let mut sides = candidates.each_mut().map(Side::new);
    for (index, record) in records.iter().enumerate() {
        for side in &mut sides {
            let _looked_at_below = side.take(record);
            if index == diverged {
                side.watch_only(record.at);
            }
        }
        if index <= diverged {
            continue;
        }
        compared.decisions += u64::from(matches!(record.step, Step::Decide(_)));
        if ends_window(records, index)
            && let Some(difference) = difference(index, record.at, &sides, false)
        {
            compared.note(difference);
        }
    }
}

/// Whether what follows the record belongs to another window. An answer of an advisor belongs to
/// the window on which it was asked, so that a decision without it can be compared with one.
fn ends_window(records: &[Record], index: usize) -> bool {
    records.get(index + 1).is_none_or(|next| matches!(next.event, Event::Observe(_)))
}

/// The difference between what both made of a window, of which `record` is the last record.
fn difference(
    record: usize,
    at: Timestamp,
    [then, now]: &[Side<'_>; 2],
    exact: bool,
) -> Option<Difference> {
    let (then, now) = (then.last.as_ref()?, now.last.as_ref()?);
    let kind = match (then, now) {
        (Step::Decide(then), Step::Decide(now)) if then.replicas() != now.replicas() => {
            Kind::Replicas
        }
        (Step::Decide(then), Step::Decide(now)) if argue_alike(then, now) => return None,
        (Step::Decide(_), Step::Decide(_)) => Kind::Argument,
        // Only one of them decided: it matters where that one scaled.
        (then, now) if scales(then) || scales(now) => Kind::Replicas,
        _ => return None,
    };
    let (recorded, changed) = (Argument::of(then), Argument::of(now));
    Some(Difference { record, at_s: at.as_secs_f64(), kind, exact, recorded, changed })
}

fn argue_alike(then: &Decision, now: &Decision) -> bool {
    let (then, now) = (&then.derivation, &now.derivation);
    // A cooldown that ends at another time matters once one of them binds no more.
    let bound = |constraint: &Constraint| match constraint {
        Constraint::CooldownIn { .. } => Constraint::CooldownIn { until: Timestamp::ORIGIN },
        Constraint::CooldownOut { .. } => Constraint::CooldownOut { until: Timestamp::ORIGIN },
        other => *other,
    };
    then.proposal.preferred == now.proposal.preferred && bound(&then.binding) == bound(&now.binding)
}

/// Whether a step scales or would.
fn scales(step: &Step) -> bool {
    match step {
        Step::Decide(decision) => decision.replicas() != decision.derivation.current,
        _ => false,
    }
}

/// A candidate that takes recorded events. It may number questions and decisions otherwise than
/// the recorded planner did: answers and outcomes reach those of the same record and window.
#[derive(Debug)]
struct Side<'a> {
    candidate: &'a mut Candidate,
    /// Its own numbers by the recorded ones; `None` where it did not do the same.
    asked: BTreeMap<u64, Option<ConsultationId>>,
    decided: BTreeMap<u64, Option<DecisionId>>,
    /// What it did on the window at hand: its decision, or what it did without one.
    last: Option<Step>,
    /// The recorded decision on the window at hand.
    recorded: Option<u64>,
    operation: Operation,
    watching: bool,
}

impl<'a> Side<'a> {
    fn new(candidate: &'a mut Candidate) -> Self {
        Self {
            candidate,
            asked: BTreeMap::new(),
            decided: BTreeMap::new(),
            last: None,
            recorded: None,
            operation: Operation::default(),
            watching: false,
        }
    }

    /// Takes the record's event; `None` when it means nothing here.
    fn take(&mut self, record: &Record) -> Option<Step> {
        if matches!(record.event, Event::Observe(_)) {
            (self.last, self.recorded) = (None, None);
        }
        let step =
            self.translate(record.event.clone()).map(|it| self.candidate.step(record.at, it));
        match (&record.step, &step) {
            (Step::Consult(then), Some(Step::Consult(now))) => {
                self.asked.insert(then.id.get(), Some(now.id));
            }
            (Step::Consult(then), _) => {
                self.asked.insert(then.id.get(), None);
            }
            (Step::Decide(then), _) => self.recorded = Some(then.id.get()),
            _ => {}
        }
        let decided = matches!(self.last, Some(Step::Decide(_)));
        if matches!(step, Some(Step::Decide(_))) || !decided && step.is_some() {
            self.last.clone_from(&step);
        }
        if let Some(recorded) = self.recorded {
            self.decided.insert(recorded, self.decision().map(|decision| decision.id));
        }
        step
    }

    /// Its decision on the window at hand.
    const fn decision(&self) -> Option<&Decision> {
        match &self.last {
            Some(Step::Decide(decision)) => Some(decision),
            _ => None,
        }
    }

    /// What it has carried out on the window at hand.
    fn target(&self) -> Option<u32> {
        self.decision().and_then(Decision::target)
    }

    /// From now on its targets are only shown. What it decided on the window at hand is taken back:
    /// it starts no cooldown.
    fn watch_only(&mut self, at: Timestamp) {
        if let Some(id) = self.decision().map(|decision| decision.id) {
            let _taken_back = self.candidate.step(at, Event::Settle(id, Outcome::Refuse));
        }
        if self.operation.mode == Mode::Act {
            self.candidate.watch_only(at, self.operation);
        }
        self.watching = true;
    }

    fn translate(&mut self, event: Event) -> Option<Event> {
        // What the record does not name is older than it: known by the number it had.
        let asked = |known: &BTreeMap<u64, Option<ConsultationId>>, id: ConsultationId| {
            known.get(&id.get()).copied().unwrap_or(Some(id))
        };
        Some(match event {
            Event::Advise(id, answer) => Event::Advise(asked(&self.asked, id)?, answer),
            Event::Attest(id, receipt) => Event::Attest(asked(&self.asked, id)?, receipt),
            Event::Settle(id, outcome) => {
                let decided = self.decided.get(&id.get()).copied().unwrap_or(Some(id));
                Event::Settle(decided?, outcome)
            }
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

#[cfg(test)]
mod tests {
    use planner_core::{AdvisorFault, Config, Heuristic, ReplicaBounds};

    use super::*;

    /// A number as a journal holds it.
    fn number<T: serde::de::DeserializeOwned>(number: u64) -> T {
        serde_json::from_value(number.into()).expect("a number")
    }

    #[test]
    fn answers_and_outcomes_reach_what_was_done_at_the_same_place_or_nothing() {
        let bounds = ReplicaBounds::new(1, 8).expect("bounds");
        let config = Config::builder(bounds).build().expect("valid");
        let mut candidate = Candidate::new(config, Heuristic);
        let mut side = Side::new(&mut candidate);
        side.asked = BTreeMap::from([(3, Some(number(5))), (4, None)]);
        side.decided = BTreeMap::from([(30, Some(number(50))), (40, None)]);
        let answer =
            |id| Event::<planner_core::NoSignal>::Advise(number(id), Err(AdvisorFault::Garble));
        let refusal = |id| Event::Settle(number(id), Outcome::Refuse);
        assert_eq!(side.translate(answer(3)), Some(answer(5)));
        assert_eq!(side.translate(answer(4)), None);
        assert_eq!(side.translate(refusal(30)), Some(refusal(50)));
        assert_eq!(side.translate(refusal(40)), None);
        // Asked and decided before the journal began.
        assert_eq!(side.translate(answer(2)), Some(answer(2)));
        assert_eq!(side.translate(refusal(29)), Some(refusal(29)));
    }
}
