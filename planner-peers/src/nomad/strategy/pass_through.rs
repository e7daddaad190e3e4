//! `pass-through`: the metric is the count.

use super::{ScaleLimits, whole_part};
use crate::nomad::action::{Action, Cause, Direction};
use crate::nomad::error::NomadError;

/// The newest value is the count, for metrics that somebody else turned into one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure a check")]
pub struct PassThrough {
    /// How far one evaluation may go.
    pub limits: ScaleLimits,
}

impl PassThrough {
    pub(super) const NAME: &'static str = "pass-through";

    pub(super) fn parse(config: &[(&str, &str)]) -> Result<Self, NomadError> {
        Ok(Self { limits: ScaleLimits::parse(config)? })
    }

    /// What it wants at `count` replicas; `None` without values.
    ///
    /// The direction follows the metric itself, the count its whole part: they may disagree.
    pub fn run(&self, values: &[f64], count: i64) -> Option<Action> {
        let metric = *values.last()?;
        let direction = if metric > count as f64 {
            Direction::Up
        } else if metric < count as f64 {
            Direction::Down
        } else {
            return Some(Action::NONE);
        };
        let whole = whole_part(metric);
        let wanted = self.limits.limit(direction, count, whole);
        Some(Action::scale(direction, wanted, Cause::Metric(whole)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_above_the_count_is_a_step_up_to_the_same_count() {
        let action = PassThrough::default().run(&[8.5], 8).expect("a metric");
        assert_eq!((action.direction, action.count), (Direction::Up, 8));
        assert_eq!(action.to_string(), "scaling up because metric is 8");
    }

    #[test]
    fn a_limited_count_still_tells_the_metric() {
        let strategy = PassThrough::parse(&[("max_scale_down", "1")]).expect("valid");
        let action = strategy.run(&[90.0, 3.0], 10).expect("a metric");
        assert_eq!(action.count, 9);
        assert_eq!(action.to_string(), "scaling down because metric is 3");
    }

    #[test]
    fn a_metric_beyond_every_count_is_the_largest() {
        let action = PassThrough::default().run(&[f64::INFINITY], 8).expect("a metric");
        assert_eq!((action.direction, action.count), (Direction::Up, i64::MAX));
    }
}
