//! The least that was possible, with the whole load known in advance.
//!
//! What a policy cost says little; what it cost beyond the least that its violations allowed says
//! how good it was. An [`Instance`] is a recorded load with a service ([`fluid`]) and rules for
//! ordering replicas. [`exact()`] solves small ones; [`Clairvoyant`] brackets the optimum of long
//! ones between a proven lower bound and a schedule that can be followed, and says how far apart
//! they are; [`regret()`] compares a policy with the bracket. It is no policy: it looks ahead.
//!
//! # The problem
//!
//! At every decision `k` a schedule orders `n(k)` replicas, ready or starting; `n(t)` is the order
//! in force at step `t`. Removal is immediate, the latest order first, so that a replica serves if
//! and only if the orders held it for its whole start-up of `S` steps:
//!
//! ```text
//! ready(t) = min n(u) for t - S <= u <= t        (before the first step: the initial count)
//! cost     = sum n(t) × step_s                   replica-seconds: starting ones are billed
//! least cost with  sum violating(t) <= share × requests
//! ```
//!
//! # Why the exact solver may drop ways
//!
//! Of two ways to the same configuration (ready and starting replicas) the one with no more cost,
//! violations and backlog is at least as good: the same orders may follow both, they cost the
//! same, and by the monotonicity in [`fluid`] they never lead it to more violations or backlog.
//!
//! # Why the lower bound is one
//!
//! 1. *Price.* For a price `p >= 0` per violating request let `V(p)` be at most
//!    `cost + p × violating` of every schedule. A schedule within the budget `b` then costs at
//!    least `V(p) - p × b`. The bound is that of the best price tried; it is concave in `p`.
//! 2. *Start-up.* Whatever becomes ready was ordered `S` steps before and billed since, so
//!    `cost >= step_s × (sum ready(t) + S × sum of rises of ready)`. The relaxed problem charges
//!    the right side for *any* path of ready counts that falls at decisions and rises one start-up
//!    after decisions. It allows paths that orders cannot give (a rise less than a start-up after
//!    a fall), ignores rate limits, and does not charge orders that are cancelled.
//! 3. *Backlog.* Between segments the relaxed problem rounds the backlog down to one of a few
//!    levels. By induction over the segments, backwards: for every path, violations from the
//!    lower level are at most those from the real backlog, and so is the backlog at the end. With
//!    one level (0) this is the bound that forgets the backlog; levels make it sharp.
//! 4. *Many replicas.* From some count on, above what a segment's load needs, each count is taken
//!    for the largest there is. That violates at most as much. Nor does more wait at the end: the
//!    load is below the capacity of all of them and no level is beyond the patience, so nobody
//!    leaves, and without that more capacity means less backlog.
//! 5. *Width.* So in the relaxed problem a replica beyond that count changes nothing but the cost.
//!    To cut out a stretch of it that is longer than a start-up and the two decisions that removal
//!    and order may wait for saves more than it costs; at the beginning and at the end of its time
//!    every stretch does. Counts that only such stretches reach need not be looked at.
//!
//! `V(p)` is found by dynamic programming over (segment, ready count, level), with the best change
//! of count from running minima: `O(steps / decide_every × replicas × levels)` for a price, the
//! simulation of all segments once before. Violations are kept in single precision, rounded down;
//! a billionth is taken off the bound for the rounding of the sums.
//!
//! # Where the schedule comes from
//!
//! From the same programme, with backlogs rounded to the nearest level, at prices around the best:
//! its choices are followed with the real backlog, ordered one start-up ahead, brought within the
//! rate limits and simulated as [`Instance::replay`] does. Near the best price paths differ by a
//! lot at almost equal value (to serve a request costs much the same at any time), so the schedule
//! just within the budget and one just beyond it are spliced where the budget is used up: at one
//! decision, which costs one change of count. The gap of the bracket is what 2 to 4 leave out, and
//! the splice: 0.1 to 0.6 % on four days of real traffic with decisions every 5 s or more; 1 or 2 %
//! where a share is a few bursts that can only be given up whole; 3 % with decisions every second,
//! where levels are few and rounding is frequent.

mod clairvoyant;
mod exact;
pub(crate) mod fleet;
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
        "no schedule within {share} was found, the best violates {least:.4}; allow that share, more \
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
