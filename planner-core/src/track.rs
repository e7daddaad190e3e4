//! How an advisor's answers have held up, by what came after them.
//!
//! An answer is judged by the windows that follow it: a breach within [`HORIZON_WINDOWS`] says that
//! more replicas were needed, as many near-baseline windows without one say that fewer were enough.
//! What neither says is not counted, nor what the advice itself may have prevented: a scale-out
//! without a breach after it. Agreement is kept per class, because an advisor that always says the
//! same agrees with most cases and is of no use. One that has missed most of the last overloads is
//! not asked for an hour.

use core::time::Duration;

use crate::Timestamp;
use crate::advice::AdvisedAction;

/// Windows by which an answer is judged.
pub const HORIZON_WINDOWS: u8 = 10;
/// Cases of a class that are remembered, and that it takes to suspend an advisor.
pub const CASES: u8 = 8;
/// Fewest of the last [`CASES`] overloads that an advisor must have seen coming.
pub const SEEN_MIN: u8 = 3;
/// How long an advisor is suspended.
const SUSPENSION: Duration = Duration::from_secs(3_600);

/// How an advisor's answers have held up; part of the snapshot.
///
/// ```
/// use planner_core::{Planner, ReplicaBounds};
///
/// let planner = Planner::heuristic(ReplicaBounds::new(1, 8)?);
/// let record = planner.track_record();
/// assert_eq!((record.overload.cases, record.suspended_until), (0, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TrackRecord {
    /// Answers after which a breach came; one that asked for more replicas, or for no fewer where
    /// that was the question, was right.
    pub overload: Agreement,
    /// Answers to a question about fewer replicas, after which none were needed; one that took the
    /// offer was right.
    pub idle: Agreement,
    /// Until when the advisor is not asked, after it missed too many overloads.
    pub suspended_until: Option<Timestamp>,
    /// The answer that is being judged.
    pending: Option<Pending>,
}

/// Cases of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Agreement {
    /// All cases, up to `u32::MAX`.
    pub cases: u32,
    /// Those in which the answer was right.
    pub right: u32,
    /// The last eight, the newest in the lowest bit.
    recent: u8,
    /// How many of these there are.
    recent_cases: u8,
}

impl Agreement {
    fn note(&mut self, is_right: bool) {
        self.cases = self.cases.saturating_add(1);
        self.right = self.right.saturating_add(is_right.into());
        self.remember(is_right);
    }

    /// Takes note for the suspension alone.
    fn remember(&mut self, is_right: bool) {
        self.recent = self.recent << 1 | u8::from(is_right);
        self.recent_cases = self.recent_cases.saturating_add(1).min(CASES);
    }

    /// Whether most of the last cases were missed.
    const fn is_below_floor(&self) -> bool {
        self.recent_cases == CASES && self.recent.count_ones() < SEEN_MIN as u32
    }
}

/// An answer that is being judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Pending {
    action: AdvisedAction,
    /// Whether more replicas were on offer; fewer otherwise.
    offered_more: bool,
    windows: u8,
    /// Whether every window since was near the baseline.
    calm: bool,
}

impl TrackRecord {
    /// Takes note of an answer to a question that offered more replicas, or fewer. One is judged at
    /// a time: who says the same again adds nothing, who says something else is taken at the later
    /// word, and what was said about more goes before what was said about fewer.
    pub(crate) fn note_answer(&mut self, action: AdvisedAction, offered_more: bool) {
        let pending = Pending { action, offered_more, windows: 0, calm: true };
        let takes_its_place = |judged: Pending| match (offered_more, judged.offered_more) {
            (true, false) => true,
            (false, true) => false,
            _ => action != judged.action,
        };
        if self.pending.is_none_or(takes_its_place) {
            self.pending = Some(pending);
        }
    }

    /// Takes note of what a window turned out to be.
    pub(crate) fn note_window(&mut self, now: Timestamp, in_breach: bool, near: bool) {
        let Some(pending) = &mut self.pending else { return };
        if in_breach {
            let is_right = match pending.action {
                AdvisedAction::ScaleUp => true,
                AdvisedAction::Noop => !pending.offered_more,
                AdvisedAction::ScaleDown => false,
            };
            self.overload.note(is_right);
            self.pending = None;
            if self.overload.is_below_floor() {
                self.suspended_until = Some(now.saturating_add(SUSPENSION));
                // What it does after that is judged anew.
                (self.overload.recent, self.overload.recent_cases) = (0, 0);
            }
            return;
        }
        pending.calm &= near;
        pending.windows = pending.windows.saturating_add(1);
        if pending.windows < HORIZON_WINDOWS {
            return;
        }
        if pending.calm && !pending.offered_more {
            self.idle.note(pending.action == AdvisedAction::ScaleDown);
        }
        // It may have prevented the breach: no case, and nobody is suspended for what he prevents.
        if pending.offered_more && pending.action == AdvisedAction::ScaleUp {
            self.overload.remember(true);
        }
        self.pending = None;
    }

    /// Until when the advisor is suspended, where it is.
    pub(crate) fn suspension(&self, now: Timestamp) -> Option<Timestamp> {
        self.suspended_until.filter(|until| now < *until)
    }

    /// Goes on after the clock was set back by `behind`.
    pub(crate) fn rebase(&mut self, behind: Duration) {
        self.suspended_until = self.suspended_until.map(|until| until.saturating_sub(behind));
    }

    /// Whether there is nothing in it.
    #[cfg(feature = "serde")]
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::ORIGIN;

    fn answered(
        record: &mut TrackRecord,
        action: AdvisedAction,
        offered_more: bool,
        ends: &[bool],
    ) {
        record.note_answer(action, offered_more);
        for in_breach in ends {
            record.note_window(NOW, *in_breach, true);
        }
    }

    #[test]
    fn an_advisor_that_misses_most_overloads_is_suspended_for_an_hour_and_judged_anew() {
        let mut record = TrackRecord::default();
        for case in 0..CASES {
            assert_eq!(record.suspended_until, None, "after {case} cases");
            let action = if case < 2 { AdvisedAction::ScaleUp } else { AdvisedAction::Noop };
            answered(&mut record, action, true, &[false, true]);
        }
        assert_eq!((record.overload.cases, record.overload.right), (8, 2));
        let until = record.suspended_until.expect("suspended");
        assert_eq!(until, NOW.saturating_add(SUSPENSION));
        assert_eq!(record.suspension(until), None);
        answered(&mut record, AdvisedAction::Noop, true, &[true]);
        assert_eq!(record.suspended_until, Some(until), "one case is no eight");
    }

    #[test]
    fn one_that_sees_some_of_them_coming_is_not() {
        let mut record = TrackRecord::default();
        for case in 0..4 * CASES {
            let action = if case % 2 == 0 { AdvisedAction::ScaleUp } else { AdvisedAction::Noop };
            answered(&mut record, action, true, &[true]);
        }
        assert_eq!(record.suspended_until, None);
    }

    #[test]
    fn one_that_prevents_most_of_them_is_not_suspended_for_those_that_it_misses() {
        let mut record = TrackRecord::default();
        for case in 0..8 * CASES {
            let calm = [false; HORIZON_WINDOWS as usize];
            let (action, ends) = match case % 4 {
                0 => (AdvisedAction::Noop, &[true][..]),
                _ => (AdvisedAction::ScaleUp, &calm[..]),
            };
            answered(&mut record, action, true, ends);
        }
        assert_eq!((record.overload.cases, record.overload.right), (16, 0));
        assert_eq!(record.suspended_until, None);
    }

    #[test]
    fn who_changes_his_mind_is_taken_at_the_later_word() {
        let mut record = TrackRecord::default();
        record.note_answer(AdvisedAction::Noop, true);
        answered(&mut record, AdvisedAction::ScaleUp, true, &[true]);
        assert_eq!((record.overload.cases, record.overload.right), (1, 1));
    }

    #[test]
    fn where_only_fewer_were_offered_leaving_it_is_right_before_a_breach() {
        let mut record = TrackRecord::default();
        answered(&mut record, AdvisedAction::Noop, false, &[true]);
        answered(&mut record, AdvisedAction::ScaleDown, false, &[true]);
        assert_eq!((record.overload.cases, record.overload.right), (2, 1));
    }

    #[test]
    fn calm_afterwards_counts_for_those_who_were_asked_about_fewer() {
        let mut record = TrackRecord::default();
        let calm = [false; HORIZON_WINDOWS as usize];
        answered(&mut record, AdvisedAction::ScaleDown, false, &calm);
        answered(&mut record, AdvisedAction::Noop, false, &calm);
        answered(&mut record, AdvisedAction::ScaleUp, true, &calm);
        assert_eq!((record.idle.cases, record.idle.right), (2, 1));
        assert_eq!(record.overload.cases, 0, "what advice may have prevented is not counted");
    }
}
