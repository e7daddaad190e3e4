//! The record of a run, and its exact repetition.
//!
//! A journal is a [`Header`] and one [`Record`] per event. [`replay`] feeds the events to a planner
//! built from the header and compares each step with the recorded one; a difference is a bug or a
//! changed program. Text and files are the runtime's business, here are only values.

use alloc::boxed::Box;
use alloc::string::String;

use crate::Timestamp;
use crate::baseline::{Baseline, QuarantinedBaseline};
use crate::config::{Config, ServiceId};
use crate::gateway::AdviceGate;
use crate::planner::{Event, Planner, Step};
use crate::policy::{NoSignal, Policy};
use crate::snapshot::Snapshot;

/// What a run began with.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Header<S, B = QuarantinedBaseline> {
    /// Format of the journal.
    pub schema: u16,
    /// The service that was planned for.
    pub service: ServiceId,
    /// Name of the policy.
    pub policy: String,
    /// Version of the policy.
    pub policy_version: u32,
    /// The configuration.
    pub config: Config,
    /// Its fingerprint: a configuration that was edited afterwards does not match it.
    pub config_fingerprint: u64,
    /// What the planner remembered when the run began; `None` when it began with nothing.
    pub snapshot: Option<Snapshot<S, B>>,
}

impl<S, B> Header<S, B> {
    /// The format that this version writes.
    pub const SCHEMA: u16 = 2;
}

impl<S: Clone + PartialEq, B: Baseline> Header<S, B> {
    /// The header of a run of `planner` for `service` that begins now.
    pub fn of<P, G>(service: ServiceId, planner: &Planner<P, B, G>, resumed: bool) -> Self
    where
        P: Policy<State = S>,
        G: AdviceGate,
    {
        Self {
            schema: Self::SCHEMA,
            service,
            policy: planner.policy().name().into(),
            policy_version: planner.policy().version(),
            config: planner.config().clone(),
            config_fingerprint: planner.config().fingerprint(),
            snapshot: resumed.then(|| planner.snapshot()),
        }
    }

    /// Refuses a journal that `policy` cannot repeat.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when format, policy or configuration are not what they were.
    pub fn check<P: Policy>(&self, policy: &P) -> Result<(), HeaderError> {
        if self.schema != Self::SCHEMA {
            return Err(HeaderError::Schema { found: self.schema, supported: Self::SCHEMA });
        }
        if self.policy != policy.name() || self.policy_version != policy.version() {
            return Err(HeaderError::Policy {
                name: policy.name(),
                version: policy.version(),
                recorded: self.policy_version,
            });
        }
        if self.config_fingerprint != self.config.fingerprint() {
            return Err(HeaderError::ConfigEdited);
        }
        Ok(())
    }
}

/// Why a journal cannot be repeated here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The configuration is not the one that was in force.
    #[error(
        "journal: the configuration does not match its fingerprint; it was edited after the run"
    )]
    ConfigEdited,
    /// Another policy, or another version of it.
    #[error(
        "journal: not of policy {name} version {version} (recorded version {recorded}); replay it with the program that wrote it"
    )]
    Policy {
        /// The policy at hand.
        name: &'static str,
        /// Its version.
        version: u32,
        /// The version in the journal.
        recorded: u32,
    },
    /// Another format.
    #[error(
        "journal: schema {found} is not {supported}, the one this version reads; replay it with the program that wrote it"
    )]
    Schema {
        /// The format found.
        found: u16,
        /// The format that can be read.
        supported: u16,
    },
}

/// One event and what the planner made of it.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "a triple that callers take apart")]
pub struct Record<S = NoSignal> {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: Event<S>,
    /// What the planner made of it.
    pub step: Step,
}

/// How a replay went.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Replay {
    /// Decisions that were repeated identically, consultations' fallbacks not counted.
    pub decisions: u64,
    /// Records that were repeated identically.
    pub records: u64,
    /// The first record that was not, if there is one.
    pub divergence: Option<Box<Divergence>>,
}

/// The first difference between a record and its repetition.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Divergence {
    /// Number of the record, from 0.
    pub record: u64,
    /// When the event happened.
    pub at: Timestamp,
    /// What the planner made of it then.
    pub recorded: Step,
    /// What it makes of it now.
    pub repeated: Step,
}

/// Repeats recorded events on `planner`, which stands where the run began, until a step differs.
/// O(records).
pub fn replay<P, B, G>(
    planner: &mut Planner<P, B, G>,
    records: impl IntoIterator<Item = Record<P::Signal>>,
) -> Replay
where
    P: Policy,
    B: Baseline,
    G: AdviceGate,
{
    let mut replay = Replay { decisions: 0, records: 0, divergence: None };
    for record in records {
        let repeated = planner.step(record.at, record.event);
        if repeated != record.step {
            replay.divergence = Some(Box::new(Divergence {
                record: replay.records,
                at: record.at,
                recorded: record.step,
                repeated,
            }));
            break;
        }
        replay.records += 1;
        replay.decisions += u64::from(matches!(repeated, Step::Decide(_)));
    }
    replay
}
