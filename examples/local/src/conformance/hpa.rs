//! The Horizontal Pod Autoscaler.

use serde_json::Value;

use super::Vector;

/// What comes out; `None` for a kind that is not implemented.
pub(super) fn run(_vector: &Vector) -> Option<Result<Value, serde_json::Error>> {
    None
}
