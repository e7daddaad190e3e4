//! What was scaled lately: the account of the rate limits.

use std::time::Duration;

use planner_core::Timestamp;

/// Events that are kept at most. More than one a second of the longest period is never needed.
const EVENTS_MAX: usize = 2_000;

/// A scaling that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who restore them")]
pub struct ScaleEvent {
    /// When.
    pub at: Timestamp,
    /// By how many replicas, in the direction of its log.
    pub replica_change: u32,
    /// Whether its slot may be used again.
    pub outdated: bool,
}

/// Scalings in one direction, in slots that are used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ScaleEvents(Vec<ScaleEvent>);

impl ScaleEvents {
    /// The log with these slots.
    pub const fn new(events: Vec<ScaleEvent>) -> Self {
        Self(events)
    }

    /// The slots.
    pub fn slots(&self) -> &[ScaleEvent] {
        &self.0
    }

    /// Replicas changed less than `period` ago.
    pub fn change_within(&self, now: Timestamp, period: Duration) -> i64 {
        let recent = self.0.iter().filter(|event| now.saturating_since(event.at) < period);
        recent.map(|event| i64::from(event.replica_change)).sum()
    }

    /// Takes a scaling into account; the slot that it went into. Slots older than
    /// `longest_period` are marked outdated, and the last of these is used again.
    ///
    /// ```
    /// use std::time::Duration;
    /// use planner_core::Timestamp;
    /// use planner_peers::hpa::events::ScaleEvents;
    ///
    /// let minute = Duration::from_secs(60);
    /// let mut events = ScaleEvents::default();
    /// events.store(Timestamp::ORIGIN, minute, 5);
    /// assert_eq!(events.change_within(Timestamp::ORIGIN, minute), 5);
    /// // Exactly a period later it counts no longer, but its slot is not free yet.
    /// let later = Timestamp::from_origin(minute);
    /// assert_eq!(events.change_within(later, minute), 0);
    /// assert_eq!(events.store(later, minute, 2), 1);
    /// ```
    pub fn store(
        &mut self,
        now: Timestamp,
        longest_period: Duration,
        replica_change: u32,
    ) -> usize {
        for event in &mut self.0 {
            event.outdated |= now.saturating_since(event.at) > longest_period;
        }
        let new = ScaleEvent { at: now, replica_change, outdated: false };
        let full = self.0.len() >= EVENTS_MAX;
        let oldest = || self.0.iter().enumerate().min_by_key(|(_, event)| event.at);
        let free = self.0.iter().rposition(|event| event.outdated);
        let slot = free.or_else(|| oldest().filter(|_| full).map(|(slot, _)| slot));
        if let Some((slot, old)) = slot.and_then(|slot| Some((slot, self.0.get_mut(slot)?))) {
            *old = new;
            slot
        } else {
            self.0.push(new);
            self.0.len() - 1
        }
    }

    /// Takes a scaling out of the account that did not happen.
    pub(crate) fn forget(&mut self, slot: usize) {
        if slot < self.0.len() {
            self.0.remove(slot);
        }
    }

    /// Moves every time back by `behind`.
    pub(crate) fn rebase(&mut self, behind: Duration) {
        for event in &mut self.0 {
            event.at = event.at.saturating_sub(behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    const fn event(seconds: u64, replica_change: u32) -> ScaleEvent {
        ScaleEvent { at: at(seconds), replica_change, outdated: false }
    }

    #[test]
    fn the_last_outdated_slot_is_used_again_and_the_others_stay_marked() {
        let mut events = ScaleEvents::new(vec![event(0, 9), event(40, 7), event(84, 4)]);
        assert_eq!(events.store(at(100), Duration::from_secs(30), 3), 1);
        let outdated = ScaleEvent { outdated: true, ..event(0, 9) };
        assert_eq!(events.slots(), [outdated, event(100, 3), event(84, 4)]);
    }

    #[test]
    fn a_full_log_gives_up_its_oldest_event() {
        let full = (0..EVENTS_MAX).map(|_| event(50, 1)).collect();
        let mut events = ScaleEvents::new(full);
        events.0[7].at = at(49);
        assert_eq!(events.store(at(51), Duration::from_secs(1_800), 3), 7);
        assert_eq!(events.slots().len(), EVENTS_MAX);
    }
}
