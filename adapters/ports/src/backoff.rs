//! When something that failed may be tried again.

use std::time::{Duration, Instant};

/// A pause after failures that doubles from `first` up to `max`.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use planner_ports::Backoff;
///
/// let now = Instant::now();
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// assert_eq!(backoff.until(now), None);
/// backoff.fail(now);
/// assert_eq!(backoff.until(now), Some(now + Duration::from_millis(100)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// A pause that has not begun.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0, until: None }
    }

    /// Something failed at `now`. Several failures within one pause count once: they were tried
    /// together.
    pub fn fail(&mut self, now: Instant) {
        if self.until(now).is_some() {
            return;
        }
        let pause = self.first.saturating_mul(2_u32.saturating_pow(self.failures.min(31)));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + pause.min(self.max));
    }

    /// It worked: the next failure counts as the first.
    pub const fn reset(&mut self) {
        self.failures = 0;
        self.until = None;
    }

    /// Whether the last try failed.
    pub const fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// When the pause ends that is under way at `now`; `None` without one.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_maximum_and_failures_within_it_count_once() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            backoff.fail(now);
            backoff.fail(now);
            let until = backoff.until(now).expect("a pause");
            pauses.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        backoff.reset();
        backoff.fail(now);
        assert_eq!(backoff.until(now), Some(now + Duration::from_millis(100)));
    }
}
