//! `target-value`: as many replicas as keep the metric at its target.

use super::{ScaleLimits, fields, whole_part};
use crate::nomad::action::{Action, Cause, Direction};
use crate::nomad::error::NomadError;

/// Keeps a metric at its target: the count is multiplied by metric ÷ target and rounded up.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure a check")]
pub struct TargetValue {
    /// What the metric should be, in its unit. With 0, the metric itself is the factor.
    pub target: f64,
    /// How far from 1 the factor may be, either way, without an action.
    pub threshold: f64,
    /// How far one evaluation may go.
    pub limits: ScaleLimits,
}

impl TargetValue {
    pub(super) const NAME: &'static str = "target-value";
    const THRESHOLD: f64 = 0.01;

    /// This target, a threshold of 0.01, no limits.
    pub fn new(target: f64) -> Self {
        Self { target, threshold: Self::THRESHOLD, limits: ScaleLimits::default() }
    }

    pub(super) fn parse(config: &[(&str, &str)]) -> Result<Self, NomadError> {
        let target = fields::float(config, "target")?;
        let target = target.ok_or(NomadError::MissingRequiredField { fields: "target" })?;
        let threshold = fields::float(config, "threshold")?.unwrap_or(Self::THRESHOLD);
        Ok(Self { target, threshold, limits: ScaleLimits::parse(config)? })
    }

    /// What it wants at `count` replicas; `None` without values. Only the newest value counts.
    pub fn run(&self, values: &[f64], count: i64) -> Option<Action> {
        let metric = *values.last()?;
        let factor = if self.target == 0.0 { metric } else { metric / self.target };
        let direction = self.direction(count, factor);
        if direction == Direction::None {
            return Some(Action::NONE);
        }
        // Nothing can be multiplied from 0: there the factor is the count.
        let from = if count == 0 { 1.0 } else { count as f64 };
        let wanted = self.limits.limit(direction, count, whole_part((from * factor).ceil()));
        if wanted == count {
            return Some(Action::NONE);
        }
        Some(Action::scale(direction, wanted, Cause::Factor(factor)))
    }

    fn direction(&self, count: i64, factor: f64) -> Direction {
        if count == 0 {
            return if factor > 0.0 { Direction::Up } else { Direction::None };
        }
        if factor < 1.0 - self.threshold {
            Direction::Down
        } else if factor > 1.0 + self.threshold {
            Direction::Up
        } else {
            Direction::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(strategy: &TargetValue, metric: f64, count: i64) -> Option<i64> {
        let action = strategy.run(&[metric], count).expect("a metric");
        (action != Action::NONE).then_some(action.count)
    }

    #[test]
    fn a_target_that_is_missing_or_no_number_is_refused() {
        let missing = Err(NomadError::MissingRequiredField { fields: "target" });
        assert_eq!(TargetValue::parse(&[("threshold", "x")]), missing);
        let error = TargetValue::parse(&[("target", "1"), ("threshold", "x")]).expect_err("no");
        assert!(matches!(error, NomadError::InvalidValue { field: "threshold", .. }), "{error}");
    }

    #[test]
    fn a_factor_within_the_threshold_moves_nothing_ends_included() {
        let strategy = TargetValue { threshold: 0.25, ..TargetValue::new(100.0) };
        assert_eq!(count(&strategy, 125.0, 10), None);
        assert_eq!(count(&strategy, 75.0, 10), None);
        assert_eq!(count(&strategy, 126.0, 10), Some(13));
        assert_eq!(count(&strategy, 74.0, 10), Some(8));
    }

    #[test]
    fn from_zero_the_factor_is_the_count() {
        assert_eq!(count(&TargetValue::new(10.0), 25.0, 0), Some(3));
        assert_eq!(count(&TargetValue::new(10.0), 0.0, 0), None);
        assert_eq!(count(&TargetValue::new(10.0), -5.0, 0), None);
    }

    #[test]
    fn a_target_of_zero_takes_the_metric_for_the_factor() {
        assert_eq!(count(&TargetValue::new(0.0), 3.0, 2), Some(6));
        assert_eq!(count(&TargetValue::new(0.0), 0.0, 5), Some(0));
    }

    #[test]
    fn a_limit_of_zero_is_no_action() {
        let limits = ScaleLimits { max_scale_up: Some(0), max_scale_down: None };
        let strategy = TargetValue { limits, ..TargetValue::new(10.0) };
        assert_eq!(count(&strategy, 50.0, 4), None);
        assert_eq!(count(&strategy, 5.0, 4), Some(2));
    }

    #[test]
    fn rounding_up_can_leave_the_count_as_it_is() {
        assert_eq!(count(&TargetValue::new(100.0), 95.0, 2), None);
    }
}
