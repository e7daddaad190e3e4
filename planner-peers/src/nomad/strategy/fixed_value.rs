//! `fixed-value`: always the same count.

use super::fields;
use crate::nomad::action::{Action, Cause};
use crate::nomad::error::NomadError;

/// Always the same count, whatever the metric says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure a check")]
pub struct FixedValue {
    /// The count; a negative one is left to the cap.
    pub value: i64,
}

impl FixedValue {
    pub(super) const NAME: &'static str = "fixed-value";

    pub(super) fn parse(config: &[(&str, &str)]) -> Result<Self, NomadError> {
        let value = fields::whole(config, "value")?;
        let value = value.ok_or(NomadError::MissingRequiredField { fields: "value" })?;
        Ok(Self { value })
    }

    /// What it wants at `count` replicas.
    pub const fn run(&self, count: i64) -> Action {
        Action::between(count, self.value, Cause::FixedValue(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_missing_or_no_count_is_refused() {
        let missing = Err(NomadError::MissingRequiredField { fields: "value" });
        assert_eq!(FixedValue::parse(&[]), missing);
        assert_eq!(FixedValue::parse(&[("value", "")]), missing);
        assert!(FixedValue::parse(&[("value", "1.5")]).is_err());
    }

    #[test]
    fn the_count_that_is_there_is_no_action() {
        let strategy = FixedValue::parse(&[("value", "10")]).expect("valid");
        assert_eq!(strategy.run(10), Action::NONE);
        assert_eq!(strategy.run(2).to_string(), "scaling up because fixed value is 10");
    }
}
