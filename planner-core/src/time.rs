//! The planner's clock: a number that the caller passes in.
//!
//! Nothing in this crate reads a clock. [`Timestamp`] counts nanoseconds since an origin of the
//! caller's choice, so that it can be stored, compared after a restart and built in a test, none
//! of which `std::time::Instant` allows.

use core::fmt;
use core::time::Duration;

/// Nanoseconds since the caller's origin, at most [`Timestamp::MAX`].
///
/// ```
/// use core::time::Duration;
/// use planner_core::Timestamp;
///
/// let now = Timestamp::from_origin(Duration::from_millis(1_500));
/// assert_eq!(now.saturating_since(Timestamp::ORIGIN), Duration::from_millis(1_500));
/// assert_eq!(now.to_string(), "1.500s");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "u64", into = "u64"))]
// Beside 32-bit counts an alignment of eight bytes would cost four more each.
#[repr(Rust, packed(4))]
pub struct Timestamp(u64);

impl Timestamp {
    /// The caller's origin.
    pub const ORIGIN: Self = Self(0);
    /// The last instant, about 146 years after the origin. The cap keeps every later sum, the
    /// rate limiter's included, from overflowing.
    pub const MAX: Self = Self(u64::MAX / 4);

    /// The instant `elapsed` after the origin, at most [`Timestamp::MAX`].
    pub const fn from_origin(elapsed: Duration) -> Self {
        Self(capped_nanos(elapsed))
    }

    /// The instant `nanos` nanoseconds after the origin, at most [`Timestamp::MAX`].
    pub const fn from_nanos(nanos: u64) -> Self {
        if nanos > Self::MAX.0 { Self::MAX } else { Self(nanos) }
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the origin, for rates and for display.
    pub const fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The instant `span` later, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn saturating_add(self, span: Duration) -> Self {
        Self::from_nanos(self.0.saturating_add(capped_nanos(span)))
    }

    /// The instant `span` earlier, at least [`Timestamp::ORIGIN`].
    #[must_use]
    pub const fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(capped_nanos(span)))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// `span` in nanoseconds, at most the largest timestamp.
pub(crate) const fn capped_nanos(span: Duration) -> u64 {
    let nanos = span.as_nanos();
    if nanos > Timestamp::MAX.0 as u128 {
        return Timestamp::MAX.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most a quarter of u64::MAX")]
    let nanos = nanos as u64;
    nanos
}

impl From<u64> for Timestamp {
    fn from(nanos: u64) -> Self {
        Self::from_nanos(nanos)
    }
}

impl From<Timestamp> for u64 {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1_000_000_000, self.0 / 1_000_000 % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_beyond_the_cap_is_the_cap() {
        assert_eq!(Timestamp::from_origin(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_nanos(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
    }

    #[test]
    fn the_time_since_a_later_instant_is_zero() {
        let late = Timestamp::from_nanos(7);
        assert_eq!(Timestamp::ORIGIN.saturating_since(late), Duration::ZERO);
    }
}
