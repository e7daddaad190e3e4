//! `threshold`: a change when enough values are within bounds.

use super::{fields, whole_part};
use crate::nomad::action::{Action, Cause};
use crate::nomad::error::NomadError;

const TRIGGER: i64 = 5;

/// A change of the count when enough of the values are within bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure a check")]
pub struct Threshold {
    /// Values from this one on are within.
    pub lower_bound: f64,
    /// Values below this one are within.
    pub upper_bound: f64,
    /// So many values have to be within, anywhere among them; from 0 down it always is enough.
    pub within_bounds_trigger: i64,
    /// What happens then.
    pub change: Change,
}

/// How a threshold changes the count.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the fields that its configuration knows")]
pub enum Change {
    /// So many replicas more, or fewer when negative.
    Delta(i64),
    /// So many percent more, or fewer when negative; rounded up.
    Percentage(f64),
    /// To this count.
    Value(i64),
}

impl Threshold {
    pub(super) const NAME: &'static str = "threshold";

    pub(super) fn parse(config: &[(&str, &str)]) -> Result<Self, NomadError> {
        let is_set = |field| fields::text(config, field).is_some();
        if !is_set("upper_bound") && !is_set("lower_bound") {
            let fields = "lower_bound or upper_bound";
            return Err(NomadError::MissingRequiredField { fields });
        }
        Ok(Self {
            upper_bound: fields::float(config, "upper_bound")?.unwrap_or(f64::MAX),
            lower_bound: fields::float(config, "lower_bound")?.unwrap_or(-f64::MAX),
            within_bounds_trigger: fields::whole(config, "within_bounds_trigger")?
                .unwrap_or(TRIGGER),
            change: Change::parse(config)?,
        })
    }

    /// What it wants at `count` replicas; `None` without values.
    pub fn run(&self, values: &[f64], count: i64) -> Option<Action> {
        if values.is_empty() {
            return None;
        }
        let bounds = self.lower_bound..self.upper_bound;
        let within = values.iter().filter(|value| bounds.contains(*value)).count();
        if i64::try_from(within).is_ok_and(|within| within < self.within_bounds_trigger) {
            return Some(Action::NONE);
        }
        Some(Action::between(count, self.change.apply(count), Cause::WithinBounds))
    }
}

impl Change {
    fn parse(config: &[(&str, &str)]) -> Result<Self, NomadError> {
        const FIELDS: [&str; 3] = ["delta", "percentage", "value"];
        let is_set = |field: &&str| fields::text(config, field).is_some();
        match FIELDS.into_iter().filter(is_set).count() {
            0 => {
                let fields = "delta, percentage or value";
                return Err(NomadError::MissingRequiredField { fields });
            }
            1 => {}
            set => {
                let fields = "delta, percentage and value";
                return Err(NomadError::ConflictingFields { fields, set });
            }
        }
        if let Some(delta) = fields::whole(config, "delta")? {
            return Ok(Self::Delta(delta));
        }
        if let Some(percentage) = fields::float(config, "percentage")? {
            return Ok(Self::Percentage(percentage));
        }
        match fields::whole(config, "value")? {
            Some(value) if value >= 0 => Ok(Self::Value(value)),
            Some(value) => Err(NomadError::NegativeValue { field: "value", value }),
            None => Err(NomadError::MissingRequiredField { fields: "value" }),
        }
    }

    /// The count after the change, at least 0: unlike other strategies this one never goes below.
    fn apply(self, count: i64) -> i64 {
        let changed = match self {
            Self::Delta(delta) => count.saturating_add(delta),
            Self::Percentage(percent) => {
                whole_part((count as f64 * (1.0 + percent / 100.0)).ceil())
            }
            Self::Value(value) => value,
        };
        changed.max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOWER: (&str, &str) = ("lower_bound", "10");

    #[test]
    fn it_needs_a_bound_and_exactly_one_change() {
        let bounds = "lower_bound or upper_bound";
        let change = "delta, percentage or value";
        let both = "delta, percentage and value";
        for (config, error) in [
            ([("delta", "1")].as_slice(), NomadError::MissingRequiredField { fields: bounds }),
            (&[LOWER], NomadError::MissingRequiredField { fields: change }),
            (
                &[LOWER, ("delta", "1"), ("value", "1")],
                NomadError::ConflictingFields { fields: both, set: 2 },
            ),
            (&[LOWER, ("value", "-1")], NomadError::NegativeValue { field: "value", value: -1 }),
        ] {
            assert_eq!(Threshold::parse(config), Err(error));
        }
    }

    #[test]
    fn a_wrong_bound_is_told_before_a_missing_change() {
        let error = Threshold::parse(&[("lower_bound", "x")]).expect_err("no number");
        assert!(matches!(error, NomadError::InvalidValue { field: "lower_bound", .. }), "{error}");
    }

    #[test]
    fn the_lower_bound_is_within_and_the_upper_is_not() {
        let config = [LOWER, ("upper_bound", "20"), ("delta", "1"), ("within_bounds_trigger", "3")];
        let strategy = Threshold::parse(&config).expect("valid");
        assert_eq!(strategy.run(&[10.0, 10.0, 20.0, 20.0], 1), Some(Action::NONE));
        let action = strategy.run(&[10.0, 10.0, 20.0, 19.9], 1).expect("values");
        assert_eq!(action.count, 2);
        assert_eq!(action.to_string(), "scaling up because metric is within bounds");
    }

    #[test]
    fn it_takes_five_values_unless_told_otherwise() {
        let strategy = Threshold::parse(&[LOWER, ("delta", "-1")]).expect("valid");
        assert_eq!(strategy.run(&[10.0; 4], 3), Some(Action::NONE));
        assert_eq!(strategy.run(&[10.0; 5], 3).map(|action| action.count), Some(2));
    }

    #[test]
    fn a_trigger_of_zero_acts_outside_the_bounds_too() {
        let config = [LOWER, ("value", "7"), ("within_bounds_trigger", "0")];
        let strategy = Threshold::parse(&config).expect("valid");
        assert_eq!(strategy.run(&[0.0], 3).map(|action| action.count), Some(7));
        assert_eq!(strategy.run(&[], 3), None);
    }

    #[test]
    fn no_change_goes_below_zero() {
        assert_eq!(Change::Delta(-5).apply(3), 0);
        assert_eq!(Change::Percentage(-150.0).apply(3), 0);
        let config = [LOWER, ("delta", "-1"), ("within_bounds_trigger", "1")];
        let strategy = Threshold::parse(&config).expect("valid");
        assert_eq!(strategy.run(&[10.0], 0), Some(Action::NONE));
    }

    #[test]
    fn a_percentage_is_rounded_up_either_way() {
        assert_eq!(Change::Percentage(30.0).apply(11), 15);
        assert_eq!(Change::Percentage(-30.0).apply(11), 8);
        assert_eq!(Change::Percentage(-100.0).apply(11), 0);
        assert_eq!(Change::Delta(i64::MAX).apply(11), i64::MAX);
    }
}
