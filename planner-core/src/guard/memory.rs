//! What the guards remember: scalings, proposals, and what the last scale-out was to cure.
//!
//! Small on purpose, because a fleet holds one for every service: what no guard can ask for any
//! more is forgotten, and lists are bounded. Where a bound makes a list coarser, it errs on the
//! strict side.

use alloc::vec::Vec;
use core::time::Duration;

use super::FLAP_SPAN;
use super::ailment::{Ailment, Effect};
use crate::Timestamp;
use crate::config::{Config, StepLimit};
use crate::decision::DecisionId;
use crate::policy::View;

/// Most scalings that are remembered. A step limit whose period holds more of them counts the
/// latest of them.
const SCALINGS_MAX: usize = 1_024;
/// Scalings and proposals that there is room for from the start; a fleet's members make more room
/// when they need it.
const RESERVED: usize = 2;
/// The same for a planner of its own, which with default settings never needs more.
const RESERVED_ALONE: usize = 16;
/// Parts of the stabilisation window that proposals are told apart by. With `n` parts a falling
/// proposal is held for up to 1/n longer, and at most 2n + 2 are remembered.
const PROPOSAL_PARTS: u32 = 4;
/// Settled windows that a scale-out has to show its effect in.
pub(super) const EFFICACY_WINDOWS: u32 = 3;
/// A single settled window of this length shows it too.
const EFFICACY_SPAN: Duration = Duration::from_secs(5);

/// What the guards remember.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuardState {
    /// Scalings that were decided and not refused, oldest first: the last one, those within reach
    /// of a cooldown or step limit, and changes of direction of the last hour.
    scalings: Vec<Scaling>,
    /// Proposals that no later one exceeds, oldest and highest first.
    proposals: Vec<(Timestamp, u32)>,
    /// What the last scale-out was meant to cure.
    ailment: Option<Ailment>,
    /// Scale-outs in a row without effect.
    ineffective: u32,
}

/// One scaling.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Scaling {
    at: Timestamp,
    /// The decision's number modulo 2³².
    id: u32,
    from: u32,
    to: u32,
    /// It changed direction.
    flipped: bool,
}

impl Scaling {
    const fn is_out(&self) -> bool {
        self.to > self.from
    }
}

/// The number that a scaling is found by again.
#[expect(clippy::cast_possible_truncation, reason = "scalings are forgotten long before it wraps")]
const fn short(id: DecisionId) -> u32 {
    id.0 as u32
}

impl GuardState {
    /// Nothing remembered, with room for what usually is.
    pub(crate) fn new() -> Self {
        Self {
            scalings: Vec::with_capacity(RESERVED),
            proposals: Vec::with_capacity(RESERVED),
            ailment: None,
            ineffective: 0,
        }
    }

    /// Makes room for all that default settings can ask for, so that no step allocates.
    pub(crate) fn reserve(&mut self) {
        self.scalings.reserve(RESERVED_ALONE);
        self.proposals.reserve(RESERVED_ALONE);
    }

    /// Records what was proposed, for stabilisation. Keeps only proposals that no later one
    /// exceeds, so the highest of any span is the first within it. Of proposals that follow each
    /// other closely the higher one stands for both, as recent as the later.
    pub(crate) fn note_proposal(&mut self, config: &Config, now: Timestamp, replicas: u32) {
        let span = config.stabilisation_in();
        let recent = |at: &Timestamp| now.saturating_since(*at) < span;
        let old = self.proposals.iter().take_while(|(at, _)| !recent(at)).count();
        self.proposals.drain(..old);
        while self.proposals.last().is_some_and(|(_, lower)| *lower <= replicas) {
            self.proposals.pop();
        }
        if let [.., before, last] = &mut *self.proposals
            && now.saturating_since(before.0) < span / PROPOSAL_PARTS
        {
            last.0 = now;
            return;
        }
        self.proposals.push((now, replicas));
    }

    /// The highest proposal of the stabilisation window.
    pub(super) fn highest_proposal(&self, config: &Config, now: Timestamp) -> Option<u32> {
        let recent = |at: Timestamp| now.saturating_since(at) < config.stabilisation_in();
        self.proposals.iter().find(|(at, _)| recent(*at)).map(|(_, replicas)| *replicas)
    }

    /// Records a scaling that was decided. It is taken as applied until it is refused.
    pub(crate) fn note_scaling(&mut self, view: &View<'_>, id: DecisionId, to: u32) {
        let (config, from) = (view.config, view.current);
        let flipped = self.would_flip(from, to);
        let reach = config
            .step_out()
            .period
            .max(config.step_in().period)
            .max(config.cooldown_in())
            .max(config.cooldown_out());
        // The last one stays whatever its age: this one may be refused, and it is the last again.
        let last = self.scalings.pop();
        self.scalings.retain(|past| {
            let age = view.now.saturating_since(past.at);
            age < reach || past.flipped && age < FLAP_SPAN
        });
        self.scalings.extend(last);
        if self.scalings.len() >= SCALINGS_MAX {
            self.scalings.remove(0);
        }
        self.scalings.push(Scaling { id: short(id), at: view.now, from, to, flipped });
        if to > from && view.signal.breach.is_some() {
            let now = Ailment::of(view, id);
            // Asking again before the last one could be judged is no way around the judgement.
            let hasty = self.ailment.is_some_and(|before| {
                !before.judged && view.settled_windows > 0 && !now.differs_from(&before)
            });
            self.ineffective = self.ineffective.saturating_add(u32::from(hasty));
            self.ailment = Some(now);
        }
    }

    /// Whether this decision was the last scaling.
    pub(crate) fn is_last(&self, id: DecisionId) -> bool {
        self.scalings.last().is_some_and(|last| last.id == short(id))
    }

    /// Forgets a scaling that was refused: it starts no cooldown and spends no budget.
    pub(crate) fn forget_scaling(&mut self, id: DecisionId) -> bool {
        let Some(index) = self.scalings.iter().rposition(|scaling| scaling.id == short(id)) else {
            return false;
        };
        self.scalings.remove(index);
        // What was not carried out cannot have been without effect.
        if let Some(ailment) = self.ailment.take_if(|ailment| ailment.of == id)
            && ailment.judged
        {
            self.ineffective = self.ineffective.saturating_sub(1);
        }
        true
    }

    /// Judges whether the last scale-out under a breach helped. Called once a window, after its
    /// decision.
    pub(crate) fn note_effect(&mut self, view: &View<'_>) {
        if view.signal.breach.is_none() && view.quality.is_trusted() {
            self.ineffective = 0;
            self.ailment = None;
        }
        let Some(before) = &mut self.ailment else {
            return;
        };
        let now = Ailment::of(view, before.of);
        if now.differs_from(before) {
            // Milder, or another load: new evidence, and what comes next is held against it.
            self.ineffective = 0;
            *before = now;
        } else if shows_effect(view) && !before.judged {
            self.ineffective = self.ineffective.saturating_add(1);
            before.judged = true;
        }
    }

    /// What the effect of the last scale-out is held against.
    pub(crate) fn effect(&self) -> Option<Effect> {
        self.ailment.map(|ailment| ailment.effect(self.ineffective))
    }

    /// Goes on after the clock was set back by `behind`: every remembered time moves with it.
    pub(crate) fn rebase(&mut self, behind: Duration) {
        for scaling in &mut self.scalings {
            scaling.at = scaling.at.saturating_sub(behind);
        }
        for (at, _) in &mut self.proposals {
            *at = at.saturating_sub(behind);
        }
    }

    /// Scale-outs in a row without effect.
    pub(super) const fn ineffective(&self) -> u32 {
        self.ineffective
    }

    /// The last scaling: when, from and to how many replicas.
    pub(crate) fn last_order(&self) -> Option<(Timestamp, u32, u32)> {
        self.scalings.last().map(|scaling| (scaling.at, scaling.from, scaling.to))
    }

    /// When replicas were last added, while that can matter.
    pub(super) fn last_out(&self) -> Option<Timestamp> {
        self.scalings.iter().rev().find(|scaling| scaling.is_out()).map(|scaling| scaling.at)
    }

    /// When the direction changed, oldest first.
    pub(super) fn flips(&self) -> impl Iterator<Item = Timestamp> {
        self.scalings.iter().filter(|scaling| scaling.flipped).map(|scaling| scaling.at)
    }

    /// Whether going from `from` to `to` changes direction.
    pub(super) fn would_flip(&self, from: u32, to: u32) -> bool {
        self.scalings.last().is_some_and(|last| to != from && last.is_out() != (to > from))
    }

    /// The most that the step limit of scaling out allows now.
    pub(super) fn most_after_step_out(&self, view: &View<'_>) -> u32 {
        let limit = view.config.step_out();
        let start = self.at_start_of_period(view, limit);
        start.saturating_add(step(start, limit))
    }

    /// The least that the step limit of scaling in allows now.
    pub(super) fn least_after_step_in(&self, view: &View<'_>) -> u32 {
        let limit = view.config.step_in();
        let start = self.at_start_of_period(view, limit);
        start.saturating_sub(step(start, limit))
    }

    /// The count that the limit's period began with.
    fn at_start_of_period(&self, view: &View<'_>, limit: StepLimit) -> u32 {
        let (mut added, mut removed) = (0_u32, 0_u32);
        for scaling in &self.scalings {
            if view.now.saturating_since(scaling.at) < limit.period {
                let moved = if scaling.is_out() { &mut added } else { &mut removed };
                *moved = moved.saturating_add(scaling.from.abs_diff(scaling.to));
            }
        }
        view.current.saturating_add(removed).saturating_sub(added)
    }

    #[cfg(test)]
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.scalings.len(), self.proposals.len())
    }
}

/// Whether a scale-out has had the time to show its effect: a few windows, or one long one.
fn shows_effect(view: &View<'_>) -> bool {
    let long = view.window.length() >= EFFICACY_SPAN && view.settled_windows > 0;
    view.settled_windows >= EFFICACY_WINDOWS || long
}

/// The larger of the limit's count and its percentage of `start`, rounded down.
fn step(start: u32, limit: StepLimit) -> u32 {
    let share = u64::from(start) * u64::from(limit.percent) / 100;
    limit.replicas.max(u32::try_from(share).unwrap_or(u32::MAX))
}
