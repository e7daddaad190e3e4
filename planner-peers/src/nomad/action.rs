//! What one check wants done: direction, count and reason.

use core::fmt;

/// Which way a count goes, from the riskiest to the safest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(clippy::exhaustive_enums, reason = "there is no other direction")]
pub enum Direction {
    /// Fewer.
    Down,
    /// As it is.
    #[default]
    None,
    /// More.
    Up,
}

impl Direction {
    /// The way from `current` to `count`.
    pub const fn between(current: i64, count: i64) -> Self {
        if count > current {
            Self::Up
        } else if count < current {
            Self::Down
        } else {
            Self::None
        }
    }

    /// Its name in Nomad.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::None => "none",
            Self::Up => "up",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a strategy found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// The metric is this multiple of its target.
    Factor(f64),
    /// The configuration names this count.
    FixedValue(i64),
    /// The metric, whole part.
    Metric(i64),
    /// Enough values are within the bounds.
    WithinBounds,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Factor(factor) => write!(f, "factor is {factor:.6}"),
            Self::FixedValue(count) => write!(f, "fixed value is {count}"),
            Self::Metric(count) => write!(f, "metric is {count}"),
            Self::WithinBounds => f.write_str("metric is within bounds"),
        }
    }
}

/// What one check wants done. Its text is the reason as Nomad writes it, empty for no action.
///
/// ```
/// use planner_peers::nomad::{Action, Cause, Direction};
///
/// let action = Action::scale(Direction::Up, 12, Cause::Metric(12)).capped(1, 10);
/// assert_eq!(action.to_string(), "capped count from 12 to 10 to stay within limits");
/// assert_eq!(action.capped_from, Some(12));
/// assert_eq!(action.before_cap().to_string(), "scaling up because metric is 12");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Action {
    /// Which way.
    pub direction: Direction,
    /// The count wanted; 0 where nothing is, until a cap moves it.
    pub count: i64,
    /// What the strategy found; `None` where nothing is wanted.
    pub cause: Option<Cause>,
    /// The count before it was capped; `None` when it was within the limits.
    pub capped_from: Option<i64>,
}

impl Action {
    /// The count that marks a dry run, which no cap moves.
    pub const DRY_RUN: i64 = -1;
    /// Nothing wanted: also the action of a check that failed or had no metrics.
    pub const NONE: Self =
        Self { direction: Direction::None, count: 0, cause: None, capped_from: None };

    /// Scales to `count`.
    pub const fn scale(direction: Direction, count: i64, cause: Cause) -> Self {
        Self { direction, count, cause: Some(cause), capped_from: None }
    }

    /// Scales from `current` to `count`; nothing when they are the same.
    pub const fn between(current: i64, count: i64, cause: Cause) -> Self {
        match Direction::between(current, count) {
            Direction::None => Self::NONE,
            direction => Self::scale(direction, count, cause),
        }
    }

    /// The same within `min` and `max`; the direction stays. Where they contradict, `min` counts.
    #[must_use]
    pub const fn capped(self, min: i64, max: i64) -> Self {
        let count = match self.count {
            Self::DRY_RUN => return self,
            below if below < min => min,
            above if above > max => max,
            within => within,
        };
        if count == self.count {
            return self;
        }
        Self { count, capped_from: Some(self.count), ..self }
    }

    /// The action as its strategy gave it.
    #[must_use]
    pub const fn before_cap(self) -> Self {
        match self.capped_from {
            Some(count) => Self { count, capped_from: None, ..self },
            None => self,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, count, cause, capped_from } = self;
        match (capped_from, cause) {
            (Some(from), _) => {
                write!(f, "capped count from {from} to {count} to stay within limits")
            }
            (None, Some(cause)) => write!(f, "scaling {direction} because {cause}"),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_minus_one_escapes_the_cap() {
        let action = Action::scale(Direction::Down, -1, Cause::Metric(-1));
        assert_eq!(action.capped(2, 9), action);
        assert_eq!(Action { count: -2, ..action }.capped(2, 9).count, 2);
    }

    #[test]
    fn no_action_is_capped_too_and_stays_none() {
        let none = Action::NONE.capped(2, 9);
        assert_eq!((none.direction, none.count, none.capped_from), (Direction::None, 2, Some(0)));
        assert_eq!(none.to_string(), "capped count from 0 to 2 to stay within limits");
        assert_eq!(none.before_cap().to_string(), "");
    }

    #[test]
    fn contradicting_limits_keep_the_least() {
        assert_eq!(Action::scale(Direction::Up, 4, Cause::WithinBounds).capped(6, 3).count, 6);
    }

    #[test]
    fn a_count_at_a_limit_is_not_capped() {
        for count in [2, 9] {
            let action = Action::scale(Direction::Up, count, Cause::WithinBounds);
            assert_eq!(action.capped(2, 9), action);
        }
    }

    #[test]
    fn the_same_count_is_no_action() {
        assert_eq!(Action::between(4, 4, Cause::FixedValue(4)), Action::NONE);
        assert_eq!(Action::between(4, 3, Cause::FixedValue(3)).direction, Direction::Down);
    }

    #[test]
    fn up_is_safer_than_none_and_none_than_down() {
        assert!(Direction::Up > Direction::None && Direction::None > Direction::Down);
    }
}
