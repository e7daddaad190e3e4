//! The service as a fluid: what happens to the requests of one step.
//!
//! In a step of `s` seconds `A` requests arrive evenly and `ready` replicas can answer
//! `C = ready × rate × s`. With `B0` waiting at its start, `B(u) = max(0, B0 + (A - C) u)` wait at
//! the share `u` of the step, and who arrives then waits `B(u) / (C / s)` seconds. So
//!
//! - the share of `u` with `B(u) > slo_wait × C / s` of the arrivals violates;
//! - `B1 = min(max(0, B0 + A - C), patience × C / s)` wait at the end, the rest has left.
//!
//! Without a replica both limits are 0: every arrival violates and nobody stays.
//!
//! Two facts carry the proofs of the module above. For a given count of replicas, violations and
//! `B1` never fall when `B0` rises, because `B(u)` does not. And violations never rise with the
//! count. (`B1` may: whom more replicas would answer sooner has more patience.)
//!
//! Only `+ - * /`, so every machine computes the same bits.

/// What every replica of a service can do, and what its users bear.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a service")]
pub struct Service {
    /// Requests per second that one replica answers, above 0.
    pub rate_per_replica_per_s: f64,
    /// A wait beyond this violates the objective, in seconds, from 0.
    pub slo_wait_s: f64,
    /// Who would wait longer than this leaves, in seconds, from `slo_wait_s`.
    pub patience_s: f64,
    /// Length of a step in seconds, above 0.
    pub step_s: f64,
}

impl Default for Service {
    /// 50 requests a second and replica, 0.25 s of wait allowed, 10 s of patience, steps of 1 s.
    fn default() -> Self {
        Self { rate_per_replica_per_s: 50.0, slo_wait_s: 0.25, patience_s: 10.0, step_s: 1.0 }
    }
}

impl Service {
    /// What so many replicas can do together.
    pub fn capacity(&self, ready: u32) -> Capacity {
        let per_s = f64::from(ready) * self.rate_per_replica_per_s;
        Capacity {
            per_step: per_s * self.step_s,
            slo_backlog: self.slo_wait_s * per_s,
            backlog_max: self.patience_s * per_s,
        }
    }
}

/// What the ready replicas of one step can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Requests answered in a step at most.
    per_step: f64,
    /// Waiting requests beyond which a new one violates.
    slo_backlog: f64,
    /// Waiting requests beyond which one leaves.
    backlog_max: f64,
}

impl Capacity {
    /// Lets a step with `arrivals` requests pass, `backlog` of them waiting at its start.
    ///
    /// ```
    /// use planner_lab::optimum::fluid::Service;
    ///
    /// // Two replicas answer 100 of 150: 50 wait at the end, the second half of the step too long.
    /// let passed = Service::default().capacity(2).pass(0.0, 150.0);
    /// assert_eq!((passed.backlog, passed.violating, passed.dropped), (50.0, 75.0, 0.0));
    /// ```
    #[inline]
    #[must_use]
    pub fn pass(&self, backlog: f64, arrivals: f64) -> Passed {
        let growth = arrivals - self.per_step;
        let end = backlog + growth;
        // A line over the step: how far its higher end is above the limit, of its whole height.
        let above = backlog.max(end) - self.slo_backlog;
        let height = growth.abs();
        let violating = if above <= 0.0 {
            0.0
        } else if above >= height {
            arrivals
        } else {
            arrivals * (above / height)
        };
        let waiting = end.max(0.0);
        let stay = waiting.min(self.backlog_max);
        Passed { violating, backlog: stay, dropped: waiting - stay }
    }
}

/// What one step made of its requests.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Passed {
    /// Arrivals of the step whose wait violates the objective.
    pub violating: f64,
    /// Requests that wait at its end.
    pub backlog: f64,
    /// Requests that left unanswered.
    pub dropped: f64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word for word, on a fine grid.
    fn by_definition(service: Service, ready: u32, backlog: f64, arrivals: f64) -> (f64, f64) {
        let per_s = f64::from(ready) * service.rate_per_replica_per_s;
        let growth = arrivals - per_s * service.step_s;
        let parts = 20_000_u32;
        let violating = (0..parts)
            .filter(|part| {
                let waiting = backlog + growth * (f64::from(*part) + 0.5) / f64::from(parts);
                per_s == 0.0 || waiting.max(0.0) / per_s > service.slo_wait_s
            })
            .count();
        let end = (backlog + growth).max(0.0).min(service.patience_s * per_s);
        (arrivals * violating as f64 / f64::from(parts), end)
    }

    #[test]
    fn without_replicas_everybody_violates_and_leaves() {
        let passed = Service::default().capacity(0).pass(7.0, 30.0);
        assert_eq!((passed.violating, passed.backlog, passed.dropped), (30.0, 0.0, 37.0));
    }

    #[test]
    fn who_would_wait_too_long_leaves() {
        let passed = Service::default().capacity(1).pass(490.0, 100.0);
        assert_eq!((passed.violating, passed.backlog, passed.dropped), (100.0, 500.0, 40.0));
    }

    #[test]
    fn a_backlog_that_drains_stops_violating_on_the_way() {
        // 40 wait, 12.5 may; none arrive for half a step's worth of capacity.
        let passed = Service::default().capacity(1).pass(40.0, 0.0);
        assert_eq!((passed.violating, passed.backlog), (0.0, 0.0));
        let passed = Service::default().capacity(1).pass(40.0, 10.0);
        assert!((passed.violating - 10.0 * 27.5 / 40.0).abs() < 1e-12);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_step_is_what_its_definition_says(
            ready in 0_u32..5, backlog in 0.0_f64..600.0, arrivals in 0.0_f64..400.0,
            step_s in 0.2_f64..3.0,
        ) {
            let service = Service { step_s, ..Service::default() };
            let passed = service.capacity(ready).pass(backlog, arrivals);
            let (violating, end) = by_definition(service, ready, backlog, arrivals);
            prop_assert!((passed.violating - violating).abs() <= arrivals * 2e-4 + 1e-9);
            prop_assert!((passed.backlog - end).abs() < 1e-9);
        }

        #[test]
        fn more_waiting_never_helps_and_more_replicas_never_violate_more(
            ready in 0_u32..5, backlog in 0.0_f64..600.0, more in 0.0_f64..50.0,
            arrivals in 0.0_f64..400.0,
        ) {
            let service = Service::default();
            let passed = service.capacity(ready).pass(backlog, arrivals);
            let fuller = service.capacity(ready).pass(backlog + more, arrivals);
            prop_assert!(fuller.violating >= passed.violating - 1e-9);
            prop_assert!(fuller.backlog >= passed.backlog);
            let larger = service.capacity(ready + 1).pass(backlog, arrivals);
            prop_assert!(larger.violating <= passed.violating + 1e-9);
        }
    }
}
