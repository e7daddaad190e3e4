//! What it finds in an alert: baseline, σ and band.

use std::collections::VecDeque;

use planner_core::policy::{PocInput, PocSettings};
use planner_core::stats::SIGMA_PER_MAD;

/// Where a p95 lies; a change of it is a reason to ask the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(clippy::exhaustive_enums, reason = "the fixed bands of a fixed program")]
pub enum Band {
    /// There is no baseline above 0.
    Init,
    /// Below 0.9 baselines, or not to be compared.
    Low,
    /// Below 1.5 baselines.
    Near,
    /// Below 3 baselines.
    Mid,
    /// Below 8 baselines.
    High,
    /// Anything above.
    VeryHigh,
}

impl Band {
    pub(super) fn of(input: &PocInput<'_>) -> Self {
        let ratio = input.p95_ms / input.baseline_ms;
        match PocSettings::band(input) {
            "init" => Self::Init,
            _ if ratio.is_nan() => Self::Low,
            "low" => Self::Low,
            "near" => Self::Near,
            "mid" => Self::Mid,
            "high" => Self::High,
            _ => Self::VeryHigh,
        }
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Low => "low",
            Self::Near => "near",
            Self::Mid => "mid",
            Self::High => "high",
            Self::VeryHigh => "very_high",
        }
    }
}

/// What has to change before the model is asked out of turn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "the fixed state of a fixed program")]
pub struct StateKey {
    /// Where the p95 lies.
    pub band: Band,
    /// Replicas.
    pub replicas: i64,
    /// Whether each recent window was near, oldest first; nothing in [`Band::Init`].
    pub low_windows: Vec<bool>,
}

/// What it found in an alert.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed findings of a fixed program")]
#[expect(clippy::struct_excessive_bools, reason = "five findings that do not exclude each other")]
pub struct Assessment {
    /// Median of the history in milliseconds, this p95 included; or the hint.
    pub baseline_ms: f64,
    /// Whether the last action is long enough ago.
    pub cooldown_ok: bool,
    /// Whether there are enough p95s.
    pub have_baseline: bool,
    /// Whether the last answer is long enough ago.
    pub heartbeat_due: bool,
    /// p95s that it remembers.
    pub history_len: usize,
    /// Whether each recent window was near, oldest first.
    pub low_windows: Vec<bool>,
    /// Whether this window was; never before it has a baseline.
    pub near_baseline: bool,
    /// p95 in milliseconds.
    pub p95_ms: f64,
    /// Replicas.
    pub replicas: i64,
    /// 1.4826 MAD in milliseconds.
    pub sigma_ms: f64,
    /// Whether the key is another than the last one.
    pub state_changed: bool,
    /// What it compares with the next alert.
    pub state_key: StateKey,
}

/// Median and σ; 0 where there is none.
pub(super) fn robust_stats(history: &VecDeque<f64>) -> (f64, f64) {
    let baseline_ms = median(history.iter().copied());
    let mad = median(history.iter().map(|p95_ms| (p95_ms - baseline_ms).abs()));
    // Not so for NaN, which is what two infinities are apart.
    let sigma_ms = if mad > 0.0 { SIGMA_PER_MAD * mad } else { 0.0 };
    (baseline_ms, sigma_ms)
}

/// The middle value, or half the sum of the middle two, which may overflow; 0 for none.
#[expect(clippy::manual_midpoint, reason = "its sum may overflow, and then is infinite")]
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |rank: usize| sorted.get(rank).copied().unwrap_or(0.0);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 || half == 0 { at(half) } else { (at(half - 1) + at(half)) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(history: &[f64]) -> (f64, f64) {
        robust_stats(&history.iter().copied().collect())
    }

    #[test]
    fn nothing_and_one_value_have_no_deviation() {
        assert_eq!(stats(&[]), (0.0, 0.0));
        assert_eq!(stats(&[7.0]), (7.0, 0.0));
    }

    #[test]
    fn what_infinities_are_apart_is_no_deviation() {
        assert_eq!(stats(&[f64::INFINITY; 3]), (f64::INFINITY, 0.0));
    }

    #[test]
    fn the_mean_of_the_middle_two_may_overflow() {
        assert_eq!(stats(&[f64::MAX, f64::MAX]).0, f64::INFINITY);
        assert_eq!(stats(&[4.0, 1.0, 2.0, 3.0]), (2.5, 1.4826));
    }
}
