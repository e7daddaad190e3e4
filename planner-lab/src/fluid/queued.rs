//! The queue of single requests as a plant that goes second by second.

use thiserror::Error;

use super::{Second, SteppedPlant};
use crate::queue::{Queue, QueueError, QueueSpec, RATE_MAX_PER_S, REPLICAS_MAX};

/// Why a queue cannot stand in a closed loop.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum QueuePlantError {
    /// Bounds that no count can keep.
    #[error("replicas are bounded by {min} to {max}; give bounds up to 10000, the lower one first")]
    Bounds {
        /// Fewest.
        min: u32,
        /// Most.
        max: u32,
    },
    /// The queue itself.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The queue of single requests behind [`SteppedPlant`].
///
/// The requests of a second come evenly over it, at most 10 million. What waits longer than
/// [`QueueSpec::wait_threshold_s`] violates in the second in which its wait ends, and so does what
/// fails; `wait_s` is the mean of the waits that ended. Replicas that drain are not billed.
#[derive(Clone, Debug)]
pub struct QueuePlant {
    queue: Queue,
    replicas_min: u32,
    replicas_max: u32,
    /// When the requests of a second come, kept for the next one.
    offsets_s: Vec<f64>,
    passed_s: u64,
}

impl QueuePlant {
    /// The service with so many ready replicas at the origin of time, and bounds for orders.
    ///
    /// # Errors
    ///
    /// [`QueuePlantError`] when a setting of `spec` is out of its range, or the bounds are none.
    pub fn new(
        spec: QueueSpec,
        ready: u32,
        (replicas_min, replicas_max): (u32, u32),
        seed: u64,
    ) -> Result<Self, QueuePlantError> {
        if replicas_min > replicas_max || replicas_max > REPLICAS_MAX {
            return Err(QueuePlantError::Bounds { min: replicas_min, max: replicas_max });
        }
        let queue = Queue::new(spec, ready, seed)?;
        Ok(Self { queue, replicas_min, replicas_max, offsets_s: Vec::new(), passed_s: 0 })
    }

    /// The queue.
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }
}

impl SteppedPlant for QueuePlant {
    fn pass(&mut self, arrivals: u64) -> Second {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "up to 1e7")]
        let count = arrivals.min(RATE_MAX_PER_S as u64) as u32;
        self.offsets_s.clear();
        self.offsets_s.extend((0..count).map(|at| (f64::from(at) + 0.5) / f64::from(count)));
        self.passed_s += 1;
        let idle = Second {
            at_s: self.passed_s,
            arrivals: count.into(),
            completions: 0.0,
            dropped: 0.0,
            backlog: 0.0,
            in_flight: 0.0,
            wait_s: 0.0,
            p95_ms: None,
            violating: 0.0,
            ready: self.queue.ready(),
            starting: self.queue.starting(),
        };
        // Offsets are within the second and in order: what is left is the end of time.
        let Ok(interval) = self.queue.advance_arrivals(1.0, &self.offsets_s) else {
            return idle;
        };
        Second {
            completions: interval.completions as f64,
            dropped: (interval.timeouts + interval.failures) as f64,
            backlog: interval.queued as f64,
            in_flight: interval.in_flight as f64,
            wait_s: interval.wait_mean_s().unwrap_or(0.0),
            p95_ms: interval.latency.quantile_s(0.95).map(|seconds| seconds * 1_000.0),
            violating: (interval.waited_long + interval.failures) as f64,
            ready: interval.ready,
            starting: interval.starting,
            ..idle
        }
    }

    fn scale_to(&mut self, replicas: u32) {
        let within = replicas.clamp(self.replicas_min, self.replicas_max);
        let scaled = self.queue.scale_to(within);
        debug_assert!(scaled.is_ok(), "bounds are within what a queue takes");
    }

    fn ordered(&self) -> u32 {
        self.queue.ordered()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{LifeSpec, ServiceTime};

    fn spec() -> QueueSpec {
        let life = LifeSpec { startup_s: 2.0, ..LifeSpec::default() };
        QueueSpec { life, ..QueueSpec::of(ServiceTime::Deterministic { mean_s: 0.02 }) }
    }

    fn plant(ready: u32) -> QueuePlant {
        QueuePlant::new(spec(), ready, (1, 10), 1).expect("a plant")
    }

    #[test]
    fn bounds_that_no_count_can_keep_are_refused() {
        for (bounds, shown) in [((3, 2), "3 to 2"), ((1, 10_001), "1 to 10001")] {
            let error = QueuePlant::new(spec(), 1, bounds, 1).expect_err("refused");
            assert_eq!(
                error.to_string(),
                format!(
                    "replicas are bounded by {shown}; give bounds up to 10000, the lower one first"
                )
            );
        }
        assert!(QueuePlant::new(spec(), 20_000, (1, 10), 1).is_err());
    }

    #[test]
    fn a_replica_with_less_than_it_answers_lets_nobody_wait() {
        let second = plant(1).pass(40);
        // The last one comes 12.5 ms before the end and takes 20.
        assert_eq!((second.completions, second.in_flight), (39.0, 1.0));
        assert_eq!((second.violating, second.backlog, second.wait_s), (0.0, 0.0, 0.0));
        assert!(second.p95_ms.is_some_and(|p95_ms| (p95_ms - 20.0).abs() < 1.0));
    }

    #[test]
    fn what_is_too_much_waits_too_long_until_ordered_replicas_serve() {
        let mut plant = plant(1);
        plant.scale_to(99);
        assert_eq!(plant.ordered(), 10);
        let seconds = [0; 6].map(|_| plant.pass(100));
        assert_eq!((seconds[0].ready, seconds[0].starting, seconds[0].billed()), (1, 9, 10));
        assert!(seconds[1].violating > 0.0 && seconds[1].backlog > 50.0);
        assert_eq!(seconds[5].ready, 10);
        assert_eq!((seconds[5].violating, seconds[5].backlog), (0.0, 0.0));
        plant.scale_to(0);
        assert_eq!(plant.ordered(), 1);
    }
}
