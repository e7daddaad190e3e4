//! Scaling rules: how fast a count may change; and the limit that applies without any.

use std::time::Duration;

use planner_core::Timestamp;

use super::conditions::ConditionReason;
use super::events::ScaleEvents;

/// How much may change in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "the units of another system")]
pub enum Change {
    /// So many percent of the count at the start of the period.
    Percent(u32),
    /// So many pods.
    Pods(u32),
}

/// A rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure it")]
pub struct ScalingPolicy {
    /// How much may change.
    pub change: Change,
    /// In how long: 1 s to 1 800 s.
    pub period: Duration,
}

impl ScalingPolicy {
    /// So many percent in so many seconds.
    pub const fn percent(percent: u32, period_s: u32) -> Self {
        let period = Duration::from_secs(period_s as u64);
        Self { change: Change::Percent(percent), period }
    }

    /// So many pods in so many seconds.
    pub const fn pods(pods: u32, period_s: u32) -> Self {
        Self { change: Change::Pods(pods), period: Duration::from_secs(period_s as u64) }
    }
}

/// Which of several rates counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "the choices of another system")]
pub enum SelectPolicy {
    /// None: this direction is off.
    Disabled,
    /// The one that allows the largest change.
    #[default]
    Max,
    /// The one that allows the smallest change.
    Min,
}

/// The rules of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure it")]
pub struct ScalingRules {
    /// How long recommendations are looked back at: up to an hour. `None` takes the default: 0 for
    /// scaling up, `Settings::downscale_stabilization` for scaling down.
    pub stabilization: Option<Duration>,
    /// The rates; at least one.
    pub policies: Vec<ScalingPolicy>,
    /// Which of them counts.
    pub select: SelectPolicy,
}

impl ScalingRules {
    /// The default for scaling up: at once, the larger of 4 pods and 100 % in 15 s.
    pub fn up() -> Self {
        let policies = vec![ScalingPolicy::pods(4, 15), ScalingPolicy::percent(100, 15)];
        Self { stabilization: None, policies, select: SelectPolicy::Max }
    }

    /// The default for scaling down: all of the pods in 15 s, after the default window.
    pub fn down() -> Self {
        let policies = vec![ScalingPolicy::percent(100, 15)];
        Self { stabilization: None, policies, select: SelectPolicy::Max }
    }

    /// The longest period of its rates.
    pub fn longest_period(&self) -> Duration {
        self.policies.iter().map(|policy| policy.period).max().unwrap_or_default()
    }

    /// The limit of its rates, `limit` being that of one. A large change is a high count only on
    /// the way up.
    fn select(&self, current: u32, up: bool, limit: impl Fn(&ScalingPolicy) -> i64) -> i64 {
        let limits = self.policies.iter().map(limit);
        let selected = match self.select {
            SelectPolicy::Disabled => None,
            SelectPolicy::Max if up => limits.max(),
            SelectPolicy::Max => limits.min(),
            SelectPolicy::Min if up => limits.min(),
            SelectPolicy::Min => limits.max(),
        };
        selected.unwrap_or_else(|| i64::from(current))
    }
}

/// The rules of both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure it")]
pub struct Behavior {
    /// For scaling up.
    pub scale_up: ScalingRules,
    /// For scaling down.
    pub scale_down: ScalingRules,
}

impl Default for Behavior {
    fn default() -> Self {
        Self { scale_up: ScalingRules::up(), scale_down: ScalingRules::down() }
    }
}

/// What was scaled lately.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "two logs: there is no third direction")]
pub struct Recent<'a> {
    /// Now.
    pub now: Timestamp,
    /// Scalings up.
    pub up: &'a ScaleEvents,
    /// Scalings down.
    pub down: &'a ScaleEvents,
}

impl Recent<'_> {
    /// The count at the start of a period; below 0 when more was added than there is.
    fn start_of(&self, period: Duration, current: u32) -> i64 {
        let (up, down) = (&self.up, &self.down);
        i64::from(current) - up.change_within(self.now, period)
            + down.change_within(self.now, period)
    }
}

/// A count within limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a count and its reason: there is no more")]
pub struct Limited {
    /// Replicas.
    pub replicas: u32,
    /// Which limit there is, or [`ConditionReason::DesiredWithinRange`].
    pub reason: ConditionReason,
}

impl Limited {
    const fn within(replicas: u32) -> Self {
        Self { replicas, reason: ConditionReason::DesiredWithinRange }
    }
}

impl Behavior {
    /// The highest count that the rates for scaling up allow. It is below `current`, and may be
    /// below 0, when more was added lately than the rates allow now.
    pub fn scale_up_limit(&self, current: u32, recent: Recent<'_>) -> i64 {
        self.scale_up.select(current, true, |policy| {
            let start = recent.start_of(policy.period, current);
            match policy.change {
                Change::Percent(percent) => {
                    to_i64((start as f64 * (1.0 + f64::from(percent) / 100.0)).ceil())
                }
                Change::Pods(pods) => start + i64::from(pods),
            }
        })
    }

    /// The lowest count that the rates for scaling down allow. It is above `current` when more was
    /// removed lately than the rates allow now.
    pub fn scale_down_limit(&self, current: u32, recent: Recent<'_>) -> i64 {
        self.scale_down.select(current, false, |policy| {
            let start = recent.start_of(policy.period, current);
            match policy.change {
                // Cut off, not rounded up: what is left of a pod may go.
                Change::Percent(percent) => {
                    to_i64(start as f64 * (1.0 - f64::from(percent) / 100.0))
                }
                Change::Pods(pods) => start - i64::from(pods),
            }
        })
    }

    /// `desired` within the rates and bounds. Only the bound in the direction of the change
    /// matters.
    ///
    /// ```
    /// use planner_core::Timestamp;
    /// use planner_peers::hpa::behavior::{Behavior, Recent};
    /// use planner_peers::hpa::events::ScaleEvents;
    ///
    /// let none = ScaleEvents::default();
    /// let recent = Recent { now: Timestamp::ORIGIN, up: &none, down: &none };
    /// let limited = Behavior::default().limit(10, 500, (1, 100), recent);
    /// assert_eq!((limited.replicas, limited.reason.as_str()), (20, "ScaleUpLimit"));
    /// ```
    pub fn limit(
        &self,
        current: u32,
        desired: u32,
        (min, max): (u32, u32),
        recent: Recent<'_>,
    ) -> Limited {
        if desired > current {
            // What was added too fast is not taken back here.
            let limit = to_u32(self.scale_up_limit(current, recent)).max(current);
            let (most, reason) = if max > limit {
                (limit, ConditionReason::ScaleUpLimit)
            } else {
                (max, ConditionReason::TooManyReplicas)
            };
            if desired > most {
                return Limited { replicas: most, reason };
            }
        } else if desired < current {
            let limit = to_u32(self.scale_down_limit(current, recent)).min(current);
            let (least, reason) = if min < limit {
                (limit, ConditionReason::ScaleDownLimit)
            } else {
                (min, ConditionReason::TooFewReplicas)
            };
            if desired < least {
                return Limited { replicas: least, reason };
            }
        }
        Limited::within(desired)
    }
}

/// The limit for scaling up without scaling rules: a multiple of the count, but a few at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "two constants of another system")]
pub struct LegacyLimit {
    /// The multiple.
    pub factor: u32,
    /// The few.
    pub minimum: u32,
}

impl Default for LegacyLimit {
    /// Twice the count, 4 at least.
    fn default() -> Self {
        Self { factor: 2, minimum: 4 }
    }
}

impl LegacyLimit {
    /// `desired` within this limit and the bounds.
    ///
    /// ```
    /// use planner_peers::hpa::behavior::LegacyLimit;
    ///
    /// let limited = LegacyLimit::default().limit(3, 40, (1, 100));
    /// assert_eq!((limited.replicas, limited.reason.as_str()), (6, "ScaleUpLimit"));
    /// ```
    pub fn limit(self, current: u32, desired: u32, (min, max): (u32, u32)) -> Limited {
        let limit = current.saturating_mul(self.factor).max(self.minimum);
        let (most, reason) = if max > limit {
            (limit, ConditionReason::ScaleUpLimit)
        } else {
            (max, ConditionReason::TooManyReplicas)
        };
        if desired < min {
            Limited { replicas: min, reason: ConditionReason::TooFewReplicas }
        } else if desired > most {
            Limited { replicas: most, reason }
        } else {
            Limited::within(desired)
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, far beyond any count")]
const fn to_i64(count: f64) -> i64 {
    count as i64
}

/// The nearest count.
fn to_u32(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::events::ScaleEvent;
    use super::*;

    const NOW: Timestamp = Timestamp::from_origin(Duration::from_secs(10_000));

    fn changed(replica_change: u32, age_s: u64) -> ScaleEvents {
        let at = NOW.saturating_sub(Duration::from_secs(age_s));
        ScaleEvents::new(vec![ScaleEvent { at, replica_change, outdated: false }])
    }

    fn behavior(policies: &[ScalingPolicy], select: SelectPolicy) -> Behavior {
        let rules = ScalingRules { stabilization: None, policies: policies.to_vec(), select };
        Behavior { scale_up: rules.clone(), scale_down: rules }
    }

    fn limit(
        behavior: &Behavior,
        current: u32,
        desired: u32,
        up: &ScaleEvents,
    ) -> (u32, &'static str) {
        let recent = Recent { now: NOW, up, down: &ScaleEvents::default() };
        let limited = behavior.limit(current, desired, (1, 1_000), recent);
        (limited.replicas, limited.reason.as_str())
    }

    #[test]
    fn a_disabled_direction_stays_where_it_is() {
        let off = behavior(&[ScalingPolicy::pods(4, 15)], SelectPolicy::Disabled);
        assert_eq!(limit(&off, 5, 50, &ScaleEvents::default()), (5, "ScaleUpLimit"));
        assert_eq!(limit(&off, 5, 2, &ScaleEvents::default()), (5, "ScaleDownLimit"));
    }

    #[test]
    fn what_was_added_too_fast_is_neither_exceeded_nor_taken_back() {
        let rules = behavior(&[ScalingPolicy::pods(4, 60)], SelectPolicy::Max);
        assert_eq!(limit(&rules, 20, 50, &changed(15, 59)), (20, "ScaleUpLimit"));
        assert_eq!(limit(&rules, 20, 50, &changed(15, 60)), (24, "ScaleUpLimit"));
    }

    #[test]
    fn the_smallest_change_is_the_highest_count_on_the_way_down() {
        let both = [ScalingPolicy::percent(50, 60), ScalingPolicy::pods(1, 60)];
        let none = ScaleEvents::default();
        assert_eq!(limit(&behavior(&both, SelectPolicy::Min), 10, 1, &none).0, 9);
        assert_eq!(limit(&behavior(&both, SelectPolicy::Max), 10, 1, &none).0, 5);
        assert_eq!(limit(&behavior(&both, SelectPolicy::Min), 10, 99, &none).0, 11);
        assert_eq!(limit(&behavior(&both, SelectPolicy::Max), 10, 99, &none).0, 15);
    }

    #[test]
    fn percents_round_towards_the_larger_change() {
        let tenth = behavior(&[ScalingPolicy::percent(10, 60)], SelectPolicy::Max);
        let none = ScaleEvents::default();
        assert_eq!(limit(&tenth, 11, 99, &none).0, 13);
        assert_eq!(limit(&tenth, 11, 1, &none).0, 9);
    }

    #[test]
    fn without_rules_a_few_are_always_allowed_and_bounds_always_bind() {
        let legacy = LegacyLimit::default();
        assert_eq!(legacy.limit(0, 9, (0, 10)).replicas, 4);
        assert_eq!(legacy.limit(3, 0, (2, 10)).reason, ConditionReason::TooFewReplicas);
        assert_eq!(legacy.limit(9, 40, (2, 18)).reason, ConditionReason::TooManyReplicas);
    }
}
