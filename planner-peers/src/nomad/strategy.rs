//! The four strategies: text configurations parsed into types, and pure runs.

mod fields;
mod fixed_value;
mod limits;
mod pass_through;
mod target_value;
mod threshold;

pub use fixed_value::FixedValue;
pub use limits::ScaleLimits;
pub use pass_through::PassThrough;
pub use target_value::TargetValue;
pub use threshold::{Change, Threshold};

use super::action::Action;
use super::error::NomadError;

/// How a check turns metric values into a count.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Strategy {
    /// Always the same count.
    FixedValue(FixedValue),
    /// The metric is the count.
    PassThrough(PassThrough),
    /// The metric is kept at a target.
    TargetValue(TargetValue),
    /// A change when enough values are within bounds.
    Threshold(Threshold),
}

impl Strategy {
    /// The strategy `name` with this configuration: pairs of field and text. A field is read where
    /// it stands first; unknown fields are passed over, empty ones count as not set.
    ///
    /// # Errors
    ///
    /// [`NomadError`] when the name is unknown, or a field is missing, wrong or contradicts
    /// another.
    pub fn parse(name: &str, config: &[(&str, &str)]) -> Result<Self, NomadError> {
        match name {
            FixedValue::NAME => FixedValue::parse(config).map(Self::FixedValue),
            PassThrough::NAME => PassThrough::parse(config).map(Self::PassThrough),
            TargetValue::NAME => TargetValue::parse(config).map(Self::TargetValue),
            Threshold::NAME => Threshold::parse(config).map(Self::Threshold),
            _ => Err(NomadError::UnknownStrategy { name: name.to_owned() }),
        }
    }

    /// Its name in Nomad.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FixedValue(_) => FixedValue::NAME,
            Self::PassThrough(_) => PassThrough::NAME,
            Self::TargetValue(_) => TargetValue::NAME,
            Self::Threshold(_) => Threshold::NAME,
        }
    }

    /// Whether it looks at metrics at all.
    pub const fn needs_metrics(&self) -> bool {
        !matches!(self, Self::FixedValue(_))
    }

    /// What it wants at `count` replicas, given metric values, oldest first; `None` when it needs
    /// some and there are none.
    pub fn run(&self, values: &[f64], count: i64) -> Option<Action> {
        match self {
            Self::FixedValue(strategy) => Some(strategy.run(count)),
            Self::PassThrough(strategy) => strategy.run(values, count),
            Self::TargetValue(strategy) => strategy.run(values, count),
            Self::Threshold(strategy) => strategy.run(values, count),
        }
    }
}

/// Parses and runs in the order of the original: without metrics, `target-value` and `threshold`
/// give no result whatever their configuration holds.
///
/// # Errors
///
/// [`NomadError`] as [`Strategy::parse`] gives it.
pub fn run(
    name: &str,
    config: &[(&str, &str)],
    values: &[f64],
    count: i64,
) -> Result<Option<Action>, NomadError> {
    if values.is_empty() && matches!(name, TargetValue::NAME | Threshold::NAME) {
        return Ok(None);
    }
    Ok(Strategy::parse(name, config)?.run(values, count))
}

/// A count from a float: the whole part, at the ends of the range where it is beyond them.
fn whole_part(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "the fraction is not part of a count")]
    let count = value as i64;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_strategy_is_refused_by_name() {
        let error = Strategy::parse("app-sizing", &[]).expect_err("unknown");
        assert_eq!(error, NomadError::UnknownStrategy { name: "app-sizing".into() });
    }

    #[test]
    fn without_metrics_two_strategies_read_no_configuration_and_two_do() {
        for name in ["target-value", "threshold"] {
            assert_eq!(run(name, &[("target", "x"), ("delta", "x")], &[], 3), Ok(None), "{name}");
        }
        for (name, field) in [("pass-through", "max_scale_up"), ("fixed-value", "value")] {
            assert!(run(name, &[(field, "x")], &[], 3).is_err(), "{name}");
        }
    }

    #[test]
    fn only_the_fixed_value_does_without_metrics() {
        let fixed = Strategy::parse("fixed-value", &[("value", "4")]).expect("valid");
        let target = Strategy::parse("target-value", &[("target", "4")]).expect("valid");
        assert!(!fixed.needs_metrics() && target.needs_metrics());
        assert_eq!(fixed.run(&[], 3).map(|action| action.count), Some(4));
        assert_eq!(target.run(&[], 3), None);
    }

    #[test]
    fn every_strategy_keeps_its_name() {
        let config = [("value", "4"), ("target", "4"), ("lower_bound", "4")];
        for name in ["fixed-value", "pass-through", "target-value", "threshold"] {
            assert_eq!(Strategy::parse(name, &config).expect("valid").name(), name);
        }
    }

    #[test]
    fn a_number_that_is_none_moves_nothing() {
        for (name, config) in [
            ("pass-through", [("max_scale_up", "4")].as_slice()),
            ("target-value", &[("target", "4")]),
            ("threshold", &[("lower_bound", "4"), ("delta", "1"), ("within_bounds_trigger", "1")]),
        ] {
            for count in [0, 3] {
                let action = run(name, config, &[f64::NAN], count).expect("valid");
                assert_eq!(action, Some(Action::NONE), "{name} at {count}");
            }
        }
    }
}
