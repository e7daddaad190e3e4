//! What was seen: one bounded window of telemetry, and how far it can be trusted.
//!
//! A [`Window`] is validated once, here, at the edge; after that no function re-checks it. What is
//! unknown is absent, never zero. This module does not judge load or health: that is
//! [`signal`](crate::signal)'s business.

mod builder;
mod error;
mod latency;
mod quality;

use core::time::Duration;

#[cfg(feature = "serde")]
use builder::RawWindow;
pub use builder::WindowBuilder;
pub use error::WindowError;
pub use latency::{Latencies, Latency};
pub use quality::{Doubt, Quality};

use crate::Timestamp;
use crate::config::Config;
use crate::stats::percentile;

/// What a load balancer or a meter knows of the real traffic of one window.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Traffic {
    pub(crate) arrivals_per_s: f64,
    pub(crate) completions_per_s: Option<f64>,
    pub(crate) in_flight: Option<u32>,
    pub(crate) queued: Option<u32>,
}

impl Traffic {
    /// The most requests per second taken from outside.
    pub const MAX_PER_S: f64 = 1e9;

    /// Traffic of which only the arrival rate is known.
    ///
    /// # Errors
    ///
    /// [`WindowError::OutOfRange`] unless the rate is finite and in `0..=1e9`.
    pub fn arriving(arrivals_per_s: f64) -> Result<Self, WindowError> {
        let arrivals_per_s = rate("arrivals_per_s", arrivals_per_s)?;
        Ok(Self { arrivals_per_s, completions_per_s: None, in_flight: None, queued: None })
    }

    /// Requests that arrived, per second.
    pub const fn arrivals_per_s(&self) -> f64 {
        self.arrivals_per_s
    }

    /// Requests that were answered, per second, where it is counted.
    pub const fn completions_per_s(&self) -> Option<f64> {
        self.completions_per_s
    }

    /// Requests under way (queued ones included) at the end of the window.
    pub const fn in_flight(&self) -> Option<u32> {
        self.in_flight
    }

    /// Of these, requests that wait because every replica is at its limit, where there is one.
    pub const fn queued(&self) -> Option<u32> {
        self.queued
    }

    /// Adds the completion rate.
    ///
    /// # Errors
    ///
    /// [`WindowError::OutOfRange`] unless the rate is finite and in `0..=1e9`.
    pub fn with_completions(mut self, completions_per_s: f64) -> Result<Self, WindowError> {
        self.completions_per_s = Some(rate("completions_per_s", completions_per_s)?);
        Ok(self)
    }

    /// Adds the number of requests that wait at the end of the window because every replica is at
    /// its limit.
    #[must_use]
    pub const fn with_queued(mut self, queued: u32) -> Self {
        self.queued = Some(queued);
        self
    }

    /// Adds the number of requests under way at the end of the window.
    #[must_use]
    pub const fn with_in_flight(mut self, in_flight: u32) -> Self {
        self.in_flight = Some(in_flight);
        self
    }
}

/// A rate from outside, checked.
fn rate(field: &'static str, value: f64) -> Result<f64, WindowError> {
    if (0.0..=Traffic::MAX_PER_S).contains(&value) {
        return Ok(value + 0.0);
    }
    Err(WindowError::OutOfRange { field, value, rule: "a finite rate from 0 to 1e9 a second" })
}

/// One window of telemetry, valid by construction.
///
/// Built with [`Window::builder`], or [`Window::probes`] where there are only probe latencies.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "RawWindow"))]
#[non_exhaustive]
pub struct Window {
    pub(crate) seq: u64,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) samples: u32,
    pub(crate) timeouts: u32,
    pub(crate) failures: u32,
    pub(crate) coverage: Option<f64>,
    pub(crate) latencies: Option<Latencies>,
    pub(crate) ready: Option<u32>,
    pub(crate) starting: Option<u32>,
    pub(crate) traffic: Option<Traffic>,
    pub(crate) cpu_share: Option<f64>,
}

impl Window {
    /// The most replicas that are taken from outside for `ready` and `starting`.
    pub const MAX_REPLICAS: u32 = 1_000_000;

    /// Starts a window; everything that is not set stays absent.
    pub const fn builder(seq: u64, start: Timestamp, end: Timestamp) -> WindowBuilder {
        WindowBuilder {
            window: Self {
                seq,
                start,
                end,
                samples: 0,
                timeouts: 0,
                failures: 0,
                coverage: None,
                latencies: None,
                ready: None,
                starting: None,
                traffic: None,
                cpu_share: None,
            },
        }
    }

    /// A window of probes: the latencies of the successful ones in milliseconds, how many failed,
    /// and how many replicas are ready. Its number is its end time.
    ///
    /// Percentiles are linearly interpolated (the proof of concept's rule) and carry no
    /// confidence interval; a telemetry source that can compute one uses [`Window::builder`].
    ///
    /// # Errors
    ///
    /// [`WindowError`] when a latency is not finite, negative or above 1e8 ms, or when the window
    /// ends before it starts.
    pub fn probes(
        start: Timestamp,
        end: Timestamp,
        latencies_ms: &[f64],
        failed: u32,
        ready: u32,
    ) -> Result<Self, WindowError> {
        let mut sorted = alloc::vec::Vec::with_capacity(latencies_ms.len());
        for &millis in latencies_ms {
            sorted.push(f64::from(Latency::try_from(millis)?));
        }
        sorted.sort_unstable_by(f64::total_cmp);
        let ok = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
        let mut builder = Self::builder(end.as_nanos(), start, end)
            .outcomes(ok.saturating_add(failed), 0, failed)
            .ready(ready);
        let at = |share| percentile(&sorted, share).and_then(Latency::from_millis);
        if let (Some(p95), Some(p50)) = (at(0.95), at(0.5)) {
            let avg = sorted.iter().sum::<f64>() / sorted.len() as f64;
            builder = builder.latencies(
                Latencies::from_p95(p95).with_p50_and_avg(Some(p50), Latency::from_millis(avg)),
            );
        }
        builder.build()
    }

    /// Number of the window, by which people and records name it. What is repeated or older is told
    /// by [`Window::end`].
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// When measuring began.
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// When measuring ended.
    pub const fn end(&self) -> Timestamp {
        self.end
    }

    /// Requests with a measured outcome: successes, timeouts and failures.
    pub const fn samples(&self) -> u32 {
        self.samples
    }

    /// Of these, how many ran into their deadline.
    pub const fn timeouts(&self) -> u32 {
        self.timeouts
    }

    /// Of these, how many failed otherwise (refused, reset, status 500 and above).
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Measured outcomes as a share of all that should have been measured; below 1 when a source
    /// was cut short. Absent when the source cannot tell.
    pub const fn coverage(&self) -> Option<f64> {
        self.coverage
    }

    /// Latencies of the successes; absent when there was none.
    pub const fn latencies(&self) -> Option<Latencies> {
        self.latencies
    }

    /// Replicas that serve; absent when the source cannot know.
    pub const fn ready(&self) -> Option<u32> {
        self.ready
    }

    /// Replicas on their way to serve; absent when the source cannot know.
    pub const fn starting(&self) -> Option<u32> {
        self.starting
    }

    /// Real traffic, where it is known.
    pub const fn traffic(&self) -> Option<Traffic> {
        self.traffic
    }

    /// CPU use as a share of what the ready replicas may use, where it is known.
    pub const fn cpu_share(&self) -> Option<f64> {
        self.cpu_share
    }

    /// How long the window measured.
    pub const fn length(&self) -> Duration {
        self.end.saturating_since(self.start)
    }

    /// Measured outcomes that were successes.
    pub const fn successes(&self) -> u32 {
        self.samples.saturating_sub(self.timeouts).saturating_sub(self.failures)
    }

    /// Timeouts and failures as a share of the samples; `None` without samples.
    pub fn error_share(&self) -> Option<f64> {
        let errors = self.timeouts.saturating_add(self.failures);
        (self.samples > 0).then(|| f64::from(errors) / f64::from(self.samples))
    }

    /// Timeouts as a share of the samples; `None` without samples.
    pub fn timeout_share(&self) -> Option<f64> {
        (self.samples > 0).then(|| f64::from(self.timeouts) / f64::from(self.samples))
    }

    /// Whether every request of the window was measured, so that few samples mean few requests.
    pub fn is_census(&self) -> bool {
        self.traffic.is_some() && self.coverage == Some(1.0)
    }

    /// How far this window can be trusted at `now`. Pure; O(1).
    pub fn quality(&self, now: Timestamp, config: &Config) -> Quality {
        let age = now.saturating_since(self.end);
        let ahead = self.end.saturating_since(now);
        if ahead > config.window_age_max() {
            return Quality::Doubtful(Doubt::Ahead { by: ahead });
        }
        if self.ready.is_none() {
            return Quality::Doubtful(Doubt::ReplicasUnknown);
        }
        if age > config.window_age_max() {
            return Quality::Doubtful(Doubt::Stale { age, max: config.window_age_max() });
        }
        if let Some(coverage) = self.coverage
            && coverage < config.coverage_min()
        {
            return Quality::Doubtful(Doubt::Truncated { coverage, min: config.coverage_min() });
        }
        let needed = config.samples_min();
        if self.samples < needed && !self.is_census() {
            return Quality::Doubtful(Doubt::TooFewSamples { samples: self.samples, needed });
        }
        if self.samples == 0 {
            return Quality::Doubtful(Doubt::Silent);
        }
        Quality::Trusted
    }
}
