//! The recommendations of a window, and what they allow.
//!
//! Without scaling rules a count is the highest recommendation of one window, the latest included.
//! With them it is the current count, taken into the least that was recommended within the window
//! for scaling up and the most within the window for scaling down.

use std::time::Duration;

use planner_core::Timestamp;

use super::conditions::ConditionReason;

/// Recommendations that are kept at most. More than one a second of the longest window is never
/// needed.
const RECOMMENDATIONS_MAX: usize = 4_000;

/// What the metrics asked for at some time, before limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who restore them")]
pub struct Recommendation {
    /// When.
    pub at: Timestamp,
    /// How many replicas.
    pub replicas: u32,
}

/// How long recommendations hold a scaling back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "with scaling rules or without: there is no third")]
pub enum Stabilization {
    /// Without scaling rules: only down, up to this age, the age itself included.
    Legacy {
        /// The window.
        down: Duration,
    },
    /// With scaling rules: below this age, the age itself excluded.
    Rules {
        /// The window for scaling up.
        up: Duration,
        /// The window for scaling down.
        down: Duration,
    },
}

impl Stabilization {
    /// The count that recommendations allow, `desired` being the latest.
    ///
    /// ```
    /// use std::time::Duration;
    /// use planner_core::Timestamp;
    /// use planner_peers::hpa::stabilization::{Recommendation, Stabilization};
    ///
    /// let minutes = |it: u64| Duration::from_secs(60 * it);
    /// let now = Timestamp::from_origin(minutes(10));
    /// let recent = [Recommendation { at: now.saturating_sub(minutes(5)), replicas: 8 }];
    /// let legacy = Stabilization::Legacy { down: minutes(5) };
    /// assert_eq!(legacy.stabilize(now, &recent, 8, 3), 8);
    /// let rules = Stabilization::Rules { up: minutes(0), down: minutes(5) };
    /// assert_eq!(rules.stabilize(now, &recent, 8, 3), 3);
    /// ```
    pub fn stabilize(
        self,
        now: Timestamp,
        recommendations: &[Recommendation],
        current: u32,
        desired: u32,
    ) -> u32 {
        let aged = recommendations.iter().map(|it| (now.saturating_since(it.at), it.replicas));
        match self {
            Self::Legacy { down } => {
                let recent = aged.filter(|(age, _)| *age <= down);
                recent.map(|(_, replicas)| replicas).fold(desired, u32::max)
            }
            Self::Rules { up, down } => {
                let (mut least, mut most) = (desired, desired);
                for (age, replicas) in aged {
                    if age < up {
                        least = least.min(replicas);
                    }
                    if age < down {
                        most = most.max(replicas);
                    }
                }
                current.max(least).min(most)
            }
        }
    }

    /// What to say when the count was changed.
    pub fn reason(self, current: u32, desired: u32) -> ConditionReason {
        match self {
            Self::Rules { .. } if desired >= current => ConditionReason::ScaleUpStabilized,
            _ => ConditionReason::ScaleDownStabilized,
        }
    }

    /// Remembers a recommendation. The last slot beyond every window is used again.
    pub fn record(self, now: Timestamp, recommendations: &mut Vec<Recommendation>, replicas: u32) {
        let beyond = match self {
            Self::Legacy { down } => down,
            Self::Rules { up, down } => up.max(down),
        };
        let free = recommendations.iter().rposition(|it| now.saturating_since(it.at) > beyond);
        let full = recommendations.len() >= RECOMMENDATIONS_MAX;
        let oldest = || recommendations.iter().enumerate().min_by_key(|(_, it)| it.at);
        let slot = free.or_else(|| oldest().filter(|_| full).map(|(slot, _)| slot));
        let new = Recommendation { at: now, replicas };
        match slot.and_then(|slot| recommendations.get_mut(slot)) {
            Some(old) => *old = new,
            None => recommendations.push(new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    const fn said(seconds: u64, replicas: u32) -> Recommendation {
        Recommendation { at: at(seconds), replicas }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn without_rules_the_end_of_the_window_belongs_to_it() {
        let legacy = Stabilization::Legacy { down: MINUTE };
        assert_eq!(legacy.stabilize(at(100), &[said(40, 9), said(39, 20)], 9, 2), 9);
    }

    #[test]
    fn with_rules_the_end_of_the_window_lies_beyond_it() {
        let rules = Stabilization::Rules { up: MINUTE, down: MINUTE };
        assert_eq!(rules.stabilize(at(100), &[said(40, 9), said(41, 4)], 9, 2), 4);
        assert_eq!(rules.stabilize(at(100), &[said(40, 1), said(41, 4)], 3, 8), 4);
    }

    #[test]
    fn a_slot_is_used_again_only_beyond_both_windows() {
        let rules = Stabilization::Rules { up: MINUTE, down: 2 * MINUTE };
        let mut log = vec![said(79, 1), said(78, 2), said(80, 3), said(190, 4)];
        rules.record(at(200), &mut log, 7);
        assert_eq!(log, [said(79, 1), said(200, 7), said(80, 3), said(190, 4)]);
        rules.record(at(200), &mut log, 8);
        assert_eq!(log[0], said(200, 8));
        rules.record(at(200), &mut log, 9);
        assert_eq!(log.len(), 5);
    }

    #[test]
    fn a_full_log_gives_up_its_oldest_recommendation() {
        let mut log = vec![said(200, 1); RECOMMENDATIONS_MAX];
        log[7] = said(199, 1);
        Stabilization::Legacy { down: MINUTE }.record(at(200), &mut log, 5);
        assert_eq!((log.len(), log[7]), (RECOMMENDATIONS_MAX, said(200, 5)));
    }
}
