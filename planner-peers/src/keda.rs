//! KEDA.
//!
//! Its decisions in the parts that it has them in, each a pure function that is checked against
//! vectors: [`activation`] between none and the first replica, [`fallback`] for triggers that
//! fail, [`formula`] for several triggers in one number, [`quantity`] for numbers as Kubernetes
//! carries them. From one replica on KEDA leaves the count to an HPA that it makes; the small part
//! of it that external metrics need is the same rule as `hpa`.
//!
//! [`Keda`] puts them together as a policy. It is asked every 15 s as the HPA is, and looks every
//! [`KedaBuilder::polling_interval`] whether to wake or to sleep. It expects one [`KedaSignal`] for
//! each time it is asked; each is one more success or failure of every trigger. Readings older than
//! two polling intervals count for nothing any more.
//!
//! Its reasons are [`Reason::Rule`](planner_core::policy::Reason::Rule) with these numbers:
//!
//! | rule | what |
//! |---|---|
//! | 1 | a trigger is active: the workload wakes |
//! | 2 | no trigger was active for the cooldown: the workload sleeps |
//! | 3 | fewer replicas than the minimum |
//! | 4 | what the metrics ask for |
//! | 5 | a higher recommendation of the last 300 s keeps replicas |
//! | 6 | within 15 s at most four are added, or as many as there are |
//! | 7 | the least or the most replicas |
//! | 8 | a fallback stands in for a trigger |
//! | 9 | triggers failed, and nothing stands in for them |
//! | 10 | an operator's hold |
//!
//! Where KEDA accepts settings under which its fallback can never count, this refuses them.
//!
//! ```
//! use planner_peers::keda::formula::Formula;
//! use planner_peers::keda::{Keda, Modifiers, Target, Trigger};
//!
//! let keda = Keda::builder()
//!     .trigger(Trigger::new("queue", Target::average_value(10.0)?))
//!     .trigger(Trigger::new("rate", Target::average_value(100.0)?))
//!     .modifiers(Modifiers::new(
//!         Formula::parse("max(queue / 10, rate / 100)")?,
//!         Target::average_value(1.0)?,
//!     ))
//!     .replicas(1, 20)
//!     .build()?;
//! # let _ = keda;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod activation;
pub mod fallback;
pub mod formula;
mod policy;
pub mod quantity;
mod replicas;
mod settings;

pub use policy::{KedaSignal, KedaState};
pub use settings::{Keda, KedaBuilder, KedaError, MetricType, Modifiers, Target, Trigger};
