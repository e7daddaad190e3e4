//! Why a queue refused what it was given.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// Why a spec or a call was refused. Each message names the setting, its value, the rule and what
/// to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// A number outside its range.
    #[error("{setting}: {value} is not {rule}; change it")]
    OutOfRange {
        /// Where it stands.
        setting: String,
        /// What it was.
        value: f64,
        /// What it has to be.
        rule: &'static str,
    },
    /// More requests than one interval may have.
    #[error("requests: {expected} in one interval are more than {max}; advance in shorter steps")]
    TooMany {
        /// Requests that the interval would expect.
        expected: f64,
        /// The most.
        max: f64,
    },
    /// An arrival before the one ahead of it.
    #[error(
        "offsets_s[{index}]: {at_s} s is before the arrival ahead of it at {before_s} s; \
         sort the offsets"
    )]
    Unsorted {
        /// Its place in the list.
        index: usize,
        /// Its offset in seconds.
        at_s: f64,
        /// The offset ahead of it in seconds.
        before_s: f64,
    },
}

/// Refuses a number outside its range, and one that is no number.
pub(super) fn within(
    setting: impl Display,
    value: f64,
    range: RangeInclusive<f64>,
    rule: &'static str,
) -> Result<(), QueueError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(QueueError::OutOfRange { setting: setting.to_string(), value, rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_setting_value_rule_and_remedy() {
        let refused = within("life.startup_s", f64::NAN, 0.0..=1.0, "a time from 0 to 1 seconds");
        let text = refused.expect_err("no number is within a range").to_string();
        assert_eq!(text, "life.startup_s: NaN is not a time from 0 to 1 seconds; change it");
        let text = QueueError::TooMany { expected: 2e9, max: 1e8 }.to_string();
        assert_eq!(
            text,
            "requests: 2000000000 in one interval are more than 100000000; advance in shorter steps"
        );
        let text = QueueError::Unsorted { index: 3, at_s: 1.5, before_s: 2.0 }.to_string();
        assert_eq!(
            text,
            "offsets_s[3]: 1.5 s is before the arrival ahead of it at 2 s; sort the offsets"
        );
    }
}
