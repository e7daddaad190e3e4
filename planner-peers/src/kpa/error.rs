//! Why settings were refused.

use core::time::Duration;

/// Why settings were refused. Each message names setting, value, rule and remedy.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KpaError {
    /// A burst that is neither a size nor any.
    #[error(
        "target_burst_capacity: {value} is neither -1 nor within 0..=1000000000; use -1 for any \
         burst, 0 for none"
    )]
    BurstCapacity {
        /// The value given.
        value: f64,
    },
    /// A number outside its range.
    #[error("{setting}: {value} is not within {min}..={max}; choose a value in that range")]
    OutOfRange {
        /// The setting's name.
        setting: &'static str,
        /// The value given.
        value: f64,
        /// Least value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// A rate that would let no step change anything, or no number.
    #[error(
        "{setting}: {value} is not above 1 and at most 1000000; it is a factor, 2 lets a step \
         double or halve the count"
    )]
    Rate {
        /// The setting's name.
        setting: &'static str,
        /// The value given.
        value: f64,
    },
    /// A span outside its range, or with a part of a second.
    #[error(
        "{setting}: {span:?} is not a whole number of seconds within {min:?}..={max:?}; choose one"
    )]
    Span {
        /// The setting's name.
        setting: &'static str,
        /// The span given.
        span: Duration,
        /// Shortest span.
        min: Duration,
        /// Longest span.
        max: Duration,
    },
    /// A replica should carry more than it can.
    #[error(
        "target_per_replica: {target} is above total_per_replica {total}; lower the target or \
         raise the total"
    )]
    TargetAboveTotal {
        /// What a replica should carry.
        target: f64,
        /// What it can carry.
        total: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_names_setting_value_rule_and_remedy() {
        let second = Duration::from_secs(1);
        let texts = [
            (
                KpaError::BurstCapacity { value: -3.0 },
                "target_burst_capacity: -3 is neither -1 nor within 0..=1000000000; use -1 for \
                 any burst, 0 for none",
            ),
            (
                KpaError::OutOfRange {
                    setting: "panic_threshold",
                    value: 1.0,
                    min: 1.1,
                    max: 10.0,
                },
                "panic_threshold: 1 is not within 1.1..=10; choose a value in that range",
            ),
            (
                KpaError::Rate { setting: "max_scale_up_rate", value: 1.0 },
                "max_scale_up_rate: 1 is not above 1 and at most 1000000; it is a factor, 2 lets \
                 a step double or halve the count",
            ),
            (
                KpaError::Span {
                    setting: "stable_window",
                    span: second,
                    min: 6 * second,
                    max: 3_600 * second,
                },
                "stable_window: 1s is not a whole number of seconds within 6s..=3600s; choose one",
            ),
            (
                KpaError::TargetAboveTotal { target: 9.0, total: 8.0 },
                "target_per_replica: 9 is above total_per_replica 8; lower the target or raise \
                 the total",
            ),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
    }
}
