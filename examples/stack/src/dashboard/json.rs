//! What is absent is absent, and what looks like markup is none.

use serde_json::Value;

/// An object without the fields that have no value.
pub(super) fn without_absent(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// As text in which no sign can begin a tag or an entity, wherever it is pasted. All of these
/// signs are within strings, since JSON itself has none of them.
pub(super) fn inert(value: &Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn markup_is_written_without_its_signs_and_means_the_same() {
        let value = json!({ "reason": "<script>alert(1)</script>&amp;" });
        let text = inert(&value);
        assert!(!text.contains(['<', '>', '&']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn a_number_that_is_none_is_left_out() {
        assert_eq!(without_absent(json!({ "a": null, "b": f64::NAN, "c": 0 })), json!({ "c": 0 }));
    }
}
