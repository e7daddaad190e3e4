//! Kubernetes Horizontal Pod Autoscaler v2, as of v1.28.1, with the tolerance rule of v1.33.
//!
//! The controller's arithmetic as pure functions, and [`Hpa`], which runs it as a
//! [`Policy`](planner_core::policy::Policy). Nothing here reads a clock: pods and metrics carry
//! ages at the time of evaluation, memory carries [`Timestamp`](planner_core::Timestamp)s.
//!
//! | module | what |
//! |---|---|
//! | [`pods`] | pods, their metrics, and who is ready, unready, missing or ignored |
//! | [`calculator`] | the seven ways from a metric to a count, and the tolerance |
//! | [`behavior`] | scaling rules and their rate limits, and the limit that applies without them |
//! | [`stabilization`] | the recommendations of a window, and what they allow |
//! | [`events`] | what was scaled lately, in slots that are used again |
//! | [`mod@reconcile`] | one round over all metrics: maximum, failures, conditions, count |
//! | [`policy`] | all of it as a policy |
//!
//! Numbers of metrics are integer thousandths (`_milli`), as there: 250 is 0.25.
//!
//! What differs: counts that would leave `i32` are capped where v1.28 wraps around, and a target of
//! 0, which the API refuses, is refused by [`Spec`] too.

pub mod behavior;
pub mod calculator;
pub mod conditions;
pub mod events;
pub mod pods;
pub mod policy;
pub mod reconcile;
pub mod spec;
pub mod stabilization;

mod memory;

pub use memory::Memory;
pub use policy::{Hpa, HpaState, Rule};
pub use reconcile::{Outcome, Reading, Scale, Snapshot, reconcile};
pub use spec::{HpaError, Metric, ResourceTarget, Settings, Spec, ValueTarget};
