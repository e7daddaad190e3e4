//! What would have happened: a recorded journal with other settings, or another policy.
//!
//! Two parts, of which only the first is a proof.
//!
//! 1. **Replay.** The recorded events go through a planner with the changed settings, beside one
//!    with the recorded settings. Up to the first decision whose *carried-out* target differs this
//!    is exact: both planners saw what they would have seen. Later recorded windows were shaped by
//!    what was really done. Both planners are still asked what they make of them, watching only;
//!    what differs there is due to the change, but it is an opinion, and marked so
//!    ([`Difference::exact`]).
//! 2. **Plant.** From that first divergence on a model of the service takes over, fitted to the
//!    recorded windows ([`Model`]: every number is an assumption with its source). Both planners go
//!    on on the model with the recorded arrivals, so that the model's faults are in both, and are
//!    compared by replica-seconds, windows above the objective and actions. How well the model
//!    repeats the recorded run, before the divergence and after it, is in the result
//!    ([`Fidelity`]): it says how far to trust the second part.
//!
//! What a model cannot know: whether the arrivals would have been the same (a slow service loses
//! users, a retrying client sends more), other services, and replicas that die. An advisor is not
//! simulated: its recorded answers are used in the first part where the same was asked, and in the
//! second part nobody is asked.
//!
//! ```
//! use planner_core::{journal::Header, Heuristic, Planner, ReplicaBounds, ServiceId};
//! use planner_lab::whatif::WhatIf;
//! use planner_lab::{Plant, PlantSpec, run};
//!
//! let mut planner = Planner::heuristic(ReplicaBounds::new(1, 8)?);
//! let header = Header::of(ServiceId::new("shop")?, &planner, false);
//! let mut plant = Plant::new(PlantSpec::default(), 2);
//! let run = run(&mut planner, &mut plant, 200, |t| if t < 300.0 { 60.0 } else { 240.0 });
//!
//! let report = WhatIf::new(Heuristic, header, run.records())?.change("bounds.max=4")?.run()?;
//! assert!(report.divergence.is_some_and(|first| first.changed.replicas == Some(4)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod branch;
mod change;
mod compare;
mod fidelity;
mod fit;
mod model;
mod report;
mod service;

use std::fmt;

pub use branch::{Branch, Continuation};
pub(crate) use change::Changes;
pub use change::{ChangeError, Changed};
pub use compare::{Argument, Counts, Difference, Kind, Verb};
pub use fidelity::{Errors, Fidelity};
pub use model::{Assumed, Model, NoPlant, Source};
use planner_core::journal::{Header, HeaderError, Record};
use planner_core::{Config, NoSignal, Policy, RestoreError, Timestamp};
pub use report::{Beyond, Report};
use thiserror::Error;

use crate::shadow::Candidate;

/// Makes the planner that is tried instead, with the changed configuration.
type Maker = Box<dyn Fn(&Config) -> Candidate>;

/// A question to a recorded journal.
///
/// Built from the journal's policy, header and records; [`WhatIf::change`] and [`WhatIf::instead`]
/// say what should have been otherwise, [`WhatIf::run`] answers. Pure: the same journal and
/// changes give the same report.
pub struct WhatIf<P: Policy> {
    policy: P,
    header: Header<P::State>,
    records: Vec<Record>,
    changes: Changes,
    instead: Option<Maker>,
    objective_ms: Option<f64>,
}

impl<P: Policy> fmt::Debug for WhatIf<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhatIf")
            .field("policy", &self.header.policy)
            .field("records", &self.records.len())
            .field("changes", &self.changes.list())
            .finish_non_exhaustive()
    }
}

impl<P> WhatIf<P>
where
    P: Policy<Signal = NoSignal> + Clone + Send + 'static,
    P::State: Send,
{
    /// A question to the journal of `header` and `records`, which `policy` made.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when the journal is of another format or another policy, or its
    /// configuration was edited.
    pub fn new(
        policy: P,
        header: Header<P::State>,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, HeaderError> {
        header.check(&policy)?;
        let changes = Changes::of(&header.config);
        let records = records.into_iter().collect();
        Ok(Self { policy, header, records, changes, instead: None, objective_ms: None })
    }

    /// Changes one setting, written as `name=value` with the names of a journal's configuration:
    /// `target_utilisation=0.6`, `cooldown_in=30s`, `bounds.max=20`, `guard_set=peer`,
    /// `advice=none`. Spans take `ns`, `us`, `ms`, `s`, `m` or `h`. A later change of the same
    /// setting replaces an earlier one. Ranges and relations are checked by [`WhatIf::run`], when
    /// all changes are known.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] names setting and value, and says what to write.
    pub fn change(mut self, change: &str) -> Result<Self, ChangeError> {
        self.changes.add(change)?;
        Ok(self)
    }

    /// Tries another policy. `make` is given the changed configuration, is called more than once
    /// and must give an equal candidate each time. It starts with an empty memory where the
    /// recorded planner went on from a snapshot.
    #[must_use]
    pub fn instead(mut self, make: impl Fn(&Config) -> Candidate + 'static) -> Self {
        self.instead = Some(Box::new(make));
        self
    }

    /// The p95 in milliseconds that both runs on the model are measured by. Without one it is where
    /// the recorded settings see a breach: the model's calm p95 times the recorded `up_ratio`. A
    /// number that is not above 0 is no objective.
    #[must_use]
    pub fn objective_ms(mut self, objective_ms: f64) -> Self {
        self.objective_ms = Some(objective_ms).filter(|limit| *limit > 0.0 && limit.is_finite());
        self
    }

    /// The answer. O(records), several times.
    ///
    /// # Errors
    ///
    /// [`WhatIfError`] when there is no record, when the changed settings contradict each other,
    /// when the recorded memory cannot be restored, or when the journal does not repeat itself:
    /// then differences would not be due to the change.
    pub fn run(&self) -> Result<Report, WhatIfError> {
        if self.records.is_empty() {
            return Err(WhatIfError::Empty);
        }
        let config = self.changes.config()?;
        let mut candidates = self.candidates(&config)?;
        let name = candidates[1].name().to_owned();
        let mut compared = compare::exact(&self.records, &mut candidates)?;
        let beyond = match compared.diverged {
            None => Beyond::Unneeded,
            Some(at) => {
                let mut again = self.candidates(&config)?;
                compare::in_hindsight(&self.records, at, &mut again, &mut compared);
                let history = fit::History::of(&self.records, at);
                let [recorded, changed] = candidates;
                let starts = [(recorded, compared.targets[0]), (changed, compared.targets[1])];
                let config = &self.header.config;
                match branch::go_on(&history, config, self.objective_ms, starts) {
                    Ok(continuation) => Beyond::Simulated(Box::new(continuation)),
                    Err(reason) => Beyond::Impossible(reason),
                }
            }
        };
        Ok(Report::new(&self.header, name, self.changes.list(), compared, beyond))
    }

    /// The policy of the journal with these settings, standing where the run began.
    fn candidate(&self, config: Config) -> Result<Candidate, RestoreError> {
        match &self.header.snapshot {
            None => Ok(Candidate::new(config, self.policy.clone())),
            Some(snapshot) => Candidate::resumed(config, self.policy.clone(), snapshot.clone()),
        }
    }

    /// The policy of the journal, and what is tried with `config`.
    fn candidates(&self, config: &Config) -> Result<[Candidate; 2], RestoreError> {
        let recorded = self.candidate(self.header.config.clone())?;
        let changed = match &self.instead {
            None => self.candidate(config.clone())?,
            Some(make) => make(config),
        };
        Ok([recorded, changed])
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum WhatIfError {
    /// The changed settings cannot be used.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Nothing was recorded.
    #[error("journal: no records; nothing happened that could have been otherwise")]
    Empty,
    /// The run began with a memory that cannot be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// With its own settings the journal comes out differently.
    #[error(
        "journal: record {record} at {at} is not repeated with its own settings, so a difference would not be due to a change; replay it with the program that wrote it"
    )]
    Unrepeatable {
        /// Number of the record, from 0.
        record: usize,
        /// When it was.
        at: Timestamp,
    },
}
