//! Journals of runs, repeated and explained.
//!
//! `replay` re-runs a journal and compares every step; `why` prints one decision's whole argument.
//! Which policy made a journal is read from its header, so both work on any run.

use std::fmt::Write as _;
use std::path::Path;

use planner_core::journal::{Divergence, Header, HeaderError, Record, replay};
use planner_core::{
    Decision, Event, Heuristic, NoSignal, Planner, Poc, Policy, QuarantinedBaseline, RestoreError,
    Step, flips,
};
use planner_runtime::{JournalError, JournalReader};
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::advice_report::Prompts;
use crate::quickstart::{PolicyName, UnknownPolicy};

/// What a replay found.
#[derive(Debug)]
pub struct Repeated {
    /// Decisions that came out identically.
    pub decisions: u64,
    /// The first step that did not, told with both derivations.
    pub difference: Option<String>,
    /// Prompts that this version would write otherwise.
    pub prompts_changed: u64,
    /// The journal ends in the middle of a record.
    pub torn: bool,
}

/// Why a journal cannot be repeated or explained.
#[derive(Debug, Error)]
pub enum RepeatError {
    /// Nothing of that number.
    #[error("decision {id}: not in this journal, which holds {held}; choose one of those")]
    Absent {
        /// What was asked for.
        id: u64,
        /// What there is.
        held: String,
    },
    /// The header does not fit this program.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The file.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The header names a policy that is not known here.
    #[error("journal: {0}")]
    Policy(#[from] UnknownPolicy),
    /// The run began with a memory that cannot be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl RepeatError {
    /// Whether the journal is sound but of another program: replay it there.
    pub const fn is_other_version(&self) -> bool {
        matches!(self, Self::Header(HeaderError::Policy { .. } | HeaderError::Schema { .. }))
    }
}

/// The part of a header that does not depend on the policy.
#[derive(serde::Deserialize)]
struct Named {
    policy: String,
}

/// Re-runs the journal at `path` on a planner that stands where the run began.
///
/// # Errors
///
/// [`RepeatError`] when there is nothing that could be repeated here.
pub fn repeat(path: &Path) -> Result<Repeated, RepeatError> {
    match policy_of(path)? {
        PolicyName::Heuristic => repeat_with(path, Heuristic),
        PolicyName::Poc => repeat_with(path, Poc),
    }
}

pub(crate) fn policy_of(path: &Path) -> Result<PolicyName, RepeatError> {
    let mut first = JournalReader::<NoSignal>::first_line::<Named>(path)?;
    Ok(std::mem::take(&mut first.policy).parse()?)
}

/// A planner that stands where the journal's run began, and the records.
pub(crate) fn open<P>(
    path: &Path,
    policy: P,
) -> Result<(Planner<P>, JournalReader<NoSignal>), RepeatError>
where
    P: Policy<Signal = NoSignal>,
    P::State: DeserializeOwned,
{
    let (header, reader): (Header<P::State, QuarantinedBaseline>, _) =
        JournalReader::<NoSignal>::open(path)?;
    header.check(&policy)?;
    let planner = match header.snapshot {
        None => Planner::new(header.config, policy),
        Some(snapshot) => Planner::restore(header.config, policy, snapshot)?,
    };
    Ok((planner, reader))
}

fn repeat_with<P>(path: &Path, policy: P) -> Result<Repeated, RepeatError>
where
    P: Policy<Signal = NoSignal>,
    P::State: DeserializeOwned,
{
    let (mut planner, mut reader) = open(path, policy)?;
    let mut broken = None;
    let mut prompts = Prompts::of(planner.config());
    let records = reader.by_ref().map_while(|record| match record {
        Ok(record) => {
            prompts.take(&record);
            Some(record)
        }
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    let repeated = replay(&mut planner, records);
    if let Some(error) = broken {
        return Err(error.into());
    }
    Ok(Repeated {
        decisions: repeated.decisions,
        difference: repeated.divergence.as_deref().map(difference),
        prompts_changed: prompts.changed,
        torn: reader.is_torn(),
    })
}

/// The first difference with both derivations.
fn difference(divergence: &Divergence) -> String {
    let told = |step: &Step| match step {
        Step::Decide(decision) => told(decision),
        other => format!("{other:?}"),
    };
    format!(
        "record {} at {} differs\n\nrecorded\n{}\n\nrepeated\n{}",
        divergence.record,
        divergence.at,
        told(&divergence.recorded),
        told(&divergence.repeated)
    )
}

/// One decision's whole argument, from the journal at `path`, and what would have flipped it.
///
/// # Errors
///
/// [`RepeatError`] when the journal cannot be read or has no such decision.
pub fn explain(path: &Path, id: u64) -> Result<String, RepeatError> {
    match policy_of(path)? {
        PolicyName::Heuristic => explain_with(path, id, Heuristic),
        PolicyName::Poc => explain_with(path, id, Poc),
    }
}

fn explain_with<P>(path: &Path, id: u64, policy: P) -> Result<String, RepeatError>
where
    P: Policy<Signal = NoSignal>,
    P::State: DeserializeOwned,
{
    let (mut planner, reader) = open(path, policy)?;
    let (mut first, mut last) = (None, None);
    for record in reader {
        let Record { at, event, step } = record?;
        if let Step::Decide(decision) = &step {
            let found = decision.id.get();
            if found == id {
                let mut text = told(decision);
                if let Event::Observe(window) = &event
                    && decision.derivation.advice.is_none()
                {
                    for flip in flips(&planner, at, window) {
                        let _a_string_takes_everything = write!(text, "\nflips      {flip}");
                    }
                }
                return Ok(text);
            }
            first.get_or_insert(found);
            last = Some(found);
        }
        let _as_recorded = planner.step(at, event);
    }
    let held = match (first, last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => String::from("none"),
    };
    Err(RepeatError::Absent { id, held })
}

/// A decision in one line, then its derivation.
fn told(decision: &Decision) -> String {
    let mut text = String::new();
    let _a_string_takes_everything = write!(
        text,
        "{decision}\nat         {}, by the {:?}\n{}",
        decision.at, decision.origin, decision.derivation
    );
    text
}
