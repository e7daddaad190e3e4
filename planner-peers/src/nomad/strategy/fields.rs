//! Reads the fields of a configuration.

use crate::nomad::error::NomadError;

const FLOAT: &str = "a number";
const WHOLE: &str = "a whole number of at most 64 bits";

/// What `field` holds; `None` when it is not set, or empty.
pub(super) fn text<'a>(config: &[(&str, &'a str)], field: &str) -> Option<&'a str> {
    let (_, text) = config.iter().find(|(name, _)| *name == field)?;
    (!text.is_empty()).then_some(*text)
}

/// What `field` holds, as a number.
pub(super) fn float(
    config: &[(&str, &str)],
    field: &'static str,
) -> Result<Option<f64>, NomadError> {
    let Some(text) = text(config, field) else { return Ok(None) };
    let is_beyond = |value: f64| value.is_infinite() && text.contains(|it: char| it.is_numeric());
    match text.parse::<f64>() {
        // "inf" is a number there, one that is too large for its type is not.
        Ok(value) if !is_beyond(value) => Ok(Some(value)),
        Ok(_) | Err(_) => Err(invalid(field, text, FLOAT)),
    }
}

/// What `field` holds, as a whole number.
pub(super) fn whole(
    config: &[(&str, &str)],
    field: &'static str,
) -> Result<Option<i64>, NomadError> {
    let Some(text) = text(config, field) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| invalid(field, text, WHOLE))
}

fn invalid(field: &'static str, text: &str, rule: &'static str) -> NomadError {
    NomadError::InvalidValue { field, value: text.to_owned(), rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_number_is_refused_with_field_and_value() {
        for text in ["x", " 1", "1,5", "0x1p-2", "1e999", "-1e999", "1_000"] {
            let error = float(&[("target", text)], "target").expect_err(text);
            assert_eq!(error, invalid("target", text, FLOAT));
        }
        for text in ["x", " 1", "1.5", "1e3", "9223372036854775808", "0x10", "-"] {
            let error = whole(&[("delta", text)], "delta").expect_err(text);
            assert_eq!(error, invalid("delta", text, WHOLE));
        }
    }

    #[test]
    fn an_empty_field_is_not_set() {
        assert_eq!(text(&[("target", "")], "target"), None);
        assert_eq!(float(&[("target", "")], "target"), Ok(None));
        assert_eq!(whole(&[], "delta"), Ok(None));
    }

    #[test]
    fn numbers_are_read_as_there() {
        for (text, value) in
            [("1e-3", 0.001), (".5", 0.5), ("+5", 5.0), ("-0", 0.0), ("Inf", f64::INFINITY)]
        {
            assert_eq!(float(&[("target", text)], "target"), Ok(Some(value)), "{text}");
        }
        for (text, value) in [("+5", 5), ("-5", -5), ("007", 7)] {
            assert_eq!(whole(&[("delta", text)], "delta"), Ok(Some(value)), "{text}");
        }
    }
}
