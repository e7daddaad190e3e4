//! Looks for loads that our own policy is worst at.
//!
//! A load is a [`Genome`]: a few pieces such as steps, bursts and silences, that a hundred replicas
//! can carry. [`search()`] changes genomes at random and keeps what is worse for the policy by an
//! [`Objective`]; the same seed finds the same. What it found is kept as a [`Scenario`] with its
//! figures, so that a change of the policy shows whether it got worse.
//!
//! Cost is in replica-hours. A violating request costs
//! [`slow_price`](planner_core::Config::slow_price) times what serving one costs, as the policy's
//! own settings have it. The best is the cheapest schedule that was found with the whole load known
//! in advance ([`Clairvoyant`](crate::optimum::Clairvoyant)) at any of [`SHARES`].
//!
//! Regret against somebody who knows the future is never nothing: before a burst that nothing
//! announces nobody orders replicas. So every case says what others pay for the same load.

mod genome;
mod judge;
mod scenario;
mod search;

use std::fmt;

pub use genome::{Genome, GenomeError, PIECES_MAX, Piece, Shape};
pub use judge::{AdversaryError, Best, Figures, Judge, Measured, SHARES};
pub use scenario::{Difference, Scenario, table};
pub use search::{Found, Plan, Progress, search};
use serde::{Deserialize, Serialize};

/// What a load is bad by; the greater, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Objective {
    /// Cost beyond the best, as a share of the best.
    Cost,
    /// Violating share beyond that of a schedule with no more replica-hours.
    Violations,
    /// Replica-hours beyond those of a schedule with no more violations, as a share of these.
    Hours,
    /// Changes of direction per hour.
    Restless,
    /// Cost beyond that of the cheaper of HPA and KPA, as a share of it: bad for us alone.
    Peers,
}

impl Objective {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Cost, Self::Violations, Self::Hours, Self::Restless, Self::Peers];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Violations => "violations",
            Self::Hours => "hours",
            Self::Restless => "restless",
            Self::Peers => "peers",
        }
    }

    /// What was measured, by this objective.
    pub fn of(self, measured: &Measured) -> f64 {
        match self {
            Self::Cost => measured.regret,
            Self::Violations => measured.excess_violation_share,
            Self::Hours => measured.needless_share,
            Self::Restless => measured.planner.direction_changes_per_hour,
            Self::Peers => measured.beyond_peers,
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
