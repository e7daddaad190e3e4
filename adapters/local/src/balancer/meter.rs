//! What happened to the requests: counted once each, at their end.
//!
//! It counts and hands over; it does not judge. Latencies beyond the summary's capacity are
//! counted, not kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use planner_ports::LatencySummary;

/// The traffic between two calls of [`LoadBalancer::take_traffic`].
///
/// [`LoadBalancer::take_traffic`]: crate::LoadBalancer::take_traffic
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TrafficSample {
    /// Requests whose head was received.
    pub arrivals: u64,
    /// Requests that were answered in full, whatever the status.
    pub completions: u64,
    /// Requests that were answered in full with a status below 500.
    pub successes: u64,
    /// Latencies of the successes in milliseconds, from the request's head to the end of the
    /// response's body, waiting included.
    pub latencies_ms: LatencySummary,
    /// Successes whose latency was not kept, for want of room.
    pub not_kept: u64,
    /// Requests that were answered with 500 or above, by a backend or here, and those whose
    /// backend broke off.
    pub failures: u64,
    /// Requests whose backend was silent for too long.
    pub timeouts: u64,
    /// Requests whose client went away before the end: neither success nor failure.
    pub aborted: u64,
    /// Requests under way now, those that wait included.
    pub in_flight: u32,
    /// Of these, requests that wait in the balancer's queue now.
    pub queued: u32,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client went away.
    Aborted,
    /// Answered in full, with a status of 500 or above.
    AnsweredWithError,
    /// The backend broke off.
    Broken,
    /// Answered in full, with a status below 500.
    Succeeded,
    /// The backend was silent for too long; whether the client was told with a 504.
    TimedOut {
        /// Whether the answer was complete, as the 504 made here is.
        answered: bool,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Meter {
    sample: Mutex<TrafficSample>,
}

impl Meter {
    /// Counts an arrival; the ticket counts its end.
    pub(crate) fn arrive(self: &Arc<Self>) -> Ticket {
        let mut sample = self.lock();
        sample.arrivals += 1;
        sample.in_flight += 1;
        Ticket { meter: Arc::clone(self), arrived: Instant::now(), outcome: Outcome::Aborted }
    }

    /// What happened since the last call.
    pub(crate) fn take(&self) -> TrafficSample {
        let mut sample = self.lock();
        let in_flight = sample.in_flight;
        let fresh = TrafficSample { in_flight, ..TrafficSample::default() };
        std::mem::replace(&mut *sample, fresh)
    }

    fn lock(&self) -> MutexGuard<'_, TrafficSample> {
        self.sample.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request under way. Dropped without an outcome, its client went away.
#[derive(Debug)]
pub(crate) struct Ticket {
    meter: Arc<Meter>,
    arrived: Instant,
    outcome: Outcome,
}

impl Ticket {
    /// Counts the end of the request.
    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let latency_ms = self.arrived.elapsed().as_secs_f64() * 1e3;
        let mut sample = self.meter.lock();
        sample.in_flight -= 1;
        let answered = match self.outcome {
            Outcome::Aborted => {
                sample.aborted += 1;
                false
            }
            Outcome::AnsweredWithError => {
                sample.failures += 1;
                true
            }
            Outcome::Broken => {
                sample.failures += 1;
                false
            }
            Outcome::Succeeded => {
                sample.successes += 1;
                let kept = sample.latencies_ms.record(latency_ms);
                sample.not_kept += u64::from(!kept);
                true
            }
            Outcome::TimedOut { answered } => {
                sample.timeouts += 1;
                answered
            }
        };
        sample.completions += u64::from(answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_counted_once_and_only_a_success_has_a_latency() {
        let meter = Arc::new(Meter::default());
        drop(meter.arrive());
        meter.arrive().settle(Outcome::AnsweredWithError);
        meter.arrive().settle(Outcome::Broken);
        meter.arrive().settle(Outcome::TimedOut { answered: true });
        meter.arrive().settle(Outcome::TimedOut { answered: false });
        meter.arrive().settle(Outcome::Succeeded);
        let under_way = meter.arrive();
        let sample = meter.take();
        assert_eq!(sample.arrivals, 7);
        assert_eq!((sample.aborted, sample.failures, sample.timeouts), (1, 2, 2));
        assert_eq!((sample.successes, sample.latencies_ms.len()), (1, 1));
        assert_eq!((sample.completions, sample.in_flight), (3, 1));
        drop(under_way);
        let next = meter.take();
        assert_eq!((next.arrivals, next.aborted, next.in_flight), (0, 1, 0));
        assert!(next.latencies_ms.is_empty());
    }

    #[test]
    fn a_latency_beyond_the_capacity_is_counted_as_not_kept() {
        let meter = Arc::new(Meter::default());
        for _ in 0..=LatencySummary::CAPACITY {
            meter.arrive().settle(Outcome::Succeeded);
        }
        let sample = meter.take();
        assert_eq!(sample.not_kept, 1);
        assert_eq!(sample.latencies_ms.len(), LatencySummary::CAPACITY);
    }
}
