//! A service as a fluid: load flows in, replicas drain it, what is left waits.
//!
//! Not a queueing simulation of single requests: latencies follow from utilisation and backlog by
//! formula, so that a law can run for a million windows. Only `+ - * /`, so every machine
//! computes the same bits.

use std::time::Duration;

use planner_core::{Latencies, Latency, Timestamp, Traffic, Window, WindowError};

/// What a service is like. Every number is taken into its range.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a service")]
pub struct PlantSpec {
    /// Requests per second that one replica answers, above 0.
    pub rate_per_replica_per_s: f64,
    /// p95 in milliseconds at low utilisation, above 0.
    pub base_ms: f64,
    /// p95 in milliseconds that a slow dependency adds; replicas do not cure it.
    pub dependency_ms: f64,
    /// Requests that wait longer than this run into their deadline.
    pub timeout: Duration,
    /// How long a replica takes to become ready.
    pub startup: Duration,
    /// Length of a window of telemetry.
    pub window: Duration,
    /// Half width of the uniform noise on latency and load, as a share: 0 to 1.
    pub noise_share: f64,
    /// Seed of that noise.
    pub seed: u64,
    /// Whether windows carry arrivals, completions and requests under way beside latency.
    pub traffic_known: bool,
}

impl Default for PlantSpec {
    /// 50 requests a second and replica at 40 ms, 6 s to start, windows of 3 s with traffic.
    fn default() -> Self {
        Self {
            rate_per_replica_per_s: 50.0,
            base_ms: 40.0,
            dependency_ms: 0.0,
            timeout: Duration::from_millis(2_500),
            startup: Duration::from_secs(6),
            window: Duration::from_secs(3),
            noise_share: 0.05,
            seed: 1,
            traffic_known: true,
        }
    }
}

/// A simulated service.
///
/// ```
/// use planner_lab::{Plant, PlantSpec};
///
/// let mut plant = Plant::new(PlantSpec { noise_share: 0.0, ..PlantSpec::default() }, 2);
/// let calm = plant.window(40.0)?;
/// let drowning = plant.window(400.0)?;
/// assert!(drowning.latencies().unwrap().p95() > calm.latencies().unwrap().p95());
/// # Ok::<(), planner_core::WindowError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plant {
    spec: PlantSpec,
    now: Timestamp,
    seq: u64,
    ready: u32,
    /// When ordered replicas become ready, earliest first.
    starting: Vec<(Timestamp, u32)>,
    /// Requests that wait.
    backlog: f64,
    noise: u64,
}

impl Plant {
    /// The service with `ready` replicas at the origin of time.
    pub fn new(spec: PlantSpec, ready: u32) -> Self {
        let spec = PlantSpec {
            rate_per_replica_per_s: spec.rate_per_replica_per_s.clamp(1e-3, 1e6),
            base_ms: spec.base_ms.clamp(1e-3, 1e6),
            dependency_ms: spec.dependency_ms.clamp(0.0, 1e6),
            noise_share: spec.noise_share.clamp(0.0, 1.0),
            window: spec.window.clamp(Duration::from_millis(1), Duration::from_secs(86_400)),
            ..spec
        };
        let noise = spec.seed;
        Self {
            spec,
            now: Timestamp::ORIGIN,
            seq: 0,
            ready,
            starting: Vec::new(),
            backlog: 0.0,
            noise,
        }
    }

    /// The time in the service.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Replicas that serve.
    pub const fn ready(&self) -> u32 {
        self.ready
    }

    /// Changes what a dependency adds to every latency, in milliseconds.
    pub const fn set_dependency_ms(&mut self, dependency_ms: f64) {
        self.spec.dependency_ms = dependency_ms.clamp(0.0, 1e6);
    }

    /// Orders this many replicas. New ones start, superfluous ones leave at once, those still
    /// starting first.
    pub fn scale_to(&mut self, replicas: u32) {
        let mut ordered = self.ready + self.starting.iter().map(|(_, count)| count).sum::<u32>();
        if replicas > ordered {
            let at = self.now.saturating_add(self.spec.startup);
            self.starting.push((at, replicas - ordered));
        }
        while replicas < ordered
            && let Some((_, count)) = self.starting.last_mut()
        {
            let leave = (*count).min(ordered - replicas);
            *count -= leave;
            ordered -= leave;
            if *count == 0 {
                self.starting.pop();
            }
        }
        self.ready = self.ready.min(replicas);
    }

    /// Lets one window of `load_per_s` requests per second pass; gives what a meter saw of it.
    ///
    /// # Errors
    ///
    /// [`WindowError`] when the load is no finite rate from 0 to 1e9.
    pub fn window(&mut self, load_per_s: f64) -> Result<Window, WindowError> {
        let start = self.now;
        let seconds = self.spec.window.as_secs_f64();
        self.now = start.saturating_add(self.spec.window);
        self.seq += 1;
        let capacity_per_s = f64::from(self.ready) * self.spec.rate_per_replica_per_s;
        let arrivals_per_s = load_per_s * self.wobble();
        Traffic::arriving(arrivals_per_s)?;

        let waiting = self.backlog + arrivals_per_s * seconds;
        let answered = waiting.min(capacity_per_s * seconds);
        // Whoever waits longer than the deadline has gone.
        let patient = capacity_per_s * self.spec.timeout.as_secs_f64();
        let gone = (waiting - answered - patient).max(0.0);
        self.backlog = waiting - answered - gone;

        let p95 = self.p95(arrivals_per_s, capacity_per_s);
        let samples = count(answered + gone);
        let timeouts = count(gone).min(samples);
        let mut window = Window::builder(self.seq, start, self.now)
            .outcomes(samples, timeouts, 0)
            .coverage(1.0)
            .ready(self.ready)
            .starting(self.starting.iter().map(|(_, count)| count).sum());
        if let Some(p95) = p95.filter(|_| samples > timeouts) {
            window = window.latencies(Latencies::from_p95(p95));
        }
        if self.spec.traffic_known {
            let traffic = Traffic::arriving(arrivals_per_s)?
                .with_completions(answered / seconds)?
                .with_in_flight(count(self.backlog));
            window = window.traffic(traffic);
        }
        let window = window.build();
        self.become_ready();
        window
    }

    /// The p95: low until replicas are nearly used up, then rising with the backlog.
    fn p95(&mut self, arrivals_per_s: f64, capacity_per_s: f64) -> Option<Latency> {
        if capacity_per_s <= 0.0 {
            return None;
        }
        let used = (arrivals_per_s / capacity_per_s).min(1.0);
        let (used_4, wait_ms) =
            (used * used * used * used, 1_000.0 * self.backlog / capacity_per_s);
        let p95_ms = (self.spec.base_ms * (1.0 + used_4 * used_4) + self.spec.dependency_ms)
            * self.wobble()
            + wait_ms;
        let deadline_ms = self.spec.timeout.as_secs_f64() * 1_000.0;
        Latency::from_millis(p95_ms.min(deadline_ms.max(self.spec.base_ms)))
    }

    /// A factor about one: `SplitMix64` (Steele, Lea and Flood 2014).
    fn wobble(&mut self) -> f64 {
        self.noise = self.noise.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.noise ^ (self.noise >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        1.0 + self.spec.noise_share * (2.0 * uniform - 1.0)
    }

    fn become_ready(&mut self) {
        while let Some((at, count)) = self.starting.first().copied()
            && at <= self.now
        {
            self.ready += count;
            self.starting.remove(0);
        }
    }
}

/// A number of requests, rounded down.
pub(crate) fn count(requests: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within u32")]
    let count = requests.clamp(0.0, 1e9) as u32;
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> PlantSpec {
        PlantSpec { noise_share: 0.0, ..PlantSpec::default() }
    }

    #[test]
    fn a_load_that_is_no_rate_is_refused() {
        let mut plant = Plant::new(quiet(), 1);
        assert!(plant.window(f64::NAN).is_err() && plant.window(-1.0).is_err());
    }

    #[test]
    fn a_service_without_replicas_answers_nobody() {
        let window = Plant::new(quiet(), 0).window(10.0).expect("a rate");
        assert_eq!((window.latencies(), window.successes()), (None, 0));
    }

    #[test]
    fn an_overload_grows_until_the_impatient_leave() {
        let mut plant = Plant::new(quiet(), 1);
        let first = plant.window(100.0).expect("a rate");
        assert_eq!(first.traffic().and_then(|traffic| traffic.completions_per_s()), Some(50.0));
        let second = plant.window(100.0).expect("a rate");
        assert!(second.timeouts() > 0);
        assert_eq!(second.latencies().map(|it| it.p95().as_millis()), Some(2_500.0));
    }

    #[test]
    fn ordered_replicas_serve_after_their_start_up_time() {
        let mut plant = Plant::new(quiet(), 1);
        plant.scale_to(3);
        let ready = [0; 4].map(|_| plant.window(10.0).expect("a rate").ready());
        assert_eq!(ready, [Some(1), Some(1), Some(3), Some(3)]);
    }

    #[test]
    fn those_still_starting_leave_first() {
        let mut plant = Plant::new(quiet(), 2);
        plant.scale_to(6);
        plant.scale_to(3);
        let starting = plant.window(1.0).expect("a rate").starting();
        assert_eq!((plant.ready(), starting), (2, Some(1)));
        plant.scale_to(1);
        assert_eq!(plant.ready(), 1);
    }

    #[test]
    fn a_slow_dependency_is_not_cured_by_replicas() {
        let slow = PlantSpec { dependency_ms: 400.0, ..quiet() };
        let of = |replicas| Plant::new(slow, replicas).window(10.0).expect("a rate").latencies();
        assert!(of(8).is_some_and(|latencies| latencies.p95().as_millis() >= 440.0));
    }
}
