//! From the values of its language to JSON.

use planner_peers::poc::Value as Its;
use serde_json::{Value, json};

/// Stands for the text of an error, which is no part of the behaviour.
const ERROR_TEXT: &str = "<host-language error text>";

/// The value as vectors have it: what JSON has no number for is a string.
pub(super) fn json(value: &Its) -> Value {
    match value {
        Its::Bool(flag) => json!(flag),
        Its::Float(number) => float(*number),
        Its::Int(number) => json!(number),
        Its::List(values) => values.iter().map(json).collect(),
        Its::Map(members) => {
            members.iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
        Its::Null => Value::Null,
        Its::Text(text) => json!(text),
    }
}

/// A float as vectors have it.
pub(super) fn float(number: f64) -> Value {
    if number.is_finite() {
        json!(number)
    } else if number.is_nan() {
        json!("NaN")
    } else {
        json!(if number > 0.0 { "Infinity" } else { "-Infinity" })
    }
}

/// A message as vectors have it: without the text of its error.
pub(super) fn message(value: &Its) -> Value {
    let mut message = json(value);
    if let Some(error) = message.get_mut("error") {
        *error = json!(ERROR_TEXT);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_has_no_number_for_is_a_string() {
        let value = Its::parse(r#"{"a": [NaN, -Infinity, 1, 1.5, null], "error": "why"}"#);
        let message = message(&value.expect("JSON, to it"));
        let numbers = json!(["NaN", "-Infinity", 1, 1.5, null]);
        assert_eq!(message, json!({ "a": numbers, "error": ERROR_TEXT }));
    }
}
