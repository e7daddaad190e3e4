//! Objects written field by field, in an order of our choice: people read them.

use serde::Serialize;

/// One JSON object in the making.
pub(crate) struct Writer {
    text: String,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { text: String::from("{") }
    }

    /// Adds a field. What cannot be written is `null`, which readers take for absent.
    pub(crate) fn put<T: Serialize + ?Sized>(&mut self, field: &str, value: &T) {
        let value = serde_json::to_string(value).unwrap_or_else(|_| String::from("null"));
        self.put_json(field, &value);
    }

    /// Adds a field where there is a value.
    pub(crate) fn put_some<T: Serialize>(&mut self, field: &str, value: Option<T>) {
        if let Some(value) = value {
            self.put(field, &value);
        }
    }

    /// Adds an object.
    pub(crate) fn put_object(&mut self, field: &str, object: Self) {
        self.put_json(field, &object.end());
    }

    /// Adds a list of objects.
    pub(crate) fn put_objects(&mut self, field: &str, objects: impl Iterator<Item = Self>) {
        let objects: Vec<String> = objects.map(Self::end).collect();
        self.put_json(field, &format!("[{}]", objects.join(",")));
    }

    pub(crate) fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn put_json(&mut self, field: &str, value: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(field);
        self.text.push_str("\":");
        self.text.push_str(value);
    }
}
