//! The fields of a message, read strictly: right type, right range, or refused.

use std::fmt;
use std::ops::RangeInclusive;

use planner_core::ServiceId;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{BYTES_MAX, COUNT_MAX, WireError};

/// Most characters of a text such as a reason.
pub(crate) const TEXT_MAX: usize = 4_096;
/// Most characters of a name.
pub(crate) const NAME_MAX: usize = 255;
/// Latest wall time that is believed, seconds since 1970: the year 2286.
const WALL_MAX_S: f64 = 1e10;
/// What a wall time has to be.
const WALL_RULE: &str = "a number of seconds since 1970";

/// The fields of one object.
pub(crate) struct Fields(Map<String, Value>);

/// An object in which no field is there twice: two readers might each take another one.
struct Once(Map<String, Value>);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Once, A::Error> {
        let mut map = Map::new();
        while let Some((field, value)) = access.next_entry::<String, Value>()? {
            if map.insert(field, value).is_some() {
                return Err(A::Error::custom("a field is there twice"));
            }
        }
        Ok(Once(map))
    }
}

/// Text as JSON, where it is.
pub(crate) fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// The value of a field that has to be there.
pub(crate) fn need<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::Missing { field })
}

impl Fields {
    /// The fields of a message.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > BYTES_MAX {
            return Err(WireError::TooLong { bytes: bytes.len() });
        }
        match serde_json::from_slice::<Once>(bytes) {
            Ok(Once(map)) => Ok(Self(map)),
            Err(error) => {
                let cause = error.to_string();
                let cause = cause.chars().take(80).flat_map(char::escape_debug).collect();
                Err(WireError::NotJson { cause })
            }
        }
    }

    /// The value of a field; `null` is none.
    pub(crate) fn value(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// A finite number. Minus zero is zero.
    pub(crate) fn number(
        &self,
        field: &'static str,
        range: RangeInclusive<f64>,
        rule: &'static str,
    ) -> Result<Option<f64>, WireError> {
        self.read(field, rule, |value| {
            value.as_f64().filter(|number| range.contains(number)).map(|number| number + 0.0)
        })
    }

    /// A wall time in seconds.
    pub(crate) fn wall(&self, field: &'static str) -> Result<Option<f64>, WireError> {
        self.number(field, 0.0..=WALL_MAX_S, WALL_RULE)
    }

    /// A latency in milliseconds.
    pub(crate) fn millis(&self, field: &'static str) -> Result<Option<f64>, WireError> {
        self.number(field, 0.0..=1e8, "a number of milliseconds from 0 to 1e8")
    }

    /// A share.
    pub(crate) fn share(&self, field: &'static str) -> Result<Option<f64>, WireError> {
        self.number(field, 0.0..=1.0, "a share from 0 to 1")
    }

    /// A count of replicas.
    pub(crate) fn replicas(&self, field: &'static str) -> Result<Option<u32>, WireError> {
        let rule = "a whole number from 0 to 1000000";
        self.read(field, rule, |value| {
            value.as_u64().filter(|count| *count <= 1_000_000).and_then(|n| u32::try_from(n).ok())
        })
    }

    /// A count that fits 32 bits.
    pub(crate) fn count(&self, field: &'static str) -> Result<Option<u32>, WireError> {
        let rule = "a whole number from 0 to 4294967295";
        self.read(field, rule, |value| value.as_u64().and_then(|count| u32::try_from(count).ok()))
    }

    /// A number that something goes by: an epoch, a number of a decision.
    pub(crate) fn index(&self, field: &'static str) -> Result<Option<u64>, WireError> {
        let rule = "a whole number from 0 to 9007199254740992";
        self.read(field, rule, |value| value.as_u64().filter(|index| *index <= COUNT_MAX))
    }

    /// A window's number, which may take 64 bits.
    pub(crate) fn window_number(&self, field: &'static str) -> Result<Option<u64>, WireError> {
        self.read(field, "a whole number from 0 to 18446744073709551615", Value::as_u64)
    }

    /// Yes or no.
    pub(crate) fn flag(&self, field: &'static str) -> Result<Option<bool>, WireError> {
        self.read(field, "true or false", Value::as_bool)
    }

    /// Text of at most `chars` characters.
    pub(crate) fn text(
        &self,
        field: &'static str,
        chars: usize,
    ) -> Result<Option<String>, WireError> {
        let rule = if chars == NAME_MAX {
            "text of at most 255 characters"
        } else {
            "text of at most 4096 characters"
        };
        self.read(field, rule, |value| {
            value.as_str().filter(|text| text.chars().count() <= chars).map(String::from)
        })
    }

    /// Text that is one of a set.
    pub(crate) fn word<T>(
        &self,
        field: &'static str,
        rule: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, WireError> {
        self.read(field, rule, |value| value.as_str().and_then(read))
    }

    /// The name of a service.
    pub(crate) fn service(&self) -> Result<Option<ServiceId>, WireError> {
        let rule = "1 to 63 of a-z, 0-9 and '-'";
        self.word("service", rule, |text| ServiceId::new(text).ok())
    }

    /// The version of the format, where it is said. Later ones are read too: what is added is
    /// ignored, and what changes gets another name.
    pub(crate) fn version(&self) -> Result<Option<u32>, WireError> {
        self.read("v", "a whole number from 1 to 4294967295", |value| {
            value.as_u64().filter(|v| *v > 0).and_then(|version| u32::try_from(version).ok())
        })
    }

    /// An object.
    pub(crate) fn object(&self, field: &'static str) -> Result<Option<Self>, WireError> {
        self.read(field, "an object", |value| value.as_object().cloned().map(Self))
    }

    /// A list of at most `most` entries, each read by `read`.
    pub(crate) fn list<T>(
        &self,
        field: &'static str,
        most: usize,
        rule: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>, WireError> {
        self.read(field, rule, |value| {
            let entries = value.as_array().filter(|entries| entries.len() <= most)?;
            entries.iter().map(&read).collect()
        })
    }

    /// A list of objects.
    pub(crate) fn objects(
        &self,
        field: &'static str,
        most: usize,
        rule: &'static str,
    ) -> Result<Option<Vec<Self>>, WireError> {
        self.list(field, most, rule, |value| value.as_object().cloned().map(Self))
    }

    /// Whatever it is, as JSON text.
    pub(crate) fn json_text(&self, field: &str) -> Option<String> {
        self.value(field).map(Value::to_string)
    }

    fn read<T>(
        &self,
        field: &'static str,
        rule: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, WireError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        match read(value) {
            Some(value) => Ok(Some(value)),
            None => Err(WireError::field(field, &value.to_string(), rule)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match Fields::parse(text.as_bytes()) {
            Ok(fields) => fields.number("x", 0.0..=10.0, "from 0 to 10").expect_err("").to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_number_that_is_none_is_refused_and_not_clamped() {
        for wrong in ["11", "-1", "\"1\"", "true", "[]", "{}", "1e300"] {
            let error = refusal(&format!("{{\"x\":{wrong}}}"));
            assert!(error.starts_with("x: "), "{error}");
            assert!(error.ends_with("is not from 0 to 10; fix its sender"), "{error}");
        }
        for wrong in ["NaN", "Infinity", "1e999", "-", ""] {
            assert!(refusal(&format!("{{\"x\":{wrong}}}")).starts_with("message: not one JSON"));
        }
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        assert!(refusal("{\"x\":1,\"x\":2}").contains("a field is there twice"));
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_refused_before_it_hurts() {
        let long = "x".repeat(BYTES_MAX + 1);
        assert_eq!(refusal(&long), "message: 65537 bytes is longer than 65536; say less");
        assert!(refusal(&"[".repeat(60_000)).starts_with("message: not one JSON object"));
        let deep = format!("{{\"x\":{}", "[".repeat(60_000));
        assert!(refusal(&deep).contains("recursion limit"));
    }

    #[test]
    fn minus_zero_is_zero_and_null_is_absent() {
        let fields = Fields::parse(b"{\"x\":-0.0,\"y\":null}").expect("an object");
        let zero = fields.number("x", 0.0..=1.0, "a share").expect("legal").expect("there");
        assert!(zero.is_sign_positive());
        assert_eq!(fields.flag("y"), Ok(None));
    }
}
