//! Turns a case into events, following what the planner decides and asks.

use std::time::Duration;

use planner_core::journal::Record;
use planner_core::{
    Advice, AdvisedAction, AdvisorFault, ConsultationId, DecisionId, Event, Latencies, Latency,
    Mode, Operation, Outcome, Step, Thresholds, Timestamp, Traffic, Window, WindowBuilder,
};

use crate::case::{Case, Kind};

/// `SplitMix64`'s finish (Steele, Lea and Flood 2014): a hash of a number.
pub(crate) const fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Where a case stands.
pub(crate) struct World<'a> {
    case: &'a Case,
    random: u64,
    now: Timestamp,
    seq: u64,
    ready: u32,
    phase: usize,
    /// Windows of the phase that are over.
    done: u8,
    sent: Vec<Window>,
    open: Option<(ConsultationId, Timestamp)>,
    answered: Option<ConsultationId>,
    decided: Option<DecisionId>,
    /// Events that come before the next window.
    queue: Vec<Event>,
}

impl<'a> World<'a> {
    pub(crate) const fn new(case: &'a Case) -> Self {
        Self {
            case,
            random: case.seed,
            now: Timestamp::from_nanos(1_000_000_000_000),
            seq: 0,
            ready: case.config.bounds().min() + 1,
            phase: 0,
            done: 0,
            sent: Vec::new(),
            open: None,
            answered: None,
            decided: None,
            queue: Vec::new(),
        }
    }

    /// The next event and its time; `None` when the case is over.
    pub(crate) fn next(&mut self) -> Option<(Timestamp, Event)> {
        if let Some(event) = self.queue.pop() {
            return Some((self.now, event));
        }
        if let Some(event) = self.interlude() {
            return Some((self.now, event));
        }
        let phase = loop {
            let phase = self.case.phases.get(self.phase)?;
            if self.done < phase.windows {
                break phase.kind;
            }
            (self.phase, self.done) = (self.phase + 1, 0);
        };
        self.done += 1;
        let window = self.window(phase)?;
        // A late window keeps its time; the clock has gone on.
        if phase == Kind::Stale {
            self.now = self.now.saturating_add(self.case.config.window_age_max() * 2);
        }
        self.sent.push(window.clone());
        Some((self.now, Event::Observe(window)))
    }

    /// Follows what the planner made of the event.
    pub(crate) fn saw(&mut self, step: &Step) {
        match step {
            Step::Consult(consultation) => {
                self.open = Some((consultation.id, consultation.deadline));
            }
            Step::Decide(decision) => {
                self.answered = self.open.take().map(|(id, _)| id).or(self.answered);
                self.decided = Some(decision.id);
                // Most orders are carried out before the next window, some take longer.
                if let Some(target) = decision.target()
                    && self.below(4) > 0
                {
                    self.ready = target;
                }
            }
            _ => {}
        }
    }

    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.random)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next_random() % bound
    }

    /// Uniform from 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next_random() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Something between two windows: an answer, a repetition, a refusal, the operator.
    fn interlude(&mut self) -> Option<Event> {
        if let Some((id, deadline)) = self.open {
            match self.below(8) {
                0..=2 => {
                    let answer = Ok(self.advice());
                    if self.below(3) == 0 {
                        let second = Ok(self.advice());
                        self.queue.push(Event::Advise(id, second));
                    }
                    return Some(Event::Advise(id, answer));
                }
                3 => return Some(Event::Advise(id, Err(self.fault()))),
                4 => {
                    self.now = self.now.max(deadline).saturating_add(Duration::from_millis(1));
                    return Some(Event::Advise(id, Ok(self.advice())));
                }
                5 => {
                    self.now = self.now.max(deadline);
                    return Some(Event::Wake);
                }
                _ => {}
            }
        }
        match self.below(24) {
            0 => self.sent.last().cloned().map(Event::Observe),
            1 => {
                let index = self.below(self.sent.len().max(1) as u64);
                self.sent.get(usize::try_from(index).ok()?).cloned().map(Event::Observe)
            }
            2 => self.decided.map(|id| Event::Settle(id, Outcome::Refuse)),
            3 => Some(Event::Wake),
            4 => {
                let answer = Ok(self.advice());
                self.answered.map(|id| Event::Advise(id, answer))
            }
            5 if self.below(4) == 0 => {
                let mode = if self.below(2) == 0 { Mode::Pause } else { Mode::Shadow };
                Some(Event::Operate(Operation::of(mode)))
            }
            6 | 7 => Some(Event::Operate(Operation::default())),
            8 if self.below(4) == 0 => Some(Event::Operate(Operation::default().holding_in())),
            9 if self.below(4) == 0 => Some(Event::Operate(Operation::default().holding_out())),
            _ => None,
        }
    }

    /// What a hostile advisor says: anything.
    fn advice(&mut self) -> Advice {
        let action = [AdvisedAction::Noop, AdvisedAction::ScaleUp, AdvisedAction::ScaleDown];
        let action = action[usize::try_from(self.below(3)).unwrap_or(0)];
        let mut advice = Advice::new(action, "because");
        match self.below(4) {
            0 => {}
            1 => advice = advice.to_replicas(u32::MAX),
            2 => advice = advice.to_replicas(0),
            _ => advice = advice.to_replicas(u32::try_from(self.below(20)).unwrap_or(0)),
        }
        if self.below(2) == 0 {
            let any = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1.5, 3.0, 1e308];
            let mut pick = || any[usize::try_from(self.below(7)).unwrap_or(0)];
            let thresholds = Thresholds { up_ratio: pick(), down_ratio: pick(), up_z: pick() };
            advice = advice.with_thresholds(thresholds);
        }
        advice
    }

    fn fault(&mut self) -> AdvisorFault {
        match self.below(6) {
            0 => AdvisorFault::Garble,
            1 => AdvisorFault::Timeout,
            2 => AdvisorFault::Unreachable,
            3 => AdvisorFault::Misconfigure,
            4 => AdvisorFault::Exhaust { retry_after: None },
            _ => {
                let retry_after = Some(Duration::from_secs(self.below(1_000_000)));
                AdvisorFault::Throttle { retry_after }
            }
        }
    }

    /// The next window of a kind; `None` when its numbers make none.
    fn window(&mut self, kind: Kind) -> Option<Window> {
        if kind == Kind::Adrift {
            let years = Duration::from_secs(1 + self.below(10 * 365 * 86_400));
            let back = self.below(2) == 0;
            self.now = if back {
                Timestamp::from_nanos(
                    self.now.as_nanos().saturating_sub(Timestamp::from_origin(years).as_nanos()),
                )
            } else {
                self.now.saturating_add(years)
            };
        }
        let start = self.now;
        self.now = self.now.saturating_add(Duration::from_secs(self.case.window_s.into()));
        self.seq += 1;
        let bounds = self.case.config.bounds();
        let ready = match kind {
            Kind::Crowded => bounds.max().saturating_add(1 + self.ready % 7),
            Kind::Short => bounds.min().saturating_sub(1),
            _ => self.ready,
        };
        let usual_ms = self.case.usual_ms * (0.96 + 0.08 * self.share());
        let p95_ms = match kind {
            Kind::Breach | Kind::Saturated => usual_ms * (9.0 + 20.0 * self.share()),
            Kind::Elevated => usual_ms * (1.6 + 1.3 * self.share()),
            Kind::Errors => usual_ms * 0.2,
            _ => usual_ms,
        };
        let samples = match kind {
            Kind::Starved => 3,
            Kind::Quiet => 0,
            _ => 40 + u32::try_from(self.below(100)).unwrap_or(0),
        };
        let (timeouts, failures) = match kind {
            Kind::Errors => (0, samples / 3),
            Kind::Outage => (samples / 2, samples - samples / 2),
            _ => (0, 0),
        };
        let mut builder =
            Window::builder(self.seq, start, self.now).outcomes(samples, timeouts, failures);
        if kind != Kind::Unknown {
            builder = builder.ready(ready);
        }
        if self.below(2) == 0 {
            builder = builder.starting(0);
        }
        if samples > timeouts + failures {
            builder = builder.latencies(Latencies::from_p95(Latency::from_millis(p95_ms)?));
        }
        builder = match kind {
            Kind::Truncated => builder.coverage(0.1),
            Kind::Extreme => self.extreme(builder),
            _ => self.with_traffic(builder, kind, ready),
        };
        builder.build().ok()
    }

    /// Adds traffic, in most cases.
    fn with_traffic(&mut self, builder: WindowBuilder, kind: Kind, ready: u32) -> WindowBuilder {
        // Whether a source knows traffic does not change within a case.
        if mixed(self.case.seed).is_multiple_of(3) {
            return builder;
        }
        let carried = 20.0 * f64::from(ready.max(1)) * (0.9 + 0.2 * self.share());
        let arrivals = match kind {
            Kind::Quiet => 0.0,
            Kind::Saturated => carried * 3.0,
            _ => carried,
        };
        let completions = arrivals.min(carried);
        let traffic = Traffic::arriving(arrivals).and_then(|it| it.with_completions(completions));
        let in_flight = if kind == Kind::Saturated { 200 } else { 2 };
        match traffic {
            Ok(traffic) => builder.traffic(traffic.with_in_flight(in_flight)).coverage(1.0),
            Err(_) => builder,
        }
    }

    /// Numbers at the edges of what a window may hold.
    fn extreme(&mut self, mut builder: WindowBuilder) -> WindowBuilder {
        let edges = [0.0, f64::MIN_POSITIVE, 5e-324, 1e-9, 1.0, 1e8, 1e9];
        let mut pick = || edges[usize::try_from(self.below(7)).unwrap_or(0)];
        let (arrivals, completions, p95_ms) = (pick(), pick(), pick());
        if let Ok(traffic) =
            Traffic::arriving(arrivals).and_then(|it| it.with_completions(completions))
        {
            builder = builder.traffic(traffic.with_in_flight(u32::MAX).with_queued(u32::MAX));
        }
        if let Some(p95) = Latency::from_millis(p95_ms) {
            let samples = 1 + u32::try_from(self.below(u64::from(u32::MAX))).unwrap_or(0);
            builder = builder.outcomes(samples, 0, 0).latencies(Latencies::from_p95(p95));
        }
        builder.ready(u32::try_from(self.below(1_000_001)).unwrap_or(0))
    }
}

/// What a planner made of a case, as a journal.
pub(crate) type Records = Vec<Record>;
