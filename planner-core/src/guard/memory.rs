//! What the guards remember: scalings, proposals, and what the last scale-out was to cure.
//!
//! Small on purpose, because a fleet holds one for every service: what no guard can ask for any
//! more is forgotten, and lists are bounded. Where a bound makes a list coarser, it errs on the
//! strict side.

use core::time::Duration;

use smallvec::SmallVec;

use super::ailment::{Ailment, Effect};
use super::flips::Flips;
#[cfg(feature = "serde")]
use super::stored::Guards;
use crate::Timestamp;
use crate::config::{Config, StepLimit};
use crate::decision::DecisionId;
use crate::policy::View;

/// Most scalings that are remembered. A step limit whose period holds more of them counts the
/// latest of them.
const SCALINGS_MAX: usize = 1_024;
/// Scalings and proposals that are held in place. A service that breaches now and then seldom has
/// more of them.
const INLINE: usize = 3;
/// Those that there is room for in a planner of its own, which with default settings never needs
/// more.
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
#[cfg_attr(feature = "serde", serde(from = "Guards", into = "Guards"))]
#[non_exhaustive]
pub struct GuardState {
    /// Scalings that were decided and not refused, oldest first: the last one and those within
    /// reach of a cooldown or step limit.
    pub(super) scalings: SmallVec<[Scaling; INLINE]>,
    /// Proposals that no later one exceeds, oldest and highest first.
    pub(super) proposals: SmallVec<[(Timestamp, u32); INLINE]>,
    /// Changes of direction within the last hour.
    pub(super) flips: Flips,
    /// What the last scale-out was meant to cure.
    pub(super) ailment: Option<Ailment>,
    /// Scale-outs in a row without effect.
    pub(super) ineffective: u32,
}

/// One scaling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaling {
    pub(super) at: Timestamp,
    /// The decision's number modulo 2³².
    pub(super) id: u32,
    pub(super) from: u32,
    pub(super) to: u32,
    /// An advisor's, where the policy alone would have added nothing.
    pub(super) advised: bool,
}

impl Scaling {
    const fn is_out(&self) -> bool {
        self.to > self.from
    }

    /// Whether `next` goes the other way.
    const fn is_flipped_by(&self, next: &Self) -> bool {
        self.is_out() != next.is_out()
    }
}

/// The number that a scaling is found by again.
#[expect(clippy::cast_possible_truncation, reason = "scalings are forgotten long before it wraps")]
const fn short(id: DecisionId) -> u32 {
    id.0 as u32
}

impl GuardState {
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
        if old > 0 {
            self.proposals.drain(..old);
        }
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
    /// `advised`: it was an advisor's, and the policy alone would have added nothing.
    pub(crate) fn note_scaling(&mut self, view: &View<'_>, id: DecisionId, to: u32, advised: bool) {
        let (config, from) = (view.config, view.current);
        if self.would_flip(from, to) {
            self.flips.add(view.now);
        }
        let reach = config
            .step_out()
            .period
            .max(config.step_in().period)
            .max(config.cooldown_in())
            .max(config.cooldown_out());
        // The last one stays whatever its age: this one may be refused, and it is the last again.
        let last = self.scalings.pop();
        self.scalings.retain(|past| view.now.saturating_since(past.at) < reach);
        self.scalings.extend(last);
        if self.scalings.len() >= SCALINGS_MAX {
            self.scalings.remove(0);
        }
        self.scalings.push(Scaling { at: view.now, id: short(id), from, to, advised });
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
        self.forget_flips(index);
        self.scalings.remove(index);
        // What was not carried out cannot have been without effect.
        if let Some(ailment) = self.ailment.take_if(|ailment| ailment.of == id)
            && ailment.judged
        {
            self.ineffective = self.ineffective.saturating_sub(1);
        }
        true
    }

    /// Takes back the changes of direction that go with a scaling. Between two of the same
    /// direction there were two; where the next one still changes direction without it, there was
    /// one anyway.
    fn forget_flips(&mut self, index: usize) {
        let [.., before, scaling] = self.scalings.get(..=index).unwrap_or_default() else {
            return;
        };
        let (at, flipped) = (scaling.at, before.is_flipped_by(scaling));
        let next = self.scalings.get(index + 1);
        let next = next.map(|next| (next.at, scaling.is_flipped_by(next)));
        let forgotten = match next {
            _ if !flipped => [None, None],
            None => [Some(at), None],
            Some((next, true)) => [Some(at), Some(next)],
            Some((_, false)) => [None, None],
        };
        for at in forgotten.into_iter().flatten() {
            self.flips.remove(at);
        }
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
        self.flips.rebase(behind);
    }

    /// Scale-outs in a row without effect.
    pub(super) const fn ineffective(&self) -> u32 {
        self.ineffective
    }

    /// The last scaling: when, from and to how many replicas.
    pub(crate) fn last_order(&self) -> Option<(Timestamp, u32, u32)> {
        self.scalings.last().map(|scaling| (scaling.at, scaling.from, scaling.to))
    }

    /// When replicas were last added, while that can matter. What only an advisor added delays no
    /// answer to a breach: without him it would come at once.
    pub(super) fn last_out(&self, in_breach: bool) -> Option<Timestamp> {
        let counts = |it: &&Scaling| it.is_out() && !(in_breach && it.advised);
        self.scalings.iter().rev().find(counts).map(|scaling| scaling.at)
    }

    /// Until when at least `budget` changes of direction count as of the last hour; `None` when
    /// they do not now.
    pub(super) fn flips_until(&self, now: Timestamp, budget: u32) -> Option<Timestamp> {
        self.flips.until(now, budget)
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
