//! Latencies: one, and what is known of those of a window.

use core::fmt;

use super::WindowError;

/// A latency in milliseconds: finite and not negative.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "f64", into = "f64"))]
pub struct Latency(f64);

impl Latency {
    /// The largest latency taken from outside: a little under 28 hours.
    pub const MAX_MS: f64 = 1e8;

    /// No latency at all.
    #[cfg(feature = "serde")]
    pub(crate) const ZERO: Self = Self(0.0);
    /// The smallest latency that is told from zero: a picosecond.
    const MIN_MS: f64 = 1e-9;

    /// A latency of `millis` milliseconds; `None` unless it is in `0..=1e8`. Minus zero, and what
    /// is below a picosecond, is zero.
    pub fn from_millis(millis: f64) -> Option<Self> {
        let told = if millis < Self::MIN_MS { 0.0 } else { millis };
        (0.0..=Self::MAX_MS).contains(&millis).then_some(Self(told))
    }

    /// Milliseconds.
    pub const fn as_millis(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Latency {
    type Error = WindowError;

    fn try_from(millis: f64) -> Result<Self, WindowError> {
        Self::from_millis(millis).ok_or(WindowError::OutOfRange {
            field: "latency",
            value: millis,
            rule: "a finite number of milliseconds from 0 to 1e8",
        })
    }
}

impl From<Latency> for f64 {
    fn from(latency: Latency) -> Self {
        latency.0
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0)
    }
}

/// Latencies of the *successful* requests of one window.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "RawLatencies"))]
#[non_exhaustive]
pub struct Latencies {
    pub(crate) p95: Latency,
    pub(crate) p95_low: Option<Latency>,
    pub(crate) p95_high: Option<Latency>,
    pub(crate) p50: Option<Latency>,
    pub(crate) avg: Option<Latency>,
}

impl Latencies {
    /// Latencies of which only the 95th percentile is known.
    pub const fn from_p95(p95: Latency) -> Self {
        Self { p95, p95_low: None, p95_high: None, p50: None, avg: None }
    }

    /// 95th percentile.
    pub const fn p95(&self) -> Latency {
        self.p95
    }

    /// Lower end of the p95's confidence interval, as far as the samples allow one.
    pub const fn p95_low(&self) -> Option<Latency> {
        self.p95_low
    }

    /// Upper end of the p95's confidence interval.
    pub const fn p95_high(&self) -> Option<Latency> {
        self.p95_high
    }

    /// Median.
    pub const fn p50(&self) -> Option<Latency> {
        self.p50
    }

    /// Mean.
    pub const fn avg(&self) -> Option<Latency> {
        self.avg
    }

    /// Adds the confidence interval of the p95. An end on the wrong side of the p95 is moved to it.
    #[must_use]
    pub fn with_p95_interval(mut self, low: Option<Latency>, high: Option<Latency>) -> Self {
        self.p95_low = low.map(|low| if low > self.p95 { self.p95 } else { low });
        self.p95_high = high.map(|high| if high < self.p95 { self.p95 } else { high });
        self
    }

    /// Adds median and mean.
    #[must_use]
    pub const fn with_p50_and_avg(mut self, p50: Option<Latency>, avg: Option<Latency>) -> Self {
        self.p50 = p50;
        self.avg = avg;
        self
    }

    /// The least p95 that the samples support: the interval's lower end, or the p95 itself.
    pub fn p95_at_least(&self) -> Latency {
        self.p95_low.unwrap_or(self.p95)
    }
}

/// Latencies as they come from a file: the interval may be on the wrong side.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct RawLatencies {
    p95: Latency,
    p95_low: Option<Latency>,
    p95_high: Option<Latency>,
    p50: Option<Latency>,
    avg: Option<Latency>,
}

#[cfg(feature = "serde")]
impl From<RawLatencies> for Latencies {
    fn from(raw: RawLatencies) -> Self {
        Self::from_p95(raw.p95)
            .with_p95_interval(raw.p95_low, raw.p95_high)
            .with_p50_and_avg(raw.p50, raw.avg)
    }
}
