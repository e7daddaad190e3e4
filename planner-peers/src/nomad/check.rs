//! One check: where its metric comes from, what its strategy makes of it, within the limits.

use core::time::Duration;

use super::action::Action;
use super::error::NomadError;
use super::strategy::Strategy;

/// One question to the metrics, with the strategy that answers it.
///
/// ```
/// use planner_peers::nomad::{Check, Direction, Strategy};
///
/// let check = Check::new("queue", Strategy::parse("pass-through", &[])?).in_group("load");
/// let action = check.run(&[7.0, 40.0], 3, 1, 10).expect("there are metrics");
/// assert_eq!((action.direction, action.count, action.capped_from), (Direction::Up, 10, Some(40)));
/// # Ok::<(), planner_peers::nomad::NomadError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Check {
    /// Its name, by which signals find it.
    pub name: String,
    /// Checks of one group speak with one voice; the empty name is no group.
    pub group: String,
    /// What its values are.
    pub metric: Metric,
    /// Values older than this are not used; a minute unless set.
    pub query_window: Duration,
    /// What it makes of them.
    pub strategy: Strategy,
}

/// What the values of a check are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metric {
    /// What the strategy looks at.
    #[default]
    AsIs,
    /// A total of the service: the strategy looks at the share of one replica.
    PerReplica,
}

impl Metric {
    /// `value` as the strategy looks at it, at `count` replicas; at none, the total.
    pub(super) fn of(self, value: f64, count: i64) -> f64 {
        match self {
            Self::AsIs => value,
            Self::PerReplica => value / count.max(1) as f64,
        }
    }
}

impl Check {
    /// A check outside groups, on values as they are.
    pub fn new(name: impl Into<String>, strategy: Strategy) -> Self {
        Self {
            name: name.into(),
            group: String::new(),
            metric: Metric::AsIs,
            query_window: Duration::from_secs(60),
            strategy,
        }
    }

    /// The same, in this group.
    #[must_use]
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// The same on totals of the service, divided by its replicas.
    #[must_use]
    pub const fn per_replica(mut self) -> Self {
        self.metric = Metric::PerReplica;
        self
    }

    /// The same on values of this age at most.
    #[must_use]
    pub const fn query_window(mut self, query_window: Duration) -> Self {
        self.query_window = query_window;
        self
    }

    /// What it wants at `count` replicas, given values, oldest first, within `min` and `max`;
    /// `None` when it needs values and there are none.
    pub fn run(&self, values: &[f64], count: i64, min: i64, max: i64) -> Option<Action> {
        let action = match self.metric {
            Metric::AsIs => self.strategy.run(values, count),
            metric @ Metric::PerReplica => {
                let shares: Vec<f64> = values.iter().map(|it| metric.of(*it, count)).collect();
                self.strategy.run(&shares, count)
            }
        };
        action.map(|action| action.capped(min, max))
    }
}

/// The vote of a check that may have failed: an error or no result counts as no action, and is
/// capped as every action is. That is `on_error` set to anything but `fail`.
pub fn ballot(outcome: Result<Option<Action>, NomadError>, min: i64, max: i64) -> Action {
    outcome.ok().flatten().unwrap_or(Action::NONE).capped(min, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nomad::action::Direction;
    use crate::nomad::strategy::TargetValue;

    fn check(target: f64) -> Check {
        Check::new("requests", Strategy::TargetValue(TargetValue::new(target)))
    }

    #[test]
    fn a_check_that_failed_votes_for_nothing_at_the_least_count() {
        let failed = ballot(Err(NomadError::NoChecks), 2, 9);
        assert_eq!((failed.direction, failed.count), (Direction::None, 2));
        assert_eq!(ballot(Ok(None), 0, 9), Action::NONE);
    }

    #[test]
    fn a_check_without_values_has_no_result() {
        assert_eq!(check(50.0).run(&[], 3, 1, 9), None);
        assert_eq!(check(50.0).per_replica().run(&[], 3, 1, 9), None);
    }

    #[test]
    fn a_total_per_replica_asks_for_the_same_count_wherever_it_starts() {
        for count in 0..6 {
            let action = check(50.0).per_replica().run(&[350.0], count, 0, 99).expect("values");
            assert_eq!(action.count, 7, "from {count}");
        }
    }

    #[test]
    fn a_metric_as_it_is_multiplies_the_count() {
        assert_eq!(check(50.0).run(&[100.0], 3, 1, 9).expect("values").count, 6);
        assert_eq!(check(50.0).run(&[350.0], 3, 1, 9).expect("values").capped_from, Some(21));
    }
}
