//! The Horizontal Pod Autoscaler.

mod cases;
mod controller;
mod normalize;
mod observed;
mod sequence;

use serde_json::Value;

use super::Vector;

/// What comes out; `None` for a kind that is not implemented.
pub(super) fn run(vector: &Vector) -> Option<Result<Value, serde_json::Error>> {
    let run = match vector.kind.as_str() {
        "behavior_rate_limit" => normalize::behavior_rate_limit,
        "convert_legacy_rules" => normalize::convert_legacy_rules,
        "group_pods" => cases::group_pods,
        "reconcile" => controller::run,
        "reconcile_sequence" => sequence::run,
        "replica_calculator" => cases::replica_calculator,
        "stabilize_legacy" => normalize::stabilize_legacy,
        "stabilize_with_behavior" => normalize::stabilize_with_behavior,
        "store_scale_event" => normalize::store_scale_event,
        _ => return None,
    };
    Some(run(vector))
}

/// Leaves out what is expected as `null` where that stands for "not checked": a number that is
/// unspecified, and a log without ages.
fn unless_unchecked(vector: &Vector, key: &str, got: Value) -> Value {
    if vector.expected.get(key).is_none_or(Value::is_null) { Value::Null } else { got }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::run;

    #[test]
    fn the_projects_own_selection_passes() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/conformance/hpa");
        let results = run(&[own]).expect("readable");
        assert!(results.is_clean(), "{results}");
        assert_eq!(results.0.len(), 8, "{results}");
    }
}
