//! Lengths of time as people write them: `30s`, `22h`, `4d`.
//!
//! Not for fractions: the lab's steps are seconds.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use thiserror::Error;

/// A whole number of seconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Span {
    /// How many.
    pub seconds: u64,
}

/// Longest span: a century.
const SECONDS_MAX: u64 = 3_155_760_000;
/// Units with their length, the longest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A text that is no length of time.
#[derive(Clone, Debug, Error, PartialEq)]
#[error(
    "{text:?} is no length of time; write whole seconds, or a whole number with s, m, h or d, as \
     in 30s or 4d"
)]
pub struct SpanError {
    text: String,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let unit = UNITS.into_iter().find(|(letter, _)| text.ends_with(*letter));
        let (digits, factor) = unit.map_or((text, 1), |(_, factor)| {
            // The letters are one byte each.
            (&text[..text.len() - 1], factor)
        });
        let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .parse::<u64>()
            .ok()
            .filter(|_| is_plain)
            .and_then(|count| count.checked_mul(factor))
            .filter(|seconds| *seconds <= SECONDS_MAX)
            .map(|seconds| Self { seconds })
            .ok_or_else(|| SpanError { text: text.chars().take(40).collect() })
    }
}

/// In the longest unit that divides it.
impl Display for Span {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let divides = |(_, length): &(char, u64)| self.seconds.is_multiple_of(*length);
        let (letter, length) =
            UNITS.into_iter().find(|unit| self.seconds > 0 && divides(unit)).unwrap_or(('s', 1));
        write!(f, "{}{letter}", self.seconds / length)
    }
}

/// `45 s`, `2.5 h`, `14.0 d`: for people, rounded.
pub(super) fn told(seconds: u64) -> String {
    match seconds {
        days if days >= 2 * 86_400 => format!("{:.1} d", days as f64 / 86_400.0),
        hours if hours >= 3_600 => format!("{:.1} h", hours as f64 / 3_600.0),
        seconds => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_length_of_time_is_told_how_to_write_one() {
        for text in ["", "s", "4 d", "-1s", "+5", "1.5h", "4x", "99999999999999999999d", "40000d"] {
            let error = text.parse::<Span>().expect_err("refused").to_string();
            assert_eq!(
                error,
                format!(
                    "{text:?} is no length of time; write whole seconds, or a whole number with \
                     s, m, h or d, as in 30s or 4d"
                )
            );
        }
    }

    #[test]
    fn every_unit_is_read_and_written() {
        for (text, seconds, shown) in
            [("90", 90, "90s"), ("5m", 300, "5m"), ("22h", 79_200, "22h"), ("96h", 345_600, "4d")]
        {
            let span: Span = text.parse().expect("a span");
            assert_eq!((span.seconds, span.to_string().as_str()), (seconds, shown));
        }
        assert_eq!(Span { seconds: 0 }.to_string(), "0s");
        assert_eq!([59, 82_080, 345_600].map(told), ["59 s", "22.8 h", "4.0 d"]);
    }
}
