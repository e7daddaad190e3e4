//! Why a strategy or a policy was refused.

use core::time::Duration;

/// Why a strategy's configuration or a policy was refused. Each message names field, value, rule
/// and remedy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NomadError {
    /// Fields that exclude each other are set.
    #[error("{fields}: {set} of them are set, only one may be; keep one")]
    ConflictingFields {
        /// The fields.
        fields: &'static str,
        /// How many of them are set.
        set: usize,
    },
    /// Two checks have one name.
    #[error("checks: {name:?} is given twice; signals tell checks apart by name, rename one")]
    DuplicateCheck {
        /// The name.
        name: String,
    },
    /// A field holds something else than its kind of number.
    #[error("{field}: {value:?} is not {rule}; correct it")]
    InvalidValue {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it has to be.
        rule: &'static str,
    },
    /// A field that is needed is not set, or empty.
    #[error("{fields}: not set; the strategy cannot do without, set it")]
    MissingRequiredField {
        /// The field, or those of which one is needed.
        fields: &'static str,
    },
    /// A count is negative.
    #[error("{field}: {value} is negative; a count starts at 0")]
    NegativeValue {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: i64,
    },
    /// A policy without checks.
    #[error("checks: there are none; without a check nothing is ever scaled, give at least one")]
    NoChecks,
    /// A span outside its range.
    #[error("{setting}: {span:?} is not within {min:?}..={max:?}; choose a value in that range")]
    SpanOutOfRange {
        /// The setting's name.
        setting: &'static str,
        /// The span given.
        span: Duration,
        /// Shortest span.
        min: Duration,
        /// Longest span.
        max: Duration,
    },
    /// No strategy has this name.
    #[error(
        "strategy: {name:?} is none of fixed-value, pass-through, target-value, threshold; use one"
    )]
    UnknownStrategy {
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_names_what_value_rule_and_remedy() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(9));
        let span = Duration::ZERO;
        let rule = "a whole number";
        let cases = [
            (
                NomadError::ConflictingFields { fields: "delta, percentage and value", set: 2 },
                "delta, percentage and value: 2 of them are set, only one may be; keep one",
            ),
            (
                NomadError::DuplicateCheck { name: "cpu".into() },
                "checks: \"cpu\" is given twice; signals tell checks apart by name, rename one",
            ),
            (
                NomadError::InvalidValue { field: "delta", value: "1.5".into(), rule },
                "delta: \"1.5\" is not a whole number; correct it",
            ),
            (
                NomadError::MissingRequiredField { fields: "target" },
                "target: not set; the strategy cannot do without, set it",
            ),
            (
                NomadError::NegativeValue { field: "value", value: -1 },
                "value: -1 is negative; a count starts at 0",
            ),
            (
                NomadError::NoChecks,
                "checks: there are none; without a check nothing is ever scaled, give at least one",
            ),
            (
                NomadError::SpanOutOfRange { setting: "cooldown", span, min, max },
                "cooldown: 0ns is not within 1s..=9s; choose a value in that range",
            ),
            (
                NomadError::UnknownStrategy { name: "magic".into() },
                "strategy: \"magic\" is none of fixed-value, pass-through, target-value, \
                 threshold; use one",
            ),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
    }
}
