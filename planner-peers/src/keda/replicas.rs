//! From one replica to many: the same rule as `hpa`, which KEDA leaves this part to.
//!
//! Only what KEDA's external metrics need of it: two kinds of targets, the tolerance, and the
//! default behaviour of scaling.

use core::time::Duration;
use std::collections::VecDeque;

use planner_core::Timestamp;

use super::activation::Hold;
use super::fallback::Replicas;
use super::{MetricType, Target};
use crate::hpa::calculator::Tolerance;

/// How often it looks.
pub(super) const SYNC: Duration = Duration::from_secs(15);
/// How long a recommendation keeps later ones from scaling in below it.
const STABILISATION: Duration = Duration::from_secs(300);
/// Time to which the limits of scaling out apply.
const RATE_PERIOD: Duration = Duration::from_secs(15);
/// Replicas that may be added in that time, whatever their share.
const RATE_REPLICAS: u32 = 4;
/// Times the replicas that may be reached in that time.
const RATE_FACTOR: u32 = 2;
/// Most scalings that are remembered; more within [`RATE_PERIOD`] are told by none.
const SCALINGS_MAX: usize = 64;

/// What one metric asks for: the value in thousandths, and what it is held against.
pub(super) type Metric = (i64, Target);

/// What one metric recommends.
pub(super) fn recommended((value_milli, target): Metric, replicas: Replicas) -> u32 {
    let (value, target_milli) = (value_milli as f64, target.milli() as f64);
    match target.metric_type() {
        MetricType::AverageValue => {
            let ratio = value / (target_milli * f64::from(replicas.current));
            if Tolerance::default().allows(ratio) {
                replicas.current
            } else {
                count(value / target_milli)
            }
        }
        MetricType::Value => {
            let ratio = value / target_milli;
            if Tolerance::default().allows(ratio) {
                replicas.current
            } else {
                count(ratio * f64::from(replicas.ready))
            }
        }
    }
}

/// What several metrics recommend, each `None` where it has no value: the highest, unless it is
/// lower than `current` and one of them is missing.
pub(super) fn recommended_by_all(
    metrics: impl IntoIterator<Item = Option<Metric>>,
    replicas: Replicas,
) -> Option<u32> {
    let (mut highest, mut is_missing) = (None, false);
    for metric in metrics {
        match metric {
            Some(metric) => highest = highest.max(Some(recommended(metric, replicas))),
            None => is_missing = true,
        }
    }
    highest.filter(|highest| !is_missing || *highest >= replicas.current)
}

/// As many replicas, at least; none for a negative value.
fn count(replicas: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast takes what is out of range to the end of it, and what is no number to 0"
    )]
    let count = replicas.ceil() as u32;
    count
}

/// What bounded a recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Bounds,
    Hold,
    Rate,
    Stabilisation,
}

/// Least and most replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) min: u32,
    pub(super) max: u32,
}

/// Recommendations and scalings of the recent past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Recent {
    /// Recommendations that are higher than all later ones: only these can be the highest.
    recommendations: VecDeque<(Timestamp, u32)>,
    /// Replicas added by each scaling, none by a scale-in.
    scalings: VecDeque<(Timestamp, u32)>,
    /// When a recommendation was last noted.
    noted: Option<Timestamp>,
}

impl Recent {
    /// What becomes of a recommendation, and what bounded it last.
    pub(super) fn bounded(
        &self,
        now: Timestamp,
        recommendation: u32,
        current: u32,
        bounds: Bounds,
        hold: Hold,
    ) -> (u32, Option<Limit>) {
        if current < bounds.min || current > bounds.max {
            return (current.clamp(bounds.min, bounds.max), Some(Limit::Bounds));
        }
        let mut wish = (recommendation, None);
        if recommendation < current {
            let at_least = self.highest(now, current).min(current);
            if wish.0 < at_least {
                wish = (at_least, Some(Limit::Stabilisation));
            }
        }
        let at_most = self.rate_limit(now, current);
        if wish.0 > at_most {
            wish = (at_most, Some(Limit::Rate));
        }
        let bounded = wish.0.clamp(bounds.min, bounds.max);
        if bounded != wish.0 {
            wish = (bounded, Some(Limit::Bounds));
        }
        let is_held = (hold.paused_scale_out && wish.0 > current)
            || (hold.paused_scale_in && wish.0 < current);
        if is_held { (current, Some(Limit::Hold)) } else { wish }
    }

    /// The highest recommendation of the stabilisation window. Before the first one there is only
    /// the current count.
    fn highest(&self, now: Timestamp, current: u32) -> u32 {
        if self.noted.is_none() {
            return current;
        }
        let is_recent = |at: Timestamp| now.saturating_since(at) < STABILISATION;
        let recent = self.recommendations.iter().find(|(at, _)| is_recent(*at));
        recent.map_or(0, |(_, replicas)| *replicas)
    }

    /// How many replicas may run at most, after what was added just now.
    fn rate_limit(&self, now: Timestamp, current: u32) -> u32 {
        let is_recent = |at: Timestamp| now.saturating_since(at) < RATE_PERIOD;
        let recent = self.scalings.iter().filter(|(at, _)| is_recent(*at));
        let added = recent.fold(0_u32, |added, (_, more)| added.saturating_add(*more));
        let before = current.saturating_sub(added);
        let limit = before.saturating_add(RATE_REPLICAS).max(before.saturating_mul(RATE_FACTOR));
        limit.max(current)
    }

    /// Takes note of a recommendation, at most once in [`SYNC`].
    pub(super) fn note(&mut self, now: Timestamp, recommendation: u32, current: u32) {
        match self.noted {
            Some(noted) if now < noted.saturating_add(SYNC) => return,
            Some(_) => {}
            None => self.recommendations.push_back((now, current)),
        }
        self.noted = Some(now);
        while self.recommendations.back().is_some_and(|(_, last)| *last <= recommendation) {
            self.recommendations.pop_back();
        }
        self.recommendations.push_back((now, recommendation));
        let is_over = |at: Timestamp| now.saturating_since(at) >= STABILISATION;
        while self.recommendations.front().is_some_and(|(at, _)| is_over(*at)) {
            self.recommendations.pop_front();
        }
    }

    /// Takes note of a scaling.
    pub(super) fn note_scaling(&mut self, now: Timestamp, from: u32, to: u32) {
        let is_over = |at: Timestamp| now.saturating_since(at) >= RATE_PERIOD;
        while self.scalings.len() >= SCALINGS_MAX
            || self.scalings.front().is_some_and(|(at, _)| is_over(*at))
        {
            self.scalings.pop_front();
        }
        if from != to {
            self.scalings.push_back((now, to.saturating_sub(from)));
        }
    }

    /// Forgets the last scaling.
    pub(super) fn forget_scaling(&mut self) {
        self.scalings.pop_back();
    }

    /// Every time moves back by `behind`.
    pub(super) fn rebase(&mut self, behind: Duration) {
        for (at, _) in self.recommendations.iter_mut().chain(&mut self.scalings) {
            *at = at.saturating_sub(behind);
        }
        self.noted = self.noted.map(|at| at.saturating_sub(behind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min: 1, max: 100 };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    fn ten() -> Target {
        Target::average_value(10.0).expect("a target")
    }

    fn replicas(current: u32) -> Replicas {
        Replicas { current, ready: current }
    }

    fn bounded(recent: &Recent, second: u64, wish: u32, current: u32) -> (u32, Option<Limit>) {
        recent.bounded(at(second), wish, current, BOUNDS, Hold::default())
    }

    #[test]
    fn a_missing_metric_allows_scale_out_only() {
        let high = Some((90_000, ten()));
        assert_eq!(recommended_by_all([high, None], replicas(5)), Some(9));
        assert_eq!(recommended_by_all([high, None], replicas(12)), None);
        assert_eq!(recommended_by_all([None, None], replicas(1)), None);
        assert_eq!(recommended_by_all([high, Some((70_000, ten()))], replicas(12)), Some(9));
    }

    #[test]
    fn nonsense_values_ask_for_none_or_as_many_as_there_can_be() {
        assert_eq!(recommended((i64::MIN, ten()), replicas(3)), 0);
        assert_eq!(recommended((i64::MAX, ten()), replicas(3)), u32::MAX);
        assert_eq!(recommended((0, ten()), replicas(0)), 0, "0/0 is no ratio");
    }

    #[test]
    fn within_a_tenth_of_the_target_nothing_changes() {
        assert_eq!(recommended((110_000, ten()), replicas(10)), 11, "1.1 is more than a tenth");
        assert_eq!(recommended((109_900, ten()), replicas(10)), 10);
        assert_eq!(recommended((90_100, ten()), replicas(10)), 10);
        assert_eq!(recommended((89_000, ten()), replicas(10)), 9);
    }

    #[test]
    fn a_total_is_multiplied_by_what_is_ready() {
        let target = Target::total_value(10.0).expect("a target");
        let half_ready = Replicas { current: 8, ready: 4 };
        assert_eq!(recommended((30_000, target), half_ready), 12);
    }

    #[test]
    fn a_scale_in_waits_until_no_higher_recommendation_is_younger_than_300_seconds() {
        let mut recent = Recent::default();
        assert_eq!(bounded(&recent, 0, 2, 9), (9, Some(Limit::Stabilisation)), "the first one");
        for second in (0..=600).step_by(15) {
            recent.note(at(second), if second == 0 { 7 } else { 3 }, 9);
        }
        let mut fresh = Recent::default();
        fresh.note(at(0), 7, 9);
        fresh.note(at(15), 3, 9);
        assert_eq!(bounded(&fresh, 299, 3, 9), (9, Some(Limit::Stabilisation)));
        assert_eq!(bounded(&fresh, 300, 3, 9), (3, None));
        assert_eq!(bounded(&recent, 615, 3, 9), (3, None));
    }

    #[test]
    fn a_past_recommendation_never_scales_out() {
        let mut recent = Recent::default();
        recent.note(at(0), 20, 5);
        assert_eq!(bounded(&recent, 15, 3, 8), (8, Some(Limit::Stabilisation)));
        assert_eq!(bounded(&recent, 15, 9, 8), (9, None));
    }

    #[test]
    fn only_recommendations_that_can_still_count_are_kept() {
        let mut recent = Recent::default();
        for second in 0..10_000 {
            recent.note(at(second * 15), u32::try_from(second % 7).expect("small"), 5);
        }
        assert!(recent.recommendations.len() <= 7, "{recent:?}");
    }

    #[test]
    fn within_15_seconds_no_more_than_four_or_double_are_added() {
        let mut recent = Recent::default();
        assert_eq!(bounded(&recent, 0, 50, 2), (6, Some(Limit::Rate)));
        assert_eq!(bounded(&recent, 0, 50, 20), (40, Some(Limit::Rate)));
        recent.note_scaling(at(0), 2, 6);
        assert_eq!(bounded(&recent, 14, 50, 6), (6, Some(Limit::Rate)));
        assert_eq!(bounded(&recent, 15, 50, 6), (12, Some(Limit::Rate)));
        recent.forget_scaling();
        assert_eq!(bounded(&recent, 14, 50, 6), (12, Some(Limit::Rate)));
    }

    #[test]
    fn the_scalings_remembered_are_limited() {
        let mut recent = Recent::default();
        for _ in 0..1_000 {
            recent.note_scaling(at(1), 2, 3);
        }
        assert_eq!(recent.scalings.len(), SCALINGS_MAX);
    }

    #[test]
    fn bounds_are_kept_and_reached_from_outside() {
        let recent = Recent::default();
        assert_eq!(bounded(&recent, 0, 150, 90), (100, Some(Limit::Bounds)));
        assert_eq!(bounded(&recent, 0, 5, 120), (100, Some(Limit::Bounds)));
        let bounds = Bounds { min: 3, max: 9 };
        let raised = recent.bounded(at(0), 1, 2, bounds, Hold::default());
        assert_eq!(raised, (3, Some(Limit::Bounds)));
    }

    #[test]
    fn a_clock_set_back_moves_everything_with_it() {
        let mut recent = Recent::default();
        recent.note(at(1_000), 7, 9);
        recent.note_scaling(at(1_000), 2, 6);
        let mut expected = Recent::default();
        expected.note(at(400), 7, 9);
        expected.note_scaling(at(400), 2, 6);
        recent.rebase(Duration::from_secs(600));
        assert_eq!(recent, expected);
    }
}
