//! Budgets of calls and of tokens.
//!
//! The bucket of calls is the `governor` crate's, with a clock that shows the last `now` it was
//! given and a store whose one number can be read back; neither shows in the public API.

use alloc::sync::Arc;
use core::num::NonZeroU32;
use core::ops::Add;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::Denied;
use crate::Timestamp;

/// Longest time between two calls; beyond it sums could overflow.
const PERIOD_MAX: Duration = Duration::from_secs(86_400);

/// One bucket: so many calls at once, and one more each period.
#[derive(Debug)]
pub(super) struct Budget {
    limiter: RateLimiter<NotKeyed, Bucket, SteppedClock, NoOpMiddleware<Moment>>,
    bucket: Bucket,
}

impl Budget {
    pub(super) fn new(period: Duration, burst: NonZeroU32) -> Self {
        let bucket = Bucket::default();
        // `Config` has checked it; this keeps the function total for settings that it never saw.
        let period = period.clamp(Duration::from_nanos(1), PERIOD_MAX);
        let quota = Quota::with_period(period)
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        // The clock shows the origin while the limiter is built: the bucket's number is absolute.
        let limiter = RateLimiter::new(quota, bucket.clone(), SteppedClock::default());
        Self { limiter, bucket }
    }

    /// A quarter of a day's calls at once and the others over the day: together never more than
    /// all of them in 24 hours.
    pub(super) fn of_day(calls: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(calls.get() / 4).unwrap_or(NonZeroU32::MIN);
        // With the burst's last call the first of these begins its period.
        let spread = calls.get() - burst.get() + 1;
        Self::new(PERIOD_MAX / spread, burst)
    }

    pub(super) fn take(&self, now: Timestamp) -> Result<(), Denied> {
        self.limiter.clock().show(now);
        self.limiter.check().map_err(|refusal| {
            let until = Timestamp::from_nanos(refusal.earliest_possible().0);
            Denied::Spent { until }
        })
    }

    pub(super) fn spent(&self) -> u64 {
        self.bucket.0.load(Ordering::Relaxed)
    }

    pub(super) fn restore(&self, spent: u64) {
        // A bucket further ahead than any timestamp would never open again, and could overflow.
        self.bucket.0.store(spent.min(Timestamp::MAX.as_nanos()), Ordering::Relaxed);
        self.limiter.clock().0.store(0, Ordering::Relaxed);
    }
}

/// A day's tokens. They are known when they are spent, so a debt is allowed, and paid off before
/// the next call.
#[derive(Debug)]
pub(super) struct Tokens {
    /// How long one takes to come back.
    each: Duration,
    /// How long those take that may be spent at once: a quarter.
    burst: Duration,
    /// When all of them are back.
    pub(super) full_at: Timestamp,
}

impl Tokens {
    pub(super) fn new(per_day: u32) -> Self {
        let burst = (per_day / 4).max(1);
        let each = PERIOD_MAX / (per_day - burst).max(1);
        Self { each, burst: each.saturating_mul(burst), full_at: Timestamp::ORIGIN }
    }

    pub(super) fn check(&self, now: Timestamp) -> Result<(), Denied> {
        if self.full_at.saturating_since(now) <= self.burst {
            return Ok(());
        }
        Err(Denied::Spent { until: self.full_at.saturating_sub(self.burst) })
    }

    pub(super) fn spend(&mut self, now: Timestamp, tokens: u64) {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        let back = self.each.saturating_mul(tokens);
        // A provider may tell any number: no debt is longer than a day and what may be spent at
        // once.
        let most = now.saturating_add(PERIOD_MAX).saturating_add(self.burst);
        self.full_at = self.full_at.max(now).saturating_add(back).min(most);
    }
}

/// A clock that shows the latest time it was shown; one that runs backwards earns nothing.
#[derive(Debug, Default)]
struct SteppedClock(AtomicU64);

impl SteppedClock {
    fn show(&self, now: Timestamp) {
        self.0.fetch_max(now.as_nanos(), Ordering::Relaxed);
    }
}

impl Clone for SteppedClock {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

impl Clock for SteppedClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }
}

/// Nanoseconds since the origin, as governor counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, span: Nanos) -> Self {
        Self(self.0.saturating_add(span.as_u64()))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Duration::from_nanos(self.0.saturating_sub(earlier.0)).into()
    }

    fn saturating_sub(&self, span: Nanos) -> Self {
        Self(self.0.saturating_sub(span.as_u64()))
    }
}

/// The bucket's one number, readable for snapshots. Zero: never used.
#[derive(Clone, Debug, Default)]
struct Bucket(Arc<AtomicU64>);

impl StateStore for Bucket {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let before = self.0.load(Ordering::Relaxed);
        let known = (before > 0).then(|| Nanos::from(Duration::from_nanos(before)));
        // One planner owns its gate, and `admit` takes it exclusively: nobody writes in between.
        let (answer, after) = decide(known)?;
        self.0.store(after.as_u64(), Ordering::Relaxed);
        Ok(answer)
    }
}
