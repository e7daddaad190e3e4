//! The highest count of the last while: what delays a scale-in.

use core::time::Duration;
use std::collections::VecDeque;

use planner_core::Timestamp;

use super::window::steps;

/// Counts are kept by slots of this many seconds, aligned to the origin.
const SLOT_S: u32 = 2;

/// Counts that may still become the highest: each is above all later ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub(super) struct Peaks {
    /// Slot and count, oldest first.
    counts: VecDeque<(i64, u32)>,
}

impl Peaks {
    /// The highest count within `span`, `count` at `now` included.
    pub(super) fn highest_with(&self, now: Timestamp, span: Duration, count: u32) -> u32 {
        let (slot, slots) = (slot_of(now), steps(span, SLOT_S.into()));
        let inside = self.counts.iter().find(|(at, _)| slot.saturating_sub(*at) < slots);
        inside.map_or(count, |(_, highest)| count.max(*highest))
    }

    /// Remembers `count`, and forgets what `span` or a higher count makes useless. Takes constant
    /// time on average.
    pub(super) fn record(&mut self, now: Timestamp, span: Duration, count: u32) {
        let (slot, slots) = (slot_of(now), steps(span, SLOT_S.into()));
        while self.counts.pop_back_if(|(_, last)| *last <= count).is_some() {}
        while self.counts.pop_front_if(|(at, _)| slot.saturating_sub(*at) >= slots).is_some() {}
        // Within one slot the highest stands for all.
        if self.counts.back().is_none_or(|(at, _)| *at < slot) {
            self.counts.push_back((slot, count));
        }
    }

    /// Goes on after the clock was set back by `behind`.
    pub(super) fn rebase(&mut self, behind: Duration) {
        for (slot, _) in &mut self.counts {
            *slot = slot.saturating_sub(steps(behind, SLOT_S.into()));
        }
    }
}

const fn slot_of(now: Timestamp) -> i64 {
    (now.as_nanos() / (SLOT_S as u64 * 1_000_000_000)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    const SPAN: Duration = Duration::from_secs(7);

    #[test]
    fn a_count_leaves_after_its_slots() {
        let mut peaks = Peaks::default();
        peaks.record(at(0), SPAN, 9);
        for second in [2, 4, 6] {
            peaks.record(at(second), SPAN, 1);
            assert_eq!(peaks.highest_with(at(second), SPAN, 1), 9, "{second} s");
        }
        // 7 s are four slots of 2 s: the first has left.
        assert_eq!(peaks.highest_with(at(8), SPAN, 1), 1);
    }

    #[test]
    fn the_highest_of_a_slot_counts_and_not_the_last() {
        let mut peaks = Peaks::default();
        peaks.record(at(2), SPAN, 4);
        peaks.record(at(3), SPAN, 2);
        assert_eq!(peaks.highest_with(at(3), SPAN, 0), 4);
        assert_eq!(peaks.counts.len(), 1);
    }

    #[test]
    fn the_highest_is_that_of_all_counts_within_the_span() {
        let (mut peaks, mut all) = (Peaks::default(), Vec::new());
        let mut seed = 3_u64;
        for tick in 0..500 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let count = u32::try_from(seed >> 59).expect("five bits");
            all.push(count);
            let expected = all.iter().rev().take(4).max().copied();
            assert_eq!(Some(peaks.highest_with(at(2 * tick), SPAN, count)), expected);
            peaks.record(at(2 * tick), SPAN, count);
            assert!(peaks.counts.len() <= 4);
        }
    }

    #[test]
    fn a_clock_set_back_lets_no_count_stay_longer() {
        let mut peaks = Peaks::default();
        peaks.record(at(100), SPAN, 9);
        peaks.rebase(Duration::from_secs(95));
        assert_eq!(peaks.highest_with(at(5), SPAN, 1), 9);
        assert_eq!(peaks.highest_with(at(12), SPAN, 1), 1);
    }
}
