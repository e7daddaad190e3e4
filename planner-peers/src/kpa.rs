//! Knative Pod Autoscaler.
//!
//! Two averages of one metric, a stable one of 60 s and a panic one of 6 s, are each divided by
//! what a replica should carry. Normally the stable one rules. When the panic one asks for twice
//! what is ready, the larger of the two does, and nothing is scaled in until a whole stable window
//! has passed below that threshold.
//!
//! | part | what it does |
//! |---|---|
//! | [`BucketWindow`] | averages over time, linear or weighted by age |
//! | [`Spec`], [`DeciderState`], [`Scale`] | one step: averages and ready count in, a count out |
//! | [`Kpa`], [`KpaState`], [`Sample`] | both as a [`Policy`](planner_core::policy::Policy) |
//!
//! Not part of it: scaling to zero with its grace period, probes, initial scale and bounds. Bounds
//! are the planner's guards' business.
//!
//! # Rules
//!
//! Reasons carry these numbers:
//!
//! | rule | |
//! |---|---|
//! | 1 | the stable average asks for this count |
//! | 2 | panic: the most that either average has asked for since it began |
//! | 3 | a higher count of the last `scale_down_delay` still holds |
//! | 4 | there are no samples, so the count stays |
//! | 5 | the averages ask for more, or for less, than one step may change |
//!
//! # Example
//!
//! ```
//! use core::time::Duration;
//! use planner_core::{Config, Event, Planner, ReplicaBounds, Step, Timestamp, Window};
//! use planner_peers::kpa::{Kpa, Sample};
//!
//! // A replica should carry 70 % of 100 requests per second.
//! let policy = Kpa::requests_per_second(100.0, 0.7)?;
//! let config = Config::builder(ReplicaBounds::new(1, 20)?).build()?;
//! let mut planner = Planner::new(config, policy);
//!
//! let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
//! for second in 0..4 {
//!     let sample = Sample::new(350.0).ok_or("a rate")?;
//!     let _ = planner.step(at(second), Event::Signal(sample));
//! }
//! let window = Window::probes(at(0), at(4), &[20.0; 40], 0, 1)?;
//! let _ = planner.step(at(4), Event::Observe(window));
//! let Step::Decide(decision) = planner.step(at(4), Event::Wake) else { panic!("a tick is due") };
//! assert_eq!(decision.derivation.proposal.preferred, 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decider;
mod error;
mod peaks;
mod policy;
mod state;
mod window;

pub use decider::{DeciderState, Metric, Observed, Scale, Spec};
pub use error::KpaError;
pub use policy::Kpa;
pub use state::{KpaState, Sample, SampleError};
pub use window::{Aggregation, BucketWindow, StoredWindowError};
