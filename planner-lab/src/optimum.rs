//! The least that was possible, with the whole load known in advance.

mod clairvoyant;
mod exact;
mod fleet;
pub mod fluid;
mod instance;
mod regret;
mod relaxed;

use thiserror::Error;

pub use clairvoyant::{Bracket, Clairvoyant};
pub use exact::{LABELS_MAX, exact};
pub use instance::{
    Instance, InstanceError, Outcome, Plan, REPLICAS_MAX, Rules, STEPS_MAX, ScheduleError,
};
pub use regret::{Regret, regret, regret_per_decision};

/// Why there is no optimum.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum OptimumError {
    /// No schedule at all meets the share.
    #[error("no schedule keeps violations within {share}; allow a larger share or more replicas")]
    Impossible {
        /// The share that was asked for.
        share: f64,
    },
    /// No schedule that was found meets the share.
    #[error(
        "no schedule within {share} was found, the best violates {least}; allow that share, more \
         replicas or faster orders"
    )]
    NotFound {
        /// The share that was asked for.
        share: f64,
        /// The least share that was found.
        least: f64,
    },
    /// A share that is none.
    #[error("share of violations is {share}; give a number from 0 to 1")]
    Share {
        /// What was given.
        share: f64,
    },
    /// More states than are kept.
    #[error("instance needs {cells} states of at most {most}; cut it or decide less often")]
    TooLarge {
        /// How many it would need at least.
        cells: usize,
        /// How many are kept.
        most: usize,
    },
}

fn check_share(share: f64) -> Result<(), OptimumError> {
    if (0.0..=1.0).contains(&share) { Ok(()) } else { Err(OptimumError::Share { share }) }
}
