//! The prober: settings, and windows from what the schedule's probes find.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use planner_core::{Timestamp, Window};
use planner_ports::{Executor, TelemetryError, TelemetrySource, Timeline};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::schedule::Schedule;
use crate::tally::Tally;
use crate::target::Target;

/// An executor that has not told its counts after this long does not know them.
const COUNTS_DEADLINE: Duration = Duration::from_secs(1);

/// How a [`Prober`] probes. Start from the default and change what differs.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProbeSettings {
    /// Probes under way at the same time, 1 to 10000; 256 by default. A probe that is due beyond
    /// it is not sent, and the window's coverage says so.
    pub max_in_flight: u32,
    /// Probes per second, 0.01 to 10000; 20 by default.
    pub per_second: f64,
    /// From when a probe is due to the last byte of its answer, 1 ms to 60 s; 2 s by default.
    pub timeout: Duration,
    /// Length of a window, 10 ms to 1 h; 5 s by default.
    pub window: Duration,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            max_in_flight: 256,
            per_second: 20.0,
            timeout: Duration::from_secs(2),
            window: Duration::from_secs(5),
        }
    }
}

impl ProbeSettings {
    fn check(&self) -> Result<(), ProbeError> {
        if !(1..=10_000).contains(&self.max_in_flight) {
            let value = self.max_in_flight;
            return Err(ProbeError::MaxInFlight { value });
        }
        if !(0.01..=10_000.0).contains(&self.per_second) {
            let value = self.per_second;
            return Err(ProbeError::PerSecond { value });
        }
        let longest_timeout = Duration::from_mins(1);
        if !(Duration::from_millis(1)..=longest_timeout).contains(&self.timeout) {
            let value = self.timeout;
            return Err(ProbeError::Timeout { value });
        }
        if !(Duration::from_millis(10)..=Duration::from_hours(1)).contains(&self.window) {
            return Err(ProbeError::Window { value: self.window });
        }
        Ok(())
    }
}

/// Why there is no prober.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The bound on probes under way is out of range.
    #[error("max_in_flight: {value} is not from 1 to 10000; 256 suits most")]
    MaxInFlight {
        /// What was given.
        value: u32,
    },
    /// The rate is out of range.
    #[error("per_second: {value} is not from 0.01 to 10000; 20 suits most")]
    PerSecond {
        /// What was given.
        value: f64,
    },
    /// The timeout is out of range.
    #[error("timeout: {value:?} is not from 1 ms to 60 s; use a little more than the worst answer")]
    Timeout {
        /// What was given.
        value: Duration,
    },
    /// The URL cannot be probed.
    #[error("url: {url:?} is {rule}; write it like http://127.0.0.1:8080/path")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The window's length is out of range.
    #[error("window: {value:?} is not from 10 ms to 1 h; choose a few seconds")]
    Window {
        /// What was given.
        value: Duration,
    },
}

/// Windows of open-loop probes against one URL.
///
/// Probing begins with the first call of `next_window`, goes on between the calls, and ends when
/// the prober is dropped.
pub struct Prober {
    schedule: Schedule,
    window: Duration,
    timeline: Timeline,
    executor: Option<Arc<dyn Executor>>,
    running: Option<Running>,
    seq: u64,
}

/// Probing under way.
struct Running {
    began: Instant,
    window_start: Timestamp,
    schedule: AbortHandle,
}

impl Prober {
    /// A prober of `url` whose windows have the times of `timeline`. The replica counts of a window
    /// are the `executor`'s; without one, or when it does not know them, they are absent.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] when the URL is not a plain `http://` one, or a setting is out of range.
    pub fn new(
        url: &str,
        settings: ProbeSettings,
        timeline: Timeline,
        executor: Option<Arc<dyn Executor>>,
    ) -> Result<Self, ProbeError> {
        settings.check()?;
        let schedule = Schedule {
            target: Arc::new(Target::parse(url)?),
            tally: Arc::new(Tally::default()),
            per_second: settings.per_second,
            timeout: settings.timeout,
            in_flight_max: settings.max_in_flight as usize,
        };
        Ok(Self { schedule, window: settings.window, timeline, executor, running: None, seq: 0 })
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.schedule.abort();
        }
    }
}

#[async_trait]
impl TelemetrySource for Prober {
    /// Ends at the next multiple of the window since probing began; a call that comes late gets
    /// one longer window.
    async fn next_window(&mut self) -> Result<Window, TelemetryError> {
        let window_start = self.timeline.now();
        let running = self.running.get_or_insert_with(|| Running {
            began: Instant::now(),
            window_start,
            schedule: tokio::spawn(self.schedule.clone().run()).abort_handle(),
        });
        sleep(until_next_multiple(self.window, running.began.elapsed())).await;
        // Asked first: whoever drops this future meanwhile loses no outcome.
        let counts = match &self.executor {
            Some(executor) => timeout(COUNTS_DEADLINE, executor.counts()).await.ok(),
            None => None,
        };
        let end = self.timeline.now();
        let start = std::mem::replace(&mut running.window_start, end);
        self.seq += 1;
        let mut builder = self.schedule.tally.take().into_window(self.seq, start, end);
        if let Some(Ok(counts)) = counts {
            builder = builder.ready(counts.ready).starting(counts.starting);
        }
        Ok(builder.build()?)
    }
}

/// Time from `elapsed` to the next multiple of `window`, never zero.
fn until_next_multiple(window: Duration, elapsed: Duration) -> Duration {
    let rest = window.as_nanos() - elapsed.as_nanos() % window.as_nanos();
    Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX))
}
