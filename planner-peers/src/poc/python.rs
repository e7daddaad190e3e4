//! How its language turns one kind of value into another.
//!
//! Only the conversions that its decisions went through.

use super::value::Value;

/// `float(value)`; `None` where that is an error.
pub(super) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Float(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Text(text) => digits(text)?.parse().ok(),
        Value::List(_) | Value::Map(_) | Value::Null => None,
    }
}

/// `int(value)`; `None` where that is an error. What does not fit is the nearest that does.
pub(super) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        #[expect(clippy::cast_possible_truncation, reason = "towards zero, as `int` does")]
        Value::Float(number) => number.is_finite().then_some(*number as i64),
        Value::Int(number) => Some(*number),
        Value::Text(text) => {
            let text = digits(text)?;
            let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
            let whole = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
            let limit = if text.starts_with('-') { i64::MIN } else { i64::MAX };
            whole.then(|| text.parse().unwrap_or(limit))
        }
        Value::List(_) | Value::Map(_) | Value::Null => None,
    }
}

/// A number's text without the spaces around it and the underscores between its digits.
fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let stray = bytes
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == b'_' && !(digit(at.checked_sub(1)) && digit(Some(at + 1))));
    (!stray).then(|| text.replace('_', ""))
}

/// Whether `if value` holds.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Float(number) => *number != 0.0,
        Value::Int(number) => *number != 0,
        Value::List(values) => !values.is_empty(),
        Value::Map(members) => !members.is_empty(),
        Value::Null => false,
        Value::Text(text) => !text.is_empty(),
    }
}

/// `str(value)`.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        value => repr(value),
    }
}

/// `repr(value)`.
fn repr(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Float(number) => float_repr(*number),
        Value::Int(number) => number.to_string(),
        Value::List(values) => {
            format!("[{}]", values.iter().map(repr).collect::<Vec<_>>().join(", "))
        }
        Value::Map(members) => {
            let member =
                |(name, value): &(String, Value)| format!("{}: {}", text_repr(name), repr(value));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Value::Null => "None".to_owned(),
        Value::Text(text) => text_repr(text),
    }
}

/// The shortest text that is this number again: as ours, but for how exponents are written.
fn float_repr(number: f64) -> String {
    let ours = format!("{number:?}");
    if number.is_nan() {
        return "nan".to_owned();
    }
    match ours.split_once('e') {
        None => ours,
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
    }
}

/// A string in quotes: single ones, unless only those are in it.
fn text_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == quote || c == '\\' => quoted.extend(['\\', c]),
            c if c < ' ' || c == '\u{7f}' => {
                quoted.extend(["\\x".to_owned(), format!("{:02x}", u32::from(c))]);
            }
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "abc", "1_", "_1", "1__0", "1e", "0x10", "1 2"] {
            assert_eq!(float(&Value::from(text)), None, "{text}");
        }
        for text in ["", "2.9", "1e3", "+", "-", "inf", "1_"] {
            assert_eq!(int(&Value::from(text)), None, "{text}");
        }
        for value in [Value::Null, Value::List(vec![Value::Int(60)]), Value::Map(Vec::new())] {
            assert_eq!((float(&value), int(&value)), (None, None));
        }
        assert_eq!(int(&Value::Float(f64::NAN)), None);
    }

    #[test]
    fn numbers_in_texts_and_truths_are_numbers() {
        assert_eq!(float(&Value::from(" 77.5 ")), Some(77.5));
        assert_eq!(float(&Value::from("-iNf")), Some(f64::NEG_INFINITY));
        assert_eq!(float(&Value::from("1_000.5")), Some(1000.5));
        assert_eq!(float(&Value::Bool(true)), Some(1.0));
        assert_eq!(int(&Value::from(" -3 ")), Some(-3));
        assert_eq!(int(&Value::Float(-2.9)), Some(-2));
        assert_eq!(int(&Value::from("99999999999999999999")), Some(i64::MAX));
    }

    #[test]
    fn texts_of_values_are_those_of_its_language() {
        let shown = |json: &str| text(&Value::parse(json).expect("JSON"));
        assert_eq!(shown("null"), "None");
        assert_eq!(
            shown("[true, 1.0, 1e16, 0.00001, \"it's\"]"),
            r#"[True, 1.0, 1e+16, 1e-05, "it's"]"#
        );
        assert_eq!(shown(r#"{"a\n": "'\"\u0001"}"#), r#"{'a\n': '\'"\x01'}"#);
        assert_eq!(shown("-Infinity"), "-inf");
        assert_eq!(shown("NaN"), "nan");
    }
}
