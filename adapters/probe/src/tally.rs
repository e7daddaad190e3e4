//! What became of the probes since the last window.

use std::sync::{Mutex, MutexGuard, PoisonError};

use planner_core::{Timestamp, Window, WindowBuilder};
use planner_ports::LatencySummary;

/// How one probe ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Refused, reset, or answered with a status of 500 or above.
    Failed,
    /// Answered in full, this many milliseconds after it was due.
    Succeeded {
        /// The latency.
        millis: f64,
    },
    /// No complete answer in time.
    TimedOut,
}

/// Counts of one window.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    sent: u64,
    not_sent: u64,
    successes: u32,
    failures: u32,
    timeouts: u32,
    not_kept: u64,
    latencies_ms: LatencySummary,
}

/// Counts that the probes add to and a window takes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Mutex<Counts>,
}

impl Tally {
    pub(crate) fn add_sent(&self) {
        self.lock().sent += 1;
    }

    /// Probes that were due and not sent: too many were under way.
    pub(crate) fn add_not_sent(&self, probes: u64) {
        self.lock().not_sent += probes;
    }

    pub(crate) fn add(&self, outcome: Outcome) {
        let mut counts = self.lock();
        match outcome {
            Outcome::Failed => counts.failures = counts.failures.saturating_add(1),
            Outcome::TimedOut => counts.timeouts = counts.timeouts.saturating_add(1),
            Outcome::Succeeded { millis } => {
                counts.successes = counts.successes.saturating_add(1);
                let kept = counts.latencies_ms.record(millis);
                counts.not_kept += u64::from(!kept);
            }
        }
    }

    /// The counts since the last call.
    pub(crate) fn take(&self) -> Counts {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// The window that these are the counts of.
    ///
    /// Its coverage is the share of the due probes that were sent and whose result is not lost;
    /// absent when none was due.
    pub(crate) fn into_window(
        mut self,
        seq: u64,
        start: Timestamp,
        end: Timestamp,
    ) -> WindowBuilder {
        let errors = self.timeouts.saturating_add(self.failures);
        let samples = self.successes.saturating_add(errors);
        let mut builder =
            Window::builder(seq, start, end).outcomes(samples, self.timeouts, self.failures);
        if let Some(latencies) = self.latencies_ms.take() {
            builder = builder.latencies(latencies);
        }
        let due = self.sent + self.not_sent;
        if due > 0 {
            // What was not kept may have been sent in an earlier window: never below zero.
            let covered = self.sent.saturating_sub(self.not_kept);
            builder = builder.coverage(covered as f64 / due as f64);
        }
        builder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(tally: &Tally) -> Window {
        let zero = Timestamp::ORIGIN;
        let built = tally.take().into_window(1, zero, Timestamp::from_nanos(1)).build();
        built.expect("a valid window")
    }

    #[test]
    fn without_a_success_there_are_no_percentiles() {
        let tally = Tally::default();
        tally.add_sent();
        tally.add_sent();
        tally.add(Outcome::TimedOut);
        tally.add(Outcome::Failed);
        let window = window(&tally);
        assert_eq!((window.samples(), window.timeouts(), window.failures()), (2, 1, 1));
        assert_eq!((window.latencies(), window.coverage()), (None, Some(1.0)));
    }

    #[test]
    fn a_window_in_which_no_probe_was_due_does_not_claim_a_coverage() {
        assert_eq!(window(&Tally::default()).coverage(), None);
    }

    #[test]
    fn probes_that_were_not_sent_lower_the_coverage() {
        let tally = Tally::default();
        tally.add_sent();
        tally.add_not_sent(3);
        tally.add(Outcome::Succeeded { millis: 4.0 });
        let first = window(&tally);
        assert_eq!((first.samples(), first.coverage()), (1, Some(0.25)));
        assert_eq!(window(&tally).samples(), 0);
    }
}
