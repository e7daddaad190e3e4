//! One vector, in whichever of its two forms it is written.

use serde::Deserialize;
use serde_json::{Map, Value};

/// Members that say where a vector is from, and nothing about what it tests.
const ABOUT: [&str; 2] = ["source", "tags"];

/// One vector.
///
/// A sequence may be written as `steps`, each with its own `expected`; it is read as `input.steps`
/// and `expected.steps`. Whatever else stands beside `input` is read as a member of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Vector {
    /// Its name.
    pub id: String,
    /// The system it comes from.
    pub family: String,
    /// What it tests.
    pub kind: String,
    /// Settings, where the kind has any.
    pub params: Value,
    /// What goes in.
    pub input: Value,
    /// What has to come out.
    pub expected: Value,
}

/// A vector as it is written.
#[derive(Deserialize)]
struct Written {
    id: String,
    family: String,
    kind: String,
    #[serde(default)]
    params: Value,
    input: Option<Map<String, Value>>,
    expected: Option<Value>,
    steps: Option<Vec<Map<String, Value>>>,
    #[serde(flatten)]
    beside: Map<String, Value>,
}

impl TryFrom<Written> for Vector {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { id, family, kind, params, input, expected, steps, mut beside } = written;
        beside.retain(|name, _| !ABOUT.contains(&name.as_str()));
        let mut input = input.unwrap_or_default();
        input.append(&mut beside);
        let expected = match (expected, steps) {
            (Some(expected), None) => expected,
            (None, Some(mut steps)) => {
                let take = |step: &mut Map<_, _>| step.remove("expected").unwrap_or_default();
                let expected: Vec<Value> = steps.iter_mut().map(take).collect();
                input.insert("steps".to_owned(), steps.into_iter().map(Value::Object).collect());
                serde_json::json!({ "steps": expected })
            }
            (None, None) => return Err("missing field `expected`, and no `steps`".to_owned()),
            (Some(_), Some(_)) => return Err("both `expected` and `steps`; keep one".to_owned()),
        };
        Ok(Self { id, family, kind, params, input: Value::Object(input), expected })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Vector, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_vector_that_expects_nothing_or_twice_is_refused() {
        let nothing = r#"{"id":"x","family":"f","kind":"k","input":{}}"#;
        let error = read(nothing).expect_err("nothing is expected");
        assert!(error.starts_with("missing field `expected`, and no `steps`"), "{error}");
        let twice = r#"{"id":"x","family":"f","kind":"k","expected":{},"steps":[]}"#;
        let error = read(twice).expect_err("twice");
        assert!(error.starts_with("both `expected` and `steps`; keep one"), "{error}");
    }

    #[test]
    fn steps_and_what_stands_beside_the_input_become_parts_of_it() {
        let text = r#"{"id":"x","family":"f","kind":"k","origin":"executed","mode":"a",
            "input":{"start":1},"steps":[{"in":2,"expected":3},{"in":4}]}"#;
        let vector = read(text).expect("a vector");
        let steps = json!([{ "in": 2 }, { "in": 4 }]);
        let input = json!({ "start": 1, "mode": "a", "origin": "executed", "steps": steps });
        assert_eq!(vector.input, input);
        assert_eq!(vector.expected, json!({ "steps": [3, null] }));
    }
}
