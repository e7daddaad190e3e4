//! From one replica to many: the same rule as `hpa`, which KEDA leaves this part to.
//!
//! Only what KEDA's external metrics need of it: two kinds of targets, the tolerance, and the
//! default behaviour of scaling, all but the first those of [`hpa`](crate::hpa).

use core::time::Duration;

use planner_core::Timestamp;

use super::activation::Hold;
use super::fallback::Replicas;
use super::{MetricType, Target};
use crate::hpa::behavior::{self, Behavior};
use crate::hpa::calculator::Tolerance;
use crate::hpa::conditions::ConditionReason;
use crate::hpa::events::ScaleEvents;
use crate::hpa::stabilization::{Recommendation, Stabilization};

/// How often it looks.
pub(super) const SYNC: Duration = Duration::from_secs(15);
/// How long a recommendation keeps later ones from scaling in below it.
const STABILISATION: Stabilization =
    Stabilization::Rules { up: Duration::ZERO, down: Duration::from_secs(300) };

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
    recommendations: Vec<Recommendation>,
    /// When a recommendation was last noted.
    noted: Option<Timestamp>,
    scaled_out: ScaleEvents,
    scaled_in: ScaleEvents,
    /// Where the last scaling is kept: whether outwards, and the slot.
    last: Option<(bool, usize)>,
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
        let stabilised = match self.noted {
            // Before the first recommendation there is only the current count.
            None => recommendation.max(current),
            Some(_) => STABILISATION.stabilize(now, &self.recommendations, current, recommendation),
        };
        let recent = behavior::Recent { now, up: &self.scaled_out, down: &self.scaled_in };
        let limited =
            Behavior::default().limit(current, stabilised, (bounds.min, bounds.max), recent);
        let wish = limited.replicas;
        let is_held =
            (hold.paused_scale_out && wish > current) || (hold.paused_scale_in && wish < current);
        if is_held {
            return (current, Some(Limit::Hold));
        }
        let limit = match limited.reason {
            ConditionReason::ScaleUpLimit | ConditionReason::ScaleDownLimit => Some(Limit::Rate),
            ConditionReason::TooFewReplicas | ConditionReason::TooManyReplicas => {
                Some(Limit::Bounds)
            }
            _ => (stabilised != recommendation).then_some(Limit::Stabilisation),
        };
        (wish, limit)
    }

    /// Takes note of a recommendation, at most once in [`SYNC`].
    pub(super) fn note(&mut self, now: Timestamp, recommendation: u32, current: u32) {
        match self.noted {
            Some(noted) if now < noted.saturating_add(SYNC) => return,
            Some(_) => {}
            None => STABILISATION.record(now, &mut self.recommendations, current),
        }
        self.noted = Some(now);
        STABILISATION.record(now, &mut self.recommendations, recommendation);
    }

    /// Takes note of a scaling.
    pub(super) fn note_scaling(&mut self, now: Timestamp, from: u32, to: u32) {
        if from == to {
            return;
        }
        let Behavior { scale_up, scale_down } = Behavior::default();
        let is_out = to > from;
        let (events, rules) = if is_out {
            (&mut self.scaled_out, scale_up)
        } else {
            (&mut self.scaled_in, scale_down)
        };
        let slot = events.store(now, rules.longest_period(), to.abs_diff(from));
        self.last = Some((is_out, slot));
    }

    /// Forgets the last scaling.
    pub(super) fn forget_scaling(&mut self) {
        match self.last.take() {
            Some((true, slot)) => self.scaled_out.forget(slot),
            Some((false, slot)) => self.scaled_in.forget(slot),
            None => {}
        }
    }

    /// Every time moves back by `behind`.
    pub(super) fn rebase(&mut self, behind: Duration) {
        for recommendation in &mut self.recommendations {
            recommendation.at = recommendation.at.saturating_sub(behind);
        }
        self.noted = self.noted.map(|at| at.saturating_sub(behind));
        self.scaled_out.rebase(behind);
        self.scaled_in.rebase(behind);
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
    fn no_more_is_remembered_than_a_window_and_a_period_need() {
        let mut recent = Recent::default();
        for second in 0..10_000 {
            recent.note(at(second * 15), u32::try_from(second % 7).expect("small"), 5);
            recent.note_scaling(at(second * 15), 2, 3);
        }
        assert!(recent.recommendations.len() <= 24, "{recent:?}");
        assert!(recent.scaled_out.slots().len() <= 3, "{recent:?}");
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
