//! Windows in the making: parts are set one by one, relations are checked at the end.

use super::{Latencies, Traffic, Window, WindowError, rate};
#[cfg(feature = "serde")]
use crate::Timestamp;

/// Builds a [`Window`]; relations between the fields are checked by [`WindowBuilder::build`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct WindowBuilder {
    pub(super) window: Window,
}

impl WindowBuilder {
    /// Measured outcomes: all of them, and how many of them were timeouts and other failures.
    pub const fn outcomes(mut self, samples: u32, timeouts: u32, failures: u32) -> Self {
        self.window.samples = samples;
        self.window.timeouts = timeouts;
        self.window.failures = failures;
        self
    }

    /// Latencies of the successes.
    pub const fn latencies(mut self, latencies: Latencies) -> Self {
        self.window.latencies = Some(latencies);
        self
    }

    /// Share of the planned measurements that were made.
    pub const fn coverage(mut self, coverage: f64) -> Self {
        self.window.coverage = Some(coverage);
        self
    }

    /// Replicas that serve.
    pub const fn ready(mut self, ready: u32) -> Self {
        self.window.ready = Some(ready);
        self
    }

    /// Replicas on their way to serve.
    pub const fn starting(mut self, starting: u32) -> Self {
        self.window.starting = Some(starting);
        self
    }

    /// Real traffic.
    pub const fn traffic(mut self, traffic: Traffic) -> Self {
        self.window.traffic = Some(traffic);
        self
    }

    /// CPU use of the ready replicas as a share of what they may use.
    pub const fn cpu_share(mut self, share: f64) -> Self {
        self.window.cpu_share = Some(share);
        self
    }

    /// The window.
    ///
    /// # Errors
    ///
    /// [`WindowError`] names the field, its value and the rule that it breaks.
    pub fn build(self) -> Result<Window, WindowError> {
        let window = self.window;
        if window.end < window.start {
            return Err(WindowError::Reversed { start: window.start, end: window.end });
        }
        let errors = u64::from(window.timeouts) + u64::from(window.failures);
        if errors > u64::from(window.samples) {
            return Err(WindowError::MoreErrorsThanSamples { errors, samples: window.samples });
        }
        if window.latencies.is_some() && window.successes() == 0 {
            return Err(WindowError::LatencyWithoutSuccess);
        }
        for (field, count) in [("ready", window.ready), ("starting", window.starting)] {
            if let Some(count) = count.filter(|count| *count > Window::MAX_REPLICAS) {
                let value = f64::from(count);
                return Err(WindowError::OutOfRange { field, value, rule: "at most 1000000" });
            }
        }
        if let Some(value) = window.coverage.filter(|share| !(0.0..=1.0).contains(share)) {
            let rule = "a share from 0 to 1";
            return Err(WindowError::OutOfRange { field: "coverage", value, rule });
        }
        if let Some(value) = window.cpu_share.filter(|share| !(0.0..=100.0).contains(share)) {
            let rule = "a share from 0 to 100";
            return Err(WindowError::OutOfRange { field: "cpu_share", value, rule });
        }
        if let Some(traffic) = window.traffic {
            rate("arrivals_per_s", traffic.arrivals_per_s)?;
            rate("completions_per_s", traffic.completions_per_s.unwrap_or(0.0))?;
        }
        Ok(window)
    }
}

/// The fields of a window as they come from a file, before they are checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
pub(super) struct RawWindow {
    seq: u64,
    start: Timestamp,
    end: Timestamp,
    samples: u32,
    timeouts: u32,
    failures: u32,
    coverage: Option<f64>,
    latencies: Option<Latencies>,
    ready: Option<u32>,
    starting: Option<u32>,
    traffic: Option<Traffic>,
    cpu_share: Option<f64>,
}

#[cfg(feature = "serde")]
impl TryFrom<RawWindow> for Window {
    type Error = WindowError;

    fn try_from(raw: RawWindow) -> Result<Self, WindowError> {
        let mut builder = Self::builder(raw.seq, raw.start, raw.end);
        builder.window = Self {
            seq: raw.seq,
            start: raw.start,
            end: raw.end,
            samples: raw.samples,
            timeouts: raw.timeouts,
            failures: raw.failures,
            coverage: raw.coverage,
            latencies: raw.latencies,
            ready: raw.ready,
            starting: raw.starting,
            traffic: raw.traffic,
            cpu_share: raw.cpu_share,
        };
        builder.build()
    }
}
