//! The balancer's traffic as telemetry windows.
//!
//! It measures; what a window means is the core's business. One source per balancer: each reads
//! the meter empty.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use planner_core::{Timestamp, Traffic, Window, WindowError};
use planner_ports::{Executor, ReplicaCounts, TelemetryError, TelemetrySource, Timeline};
use tokio::time::{sleep, timeout};

use crate::{LoadBalancer, TrafficSample};

/// An executor that has not told its counts after this long does not know them.
const COUNTS_DEADLINE: Duration = Duration::from_secs(1);

/// Why there is no traffic source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrafficSourceError {
    /// The window is too short or too long.
    #[error("window: {window:?} is not from 10 ms to 1 h; choose a few seconds")]
    Window {
        /// What was given.
        window: Duration,
    },
}

/// Windows of everything that a [`LoadBalancer`] did, with the replicas of an [`Executor`].
///
/// A census: every request is measured. Requests whose client went away are in the arrivals, and
/// in no outcome.
pub struct TrafficSource {
    balancer: Arc<LoadBalancer>,
    executor: Arc<dyn Executor>,
    timeline: Timeline,
    window: Duration,
    began: Instant,
    window_start: Timestamp,
    seq: u64,
}

impl TrafficSource {
    /// Windows that end at multiples of `window` from now on; their times are those of `timeline`.
    /// Traffic before now is dropped.
    ///
    /// # Errors
    ///
    /// [`TrafficSourceError::Window`] unless the window is from 10 ms to 1 h long.
    pub fn new(
        balancer: Arc<LoadBalancer>,
        executor: Arc<dyn Executor>,
        timeline: Timeline,
        window: Duration,
    ) -> Result<Self, TrafficSourceError> {
        if !(Duration::from_millis(10)..=Duration::from_hours(1)).contains(&window) {
            return Err(TrafficSourceError::Window { window });
        }
        balancer.take_traffic();
        Ok(Self {
            balancer,
            executor,
            timeline,
            window,
            began: Instant::now(),
            window_start: timeline.now(),
            seq: 0,
        })
    }

    /// Time to the next multiple of the window. After a late call that is the next one to come:
    /// the window is longer then, and none is made up.
    fn until_next_end(&self) -> Duration {
        let elapsed = self.began.elapsed().as_nanos();
        let window = self.window.as_nanos();
        let rest = window - elapsed % window;
        Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX))
    }
}

#[async_trait]
impl TelemetrySource for TrafficSource {
    async fn next_window(&mut self) -> Result<Window, TelemetryError> {
        sleep(self.until_next_end()).await;
        // Asked first: whoever drops this future meanwhile loses no traffic.
        let counts = timeout(COUNTS_DEADLINE, self.executor.counts()).await;
        let counts = counts.ok().and_then(Result::ok);
        let sample = self.balancer.take_traffic();
        let end = self.timeline.now();
        let start = std::mem::replace(&mut self.window_start, end);
        self.seq += 1;
        Ok(window(self.seq, start, end, sample, counts)?)
    }
}

/// The window from `start` to `end`, during which `sample` was measured.
fn window(
    seq: u64,
    start: Timestamp,
    end: Timestamp,
    mut sample: TrafficSample,
    counts: Option<ReplicaCounts>,
) -> Result<Window, WindowError> {
    let measured = sample.successes + sample.timeouts + sample.failures;
    let samples = saturated(measured);
    let failures = saturated(sample.failures).min(samples);
    let timeouts = saturated(sample.timeouts).min(samples - failures);
    let coverage = match measured {
        0 => 1.0,
        _ => (measured - sample.not_kept) as f64 / measured as f64,
    };
    let mut builder =
        Window::builder(seq, start, end).outcomes(samples, timeouts, failures).coverage(coverage);
    if let Some(latencies) = sample.latencies_ms.take() {
        builder = builder.latencies(latencies);
    }
    let seconds = end.saturating_since(start).as_secs_f64();
    if seconds > 0.0 {
        let traffic = Traffic::arriving(sample.arrivals as f64 / seconds)?
            .with_completions(sample.completions as f64 / seconds)?
            .with_in_flight(sample.in_flight)
            .with_queued(sample.queued);
        builder = builder.traffic(traffic);
    }
    if let Some(counts) = counts {
        builder = builder.ready(counts.ready).starting(counts.starting);
    }
    builder.build()
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(sample: TrafficSample, counts: Option<ReplicaCounts>) -> Window {
        let start = Timestamp::from_nanos(0);
        let end = Timestamp::from_origin(Duration::from_secs(2));
        window(1, start, end, sample, counts).expect("a valid window")
    }

    #[test]
    fn a_window_in_which_nothing_succeeded_has_no_latencies() {
        let sample =
            TrafficSample { arrivals: 10, failures: 3, timeouts: 2, ..TrafficSample::default() };
        let window = made(sample, None);
        assert_eq!((window.samples(), window.failures(), window.timeouts()), (5, 3, 2));
        assert_eq!(window.latencies(), None);
        assert_eq!((window.ready(), window.starting()), (None, None));
        assert_eq!(window.traffic().expect("traffic").arrivals_per_s(), 5.0);
    }

    #[test]
    fn counts_beyond_the_fields_stay_consistent() {
        let sample = TrafficSample {
            failures: u64::from(u32::MAX) + 7,
            timeouts: u64::from(u32::MAX) + 7,
            ..TrafficSample::default()
        };
        assert_eq!(made(sample, None).samples(), u32::MAX);
    }

    #[test]
    fn latencies_that_were_not_kept_lower_the_coverage() {
        let mut sample = TrafficSample { successes: 4, not_kept: 1, ..TrafficSample::default() };
        for millis in [1.0, 2.0, 3.0] {
            assert!(sample.latencies_ms.record(millis));
        }
        let counts = ReplicaCounts { ready: 3, starting: 1, draining: 9 };
        let window = made(sample, Some(counts));
        assert_eq!((window.samples(), window.coverage()), (4, Some(0.75)));
        assert_eq!((window.ready(), window.starting()), (Some(3), Some(1)));
        assert!(window.latencies().is_some());
        assert!(!window.is_census());
    }
}
