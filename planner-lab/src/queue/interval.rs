//! What happened in one interval, and the window of telemetry that a perfect meter makes of it.

use planner_core::{Latencies, Latency, Timestamp, Traffic, Window, WindowError};
use statrs::distribution::{Binomial, DiscreteCDF};

use super::Histogram;
use super::units::{count, seconds};

/// What happened in one interval, its start included and its end not.
///
/// A request is one or more attempts; what is counted here are attempts, each in the interval in
/// which it ends: those that were in flight before, and `arrivals`, are `completions`, `timeouts`,
/// `failures`, and what is `in_flight` at the end. A request that is not answered in the end is in
/// `given_up`, once.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Interval {
    /// Its start.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Attempts that arrived, retries included.
    pub arrivals: u64,
    /// Of these, retries.
    pub retries: u64,
    /// Attempts that were answered in time.
    pub completions: u64,
    /// Attempts that their client gave up on.
    pub timeouts: u64,
    /// Attempts that were refused or lost: queue full, nobody there, outage, crash, drain cut.
    pub failures: u64,
    /// Requests whose last attempt timed out or failed.
    pub given_up: u64,
    /// Work done for attempts that nobody waited for any more.
    pub wasted: u64,
    /// Attempts whose wait ended: in service, with a timeout, or lost.
    pub waits: u64,
    /// The sum of these waits in seconds.
    pub waited_s: f64,
    /// Of these waits, how many were longer than the spec's threshold.
    pub waited_long: u64,
    /// Attempts whose client waits, at the end.
    pub in_flight: u64,
    /// Requests between two attempts, at the end.
    pub backing_off: u64,
    /// Attempts that wait for service at the end, those included that nobody waits for any more.
    pub queued: u64,
    /// Slots in use at the end.
    pub busy: u64,
    /// Replicas that take requests, at the end.
    pub ready: u32,
    /// Replicas on their way, at the end.
    pub starting: u32,
    /// Replicas that finish what they have, at the end.
    pub draining: u32,
    /// Starts of replicas, restarts included, since the last interval.
    pub starts: u64,
    /// Replica-seconds to pay for: starting, ready and draining ones.
    pub billed_replica_s: f64,
    /// Slot-seconds of ready replicas: what could have been used.
    pub ready_slot_s: f64,
    /// Slot-seconds in use, those of draining replicas included.
    pub busy_slot_s: f64,
    /// Request-seconds in the service, waiting or served: the mean concurrency times the length.
    pub held_request_s: f64,
    /// Latencies of the completions, each from the arrival of its attempt.
    pub latency: Histogram,
    /// Of the requests that were answered by a retry, the time from their first attempt's arrival.
    pub retried: Histogram,
}

impl Interval {
    /// Its length in seconds.
    pub fn seconds(&self) -> f64 {
        seconds(self.end.as_nanos().saturating_sub(self.start.as_nanos()))
    }

    /// Slots in use as a share of those of ready replicas; `None` when there was none. Above 1
    /// while many drain.
    pub fn busy_share(&self) -> Option<f64> {
        (self.ready_slot_s > 0.0).then(|| self.busy_slot_s / self.ready_slot_s)
    }

    /// The mean number of requests in the service.
    pub fn concurrency(&self) -> f64 {
        self.held_request_s / self.seconds()
    }

    /// The mean wait for service in seconds; `None` when no wait ended.
    pub fn wait_mean_s(&self) -> Option<f64> {
        (self.waits > 0).then(|| self.waited_s / self.waits as f64)
    }

    /// Waits beyond the threshold as a share of all; `None` when no wait ended.
    pub fn waited_long_share(&self) -> Option<f64> {
        (self.waits > 0).then(|| self.waited_long as f64 / self.waits as f64)
    }

    /// The window that a balancer makes of it: every request measured, traffic and replicas
    /// known, nothing late. What a policy would really see is
    /// [`Telemetry`](super::telemetry::Telemetry)'s business.
    ///
    /// # Errors
    ///
    /// [`WindowError`] when a number is beyond what a window takes, a latency of more than 1e8 ms
    /// for example.
    pub fn window(&self, seq: u64) -> Result<Window, WindowError> {
        let seen = Seen {
            completions: self.completions,
            timeouts: self.timeouts,
            failures: self.failures,
            latency: &self.latency,
            is_census: true,
            traffic: true,
            cpu: false,
        };
        seen.window(self, seq)
    }
}

/// What a source of telemetry saw of an interval.
pub(super) struct Seen<'a> {
    pub(super) completions: u64,
    pub(super) timeouts: u64,
    pub(super) failures: u64,
    pub(super) latency: &'a Histogram,
    /// Whether that is every request.
    pub(super) is_census: bool,
    /// Whether it counts traffic.
    pub(super) traffic: bool,
    /// Whether it measures how busy replicas are.
    pub(super) cpu: bool,
}

impl Seen<'_> {
    /// The most that a window takes for the use of CPU.
    const CPU_SHARE_MAX: f64 = 100.0;

    pub(super) fn window(&self, interval: &Interval, seq: u64) -> Result<Window, WindowError> {
        let samples = self.completions + self.timeouts + self.failures;
        let mut window = Window::builder(seq, interval.start, interval.end)
            .outcomes(count(samples), count(self.timeouts), count(self.failures))
            .ready(interval.ready)
            .starting(interval.starting);
        if self.is_census {
            window = window.coverage(1.0);
        }
        if let Some(latencies) = latencies(self.latency)? {
            window = window.latencies(latencies);
        }
        if self.traffic {
            let seconds = interval.seconds();
            let traffic = Traffic::arriving(interval.arrivals as f64 / seconds)?
                .with_completions(interval.completions as f64 / seconds)?
                .with_in_flight(count(interval.queued + interval.busy))
                .with_queued(count(interval.queued));
            window = window.traffic(traffic);
        }
        if let Some(share) = interval.busy_share().filter(|_| self.cpu) {
            window = window.cpu_share(share.min(Self::CPU_SHARE_MAX));
        }
        window.build()
    }
}

/// Percentiles and the confidence interval of the p95, in the window's form.
fn latencies(seen: &Histogram) -> Result<Option<Latencies>, WindowError> {
    let millis = |time_s: Option<f64>| time_s.map(|it| Latency::try_from(it * 1e3)).transpose();
    let Some(p95) = millis(seen.quantile_s(0.95))? else { return Ok(None) };
    let (low, high) = p95_ranks(seen.count());
    let ranked = |rank: Option<u64>| millis(rank.and_then(|rank| seen.at_rank(rank)));
    let latencies = Latencies::from_p95(p95)
        .with_p95_interval(ranked(low)?, ranked(high)?)
        .with_p50_and_avg(millis(seen.quantile_s(0.5))?, millis(seen.mean_s())?);
    Ok(Some(latencies))
}

/// One-based ranks of the order statistics between which the true p95 of `samples` values lies
/// with 95 %: the number below it is binomial (David and Nagaraja, *Order Statistics*, 2003,
/// section 7.1), from 1000 samples on nearly normal.
fn p95_ranks(samples: u64) -> (Option<u64>, Option<u64>) {
    const P95: f64 = 0.95;
    const NORMAL_FROM: u64 = 1_000;
    const Z: f64 = 1.959_964;
    let rank = |rank: u64| (1..=samples).contains(&rank).then_some(rank);
    if samples >= NORMAL_FROM {
        let (mean, variance) = (samples as f64 * P95, samples as f64 * P95 * (1.0 - P95));
        let half = Z * variance.sqrt();
        let low = super::units::whole(mean - half);
        return (rank(low), rank(super::units::whole(mean + half) + 1));
    }
    let Ok(below) = Binomial::new(P95, samples) else { return (None, None) };
    (rank(below.inverse_cdf(0.025)), rank(below.inverse_cdf(0.975) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_leave_the_upper_end_open() {
        assert_eq!(p95_ranks(0), (None, None));
        assert_eq!(p95_ranks(20), (Some(17), None));
        assert_eq!(p95_ranks(72).1, Some(72));
    }

    #[test]
    fn the_normal_ranks_follow_the_exact_ones() {
        assert_eq!(p95_ranks(200), (Some(184), Some(197)));
        let (low, high) = p95_ranks(1_000);
        // Exact ends for n = 1000 and p = 0.95: the 2.5 % and 97.5 % points are 936 and 963.
        assert_eq!((low, high), (Some(936), Some(965)));
    }
}
