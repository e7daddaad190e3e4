//! A service as a queue of single requests, in virtual time.
//!
//! Every request arrives, waits, is served and leaves at an instant of its own, so latencies come
//! from the queue itself and not from a formula: what a policy does to the tail can be measured.
//! Replicas start, warm up, drain and fail; clients give up and try again. `tests/theory.rs` holds
//! the simulation to what [`theory`](crate::theory) says where there is a closed formula.
//!
//! Pure and single-threaded: the same spec, seed and calls give the same intervals, bit for bit,
//! on one platform. (Between platforms the last bits of `exp` and `ln` may differ.) Each purpose
//! draws from a stream of its own: the same seed offers the same arrivals and the same work to
//! every policy, whatever it does with them, which takes most of the noise out of a comparison.
//!
//! What is simplified: one class of requests, no network, and a request's speed is fixed at the
//! moment its service starts, although warm-up or a neighbour may change while it lasts.
//!
//! ```
//! use planner_lab::queue::{Queue, QueueSpec, ServiceTime};
//!
//! let service = ServiceTime::Exponential { mean_s: 0.040 };
//! let mut queue = Queue::new(QueueSpec::of(service), 3, 1)?;
//! let calm = queue.advance(3.0, 40.0)?;
//! queue.scale_to(6)?;
//! let busier = queue.advance(3.0, 90.0)?;
//! assert!(busier.busy_share() > calm.busy_share());
//! let window = busier.window(2)?;
//! assert_eq!((window.ready(), window.starting()), (Some(3), Some(3)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arrivals;
mod balancer;
mod engine;
mod error;
mod histogram;
mod interval;
mod replicas;
mod requests;
mod service_time;
mod spec;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod units;

use arrivals::{Listed, Poisson};
use engine::Engine;
pub use error::QueueError;
use error::within;
pub use histogram::Histogram;
pub use interval::Interval;
use planner_core::Timestamp;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
pub use service_time::ServiceTime;
pub use spec::{AfterTimeout, Balancing, Disturbance, LifeSpec, QueueSpec, RetrySpec, TimeoutSpec};
use units::{nanos, seconds};

/// The most replicas that can be ordered.
pub const REPLICAS_MAX: u32 = 10_000;
/// The most requests per second that can be offered.
pub const RATE_MAX_PER_S: f64 = 1e7;
/// The most requests that one interval may expect; counts of an interval then fit a window.
pub const REQUESTS_MAX: f64 = 1e8;
/// The longest step, in seconds: a day.
pub const STEP_MAX_S: f64 = 86_400.0;

/// The rule of rates.
const RATE_RULE: &str = "a rate from 0 to 1e7 a second";

/// A simulated service, request by request.
///
/// Time moves only in `advance*`; each call gives what happened from the end of the last one, its
/// start included and its end not. About a quarter of a microsecond a request; no allocation per
/// request once the most requests that are ever under way at a time have been seen.
#[derive(Clone, Debug)]
pub struct Queue {
    spec: QueueSpec,
    engine: Engine,
    poisson: Poisson,
}

impl Queue {
    /// The service at the origin of time with `replicas` that are ready and warm.
    ///
    /// # Errors
    ///
    /// [`QueueError::OutOfRange`] names the setting of `spec`, its value and the rule, or
    /// `replicas` when they are more than [`REPLICAS_MAX`].
    pub fn new(spec: QueueSpec, replicas: u32, seed: u64) -> Result<Self, QueueError> {
        spec.check()?;
        check_replicas(replicas)?;
        let mut root = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut stream = || Xoshiro256PlusPlus::seed_from_u64(root.next_u64());
        let poisson = Poisson::new(stream());
        let engine = Engine::new(&spec, replicas, [stream(), stream(), stream()])?;
        Ok(Self { spec, engine, poisson })
    }

    /// What the service is like.
    pub const fn spec(&self) -> &QueueSpec {
        &self.spec
    }

    /// The time in the service.
    pub const fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.engine.now_ns())
    }

    /// Replicas that are ready or starting: what [`Queue::scale_to`] changes.
    pub const fn ordered(&self) -> u32 {
        self.ready() + self.starting()
    }

    /// Replicas that take requests.
    pub const fn ready(&self) -> u32 {
        self.engine.replicas().ready()
    }

    /// Replicas on their way, those that restart included.
    pub const fn starting(&self) -> u32 {
        self.engine.replicas().starting()
    }

    /// Replicas that finish what they have and take nothing new.
    pub const fn draining(&self) -> u32 {
        self.engine.replicas().draining()
    }

    /// Orders this many replicas. New ones start; of superfluous ones those still starting leave
    /// at once, the youngest first, then the youngest ready ones drain. What drains does not come
    /// back.
    ///
    /// # Errors
    ///
    /// [`QueueError::OutOfRange`] for more than [`REPLICAS_MAX`].
    pub fn scale_to(&mut self, replicas: u32) -> Result<(), QueueError> {
        check_replicas(replicas)?;
        self.engine.scale_to(replicas);
        Ok(())
    }

    /// Lets `seconds` pass with Poisson arrivals at `rate_per_s`.
    ///
    /// # Errors
    ///
    /// [`QueueError`] when a number is out of its range, or the interval would expect more than
    /// [`REQUESTS_MAX`] requests; nothing has happened then.
    pub fn advance(&mut self, seconds: f64, rate_per_s: f64) -> Result<Interval, QueueError> {
        within("seconds", seconds, 1e-3..=STEP_MAX_S, "a time from 0.001 to 86400 seconds")?;
        within("rate_per_s", rate_per_s, 0.0..=RATE_MAX_PER_S, RATE_RULE)?;
        self.advance_steps(seconds, &[rate_per_s])
    }

    /// Lets one step of `step_s` seconds pass for each rate, as a trace has them: Poisson arrivals
    /// whose rate changes between steps.
    ///
    /// # Errors
    ///
    /// As [`Queue::advance`].
    pub fn advance_steps(
        &mut self,
        step_s: f64,
        rates_per_s: &[f64],
    ) -> Result<Interval, QueueError> {
        within("step_s", step_s, 1e-3..=STEP_MAX_S, "a time from 0.001 to 86400 seconds")?;
        let steps = rates_per_s.len() as f64;
        within("number of rates", steps, 1.0..=1e6, "a count from 1 to 1000000")?;
        let mut expected = 0.0;
        for (index, &rate_per_s) in rates_per_s.iter().enumerate() {
            let setting = format_args!("rates_per_s[{index}]");
            within(setting, rate_per_s, 0.0..=RATE_MAX_PER_S, RATE_RULE)?;
            expected += rate_per_s * step_s;
        }
        let start_ns = self.room(step_s * steps, expected)?;
        let until = |steps: usize| start_ns + nanos(step_s * steps as f64);
        self.engine.open(until(rates_per_s.len()));
        for (index, &rate_per_s) in rates_per_s.iter().enumerate() {
            let (from_ns, until_ns) = (until(index), until(index + 1));
            self.poisson.begin(from_ns, rate_per_s);
            self.engine.run(until_ns, &mut self.poisson);
            self.poisson.pause(until_ns);
        }
        Ok(self.engine.close(start_ns))
    }

    /// Lets `seconds` pass with one request at each of `offsets_s`: seconds from now, ascending,
    /// from 0 to `seconds`; one at the very end comes a nanosecond before it.
    ///
    /// # Errors
    ///
    /// As [`Queue::advance`], and [`QueueError::Unsorted`].
    pub fn advance_arrivals(
        &mut self,
        seconds: f64,
        offsets_s: &[f64],
    ) -> Result<Interval, QueueError> {
        within("seconds", seconds, 1e-3..=STEP_MAX_S, "a time from 0.001 to 86400 seconds")?;
        let mut before_s = 0.0;
        for (index, &at_s) in offsets_s.iter().enumerate() {
            let setting = format_args!("offsets_s[{index}]");
            within(setting, at_s, 0.0..=seconds, "an offset within the interval")?;
            if at_s < before_s {
                return Err(QueueError::Unsorted { index, at_s, before_s });
            }
            before_s = at_s;
        }
        let start_ns = self.room(seconds, offsets_s.len() as f64)?;
        let end_ns = start_ns + nanos(seconds);
        self.engine.open(end_ns);
        self.engine.run(end_ns, &mut Listed::new(start_ns, end_ns, offsets_s));
        Ok(self.engine.close(start_ns))
    }

    /// The time now in nanoseconds, if `seconds` with so many requests may follow it.
    fn room(&self, length_s: f64, expected: f64) -> Result<u64, QueueError> {
        if expected > REQUESTS_MAX {
            return Err(QueueError::TooMany { expected, max: REQUESTS_MAX });
        }
        let now_ns = self.engine.now_ns();
        let left_s = seconds(Timestamp::MAX.as_nanos() - now_ns);
        within("end of the interval", length_s, 0.0..=left_s, "within 146 years of the origin")?;
        Ok(now_ns)
    }
}

fn check_replicas(replicas: u32) -> Result<(), QueueError> {
    let max = f64::from(REPLICAS_MAX);
    within("replicas", f64::from(replicas), 0.0..=max, "a count from 0 to 10000")
}
