//! What a policy observes beside windows.

use std::collections::VecDeque;
use std::fmt;

use planner_core::Timestamp;
use planner_core::policy::NoSignal;

use crate::fluid::Second;

/// Turns seconds into the observations of a policy.
pub trait Sense {
    /// What the policy observes.
    type Signal;

    /// Takes note of a second that ends at `now`; the observation to be given then. `is_due` says
    /// that the policy decides with it.
    fn sense(&mut self, now: Timestamp, second: &Second, is_due: bool) -> Option<Self::Signal>;
}

/// For policies that look at windows alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing to hide")]
pub struct Nothing;

impl Sense for Nothing {
    type Signal = NoSignal;

    fn sense(&mut self, _now: Timestamp, _second: &Second, _is_due: bool) -> Option<NoSignal> {
        None
    }
}

/// The requests of every second, as they come.
#[derive(Clone)]
pub struct EachSecond<F> {
    signal: F,
}

impl<S, F: Fn(f64) -> Option<S>> EachSecond<F> {
    /// What `signal` makes of the requests per second.
    pub const fn new(signal: F) -> Self {
        Self { signal }
    }
}

impl<S, F: Fn(f64) -> Option<S>> Sense for EachSecond<F> {
    type Signal = S;

    fn sense(&mut self, _now: Timestamp, second: &Second, _is_due: bool) -> Option<S> {
        (self.signal)(second.arrivals as f64)
    }
}

impl<F> fmt::Debug for EachSecond<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EachSecond").finish_non_exhaustive()
    }
}

/// Requests per second, averaged over the last while, whenever the policy decides.
#[derive(Clone)]
pub struct Averaged<F> {
    span_s: usize,
    recent: VecDeque<u64>,
    signal: F,
}

impl<S, F: Fn(Timestamp, f64) -> S> Averaged<F> {
    /// What `signal` makes of the average over `span_s` seconds, from 1, or those there were.
    pub fn over(span_s: u16, signal: F) -> Self {
        let span_s = usize::from(span_s.max(1));
        Self { span_s, recent: VecDeque::with_capacity(span_s), signal }
    }
}

impl<S, F: Fn(Timestamp, f64) -> S> Sense for Averaged<F> {
    type Signal = S;

    fn sense(&mut self, now: Timestamp, second: &Second, is_due: bool) -> Option<S> {
        if self.recent.len() >= self.span_s {
            self.recent.pop_front();
        }
        self.recent.push_back(second.arrivals);
        if !is_due {
            return None;
        }
        let sum = self.recent.iter().map(|arrivals| *arrivals as f64).sum::<f64>();
        Some((self.signal)(now, sum / self.recent.len() as f64))
    }
}

impl<F> fmt::Debug for Averaged<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Averaged").field("span_s", &self.span_s).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fluid::{Fluid, FluidSpec, SteppedPlant as _};

    /// What a sense makes of these requests per second, decided every two seconds.
    fn sensed<S: Sense>(sense: &mut S, arrivals: &[u64]) -> Vec<Option<S::Signal>> {
        let mut plant = Fluid::new(FluidSpec::default(), 1).expect("a plant");
        let seconds = arrivals.iter().map(|count| plant.pass(*count));
        let sense = seconds
            .map(|second| sense.sense(Timestamp::ORIGIN, &second, second.at_s.is_multiple_of(2)));
        sense.collect()
    }

    #[test]
    fn an_average_is_over_the_last_seconds_there_were_and_comes_when_it_is_due() {
        let mut sense = Averaged::over(3, |_, per_s| per_s);
        let seen = sensed(&mut sense, &[10, 20, 30, 70, 0, 0]);
        assert_eq!(seen, [None, Some(15.0), None, Some(40.0), None, Some(70.0 / 3.0)]);
    }

    #[test]
    fn an_average_over_nothing_is_that_of_a_second() {
        assert_eq!(sensed(&mut Averaged::over(0, |_, per_s| per_s), &[10, 20]), [None, Some(20.0)]);
    }

    #[test]
    fn every_second_is_a_sample_of_its_own() {
        let mut sense = EachSecond::new(|per_s: f64| (per_s > 0.0).then_some(per_s));
        assert_eq!(sensed(&mut sense, &[10, 0, 30]), [Some(10.0), None, Some(30.0)]);
    }
}
