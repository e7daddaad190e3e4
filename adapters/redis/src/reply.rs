//! What Redis answers about streams, read by hand: an entry that is pending but was trimmed comes
//! as an identifier with nothing behind it.

use redis::Value;

/// An entry: its identifier, and the message where there still is one.
pub(crate) type Raw = (String, Option<Vec<u8>>);

/// The entries of the one stream that was read; none when nothing came.
pub(crate) fn of_read(reply: Value) -> Vec<Raw> {
    let entries = match reply {
        Value::Array(streams) => streams.into_iter().next().and_then(|stream| match stream {
            Value::Array(parts) => parts.into_iter().nth(1),
            _ => None,
        }),
        Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
        _ => None,
    };
    entries.map(of_entries).unwrap_or_default()
}

/// A list of entries.
pub(crate) fn of_entries(entries: Value) -> Vec<Raw> {
    let Value::Array(entries) = entries else { return Vec::new() };
    entries.into_iter().filter_map(of_entry).collect()
}

/// What was claimed, and where to go on claiming.
pub(crate) fn of_claim(reply: Value) -> (String, Vec<Raw>) {
    let end = || String::from("0-0");
    let Value::Array(parts) = reply else { return (end(), Vec::new()) };
    let mut parts = parts.into_iter();
    let next = parts.next().and_then(text).unwrap_or_else(end);
    (next, parts.next().map(of_entries).unwrap_or_default())
}

/// The two halves of an entry's identifier, by which it is older or newer.
pub(crate) fn order_of(id: &str) -> (u64, u64) {
    let (millis, count) = id.split_once('-').unwrap_or((id, "0"));
    (millis.parse().unwrap_or(0), count.parse().unwrap_or(0))
}

fn of_entry(entry: Value) -> Option<Raw> {
    let Value::Array(parts) = entry else { return None };
    let mut parts = parts.into_iter();
    let id = text(parts.next()?)?;
    let mut fields = match parts.next() {
        Some(Value::Array(fields)) => fields,
        Some(Value::Map(pairs)) => pairs.into_iter().flat_map(|(k, v)| [k, v]).collect(),
        _ => return Some((id, None)),
    }
    .into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if text(name).as_deref() == Some("m") {
            return Some((id, bytes(value)));
        }
    }
    // Somebody else's entry: a message that no reader will take, and will say so.
    Some((id, Some(Vec::new())))
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    bytes(value).and_then(|bytes| String::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(id: &str, fields: Value) -> Value {
        Value::Array(vec![bulk(id), fields])
    }

    #[test]
    fn a_trimmed_entry_has_an_identifier_and_nothing_else() {
        let full = Value::Array(vec![bulk("x"), bulk("y"), bulk("m"), bulk("{}")]);
        let entries = Value::Array(vec![
            entry("1-0", Value::Nil),
            entry("2-0", full),
            entry("3-0", Value::Array(vec![bulk("other"), bulk("1")])),
        ]);
        let expected = vec![
            (String::from("1-0"), None),
            (String::from("2-0"), Some(b"{}".to_vec())),
            (String::from("3-0"), Some(Vec::new())),
        ];
        let read = Value::Array(vec![Value::Array(vec![bulk("stream"), entries.clone()])]);
        assert_eq!(of_read(read), expected);
        assert_eq!(of_read(Value::Map(vec![(bulk("stream"), entries.clone())])), expected);
        let claim = Value::Array(vec![bulk("7-0"), entries, Value::Array(vec![bulk("9-0")])]);
        assert_eq!(of_claim(claim), (String::from("7-0"), expected));
    }

    #[test]
    fn an_answer_of_another_shape_is_no_entry() {
        for odd in [Value::Nil, Value::Okay, Value::Int(7), Value::Array(vec![Value::Nil])] {
            assert_eq!(of_read(odd.clone()), Vec::new());
            assert_eq!(of_entries(odd.clone()), Vec::new());
            assert_eq!(of_claim(odd), (String::from("0-0"), Vec::new()));
        }
    }

    #[test]
    fn identifiers_are_ordered_as_numbers() {
        assert!(order_of("9-1") < order_of("10-0"));
        assert!(order_of("10-2") < order_of("10-10"));
        assert_eq!(order_of("x"), (0, 0));
    }
}
