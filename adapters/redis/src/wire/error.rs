//! Why a message or a key was refused.

use std::path::PathBuf;

use planner_core::WindowError;

/// Most characters of a refused value that are repeated.
const SHOWN_MAX: usize = 40;

/// Why a message was refused. It then changes nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A known field with a wrong value.
    #[error("{field}: {value} is not {rule}; fix its sender")]
    Field {
        /// Which field.
        field: &'static str,
        /// The value, escaped and cut short.
        value: String,
        /// What it has to be.
        rule: &'static str,
    },
    /// The seal is not that of the message.
    #[error("mac: does not match the message; give sender and reader the same key file")]
    Forged,
    /// A field that has to be there.
    #[error("{field}: absent, but needed; fix its sender")]
    Missing {
        /// Which field.
        field: &'static str,
    },
    /// No JSON object.
    #[error("message: not one JSON object: {cause}; fix its sender")]
    NotJson {
        /// Where and why.
        cause: String,
    },
    /// More bytes than are read.
    #[error("message: {bytes} bytes is longer than 65536; say less")]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// The message has no seal, but has to have one.
    #[error("mac: absent, but a key is set; give the sender the key file too")]
    Unsealed,
    /// What was measured makes no window.
    #[error("telemetry makes no window: {0}")]
    Window(#[from] WindowError),
}

impl WireError {
    /// A field with a wrong value.
    pub(crate) fn field(field: &'static str, value: &str, rule: &'static str) -> Self {
        let mut shown: String =
            value.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
        if value.chars().nth(SHOWN_MAX).is_some() {
            shown.push_str("...");
        }
        Self::Field { field, value: shown, rule }
    }
}

/// Why a key cannot be used. The key is never part of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Too short to be secret.
    #[error("key: {bytes} bytes is shorter than {least}; write random text of 32 or more")]
    Short {
        /// How long it is.
        bytes: usize,
        /// The least.
        least: usize,
    },
    /// The file cannot be read.
    #[error("key file: {} cannot be read: {cause}; give a file that is ours to read", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        cause: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_names_what_value_rule_and_what_to_do() {
        for (error, text) in [
            (
                WireError::field("p95_ms", "\"a\nb\"", "a number"),
                "p95_ms: \\\"a\\nb\\\" is not a number; fix its sender",
            ),
            (
                WireError::Forged,
                "mac: does not match the message; give sender and reader the same key file",
            ),
            (WireError::Missing { field: "seq" }, "seq: absent, but needed; fix its sender"),
            (
                WireError::NotJson { cause: String::from("EOF at line 1") },
                "message: not one JSON object: EOF at line 1; fix its sender",
            ),
            (
                WireError::TooLong { bytes: 70_000 },
                "message: 70000 bytes is longer than 65536; say less",
            ),
            (
                WireError::Unsealed,
                "mac: absent, but a key is set; give the sender the key file too",
            ),
            (
                WireError::Window(WindowError::LatencyWithoutSuccess),
                "telemetry makes no window: latencies: given without a success; leave them out \
                 when every request failed",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
        assert_eq!(
            KeyError::Short { bytes: 3, least: 16 }.to_string(),
            "key: 3 bytes is shorter than 16; write random text of 32 or more"
        );
        let cause = String::from("not found");
        assert_eq!(
            KeyError::Unreadable { file: PathBuf::from("/k"), cause }.to_string(),
            "key file: /k cannot be read: not found; give a file that is ours to read"
        );
    }

    #[test]
    fn a_long_value_is_cut_short() {
        let WireError::Field { value, .. } = WireError::field("f", &"x".repeat(1_000), "short")
        else {
            panic!("a field");
        };
        assert_eq!(value, format!("{}...", "x".repeat(40)));
    }
}
