//! Digests by which records tell requests and prompts apart.

use std::fmt::Write as _;

use planner_core::{Consultation, Thresholds};
use sha2::{Digest as _, Sha256};

use crate::{system, user};

/// SHA-256 of what a model is told of a consultation, as hexadecimal digits. It differs where this
/// version says something else than the one that made a record.
pub fn prompt_sha256(
    consultation: &Consultation,
    operator: Thresholds,
    asks_thresholds: bool,
) -> String {
    told(&system(operator, asks_thresholds), &user(consultation))
}

/// The digest of what holds for every question and of this one.
pub(crate) fn told(system: &str, user: &str) -> String {
    sha256(format!("{system}\n{user}").as_bytes())
}

/// A digest as hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _writing_to_a_string_works = write!(text, "{byte:02x}");
        text
    })
}
