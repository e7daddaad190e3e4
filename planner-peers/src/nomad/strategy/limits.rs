//! How far one evaluation may move a count.

use super::fields;
use crate::nomad::action::Direction;
use crate::nomad::error::NomadError;

/// How far one evaluation may move a count; `None` is any distance. Negative ones are taken as they
/// are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure a check")]
pub struct ScaleLimits {
    /// Most replicas more.
    pub max_scale_up: Option<i64>,
    /// Most replicas fewer.
    pub max_scale_down: Option<i64>,
}

impl ScaleLimits {
    pub(super) fn parse(config: &[(&str, &str)]) -> Result<Self, NomadError> {
        let max_scale_up = fields::whole(config, "max_scale_up")?;
        let max_scale_down = fields::whole(config, "max_scale_down")?;
        Ok(Self { max_scale_up, max_scale_down })
    }

    /// `wanted`, no further from `current` than allowed in this direction.
    pub(super) fn limit(&self, direction: Direction, current: i64, wanted: i64) -> i64 {
        match (direction, self.max_scale_up, self.max_scale_down) {
            (Direction::Up, Some(step), _) => wanted.min(current.saturating_add(step)),
            (Direction::Down, _, Some(step)) => wanted.max(current.saturating_sub(step)),
            _ => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_has_its_own_limit() {
        let limits = ScaleLimits { max_scale_up: Some(2), max_scale_down: Some(1) };
        assert_eq!(limits.limit(Direction::Up, 5, 9), 7);
        assert_eq!(limits.limit(Direction::Down, 5, 0), 4);
        assert_eq!(limits.limit(Direction::Up, 5, 6), 6);
        assert_eq!(ScaleLimits::default().limit(Direction::Down, 5, 0), 0);
    }

    #[test]
    fn a_limit_at_the_end_of_the_range_does_not_overflow() {
        let limits = ScaleLimits { max_scale_up: Some(i64::MAX), max_scale_down: Some(i64::MAX) };
        assert_eq!(limits.limit(Direction::Up, 5, 9), 9);
        assert_eq!(limits.limit(Direction::Down, -5, i64::MIN), i64::MIN);
    }
}
