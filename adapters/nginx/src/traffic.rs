//! nginx's real traffic as telemetry windows: users, and not only probes.
//!
//! Outcomes and latencies come from the access log, one datagram a request, over loopback. Arrivals
//! and requests under way come from `stub_status`, because the log learns of a request when it is
//! over, which is late when a backlog grows. What the log has lost on the way shows as coverage.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use planner_core::{Timestamp, Traffic, Window};
use planner_ports::{Executor, LatencySummary, TelemetryError, TelemetrySource, Timeline};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

use crate::log::{Outcome, parse};
use crate::{NginxError, NginxSettings, status};

/// An executor that has not told its counts after this long does not know them.
const COUNTS_DEADLINE: Duration = Duration::from_secs(1);
/// Longest datagram that is read; ours are a tenth of it.
const DATAGRAM_BYTES_MAX: usize = 512;

/// Windows of everything that an nginx did, with the replicas of an [`Executor`].
///
/// Made before the router, whose settings it completes: its address is what nginx logs to.
pub struct NginxTraffic {
    reading: JoinHandle<()>,
    tally: Arc<Mutex<Tally>>,
    status: SocketAddr,
    executor: Option<Arc<dyn Executor>>,
    timeline: Timeline,
    window: Duration,
    /// When the window under way is over, and when it began.
    due: Instant,
    start: Timestamp,
    /// Requests since nginx started and those under way, at the end of the last window.
    before: Option<status::Counters>,
    seq: u64,
}

/// The outcomes of a window under way.
#[derive(Debug, Default)]
struct Tally {
    latencies_ms: LatencySummary,
    successes: u32,
    not_kept: u32,
    timeouts: u32,
    failures: u32,
    abandoned: u32,
    own: u32,
}

impl NginxTraffic {
    /// A source of windows of this length, from 10 ms to 1 h; their times are those of `timeline`,
    /// their replica counts the `executor`'s. Listens on
    /// [`NginxSettings::log`], or on a free port that it is set to. Must
    /// be called within a tokio runtime with time and network enabled.
    ///
    /// # Errors
    ///
    /// [`NginxError`] for a window out of range, or when no loopback port can be had.
    pub async fn new(
        settings: &mut NginxSettings,
        timeline: Timeline,
        executor: Option<Arc<dyn Executor>>,
        window: Duration,
    ) -> Result<Self, NginxError> {
        if !(Duration::from_millis(10)..=Duration::from_hours(1)).contains(&window) {
            return Err(NginxError::Window { window });
        }
        let no_socket = |error: std::io::Error| NginxError::Log { cause: error.to_string() };
        let own = settings.log.unwrap_or_else(|| SocketAddr::new(settings.status.ip(), 0));
        let socket = UdpSocket::bind(own).await.map_err(no_socket)?;
        settings.log = Some(socket.local_addr().map_err(no_socket)?);
        let tally = Arc::default();
        Ok(Self {
            reading: tokio::spawn(read(socket, Arc::clone(&tally))),
            tally,
            status: settings.status,
            executor,
            timeline,
            window,
            due: Instant::now() + window,
            start: timeline.now(),
            before: None,
            seq: 0,
        })
    }
}

impl Drop for NginxTraffic {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Reads outcomes as they come, whether or not somebody waits for a window.
async fn read(socket: UdpSocket, tally: Arc<Mutex<Tally>>) {
    let mut datagram = [0; DATAGRAM_BYTES_MAX];
    loop {
        let received = socket.recv(&mut datagram).await;
        let text = received.ok().and_then(|length| datagram.get(..length));
        if let Some(outcome) = text.and_then(parse) {
            tally.lock().unwrap_or_else(PoisonError::into_inner).add(outcome);
        }
    }
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Abandoned => &mut self.abandoned,
            Outcome::Failure => &mut self.failures,
            Outcome::Own => &mut self.own,
            Outcome::Timeout => &mut self.timeouts,
            Outcome::Success(millis) => {
                self.not_kept += u32::from(!self.latencies_ms.record(millis));
                &mut self.successes
            }
        };
        *count = count.saturating_add(1);
    }

    /// Requests of which the log told how they ended, those that clients gave up included.
    const fn told(&self) -> u32 {
        let ended = self.successes.saturating_add(self.timeouts);
        ended.saturating_add(self.failures).saturating_add(self.abandoned)
    }
}

#[async_trait]
impl TelemetrySource for NginxTraffic {
    /// Ends at the next multiple of the window since it was made; a call that comes late gets one
    /// longer window.
    async fn next_window(&mut self) -> Result<Window, TelemetryError> {
        sleep_until(self.due.into()).await;
        while self.due <= Instant::now() {
            self.due += self.window;
        }
        let counts = match &self.executor {
            Some(executor) => timeout(COUNTS_DEADLINE, executor.counts()).await.ok(),
            None => None,
        };
        let counters = status::counters(self.status).await;
        let before = std::mem::replace(&mut self.before, counters.as_ref().ok().copied());
        let end = self.timeline.now();
        let start = std::mem::replace(&mut self.start, end);
        let tally = std::mem::take(&mut *self.tally.lock().unwrap_or_else(PoisonError::into_inner));
        self.seq += 1;
        let counters =
            counters.map_err(|cause| TelemetryError::Unavailable { origin: "nginx", cause })?;
        let builder = window(self.seq, start, end, tally, before, counters)?;
        Ok(match counts {
            Some(Ok(counts)) => builder.ready(counts.ready).starting(counts.starting),
            _ => builder,
        }
        .build()?)
    }
}

/// The window from `start` to `end`, between two looks at nginx's counters.
fn window(
    seq: u64,
    start: Timestamp,
    end: Timestamp,
    mut tally: Tally,
    before: Option<status::Counters>,
    now: status::Counters,
) -> Result<planner_core::telemetry::WindowBuilder, planner_core::WindowError> {
    let samples = tally.told().saturating_sub(tally.abandoned);
    let mut builder =
        Window::builder(seq, start, end).outcomes(samples, tally.timeouts, tally.failures);
    if let Some(latencies) = tally.latencies_ms.take() {
        builder = builder.latencies(latencies);
    }
    // An nginx that was started anew counts from zero: this window has no rates.
    let Some(before) = before.filter(|before| before.requests <= now.requests) else {
        return Ok(builder);
    };
    // The question about the counters is in them, and not in the log.
    let own = u64::from(tally.own) + 1;
    let arrivals = (now.requests - before.requests).saturating_sub(own);
    let ended = (arrivals + u64::from(before.under_way)).saturating_sub(now.under_way.into());
    // Who gave up was not answered: a service that lets its users wait does not carry them.
    let answered = ended.saturating_sub(tally.abandoned.into());
    let kept = tally.told().saturating_sub(tally.not_kept);
    let coverage = if ended == 0 { 1.0 } else { (f64::from(kept) / ended as f64).min(1.0) };
    let seconds = end.saturating_since(start).as_secs_f64();
    if seconds > 0.0 {
        let traffic = Traffic::arriving(arrivals as f64 / seconds)?
            .with_completions(answered as f64 / seconds)?
            .with_in_flight(now.under_way);
        builder = builder.traffic(traffic);
    }
    Ok(builder.coverage(coverage))
}

#[cfg(test)]
mod tests {
    use planner_core::telemetry::WindowBuilder;

    use super::*;
    use crate::status::Counters;

    fn made(outcomes: &[Outcome], before: Option<Counters>, now: Counters) -> Window {
        let mut tally = Tally::default();
        for outcome in outcomes {
            tally.add(*outcome);
        }
        let at = |seconds| Timestamp::from_origin(Duration::from_secs(seconds));
        let builder = window(1, at(0), at(2), tally, before, now);
        builder.and_then(WindowBuilder::build).expect("a window")
    }

    const fn counters(requests: u64, under_way: u32) -> Counters {
        Counters { requests, under_way }
    }

    #[test]
    fn outcomes_are_counted_each_for_what_it_is() {
        let outcomes =
            [Outcome::Success(20.0), Outcome::Timeout, Outcome::Failure, Outcome::Abandoned];
        let window = made(&outcomes, Some(counters(100, 0)), counters(105, 0));
        assert_eq!((window.samples(), window.timeouts(), window.failures()), (3, 1, 1));
        let traffic = window.traffic().expect("traffic");
        assert_eq!((traffic.arrivals_per_s(), traffic.completions_per_s()), (2.0, Some(1.5)));
        assert_eq!(window.coverage(), Some(1.0));
        assert_eq!(window.latencies().expect("one").p95().as_millis(), 20.0);
    }

    #[test]
    fn a_growing_backlog_arrives_faster_than_it_is_answered() {
        let outcomes = [Outcome::Success(20.0); 40];
        let window = made(&outcomes, Some(counters(1_000, 10)), counters(1_101, 70));
        let traffic = window.traffic().expect("traffic");
        assert_eq!(traffic.arrivals_per_s(), 50.0);
        assert_eq!(traffic.completions_per_s(), Some(20.0));
        assert_eq!((traffic.in_flight(), window.coverage()), (Some(70), Some(1.0)));
    }

    #[test]
    fn questions_of_our_own_are_no_traffic() {
        let outcomes = [Outcome::Success(20.0), Outcome::Own, Outcome::Own];
        let window = made(&outcomes, Some(counters(100, 0)), counters(104, 0));
        assert_eq!((window.samples(), window.coverage()), (1, Some(1.0)));
        assert_eq!(window.traffic().expect("traffic").arrivals_per_s(), 0.5);
    }

    #[test]
    fn lines_that_were_lost_on_the_way_lower_the_coverage() {
        let window = made(&[Outcome::Success(20.0); 25], Some(counters(0, 0)), counters(101, 0));
        assert_eq!(window.coverage(), Some(0.25));
    }

    #[test]
    fn an_nginx_that_was_started_anew_gives_one_window_without_rates() {
        let outcomes = [Outcome::Success(20.0); 9];
        for before in [None, Some(counters(1_000, 0))] {
            let window = made(&outcomes, before, counters(9, 0));
            assert_eq!((window.samples(), window.traffic(), window.coverage()), (9, None, None));
        }
    }
}
