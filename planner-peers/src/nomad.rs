//! Nomad Autoscaler: four strategies, check groups, and the whole as a policy.
//!
//! Compatible with the Nomad Autoscaler at ede4e61: what it takes, refuses and answers is the same,
//! its oddities included, and reasons read as it writes them. Not here: schedules, metric queries,
//! dry runs, and which node goes.
//!
//! | layer | what |
//! |---|---|
//! | [`strategy`] | one strategy: its text configuration parsed into a type, and a pure `run` |
//! | [`check`] | one check: a strategy's action, capped within fewest and most |
//! | [`evaluate`] | all checks: groups, votes, the winner |
//! | [`policy`] | [`Nomad`], a planner's policy: intervals, cooldowns, fresh metrics |
//!
//! ```
//! use planner_peers::nomad::{Direction, Strategy};
//!
//! let strategy = Strategy::parse("target-value", &[("target", "70"), ("max_scale_up", "4")])?;
//! let action = strategy.run(&[55.0, 105.0], 4).expect("there are metrics");
//! assert_eq!((action.direction, action.count), (Direction::Up, 6));
//! assert_eq!(action.to_string(), "scaling up because factor is 1.500000");
//! # Ok::<(), planner_peers::nomad::NomadError>(())
//! ```
//!
//! # Oddities that are kept
//!
//! - A count of -1, which a negative metric can give, is taken for the mark of a dry run
//!   ([`Action::DRY_RUN`]): it escapes the cap and can win. [`Nomad`] then changes nothing.
//! - A check without an action has the count 0, which the cap lifts to the fewest; nobody reads it.
//! - `pass-through` takes its direction from the metric and its count from the whole part of it, so
//!   8.5 at 8 replicas is a step up to 8. [`Nomad`] starts no cooldown for it.
//! - On no metrics, `target-value` and `threshold` give no result before they read a wrong
//!   configuration, the other two read it first: see [`strategy::run`].
//! - A negative `fixed-value` is accepted; the cap corrects it, unless it is -1.
//!
//! # What differs
//!
//! - Numbers are read as Rust reads them: hexadecimal floats are refused.
//! - A count beyond 64 bits is the largest or least there is; there it depends on the processor.
//! - The first of equal winners is taken; there any of them, so reasons of ties may differ.
//! - A check with more than [`policy::VALUES_MAX`] values looks at the newest of them.

pub mod action;
pub mod check;
mod error;
pub mod evaluate;
pub mod policy;
pub mod strategy;

pub use action::{Action, Cause, Direction};
pub use check::{Check, Metric};
pub use error::NomadError;
pub use evaluate::{Vote, winner};
pub use policy::{Answer, Nomad, NomadSettings, NomadSignal, NomadState, Scaling};
pub use strategy::{FixedValue, PassThrough, ScaleLimits, Strategy, TargetValue, Threshold};
