//! What a failing trigger counts as, once it has failed too often.

use super::quantity;
use super::{MetricType, Target};

/// Which replicas a fallback aims at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behavior {
    /// Those that run.
    CurrentReplicas,
    /// Those that run, or its own if they are more.
    CurrentReplicasIfHigher,
    /// Those that run, or its own if they are fewer.
    CurrentReplicasIfLower,
    /// None for the trigger itself: the formula sees nil in its place.
    ScalingModifiers,
    /// Its own.
    #[default]
    Static,
}

/// The fallback of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a workload")]
pub struct Fallback {
    /// Failures in a row that are still borne; one more and the fallback counts.
    pub failure_threshold: u32,
    /// Replicas it aims at.
    pub replicas: u32,
    /// Which replicas it aims at instead.
    pub behavior: Behavior,
}

/// The replicas of a workload at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed input of a fixed rule")]
pub struct Replicas {
    /// Ordered.
    pub current: u32,
    /// Of these, ready.
    pub ready: u32,
}

/// What a trigger is worth in a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reading {
    /// It failed, and nothing stands in for it.
    Failed,
    /// What was measured, in thousandths.
    Measured(i64),
    /// It failed, and the formula decides what that means.
    Nil,
    /// It failed, and this stands in for it, in thousandths.
    Substitute(i64),
}

/// Failures in a row after one more reading.
pub const fn failures_after(failures: u32, is_failure: bool) -> u32 {
    if is_failure { failures.saturating_add(1) } else { 0 }
}

impl Fallback {
    /// Whether so many failures in a row are too many.
    pub const fn is_exceeded(&self, failures: u32) -> bool {
        failures > self.failure_threshold
    }

    /// What a trigger is worth that read `value_milli` (`None` when it failed) and has by now
    /// failed so often in a row.
    ///
    /// ```
    /// use planner_peers::keda::Target;
    /// use planner_peers::keda::fallback::{Behavior, Fallback, Reading, Replicas};
    ///
    /// let fallback = Fallback { failure_threshold: 3, replicas: 10, behavior: Behavior::Static };
    /// let (target, replicas) = (Target::average_value(10.0)?, Replicas { current: 5, ready: 5 });
    /// assert_eq!(fallback.reading(target, replicas, None, 3), Reading::Failed);
    /// assert_eq!(fallback.reading(target, replicas, None, 4), Reading::Substitute(100_000));
    /// # Ok::<(), planner_peers::keda::KedaError>(())
    /// ```
    pub fn reading(
        &self,
        target: Target,
        replicas: Replicas,
        value_milli: Option<i64>,
        failures: u32,
    ) -> Reading {
        if let Some(value_milli) = value_milli {
            return Reading::Measured(value_milli);
        }
        if !self.is_exceeded(failures) {
            return Reading::Failed;
        }
        if self.behavior == Behavior::ScalingModifiers {
            return Reading::Nil;
        }
        self.substitute_milli(target, replicas).map_or(Reading::Failed, Reading::Substitute)
    }

    /// The value that leads to the replicas it aims at, in thousandths. `None` where there is none:
    /// a target of type [`MetricType::Value`] is per ready replica, and none is ready.
    pub fn substitute_milli(&self, target: Target, replicas: Replicas) -> Option<i64> {
        let aim = match self.behavior {
            Behavior::CurrentReplicas => replicas.current,
            Behavior::CurrentReplicasIfHigher => replicas.current.max(self.replicas),
            Behavior::CurrentReplicasIfLower => replicas.current.min(self.replicas),
            Behavior::ScalingModifiers | Behavior::Static => self.replicas,
        };
        let aim = match target.metric_type() {
            MetricType::AverageValue => f64::from(aim),
            MetricType::Value if replicas.ready == 0 => return None,
            MetricType::Value => f64::from(aim) / f64::from(replicas.ready),
        };
        quantity::milli_scaled(target.value(), aim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWELVE: Replicas = Replicas { current: 12, ready: 8 };

    fn fallback(behavior: Behavior) -> Fallback {
        Fallback { failure_threshold: 2, replicas: 6, behavior }
    }

    fn average() -> Target {
        Target::average_value(10.0).expect("a target")
    }

    #[test]
    fn a_value_target_has_no_substitute_while_nothing_is_ready() {
        let target = Target::total_value(10.0).expect("a target");
        let none_ready = Replicas { ready: 0, ..TWELVE };
        let reading = fallback(Behavior::Static).reading(target, none_ready, None, 9);
        assert_eq!(reading, Reading::Failed);
        let reading = fallback(Behavior::Static).reading(target, TWELVE, None, 9);
        assert_eq!(reading, Reading::Substitute(7_500));
    }

    #[test]
    fn as_many_failures_as_the_threshold_are_borne() {
        let static_ = fallback(Behavior::Static);
        assert_eq!(static_.reading(average(), TWELVE, None, 2), Reading::Failed);
        assert_eq!(static_.reading(average(), TWELVE, None, 3), Reading::Substitute(60_000));
    }

    #[test]
    fn a_measured_value_counts_whatever_failed_before() {
        let reading = fallback(Behavior::Static).reading(average(), TWELVE, Some(5), 9);
        assert_eq!(reading, Reading::Measured(5));
        assert_eq!((failures_after(9, false), failures_after(u32::MAX, true)), (0, u32::MAX));
    }

    #[test]
    fn each_behavior_aims_at_its_own_replicas() {
        for (behavior, substitute) in [
            (Behavior::CurrentReplicas, 120_000),
            (Behavior::CurrentReplicasIfHigher, 120_000),
            (Behavior::CurrentReplicasIfLower, 60_000),
            (Behavior::Static, 60_000),
        ] {
            let reading = fallback(behavior).reading(average(), TWELVE, None, 3);
            assert_eq!(reading, Reading::Substitute(substitute), "{behavior:?}");
        }
        let nil = fallback(Behavior::ScalingModifiers).reading(average(), TWELVE, None, 3);
        assert_eq!(nil, Reading::Nil);
    }
}
