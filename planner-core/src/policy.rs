//! The one opinion that can be swapped: how many replicas a policy would like.
//!
//! A [`Policy`] proposes; it cannot act. Its proposal passes advice and guards, which no policy
//! can switch off. Two policies live here, [`Heuristic`] (the default) and [`Poc`]; those of
//! established autoscalers have a crate of their own.

mod heuristic;
mod poc;
mod reasons;

use core::fmt;
use core::time::Duration;

pub use heuristic::{Basis, Heuristic, HeuristicState};
pub use poc::{Poc, PocAction, PocInput, PocSettings, PocState, PocVerdict};
pub use reasons::Reasons;

use crate::Timestamp;
use crate::baseline::Estimate;
use crate::config::{Config, Thresholds};
use crate::operation::Operation;
use crate::signal::{Breach, Signal};
use crate::telemetry::{Doubt, Quality, Window};

/// What a policy sees. Everything is already validated and judged.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct View<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// The configuration.
    pub config: &'a Config,
    /// The thresholds in force: the operator's, tightened by unexpired advice.
    pub thresholds: Thresholds,
    /// The window under decision.
    pub window: &'a Window,
    /// How far it can be trusted.
    pub quality: Quality,
    /// What is normal; `None` while warming up without a hint.
    pub estimate: Option<Estimate>,
    /// How the window compares with normal.
    pub signal: Signal,
    /// Replicas that are ready or ordered: what a target is compared with.
    pub current: u32,
    /// Replicas that serve.
    pub ready: u32,
    /// Near-baseline windows in a row, this one included.
    pub near_streak: u32,
    /// Windows with all ordered replicas ready since the last scaling, this one included.
    pub settled_windows: u32,
    /// What the operator allows.
    pub operation: Operation,
}

impl View<'_> {
    /// Whether what is normal was learned, and not only hinted at.
    pub fn is_warm(&self) -> bool {
        self.estimate.is_some_and(|estimate| !estimate.hinted)
    }

    /// Ordered replicas that do not serve yet.
    pub const fn pending(&self) -> u32 {
        self.current.saturating_sub(self.ready)
    }
}

/// What a policy would like: a band with its preference, and why.
///
/// `floor` is the least count that its evidence supports as safe, `ceiling` the most that it
/// justifies; an advisor may choose between them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Proposal {
    /// Least count that the evidence supports as safe.
    pub floor: u32,
    /// What the policy would do alone.
    pub preferred: u32,
    /// Most replicas that the evidence justifies.
    pub ceiling: u32,
    /// Why, most important first.
    pub reasons: Reasons,
    /// Whether a second opinion could matter.
    pub consult: bool,
}

impl Proposal {
    /// A band; `preferred` rules where the ends contradict it.
    pub fn band(floor: u32, preferred: u32, ceiling: u32) -> Self {
        Self {
            floor: floor.min(preferred),
            preferred,
            ceiling: ceiling.max(preferred),
            reasons: Reasons::default(),
            consult: false,
        }
    }

    /// Exactly this count.
    pub fn exactly(replicas: u32) -> Self {
        Self::band(replicas, replicas, replicas)
    }

    /// Adds a reason, unless there are [`Reasons::MAX`] already.
    #[must_use]
    pub fn because(mut self, reason: Reason) -> Self {
        self.reasons.push(reason);
        self
    }

    /// The same proposal, asking for a second opinion when the band leaves a choice.
    #[must_use]
    pub const fn consulting(mut self) -> Self {
        self.consult = self.floor < self.ceiling;
        self
    }
}

/// Why a policy proposes what it does, with the numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Reason {
    /// The learned capacity is used beyond the target.
    Busy {
        /// Arrivals as a share of the learned capacity of the current replicas.
        utilisation: f64,
    },
    /// Nothing asks for a change.
    Calm,
    /// The breach asks for more.
    Demand(Breach),
    /// The window cannot be taken at its word.
    Doubt(Doubt),
    /// One replica less, as a reversible experiment.
    Experiment {
        /// The count it starts from.
        from: u32,
    },
    /// Fewer replicas were tried at this load and were not enough.
    LearnedFloor {
        /// The least count that was enough.
        replicas: u32,
        /// When fewer may be tried again.
        until: Timestamp,
    },
    /// Elevated, but not in breach: an advisor may bring a scale-out forward.
    Elevated {
        /// p95 ÷ baseline median.
        ratio: f64,
    },
    /// The load that the count is planned for: a start-up time from now, by how it moved before.
    Outlook {
        /// What the forecast is made from.
        basis: Basis,
        /// The forecast in requests per second, without a margin.
        per_s: f64,
        /// What it is multiplied with.
        margin: f64,
    },
    /// Ordered replicas are still on their way.
    Pending {
        /// How many.
        replicas: u32,
    },
    /// At the target count each replica would carry this much.
    Projection {
        /// Arrivals per second and replica at the preferred count.
        per_replica_per_s: f64,
        /// What a replica is trusted with.
        limit_per_s: f64,
    },
    /// A policy's own rule, by its number in that policy's documentation.
    Rule(u32),
    /// The scaling just made has to show its effect first.
    Settling {
        /// Windows since then.
        windows: u32,
    },
    /// The experiment left the band; it is undone.
    Undo {
        /// The count it started from.
        to: u32,
    },
    /// Too little is known yet.
    Warmup,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { utilisation } => {
                write!(f, "{:.0} % of the learned capacity is used", utilisation * 100.0)
            }
            Self::Calm => f.write_str("calm"),
            Self::Demand(breach) => write!(f, "{breach}"),
            Self::Doubt(doubt) => write!(f, "doubt: {doubt}"),
            Self::Experiment { from } => write!(f, "calm; one fewer than {from} as an experiment"),
            Self::LearnedFloor { replicas, until } => {
                write!(f, "fewer than {replicas} were not enough at this load, until {until}")
            }
            Self::Elevated { ratio } => write!(f, "elevated, p95 {ratio:.1}x baseline"),
            Self::Outlook { basis, per_s, margin } => {
                let basis = basis.as_str();
                write!(f, "planned for {margin:.2}x {basis} of {per_s:.1}/s")
            }
            Self::Rule(number) => write!(f, "rule {number} of the policy"),
            Self::Pending { replicas } => write!(f, "{replicas} ordered replicas are starting"),
            Self::Projection { per_replica_per_s, limit_per_s } => {
                write!(f, "{per_replica_per_s:.1}/s per replica then, {limit_per_s:.1}/s is safe")
            }
            Self::Settling { windows } => {
                write!(f, "the last scaling has {windows} windows behind it")
            }
            Self::Undo { to } => write!(f, "the experiment left the band, back to {to}"),
            Self::Warmup => f.write_str("warming up"),
        }
    }
}

/// Proposes a number of replicas.
///
/// Pure: no clock, no I/O, no randomness. State is a value of its own that lives in the planner
/// and in its snapshot, so a policy cannot break replay.
///
/// Most policies need nothing but windows: they leave `Signal` as [`NoSignal`] and `period` as it
/// is, and are asked on every window. A policy of another system that ticks at its own period on
/// observations of its own brings both; see ARCHITECTURE.md for how the HPA and the KPA fit.
///
/// ```
/// use planner_core::policy::{NoSignal, Policy, Proposal, Reason, View};
///
/// /// One replica for every ten requests per second.
/// struct PerTen;
///
/// impl Policy for PerTen {
///     type Signal = NoSignal;
///     type State = ();
///
///     fn name(&self) -> &'static str {
///         "per-ten"
///     }
///     fn version(&self) -> u32 {
///         1
///     }
///     fn initial_state(&self) {}
///     fn propose(&self, view: &View<'_>, (): &()) -> Proposal {
///         let Some(traffic) = view.window.traffic() else {
///             return Proposal::exactly(view.current).because(Reason::Warmup);
///         };
///         let replicas = (traffic.arrivals_per_s() / 10.0).min(1e6) as u32 + 1;
///         Proposal::exactly(replicas)
///     }
/// }
/// # assert_eq!(PerTen.name(), "per-ten");
/// ```
pub trait Policy {
    /// Observations of its own beside windows; [`NoSignal`] for none.
    type Signal;
    /// What it remembers between decisions.
    type State: Clone + fmt::Debug + PartialEq;

    /// Its name, as users write it and journals carry it.
    fn name(&self) -> &'static str;

    /// Version of its behaviour; a replay with another version says so.
    fn version(&self) -> u32;

    /// Whether it can go on from what `version` of it remembered.
    fn continues(&self, version: u32) -> bool {
        version == self.version()
    }

    /// What it remembers before the first window.
    fn initial_state(&self) -> Self::State;

    /// Makes room for all that it may come to remember, so that no step allocates. A planner of
    /// its own asks for it, a fleet does not.
    fn reserve(&self, _state: &mut Self::State) {}

    /// How often it decides; `None` decides on every window.
    fn period(&self) -> Option<Duration> {
        None
    }

    /// Takes an observation of its own.
    fn absorb(&self, _now: Timestamp, _signal: Self::Signal, _state: &mut Self::State) {}

    /// What it would like now.
    fn propose(&self, view: &View<'_>, state: &Self::State) -> Proposal;

    /// Learns from the window *after* its decision: `target` is the final count. The window never
    /// teaches before its own decision.
    fn learn(&self, _view: &View<'_>, _target: u32, _state: &mut Self::State) {}

    /// Goes on after the clock was set back by `behind`: every remembered time moves with it.
    fn rebase(&self, _behind: Duration, _state: &mut Self::State) {}

    /// Its last scaling was refused: nothing was changed by it.
    fn refused(&self, _state: &mut Self::State) {}
}

/// A policy by reference is a policy.
impl<P: Policy> Policy for &P {
    type Signal = P::Signal;
    type State = P::State;

    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn version(&self) -> u32 {
        (**self).version()
    }

    fn continues(&self, version: u32) -> bool {
        (**self).continues(version)
    }

    fn initial_state(&self) -> Self::State {
        (**self).initial_state()
    }

    fn reserve(&self, state: &mut Self::State) {
        (**self).reserve(state);
    }

    fn period(&self) -> Option<Duration> {
        (**self).period()
    }

    fn absorb(&self, now: Timestamp, signal: Self::Signal, state: &mut Self::State) {
        (**self).absorb(now, signal, state);
    }

    fn propose(&self, view: &View<'_>, state: &Self::State) -> Proposal {
        (**self).propose(view, state)
    }

    fn learn(&self, view: &View<'_>, target: u32, state: &mut Self::State) {
        (**self).learn(view, target, state);
    }

    fn rebase(&self, behind: Duration, state: &mut Self::State) {
        (**self).rebase(behind, state);
    }

    fn refused(&self, state: &mut Self::State) {
        (**self).refused(state);
    }
}

/// The observation of policies that need none: it has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "it has no value, and never will")]
pub enum NoSignal {}
