//! Messages: from bytes to values and back. No I/O.
//!
//! One JSON object a message, at most [`BYTES_MAX`] long. Unknown fields are ignored; a message of
//! an unknown kind is [`Heard::Unknown`]; a known field that is wrong makes the whole message
//! wrong, and the [`WireError`] names it. Nothing is clamped into a range.
//!
//! Each message is a superset of the proof of concept's, so that its programs read ours and ours
//! read its.

mod action;
mod alert;
mod clock;
mod error;
mod fields;
#[cfg(test)]
mod laws;
mod mac;
mod membership;
mod result;
mod routing;
mod write;

pub use action::{Action, ActionOrigin, Observed, OrderStamp, Stamp, Step, Verb};
pub use alert::{Alert, Detail, DetailLatencies, DetailTraffic};
pub use clock::{Clock, SKEW_MAX_S, wall_now};
pub use error::{KeyError, WireError};
pub use mac::{MacKey, seal, verify};
pub use membership::Membership;
pub use result::{ActionResult, Cause, Status};
pub use routing::Routing;

#[cfg(test)]
pub(crate) use membership::is_slot;

use fields::{Fields, need};
use write::Writer;

/// Longest message in bytes, checked before anything of it is read.
pub const BYTES_MAX: usize = 65_536;
/// Version of the format that is written.
pub const VERSION: u32 = 1;
/// Largest epoch, number or sequence number that is told exactly by everybody who may have to:
/// Redis' scripts and browsers count in doubles.
pub const COUNT_MAX: u64 = 1 << 53;

/// What a message turned out to be.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a message is of a known kind, a report, or neither")]
pub enum Heard<T> {
    /// The message.
    Message(T),
    /// A report that its sender failed.
    Fault(Fault),
    /// Of a kind that is not known here: to be skipped.
    Unknown,
}

impl<T> Heard<T> {
    /// The message, where it is one.
    pub fn message(self) -> Option<T> {
        match self {
            Self::Message(message) => Some(message),
            Self::Fault(_) | Self::Unknown => None,
        }
    }
}

/// A report that its sender failed at a message, as the proof of concept's programs send it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// What went wrong, in its sender's words.
    pub error: String,
    /// The message that it failed at, as JSON text, where it was repeated.
    pub raw: Option<String>,
}

impl Fault {
    /// A report without the message that it is about.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), raw: None }
    }

    /// As it is sent on the channel of actions.
    pub fn write_action(&self) -> String {
        self.write("kind")
    }

    /// As it is sent on the channel of results.
    pub fn write_result(&self) -> String {
        self.write("status")
    }

    fn write(&self, tag: &'static str) -> String {
        let mut writer = Writer::new();
        writer.put(tag, "error");
        writer.put("error", &self.error);
        if let Some(raw) = self.raw.as_deref().and_then(fields::json) {
            writer.put("raw", &raw);
        }
        writer.end()
    }

    /// Reads one out of the fields of a message that says so.
    fn read(fields: &Fields) -> Result<Self, WireError> {
        let error = need("error", fields.text("error", fields::TEXT_MAX)?)?;
        Ok(Self { error, raw: fields.json_text("raw") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_a_failure_comes_back_as_it_was_sent() {
        for raw in [None, Some(String::from("{\"kind\":\"plan\"}")), Some(String::from("123"))] {
            let fault = Fault { error: String::from("no \"p95_ms\""), raw };
            assert_eq!(
                Action::parse(fault.write_action().as_bytes()),
                Ok(Heard::Fault(fault.clone()))
            );
            assert_eq!(
                ActionResult::parse(fault.write_result().as_bytes()),
                Ok(Heard::Fault(fault))
            );
        }
    }
}
