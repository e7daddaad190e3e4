//! Sending probes when they are due, for as long as somebody wants them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::tally::{Outcome, Tally};
use crate::target::Target;

/// Sends probe number n at `n / per_second` seconds after the start.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) target: Arc<Target>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) per_second: f64,
    pub(crate) timeout: Duration,
    pub(crate) in_flight_max: usize,
}

impl Schedule {
    /// Runs until it is dropped; the probes under way end with it.
    pub(crate) async fn run(self) {
        let start = Instant::now();
        let mut probes = JoinSet::new();
        let mut next = 0;
        loop {
            tokio::select! {
                () = sleep_until(start + self.due(next)) => {}
                Some(_) = probes.join_next() => continue,
            }
            while probes.try_join_next().is_some() {}
            let now = Instant::now();
            // A schedule that overslept sends what it still may, and says what it did not send.
            let last = self.last_due(now - start).max(next);
            let room = self.in_flight_max.saturating_sub(probes.len()) as u64;
            let sent_from = next.max((last + 1).saturating_sub(room));
            self.tally.add_not_sent(sent_from - next);
            for number in sent_from..=last {
                self.tally.add_sent();
                probes.spawn(self.clone().probe(start + self.due(number)));
            }
            next = last + 1;
        }
    }

    /// One probe, to be counted from when it was `due`.
    async fn probe(self, due: Instant) {
        let outcome = match timeout_at(due + self.timeout, self.target.probe()).await {
            Ok(Ok(true)) => Outcome::Succeeded { millis: due.elapsed().as_secs_f64() * 1e3 },
            Ok(Ok(false) | Err(_)) => Outcome::Failed,
            Err(_) => Outcome::TimedOut,
        };
        self.tally.add(outcome);
    }

    /// When a probe is due, after the start.
    fn due(&self, number: u64) -> Duration {
        let seconds = number as f64 / self.per_second;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// The last probe that is due after `elapsed`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float that is not negative turns into an integer at its floor, saturating"
    )]
    fn last_due(&self, elapsed: Duration) -> u64 {
        (elapsed.as_secs_f64() * self.per_second) as u64
    }
}
