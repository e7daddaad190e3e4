//! Changes of direction within the last hour, counted in parts of it: little room for any number.

use core::time::Duration;

use crate::Timestamp;

/// The span over which changes of direction are counted.
const SPAN: Duration = Duration::from_secs(3_600);
/// A change counts for the span and up to one part of it longer, which errs on the strict side.
const PART: Duration = Duration::from_secs(600);
const PART_NANOS: u64 = 600_000_000_000;
/// Parts that count: those of the span, and the one that now is in.
const PARTS: usize = 7;

/// Changes of direction, in parts of the last hour.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Flips {
    /// When the newest part began.
    began: Timestamp,
    /// The newest part first.
    counts: [u16; PARTS],
}

impl Flips {
    /// Counts a change of direction. None comes before an earlier one.
    pub(super) fn add(&mut self, now: Timestamp) {
        while now.saturating_since(self.began) >= PART {
            if self.counts == [0; PARTS] {
                self.began = now;
                break;
            }
            self.counts.rotate_right(1);
            self.counts[0] = 0;
            self.began = self.began.saturating_add(PART);
        }
        self.counts[0] = self.counts[0].saturating_add(1);
    }

    /// Takes one back that was counted at `at`.
    pub(super) fn remove(&mut self, at: Timestamp) {
        let behind_nanos = self.began.as_nanos().saturating_sub(at.as_nanos());
        let part = usize::try_from(behind_nanos.div_ceil(PART_NANOS)).unwrap_or(PARTS);
        if let Some(count) = self.counts.get_mut(part) {
            *count = count.saturating_sub(1);
        }
    }

    /// Until when at least `budget` of them count; `None` when they do not now.
    pub(super) fn until(&self, now: Timestamp, budget: u32) -> Option<Timestamp> {
        if budget == 0 {
            return Some(now.saturating_add(SPAN));
        }
        let mut counted = 0;
        let mut until = self.began.saturating_add(SPAN).saturating_add(PART);
        for count in self.counts {
            if now >= until {
                return None;
            }
            counted += u32::from(count);
            if counted >= budget {
                return Some(until);
            }
            until = until.saturating_sub(PART);
        }
        None
    }

    /// Goes on after the clock was set back by `behind`.
    pub(super) fn rebase(&mut self, behind: Duration) {
        self.began = self.began.saturating_sub(behind);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::at;

    #[test]
    fn without_a_change_only_a_budget_of_none_is_spent() {
        let flips = Flips::default();
        assert_eq!(flips.until(at(10), 1), None);
        assert_eq!(flips.until(at(10), 0), Some(at(3_610)));
    }

    proptest! {
        #[test]
        fn a_change_counts_for_an_hour_and_at_most_a_sixth_longer(
            gaps_s in prop::collection::vec(0_u64..2_000, 1..40),
            later_s in 0_u64..5_000,
            budget in 1_u32..12,
        ) {
            let (mut flips, mut now_s, mut all_s) = (Flips::default(), 0, std::vec::Vec::new());
            for gap_s in gaps_s {
                now_s += gap_s;
                flips.add(at(now_s));
                all_s.push(now_s);
            }
            let now_s = now_s + later_s;
            let within = |span_s: u64| {
                let recent = all_s.iter().filter(|flip_s| now_s - **flip_s < span_s);
                recent.count() >= budget as usize
            };
            let until = flips.until(at(now_s), budget);
            prop_assert!(until.is_some() || !within(3_600), "forgotten too early");
            prop_assert!(until.is_none() || within(4_200), "held too long");
            if let Some(until) = until {
                prop_assert!(flips.until(until, budget).is_none_or(|again| again > until));
                let before = until.saturating_sub(Duration::from_nanos(1));
                prop_assert_eq!(flips.until(before, budget), Some(until));
            }
        }

        #[test]
        fn what_is_taken_back_was_never_counted(
            gaps_s in prop::collection::vec(0_u64..2_000, 1..40),
            chosen in any::<prop::sample::Index>(),
        ) {
            let mut now_s = 0;
            let mut all_s = std::vec::Vec::new();
            for gap_s in gaps_s {
                now_s += gap_s;
                all_s.push(now_s);
            }
            let mut flips = Flips::default();
            for flip_s in &all_s {
                flips.add(at(*flip_s));
            }
            let total = |flips: &Flips| flips.counts.iter().copied().map(u32::from).sum::<u32>();
            let before = total(&flips);
            let chosen_s = all_s[chosen.index(all_s.len())];
            flips.remove(at(chosen_s));
            let counted = now_s - chosen_s < 3_600;
            prop_assert!(total(&flips) == before - 1 || !counted && total(&flips) == before);
        }
    }
}
