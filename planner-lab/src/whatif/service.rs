//! The model as a service in virtual time, on the boundaries of the recorded windows.
//!
//! The fluid of [`optimum::fluid`](crate::optimum::fluid) in steps of about a second, with the
//! latency that [`Plant`](crate::Plant) gives it: low until replicas are nearly used up, then
//! rising with the backlog. Without noise: only what the load does is told.

use std::time::Duration;

use planner_core::{Latencies, Latency, Timestamp, Traffic, Window, WindowError};

use super::model::Model;
use crate::optimum::fluid::Service;
use crate::plant::count;

/// Most steps of a window, so that a window of years costs no more than others.
const STEPS_MAX: f64 = 600.0;
/// Share of the requests that wait no longer than the p95's.
const P95: f64 = 0.95;

/// What one window did to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Passage {
    /// How long it was, seconds, without what an earlier window told already.
    pub(super) seconds: f64,
    pub(super) arrivals: f64,
    pub(super) answered: f64,
    pub(super) dropped: f64,
    /// Requests that wait at its end, and those that are served without waiting.
    pub(super) backlog: f64,
    pub(super) served: f64,
    /// Requests that waited beyond the objective.
    pub(super) violating: f64,
    /// `None` where nobody served.
    pub(super) p95_ms: Option<f64>,
    pub(super) ready: u32,
    pub(super) starting: u32,
    /// Ready and starting replicas over its time.
    pub(super) replica_s: f64,
}

/// The service at one time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Simulated {
    model: Model,
    startup: Duration,
    now: Timestamp,
    ready: u32,
    /// When ordered replicas become ready, earliest first.
    starting: Vec<(Timestamp, u32)>,
    backlog: f64,
}

impl Simulated {
    /// The service at the end of `window`, which knew `ready` replicas.
    pub(super) fn after(model: Model, window: &Window, ready: u32) -> Self {
        let traffic = window.traffic();
        // What is under way without waiting is no backlog (Little's law).
        let served = traffic.and_then(|traffic| traffic.completions_per_s()).unwrap_or(0.0)
            * model.base_ms.value
            / 1_000.0;
        let waiting = traffic.and_then(|traffic| {
            traffic.queued().map(f64::from).or_else(|| {
                let under_way = f64::from(traffic.in_flight()?);
                Some((under_way - served).max(0.0))
            })
        });
        Self {
            model,
            startup: Duration::try_from_secs_f64(model.startup_s.value).unwrap_or_default(),
            now: window.end(),
            ready,
            starting: Vec::new(),
            backlog: waiting.unwrap_or(0.0),
        }
    }

    /// The p95 in milliseconds that runs are measured by.
    pub(super) const fn objective_ms(&self) -> f64 {
        self.model.objective_ms.value
    }

    /// So many replicas are starting, ordered at `at`.
    pub(super) fn started(&mut self, at: Timestamp, replicas: u32) {
        if replicas > 0 {
            self.starting.push((at.saturating_add(self.startup), replicas));
        }
    }

    /// Orders this many replicas. New ones start, superfluous ones leave at once, those still
    /// starting first.
    pub(super) fn scale_to(&mut self, at: Timestamp, replicas: u32) {
        let pending: u32 = self.starting.iter().map(|(_, count)| count).sum();
        let ordered = self.ready.saturating_add(pending);
        self.started(at, replicas.saturating_sub(ordered));
        let mut superfluous = ordered.saturating_sub(replicas);
        while superfluous > 0
            && let Some((_, count)) = self.starting.last_mut()
        {
            let leave = (*count).min(superfluous);
            *count -= leave;
            superfluous -= leave;
            if *count == 0 {
                self.starting.pop();
            }
        }
        self.ready = self.ready.min(replicas);
    }

    /// Lets the time of `recorded` pass with this load, and the time since the last window.
    pub(super) fn pass(&mut self, recorded: &Window, arrivals_per_s: f64) -> Passage {
        if recorded.start() > self.now {
            let _not_measured = self.span(recorded.start(), arrivals_per_s);
        }
        self.span(recorded.end(), arrivals_per_s)
    }

    /// Lets the time until `end` pass.
    fn span(&mut self, end: Timestamp, arrivals_per_s: f64) -> Passage {
        let seconds = end.saturating_since(self.now).as_secs_f64();
        let mut passage = Passage { seconds, ready: self.ready, ..Passage::default() };
        if seconds <= 0.0 {
            return passage;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 600")]
        let steps = seconds.ceil().clamp(1.0, STEPS_MAX) as u32;
        let (begin, step_s) = (self.now, seconds / f64::from(steps));
        let service = self.service(step_s);
        let mut waits_s = Vec::with_capacity(steps as usize);
        let mut used = 0.0;
        for step in 1..=steps {
            self.become_ready();
            let arrivals = arrivals_per_s * step_s;
            let passed = service.capacity(self.ready).pass(self.backlog, arrivals);
            let capacity_per_s = f64::from(self.ready) * service.rate_per_replica_per_s;
            let pending: u32 = self.starting.iter().map(|(_, count)| count).sum();
            passage.arrivals += arrivals;
            passage.dropped += passed.dropped;
            passage.answered += self.backlog + arrivals - passed.dropped - passed.backlog;
            passage.violating += passed.violating;
            passage.replica_s += f64::from(self.ready.saturating_add(pending)) * step_s;
            (passage.ready, passage.starting) = (self.ready, pending);
            self.backlog = passed.backlog;
            if capacity_per_s > 0.0 {
                used += (arrivals_per_s / capacity_per_s).min(1.0);
                waits_s.push(self.backlog / capacity_per_s);
            }
            self.now = begin
                .saturating_add(Duration::from_secs_f64((step_s * f64::from(step)).min(seconds)));
        }
        self.now = end;
        passage.backlog = self.backlog;
        passage.served = passage.answered / seconds * self.model.base_ms.value / 1_000.0;
        waits_s.sort_unstable_by(f64::total_cmp);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 600")]
        let rank = (P95 * waits_s.len() as f64).ceil() as usize;
        passage.p95_ms = rank.checked_sub(1).map(|rank| {
            let used = used / waits_s.len() as f64;
            let used_4 = used * used * used * used;
            self.model.base_ms.value * (1.0 + used_4 * used_4) + 1_000.0 * waits_s[rank]
        });
        passage
    }

    fn service(&self, step_s: f64) -> Service {
        let Model { capacity_per_s, base_ms, patience_s, objective_ms, .. } = self.model;
        let slo_wait_s = ((objective_ms.value - base_ms.value) / 1_000.0).max(0.0);
        Service {
            rate_per_replica_per_s: capacity_per_s.value,
            slo_wait_s,
            patience_s: patience_s.value.max(slo_wait_s),
            step_s,
        }
    }

    fn become_ready(&mut self) {
        while let Some((at, count)) = self.starting.first().copied()
            && at <= self.now
        {
            self.ready = self.ready.saturating_add(count);
            self.starting.remove(0);
        }
    }

    /// The passage as the source of `recorded` would have told it: what it did not know stays
    /// absent.
    pub(super) fn window(recorded: &Window, passage: &Passage) -> Result<Window, WindowError> {
        let census = recorded.is_census();
        let answered = count(passage.answered + passage.dropped);
        let samples = if census { answered } else { recorded.samples() };
        let lost = passage.dropped / (passage.answered + passage.dropped).max(1.0);
        let timeouts = count(f64::from(samples) * lost).min(samples);
        let mut told = Window::builder(recorded.seq(), recorded.start(), recorded.end())
            .outcomes(samples, timeouts, 0)
            .ready(passage.ready.min(Window::MAX_REPLICAS));
        if let Some(coverage) = recorded.coverage() {
            told = told.coverage(coverage);
        }
        if recorded.starting().is_some() {
            told = told.starting(passage.starting.min(Window::MAX_REPLICAS));
        }
        let p95 = passage.p95_ms.and_then(|p95| Latency::from_millis(p95.min(Latency::MAX_MS)));
        if let Some(p95) = p95.filter(|_| samples > timeouts) {
            told = told.latencies(Latencies::from_p95(p95));
        }
        if let Some(traffic) = recorded.traffic() {
            let per_s = |requests: f64| (requests / passage.seconds.max(1e-9)).max(0.0);
            let mut known = Traffic::arriving(per_s(passage.arrivals).min(Traffic::MAX_PER_S))?;
            if traffic.completions_per_s().is_some() {
                let answered = per_s(passage.answered).min(Traffic::MAX_PER_S);
                known = known.with_completions(answered)?;
            }
            if traffic.in_flight().is_some() {
                known = known.with_in_flight(count(passage.backlog + passage.served));
            }
            if traffic.queued().is_some() {
                known = known.with_queued(count(passage.backlog));
            }
            told = told.traffic(known);
        }
        told.build()
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Assumed, Source};
    use super::*;

    fn model() -> Model {
        let assumed = |value| Assumed { value, source: Source::Default, evidence: 0 };
        Model {
            capacity_per_s: assumed(50.0),
            capacity_is_tight: true,
            base_ms: assumed(40.0),
            startup_s: assumed(6.0),
            patience_s: assumed(2.5),
            objective_ms: assumed(320.0),
            arrivals_filled: 0,
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(seconds))
    }

    fn window(start: u64, end: u64) -> Window {
        let traffic = Traffic::arriving(1.0).expect("a rate").with_in_flight(0);
        let built = Window::builder(1, at(start), at(end)).outcomes(9, 0, 0).ready(2).coverage(1.0);
        built.starting(0).traffic(traffic).build().expect("a window")
    }

    fn service() -> Simulated {
        Simulated::after(model(), &window(0, 3), 2)
    }

    #[test]
    fn a_window_of_years_costs_no_more_than_others() {
        let years = window(3, 300_000_000);
        let passage = service().pass(&years, 1e9);
        assert!(passage.replica_s > 5e8 && passage.violating.is_finite());
        assert!(Simulated::window(&years, &passage).is_ok());
    }

    #[test]
    fn a_window_that_was_told_already_passes_no_time() {
        let passage = service().pass(&window(0, 2), 10.0);
        assert_eq!((passage.seconds, passage.arrivals, passage.p95_ms), (0.0, 0.0, None));
    }

    #[test]
    fn what_overlaps_is_counted_once_and_a_gap_is_not_counted() {
        assert_eq!(service().pass(&window(1, 6), 10.0).seconds, 3.0);
        let mut late = service();
        let passage = late.pass(&window(9, 12), 10.0);
        assert_eq!((passage.seconds, passage.replica_s), (3.0, 6.0));
    }

    #[test]
    fn nobody_serves_without_replicas() {
        let mut service = service();
        service.scale_to(at(3), 0);
        let passage = service.pass(&window(3, 6), 10.0);
        assert_eq!((passage.p95_ms, passage.violating, passage.answered), (None, 30.0, 0.0));
        let told = Simulated::window(&window(3, 6), &passage).expect("a window");
        assert_eq!((told.ready(), told.latencies(), told.timeouts()), (Some(0), None, 30));
    }

    #[test]
    fn an_order_serves_after_its_start_up_and_is_paid_for_before() {
        let mut service = service();
        service.scale_to(at(3), 4);
        let passages = [(3, 6), (6, 9), (9, 12)].map(|(start, end)| {
            let passage = service.pass(&window(start, end), 10.0);
            (passage.ready, passage.starting, passage.replica_s)
        });
        assert_eq!(passages, [(2, 2, 12.0), (2, 2, 12.0), (4, 0, 12.0)]);
    }

    #[test]
    fn those_still_starting_leave_first() {
        let mut service = service();
        service.scale_to(at(3), 6);
        service.scale_to(at(3), 3);
        assert_eq!((service.ready, service.starting.as_slice()), (2, &[(at(9), 1)][..]));
        service.scale_to(at(3), 1);
        assert_eq!((service.ready, service.starting.len()), (1, 0));
    }

    #[test]
    fn a_backlog_makes_requests_wait_and_is_told_where_the_source_told_it() {
        let passage = service().pass(&window(3, 6), 150.0);
        assert_eq!((passage.backlog, passage.answered), (150.0, 300.0));
        // 150 wait on 100/s; all are used: twice the calm p95.
        assert_eq!(passage.p95_ms, Some(80.0 + 1_500.0));
        let told = Simulated::window(&window(3, 6), &passage).expect("a window");
        let traffic = told.traffic().expect("known");
        assert_eq!((traffic.in_flight(), traffic.completions_per_s()), (Some(154), None));
        assert_eq!(traffic.queued(), None);
    }
}
