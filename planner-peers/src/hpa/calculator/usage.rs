//! Sums, means and shares of what pods use. None of them can overflow.

use std::collections::BTreeMap;

use super::MetricError;
use crate::hpa::pods::Groups;

/// The most replicas that a count can say: counts there are 32-bit integers.
const REPLICAS_MAX: f64 = i32::MAX as f64;

/// Assumes a load for pods that were not measured: busy if the others are below their target, idle
/// if they are above it. Exactly at the target nothing is assumed.
pub(super) fn assume<'a>(
    values: &mut BTreeMap<&'a str, i64>,
    groups: &Groups<'a>,
    ratio: f64,
    busy_milli: impl Fn(&str) -> i64,
) {
    for pod in &groups.missing {
        if ratio < 1.0 {
            values.insert(pod, busy_milli(pod));
        } else if ratio > 1.0 {
            values.insert(pod, 0);
        }
    }
}

/// Usage as a share of requests.
pub(super) struct Used {
    /// In whole percent, cut off.
    pub(super) percent: i64,
    /// Per pod, cut off to whole thousandths.
    pub(super) average_milli: i64,
}

impl Used {
    /// Of the pods whose requests are known.
    pub(super) fn of(
        values: &BTreeMap<&str, i64>,
        requests: &BTreeMap<&str, i64>,
    ) -> Result<Self, MetricError> {
        let (mut used, mut requested, mut pods) = (0_i128, 0_i128, 0_i128);
        for (pod, value) in values {
            if let Some(request) = requests.get(pod) {
                used += i128::from(*value);
                requested += i128::from(*request);
                pods += 1;
            }
        }
        if requested == 0 {
            return Err(MetricError::NoMetricsMatchedKnownPods);
        }
        // Cut off to whole percent before it is compared with the target.
        Ok(Self { percent: to_i64(used * 100 / requested), average_milli: to_i64(used / pods) })
    }
}

/// The mean, cut off to whole thousandths; 0 of nothing.
pub(super) fn mean(values: &BTreeMap<&str, i64>) -> i64 {
    let total: i128 = values.values().copied().map(i128::from).sum();
    to_i64(total / (values.len().max(1) as i128))
}

/// The sum of values.
pub(super) fn sum(values_milli: &[i64]) -> i64 {
    to_i64(values_milli.iter().copied().map(i128::from).sum())
}

/// The nearest that fits.
#[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
pub(super) fn to_i64(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// Rounded up; a count below 0, or none at all, is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
pub(super) fn to_replicas(count: f64) -> u32 {
    count.ceil().clamp(0.0, REPLICAS_MAX) as u32
}
