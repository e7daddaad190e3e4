//! What the operator allows: act, watch or pause, and holds of one direction.
//!
//! The operator's word is the last stage of every decision and part of every snapshot, so a
//! planner that was paused is still paused after a restart. Who may give it, and how it reaches
//! the planner (a file, a signal, a message), is the program's business.

/// How decisions are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Mode {
    /// Targets are to be carried out.
    #[default]
    Act,
    /// Nothing is scaled, whatever happens; windows are still learned from.
    Pause,
    /// Targets are only shown: a decision says [`Action::Suggest`](crate::Action::Suggest), starts
    /// no cooldown and spends no budget, because nobody carries it out.
    Shadow,
}

/// What the operator allows at the moment.
///
/// ```
/// use planner_core::{Event, Idle, Mode, Operation, Planner, ReplicaBounds, Step, Timestamp};
///
/// let mut planner = Planner::heuristic(ReplicaBounds::new(1, 8)?);
/// let night = Operation::of(Mode::Act).holding_in();
/// assert_eq!(planner.step(Timestamp::ORIGIN, Event::Operate(night)), Step::Idle(Idle::Note));
/// assert_eq!(planner.operation(), night);
/// # Ok::<(), planner_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Operation {
    /// How decisions are meant.
    pub mode: Mode,
    /// Nothing is scaled in, not even to correct a count outside the bounds.
    pub hold_in: bool,
    /// Nothing is scaled out, not even under a breach.
    pub hold_out: bool,
}

impl Operation {
    /// This mode, without holds.
    pub const fn of(mode: Mode) -> Self {
        Self { mode, hold_in: false, hold_out: false }
    }

    /// The same, and nothing is scaled in.
    #[must_use]
    pub const fn holding_in(mut self) -> Self {
        self.hold_in = true;
        self
    }

    /// The same, and nothing is scaled out.
    #[must_use]
    pub const fn holding_out(mut self) -> Self {
        self.hold_out = true;
        self
    }
}
