//! JSON, read strictly: one piece, no field twice, every number finite.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is no JSON that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoJson {
    /// A field is there twice.
    Duplicate,
    /// A number is none, or too large for one.
    NonFinite,
    /// Anything else.
    Syntax,
}

/// What the error of a field that is there twice says.
const TWICE: &str = "a field is there twice";

/// Reads one piece of JSON.
pub(crate) fn parse(text: &str) -> Result<Value, NoJson> {
    match serde_json::from_str::<Once>(text) {
        Ok(Once(value)) => Ok(value),
        Err(error) => {
            let why = error.to_string();
            Err(if why.starts_with(TWICE) {
                NoJson::Duplicate
            } else if why.starts_with("number out of range") || is_json_but_for_numbers(text) {
                NoJson::NonFinite
            } else {
                NoJson::Syntax
            })
        }
    }
}

/// Whether the text would be JSON, were it not for `NaN` and `Infinity`.
fn is_json_but_for_numbers(text: &str) -> bool {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    let (mut in_text, mut replaced) = (false, false);
    while let Some(letter) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word));
        if let Some(word) = word.filter(|_| !in_text) {
            plain.push('0');
            rest = rest.get(word.len()..).unwrap_or_default();
            replaced = true;
            continue;
        }
        let escaped = in_text && letter == '\\';
        if letter == '"' {
            in_text = !in_text;
        }
        for letter in rest.chars().take(if escaped { 2 } else { 1 }) {
            plain.push(letter);
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        }
    }
    replaced && serde_json::from_str::<Once>(&plain).is_ok()
}

/// A value in which no field is there twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor).map(Self)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Once(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Once(value))) = access.next_entry::<String, Once>()? {
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_there_twice_is_seen_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"b":{"a":1,"a":2}}"#, r#"[{"a":1,"\u0061":2}]"#] {
            assert_eq!(parse(text), Err(NoJson::Duplicate), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_told_from_other_mistakes() {
        for text in [r#"{"a":NaN}"#, "[-Infinity]", r#"{"a":[Infinity,"NaN"]}"#, "1e999"] {
            assert_eq!(parse(text), Err(NoJson::NonFinite), "{text}");
        }
        for text in [r#"{"a":NaN"#, r#"{"a":"NaN"} x"#, "", "NaNa", r#"{"a":"\"NaN}"#] {
            assert_eq!(parse(text), Err(NoJson::Syntax), "{text}");
        }
        assert!(parse(r#"{"a":"NaN"}"#).is_ok());
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_and_does_no_harm() {
        let text = "[".repeat(2_000);
        assert_eq!(parse(&text), Err(NoJson::Syntax));
    }
}
