//! How a window compares with normal: ratio and deviation, breach, near, failing.
//!
//! Every threshold is compared here and nowhere else, so that policy, guards and baseline cannot
//! disagree on what a breach is. This module proposes nothing.

use core::fmt;

use crate::baseline::Estimate;
use crate::config::{Config, Thresholds};
use crate::telemetry::Window;

/// Suspect windows in a row that make a breach.
const SUSPECTS_MIN: u32 = 3;
/// Requests that wait per ready replica from which a window counts as queued.
const QUEUED_PER_REPLICA: u32 = 4;
/// Queued windows in a row that make a breach: a busy moment is none.
const QUEUED_MIN: u32 = 3;
/// Errors that an error breach needs beside the share, so that one lost request of ten is none.
const BREACH_ERRORS_MIN: u32 = 3;
/// Standard deviations of a Poisson count by which arrivals must exceed completions.
const SATURATION_SIGMAS: f64 = 3.0;
/// Requests per ready replica by which arrivals must exceed completions.
const SATURATION_REQUESTS_PER_REPLICA: f64 = 4.0;

/// One window held against the baseline and the thresholds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::struct_excessive_bools, reason = "four independent findings of one comparison")]
#[non_exhaustive]
pub struct Signal {
    /// p95 ÷ baseline median; absent without either.
    pub ratio: Option<f64>,
    /// (p95 − baseline median) ÷ σ; absent without either.
    pub z: Option<f64>,
    /// Why this window is a breach by the operator's own thresholds, if it is one.
    pub breach: Option<Breach>,
    /// A breach by the advised, tighter thresholds only.
    pub early: bool,
    /// The p95 is beyond a threshold, but its confidence interval is not: three such windows in a
    /// row are a breach.
    pub suspect: bool,
    /// The p95 is within the near-baseline band or below it.
    pub near: bool,
    /// Requests wait because every replica is at its limit: three such windows in a row are a
    /// breach.
    pub queued: bool,
    /// The error share is above its limit: low latency proves nothing now.
    pub failing: bool,
}

/// What makes a window a breach. Variants from hardest evidence to softest.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Breach {
    /// Requests arrive faster than they are answered: the backlog grows.
    Saturation {
        /// Requests that arrived per second.
        arrivals_per_s: f64,
        /// Requests that were answered per second.
        completions_per_s: f64,
    },
    /// Requests keep waiting because every replica is at its limit.
    Queued {
        /// How many wait.
        requests: u32,
    },
    /// Too many requests ran into their deadline.
    Timeouts {
        /// Their share.
        share: f64,
    },
    /// Too many requests failed.
    Errors {
        /// The share of timeouts and failures together.
        share: f64,
    },
    /// The p95 is too many baselines.
    Ratio {
        /// p95 ÷ baseline median.
        ratio: f64,
        /// The threshold.
        limit: f64,
    },
    /// The p95 is too many σ above the baseline, and materially above it.
    Deviation {
        /// (p95 − median) ÷ σ.
        z: f64,
        /// The threshold.
        limit: f64,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saturation { arrivals_per_s, completions_per_s } => {
                write!(f, "{arrivals_per_s:.1}/s arrive, {completions_per_s:.1}/s are answered")
            }
            Self::Queued { requests } => write!(f, "{requests} requests keep waiting"),
            Self::Timeouts { share } => write!(f, "{:.1} % time out", share * 100.0),
            Self::Errors { share } => write!(f, "{:.1} % fail", share * 100.0),
            Self::Ratio { ratio, limit } => {
                write!(f, "p95 {ratio:.1}x baseline, limit {limit:.1}x")
            }
            Self::Deviation { z, limit } => {
                write!(f, "p95 {z:.1} sigma above baseline, limit {limit:.1}")
            }
        }
    }
}

/// What is needed beside the window to judge it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Yardstick<'a> {
    pub(crate) config: &'a Config,
    /// The thresholds in force: the operator's, tightened by advice.
    pub(crate) active: Thresholds,
    pub(crate) estimate: Option<Estimate>,
    /// Suspect windows in a row before this one.
    pub(crate) suspects_before: u32,
    /// Queued windows in a row before this one.
    pub(crate) queued_before: u32,
}

impl Signal {
    /// Judges `window`. Pure; O(1).
    pub(crate) fn assess(window: &Window, yardstick: &Yardstick<'_>) -> Self {
        let config = yardstick.config;
        let error_share = window.error_share().unwrap_or(0.0);
        let queued = queued(window);
        let keeps_waiting = queued.filter(|_| yardstick.queued_before >= QUEUED_MIN - 1);
        let mut signal = Self {
            failing: error_share > config.error_share_max(),
            queued: queued.is_some(),
            breach: hard_breach(window, config, error_share).or(keeps_waiting),
            ..Self::default()
        };
        let (Some(estimate), Some(latencies)) = (yardstick.estimate, window.latencies) else {
            return signal;
        };
        let p95 = latencies.p95.as_millis();
        let at_least = latencies.p95_at_least().as_millis();
        signal.ratio = Some(estimate.ratio(p95));
        signal.z = Some(estimate.z(p95));
        signal.near = p95 <= estimate.band_high_ms(config, yardstick.active);

        let operator = config.thresholds();
        let certain = exceeded(&estimate, at_least, operator, config);
        let likely = exceeded(&estimate, p95, operator, config);
        signal.suspect = likely.is_some() && certain.is_none();
        let suspects = yardstick.suspects_before.saturating_add(1);
        let confirmed = if suspects >= SUSPECTS_MIN { likely } else { None };
        signal.breach = signal.breach.or(certain).or(confirmed);
        signal.early = signal.breach.is_none()
            && exceeded(&estimate, at_least, yardstick.active, config).is_some();
        signal
    }
}

/// Evidence that needs no baseline.
fn hard_breach(window: &Window, config: &Config, error_share: f64) -> Option<Breach> {
    if let Some(breach) = saturation(window) {
        return Some(breach);
    }
    let limit = config.error_share_max();
    let timeout_share = window.timeout_share().unwrap_or(0.0);
    if window.timeouts >= BREACH_ERRORS_MIN && timeout_share > limit {
        return Some(Breach::Timeouts { share: timeout_share });
    }
    let errors = window.timeouts.saturating_add(window.failures);
    (errors >= BREACH_ERRORS_MIN && error_share > limit)
        .then_some(Breach::Errors { share: error_share })
}

/// Whether so many requests wait that a busy moment does not explain them.
fn queued(window: &Window) -> Option<Breach> {
    let requests = window.traffic?.queued?;
    let limit = QUEUED_PER_REPLICA.saturating_mul(window.ready.unwrap_or(1).max(1));
    (requests >= limit).then_some(Breach::Queued { requests })
}

/// Whether arrivals exceed completions by more than the noise of counting them.
fn saturation(window: &Window) -> Option<Breach> {
    let traffic = window.traffic?;
    let completions_per_s = traffic.completions_per_s?;
    let seconds = window.length().as_secs_f64();
    let arrived = traffic.arrivals_per_s * seconds;
    let excess = arrived - completions_per_s * seconds;
    let noise = SATURATION_SIGMAS * libm::sqrt(arrived);
    let allowance = SATURATION_REQUESTS_PER_REPLICA * f64::from(window.ready.unwrap_or(1).max(1));
    (excess > noise.max(allowance))
        .then_some(Breach::Saturation { arrivals_per_s: traffic.arrivals_per_s, completions_per_s })
}

/// The threshold that a p95 of `millis` exceeds.
fn exceeded(
    estimate: &Estimate,
    millis: f64,
    thresholds: Thresholds,
    config: &Config,
) -> Option<Breach> {
    let (ratio, z) = (estimate.ratio(millis), estimate.z(millis));
    if ratio >= thresholds.up_ratio {
        return Some(Breach::Ratio { ratio, limit: thresholds.up_ratio });
    }
    (z >= thresholds.up_z && ratio >= config.deviation_ratio_min())
        .then_some(Breach::Deviation { z, limit: thresholds.up_z })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, estimate, window};
    use crate::{Latencies, Latency, Traffic};

    fn assess(window: &Window, suspects_before: u32) -> Signal {
        let config = config();
        let yardstick = Yardstick {
            config: &config,
            active: config.thresholds(),
            estimate: Some(estimate(40.0, 8.0)),
            suspects_before,
            queued_before: 0,
        };
        Signal::assess(window, &yardstick)
    }

    fn with_interval(p95_ms: f64, low_ms: f64) -> Window {
        let mut window = window(1, p95_ms, 2);
        let low = Latency::from_millis(low_ms);
        window.latencies =
            window.latencies.map(|found: Latencies| found.with_p95_interval(low, None));
        window
    }

    #[test]
    fn without_a_baseline_only_hard_evidence_is_a_breach() {
        let config = config();
        let active = config.thresholds();
        let yardstick = Yardstick {
            config: &config,
            active,
            estimate: None,
            suspects_before: 0,
            queued_before: 0,
        };
        assert_eq!(Signal::assess(&window(1, 9_000.0, 2), &yardstick).breach, None);
        let failing = Window::builder(1, crate::Timestamp::ORIGIN, crate::Timestamp::from_nanos(1))
            .outcomes(20, 10, 0)
            .ready(2)
            .build()
            .expect("valid");
        let signal = Signal::assess(&failing, &yardstick);
        assert_eq!(signal.breach, Some(Breach::Timeouts { share: 0.5 }));
        assert!(signal.failing);
    }

    #[test]
    fn a_p95_whose_interval_reaches_below_the_threshold_is_only_a_suspect() {
        let noisy = with_interval(330.0, 60.0);
        let first = assess(&noisy, 1);
        assert!(first.suspect && first.breach.is_none());
    }

    #[test]
    fn a_third_suspect_in_a_row_is_a_breach() {
        let noisy = with_interval(330.0, 60.0);
        assert_eq!(assess(&noisy, 2).breach, Some(Breach::Ratio { ratio: 8.25, limit: 8.0 }));
    }

    #[test]
    fn a_quiet_baseline_does_not_make_a_breach_of_a_small_rise() {
        let signal = assess(&window(1, 119.0, 2), 0);
        assert!(signal.z.is_some_and(|z| z > 6.0) && signal.breach.is_none());
        let material = assess(&window(1, 120.0, 2), 0);
        assert_eq!(material.breach, Some(Breach::Deviation { z: 10.0, limit: 6.0 }));
    }

    #[test]
    fn a_growing_backlog_is_a_breach_and_counting_noise_is_not() {
        let mut busy = window(1, 40.0, 1);
        let traffic = |completions| {
            Traffic::arriving(120.0).and_then(|found| found.with_completions(completions)).ok()
        };
        busy.traffic = traffic(49.0);
        assert!(matches!(assess(&busy, 0).breach, Some(Breach::Saturation { .. })));
        busy.traffic = traffic(100.0);
        assert_eq!(assess(&busy, 0).breach, None);
    }

    #[test]
    fn requests_that_keep_waiting_are_a_breach_without_any_baseline() {
        let mut busy = window(1, 250.0, 2);
        let traffic = Traffic::arriving(57.0).and_then(|found| found.with_completions(57.0));
        busy.traffic = traffic.ok().map(|found| found.with_in_flight(30).with_queued(14));
        let config = config();
        let assess = |queued_before| {
            let (active, suspects_before) = (config.thresholds(), 0);
            let yardstick = Yardstick {
                config: &config,
                active,
                estimate: None,
                suspects_before,
                queued_before,
            };
            Signal::assess(&busy, &yardstick)
        };
        assert!(assess(1).queued && assess(1).breach.is_none(), "a busy moment is no breach");
        assert_eq!(assess(2).breach, Some(Breach::Queued { requests: 14 }));
    }
}
