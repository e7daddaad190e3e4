//! Whoever decides in a closed loop: seconds in, targets out.
//!
//! An [`Autoscaler`] is anything that watches a service second by second. [`Seat`] seats a
//! [`Policy`] in a real [`Planner`], guards included, so that what is compared is what would run.
//! It turns seconds into what the policy would see: a [`Window`] with the traffic, latency and
//! replicas of several seconds, and through a [`Sense`] the observations of its own.
//!
//! A policy with a period of its own gets a window for each of its ticks, because a planner teaches
//! once a window; any other gets one every `window_s` seconds.

mod sense;

use std::time::Duration;

use planner_core::policy::Policy;
use planner_core::{
    Config, Event, Latencies, Latency, Planner, Step, Timestamp, Traffic, Window, WindowError,
};
pub use sense::{Averaged, EachSecond, Nothing, Sense};

use crate::fluid::Second;
use crate::plant::count;

/// Health probes of a window at least: a service that nobody uses is measured all the same.
const PROBES: u32 = 20;

/// Decides how many replicas a service should have.
pub trait Autoscaler {
    /// What it is called.
    fn name(&self) -> &str;

    /// Takes note of a second; the replicas to be ordered at its end, if it decided so.
    fn see(&mut self, second: &Second) -> Option<u32>;
}

impl<T: Autoscaler + ?Sized> Autoscaler for Box<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn see(&mut self, second: &Second) -> Option<u32> {
        (**self).see(second)
    }
}

/// Always the same number of replicas: what a policy has to be better than.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed {
    replicas: u32,
}

impl Fixed {
    /// So many replicas, from the first second on.
    pub const fn new(replicas: u32) -> Self {
        Self { replicas }
    }
}

impl Autoscaler for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }

    fn see(&mut self, _second: &Second) -> Option<u32> {
        Some(self.replicas)
    }
}

/// A policy in a planner, fed from seconds.
///
/// ```
/// use planner_core::policy::Heuristic;
/// use planner_core::{Config, ReplicaBounds};
/// use planner_lab::autoscaler::{Autoscaler as _, Nothing, Seat};
/// use planner_lab::fluid::{Fluid, FluidSpec, SteppedPlant as _};
///
/// let config = Config::builder(ReplicaBounds::new(1, 100)?).capacity_hint_per_s(50.0).build()?;
/// let mut seat = Seat::new(config, Heuristic, Nothing, 5);
/// let mut plant = Fluid::new(FluidSpec::default(), 1)?;
/// for _ in 0..10 {
///     if let Some(target) = seat.see(&plant.pass(200)) {
///         plant.scale_to(target);
///     }
/// }
/// assert!(plant.ordered() >= 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Seat<P: Policy, S> {
    planner: Planner<P>,
    sense: S,
    window_s: u64,
    gathered: Gathered,
}

impl<P: Policy, S: Sense<Signal = P::Signal>> Seat<P, S> {
    /// A policy with these settings. `window_s` is the length of its windows in seconds, from 1; a
    /// policy with a period has windows of that length, in whole seconds.
    pub fn new(config: Config, policy: P, sense: S, window_s: u32) -> Self {
        let window_s = policy.period().map_or_else(|| window_s.into(), |period| period.as_secs());
        let window_s = window_s.max(1);
        Self {
            planner: Planner::new(config, policy),
            sense,
            window_s,
            gathered: Gathered::default(),
        }
    }

    /// The planner, with what it has learned.
    pub const fn planner(&self) -> &Planner<P> {
        &self.planner
    }
}

impl<P: Policy, S: Sense<Signal = P::Signal>> Autoscaler for Seat<P, S> {
    fn name(&self) -> &str {
        self.planner.policy().name()
    }

    fn see(&mut self, second: &Second) -> Option<u32> {
        self.gathered.add(second);
        let now = at(second.at_s);
        let is_due = second.at_s.is_multiple_of(self.window_s);
        if let Some(signal) = self.sense.sense(now, second, is_due) {
            let _noted = self.planner.step(now, Event::Signal(signal));
        }
        if !is_due {
            return None;
        }
        let window = self.gathered.window(second).ok()?;
        let mut step = self.planner.step(now, Event::Observe(window));
        if self.planner.policy().period().is_some() {
            step = self.planner.step(now, Event::Wake);
        }
        match step {
            Step::Decide(decision) => decision.target(),
            _ => None,
        }
    }
}

/// The time after so many seconds.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_origin(Duration::from_secs(seconds))
}

/// Seconds on their way to become a window.
#[derive(Clone, Copy, Debug, Default)]
struct Gathered {
    seq: u64,
    start_s: u64,
    arrivals: f64,
    completions: f64,
    dropped: f64,
    p95_ms: Option<f64>,
}

impl Gathered {
    fn add(&mut self, second: &Second) {
        self.arrivals += second.arrivals as f64;
        self.completions += second.completions;
        self.dropped += second.dropped;
        self.p95_ms = match (self.p95_ms, second.p95_ms) {
            (Some(most), Some(p95_ms)) => Some(most.max(p95_ms)),
            (most, p95_ms) => most.or(p95_ms),
        };
    }

    /// The window that ends with `last`, and a new beginning.
    fn window(&mut self, last: &Second) -> Result<Window, WindowError> {
        let begun = *self;
        *self = Self { seq: begun.seq + 1, start_s: last.at_s, ..Self::default() };
        let length_s = (last.at_s - begun.start_s) as f64;
        let traffic = Traffic::arriving(begun.arrivals / length_s)?
            .with_completions(begun.completions / length_s)?
            .with_in_flight(count(last.in_flight));
        let timeouts = count(begun.dropped);
        let samples = count(begun.completions + begun.dropped).max(timeouts).max(PROBES);
        let builder = Window::builder(self.seq, at(begun.start_s), at(last.at_s))
            .outcomes(samples, timeouts, 0)
            .coverage(1.0)
            .ready(last.ready)
            .starting(last.starting)
            .traffic(traffic);
        let p95 = begun.p95_ms.filter(|_| samples > timeouts).and_then(Latency::from_millis);
        match p95 {
            Some(p95) => builder.latencies(Latencies::from_p95(p95)).build(),
            None => builder.build(),
        }
    }
}

#[cfg(test)]
mod tests {
    use planner_core::policy::{Heuristic, NoSignal, Proposal, View};
    use planner_core::{GuardSet, ReplicaBounds};

    use super::*;

    const CALM: Second = Second {
        at_s: 1,
        arrivals: 100,
        completions: 100.0,
        dropped: 0.0,
        backlog: 0.0,
        in_flight: 4.0,
        wait_s: 0.0,
        p95_ms: Some(40.0),
        violating: 0.0,
        ready: 3,
        starting: 1,
    };

    /// Asks for one more each time it is asked, if need be at a period of its own.
    struct OneMore(Option<Duration>);

    impl Policy for OneMore {
        type Signal = NoSignal;
        type State = u32;

        fn name(&self) -> &'static str {
            "one more"
        }
        fn version(&self) -> u32 {
            1
        }
        fn initial_state(&self) -> u32 {
            0
        }
        fn period(&self) -> Option<Duration> {
            self.0
        }
        fn propose(&self, _: &View<'_>, taught: &u32) -> Proposal {
            Proposal::exactly(10 + taught)
        }
        fn learn(&self, _: &View<'_>, _: u32, taught: &mut u32) {
            *taught += 1;
        }
    }

    /// When this policy decided in the first minute, and on what.
    fn decided(period: Option<Duration>, window_s: u32) -> Vec<(u64, u32)> {
        let bounds = ReplicaBounds::new(1, 100).expect("bounds");
        let config = Config::builder(bounds).guard_set(GuardSet::Peer).build().expect("settings");
        let mut seat = Seat::new(config, OneMore(period), Nothing, window_s);
        let see = |at_s| Some((at_s, seat.see(&Second { at_s, ..CALM })?));
        (1..=60).filter_map(see).collect()
    }

    #[test]
    fn a_policy_without_a_period_decides_on_every_window() {
        assert_eq!(decided(None, 20), [(20, 10), (40, 11), (60, 12)]);
        assert_eq!(decided(None, 0).len(), 60, "at most once a second");
    }

    #[test]
    fn a_policy_with_a_period_decides_and_learns_at_its_ticks_whatever_the_window() {
        let ticks = decided(Some(Duration::from_secs(15)), 4);
        assert_eq!(ticks, [(15, 10), (30, 11), (45, 12), (60, 13)]);
        assert_eq!(decided(Some(Duration::from_millis(100)), 4).len(), 60);
    }

    #[test]
    fn a_window_holds_what_its_seconds_held() {
        let mut gathered = Gathered::default();
        for at_s in 1..=4 {
            gathered.add(&Second { at_s, ..CALM });
        }
        let last = Second {
            at_s: 5,
            arrivals: 300,
            completions: 150.0,
            dropped: 30.0,
            in_flight: 126.9,
            p95_ms: Some(640.0),
            ready: 2,
            ..CALM
        };
        gathered.add(&last);
        let window = gathered.window(&last).expect("a window");
        assert_eq!((window.seq(), window.start(), window.end()), (1, at(0), at(5)));
        let traffic = window.traffic().expect("traffic");
        assert_eq!((traffic.arrivals_per_s(), traffic.completions_per_s()), (140.0, Some(110.0)));
        assert_eq!(traffic.in_flight(), Some(126));
        assert_eq!((window.samples(), window.timeouts(), window.failures()), (580, 30, 0));
        assert_eq!((window.ready(), window.starting()), (Some(2), Some(1)));
        assert_eq!(window.latencies().map(|it| it.p95().as_millis()), Some(640.0));

        gathered.add(&Second { at_s: 10, p95_ms: None, ..CALM });
        let next = gathered.window(&Second { at_s: 10, ..CALM }).expect("a window");
        assert_eq!((next.seq(), next.start(), next.end()), (2, at(5), at(10)));
        assert_eq!(next.latencies(), None, "nothing is left of the one before");
    }

    #[test]
    fn a_service_that_nobody_uses_is_measured_all_the_same() {
        let mut gathered = Gathered::default();
        let idle = Second { arrivals: 0, completions: 0.0, in_flight: 0.0, ..CALM };
        gathered.add(&idle);
        let window = gathered.window(&idle).expect("a window");
        assert_eq!((window.samples(), window.timeouts()), (20, 0));
        let config = Config::builder(ReplicaBounds::new(1, 9).expect("bounds")).build();
        let quality = window.quality(at(1), &config.expect("defaults"));
        assert_eq!(quality, planner_core::Quality::Trusted);
    }

    #[test]
    fn what_is_beyond_a_window_decides_nothing() {
        let bounds = ReplicaBounds::new(1, 100).expect("bounds");
        let config = Config::builder(bounds).build().expect("defaults");
        let mut seat = Seat::new(config, Heuristic, Nothing, 1);
        assert_eq!(seat.see(&Second { arrivals: u64::MAX, ..CALM }), None);
        assert_eq!(seat.name(), "heuristic");
    }
}
