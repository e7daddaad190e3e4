//! Laws of the conversation: advice, deadlines, repetitions, and what a record tells.

use planner_core::journal::Record;
use planner_core::stats::{SIGMA_PER_MAD, mad, median};
use planner_core::{
    Config, Constraint, ConsultationId, Decision, Estimate, Event, Field, Idle, Lesson, Origin,
    Planner, Policy, Quality, Step, Timestamp, Verdict, Window,
};

use super::{decision, told_of};
use crate::kit::Watch;

/// Law 5.
#[derive(Default)]
pub(crate) struct OneSidedAdvice {
    /// What would be decided without an advisor, when the window is a breach.
    alone: Option<Decision>,
    exercised: u64,
}

impl<P: Policy> Watch<P> for OneSidedAdvice {
    fn before(&mut self, planner: &Planner<P>, at: Timestamp, event: &Event) {
        self.alone = None;
        if let (Event::Observe(window), Some(_)) = (event, planner.config().advice()) {
            let alone = planner.preview(at, window);
            let breach = alone.derivation.signal.breach.is_some();
            self.alone = Some(alone).filter(|_| breach);
        }
    }

    fn after(&mut self, _: &Planner<P>, record: &Record) -> Result<(), String> {
        if let Some(alone) = &self.alone {
            self.exercised += 1;
            let Step::Decide(advised) = &record.step else {
                return Err(format!("later than without an advisor: {}", told_of(alone)));
            };
            if advised.replicas() < alone.replicas() {
                return Err(format!("lower than without an advisor: {}", told_of(advised)));
            }
        }
        if let (Event::Advise(..), Step::Decide(decision)) = (&record.event, &record.step) {
            let argument = &decision.derivation;
            let band = argument.proposal.floor..=argument.proposal.ceiling;
            self.exercised += u64::from(matches!(
                argument.advice,
                Some(Verdict::Taken { .. } | Verdict::Clamped { .. })
            ));
            if argument.current.is_some() && !band.contains(&argument.guards[0].before) {
                return Err(format!("outside the policy's band: {}", told_of(decision)));
            }
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

/// Law 8.
#[derive(Default)]
pub(crate) struct Deadline {
    open: Option<(ConsultationId, Timestamp)>,
    exercised: u64,
}

impl Deadline {
    /// What is wrong with a step, if anything is.
    fn broken<P: Policy>(&self, planner: &Planner<P>, record: &Record) -> Option<String> {
        let (step, stale) = (&record.step, record.step == Step::Idle(Idle::Stale));
        let awaited = |id| self.open.is_some_and(|(asked, _)| asked == id);
        if let Event::Advise(id, _) = &record.event
            && !awaited(*id)
        {
            return (!stale).then(|| format!("advice that nobody waits for did {step:?}"));
        }
        if stale {
            return None;
        }
        let asks = matches!(record.event, Event::Observe(_) | Event::Wake | Event::Advise(..));
        let due = self.open.is_some_and(|(_, deadline)| record.at >= deadline);
        if asks && due && !matches!(step, Step::Decide(_)) {
            return Some(format!("no decision at the deadline but {step:?}"));
        }
        let Event::Observe(window) = &record.event else { return None };
        let trusted = window.quality(record.at, planner.config()) == Quality::Trusted;
        let waits = matches!(step, Step::Idle(Idle::Note | Idle::Early));
        let at_once = planner.policy().period().is_none();
        (trusted && waits && at_once).then(|| String::from("a trusted window led to nothing"))
    }
}

impl<P: Policy> Watch<P> for Deadline {
    fn after(&mut self, planner: &Planner<P>, record: &Record) -> Result<(), String> {
        if let Some(broken) = self.broken(planner, record) {
            return Err(broken);
        }
        match &record.step {
            Step::Consult(consultation) => {
                self.exercised += 1;
                self.open = Some((consultation.id, consultation.deadline));
                if planner.next_wake().is_none_or(|wake| wake > consultation.deadline) {
                    return Err(String::from("nobody is woken at the deadline"));
                }
            }
            Step::Decide(_) if planner.next_wake().is_none() => self.open = None,
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

/// Law 12.
pub(crate) struct Idempotence {
    config: Config,
    now: Timestamp,
    last: Option<Timestamp>,
    /// Everything remembered but the time, before a window that should change nothing.
    remembered: Option<String>,
    exercised: u64,
}

impl Idempotence {
    pub(crate) fn new(config: &Config) -> Self {
        let (now, last) = (Timestamp::ORIGIN, None);
        Self { config: config.clone(), now, last, remembered: None, exercised: 0 }
    }
}

/// Everything that a planner remembers but the time.
fn memory<P: Policy>(planner: &Planner<P>) -> String {
    // `Debug` shows every field; the clock is the one thing that a repeated window may move.
    let text = format!("{:?}", planner.snapshot());
    match text.split_once(" now: Timestamp(") {
        Some((before, after)) => {
            format!("{before}{}", after.split_once(')').map_or("", |(_, rest)| rest))
        }
        None => text,
    }
}

impl<P: Policy> Watch<P> for Idempotence {
    fn before(&mut self, planner: &Planner<P>, at: Timestamp, event: &Event) {
        self.remembered = None;
        // When the clock is set back the order begins anew.
        if self.now.saturating_since(at) > self.config.window_age_max() {
            (self.now, self.last) = (at, None);
        }
        self.now = self.now.max(at);
        if let Event::Observe(window) = event
            && self.last.is_some_and(|ended| window.end() <= ended)
        {
            self.remembered = Some(memory(planner));
        }
    }

    fn after(&mut self, planner: &Planner<P>, record: &Record) -> Result<(), String> {
        if let Some(remembered) = &self.remembered {
            self.exercised += 1;
            if record.step != Step::Idle(Idle::Stale) {
                return Err(format!("a repeated or older window did {:?}", record.step));
            }
            if *remembered != memory(planner) {
                return Err(String::from("a repeated or older window was remembered"));
            }
        } else if let (Event::Observe(window), false) =
            (&record.event, record.step == Step::Idle(Idle::Stale))
        {
            self.last = Some(window.end());
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

/// Law 13.
#[derive(Default)]
pub(crate) struct Monotone {
    broken: Option<String>,
    exercised: u64,
}

/// Factors by which latency and traffic are raised.
const FACTORS: [f64; 4] = [1.1, 1.7, 5.0, 40.0];

impl Monotone {
    fn raise<P: Policy>(&mut self, planner: &Planner<P>, at: Timestamp, window: &Window) {
        let made = planner.preview(at, window);
        let mut compare = |raised: &Window, what: &str| {
            let more = planner.preview(at, raised);
            self.exercised += 1;
            if more.replicas() < made.replicas() {
                let (made, more) = (told_of(&made), told_of(&more));
                self.broken = Some(format!("more {what}, fewer replicas: {made}\n{more}"));
            }
        };
        for field in [Field::P95, Field::Arrivals] {
            let Some(value) = field.of(window).filter(|value| *value > 0.0) else { continue };
            let most = if field == Field::P95 { 1e8 } else { 1e9 };
            for factor in FACTORS {
                if value * factor <= most {
                    compare(&field.with(window, value * factor), field.as_str());
                }
            }
        }
        let successes = window.successes();
        for share in [10, 3, 2] {
            let failures = window.failures().saturating_add(successes / share);
            // A window with a latency has at least one success.
            if successes / share > 0 && successes > successes / share {
                compare(&Field::Failures.with(window, f64::from(failures)), "errors");
            }
        }
    }
}

impl<P: Policy> Watch<P> for Monotone {
    fn before(&mut self, planner: &Planner<P>, at: Timestamp, event: &Event) {
        if let Event::Observe(window) = event {
            self.raise(planner, at, window);
        }
    }

    fn after(&mut self, _: &Planner<P>, _: &Record) -> Result<(), String> {
        self.broken.take().map_or(Ok(()), Err)
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

/// Law 17.
pub(crate) struct Explained {
    config: Config,
    /// The reference as the lessons tell it.
    reference: Vec<f64>,
    pool: (u32, f64),
    exercised: u64,
}

impl Explained {
    pub(crate) fn new(config: &Config) -> Self {
        Self { config: config.clone(), reference: Vec::new(), pool: (0, 0.0), exercised: 0 }
    }

    fn learn(&mut self, p95_ms: f64) {
        if self.reference.len() >= self.config.baseline_windows() as usize {
            self.reference.remove(0);
        }
        self.reference.push(p95_ms);
    }

    /// Follows what the record says that the baseline learned.
    fn follow(&mut self, decision: &Decision) {
        let window = &decision.derivation.window;
        let p95_ms = window.latencies().map_or(0.0, |latencies| latencies.p95().as_millis());
        match decision.derivation.lesson {
            Some(Lesson::Learn) => self.learn(p95_ms),
            Some(Lesson::Pool) => {
                let (samples, highest_ms) = self.pool;
                let pooled = samples.saturating_add(window.successes());
                self.pool = (pooled, highest_ms.max(p95_ms));
                if pooled >= self.config.samples_min() {
                    self.learn(self.pool.1);
                    self.pool = (0, 0.0);
                }
            }
            Some(Lesson::Relearn(change)) => {
                self.reference.clear();
                for level in change.levels {
                    (0..level.windows).for_each(|_| self.learn(level.mean_ms()));
                }
            }
            _ => {}
        }
    }

    fn estimate(&self) -> Option<Estimate> {
        if self.reference.len() < self.config.warmup_windows() as usize {
            return Estimate::new(self.config.baseline_hint_ms()?, 0.0, &self.config);
        }
        let median_ms = median(&self.reference)?;
        let sigma_ms = SIGMA_PER_MAD * mad(&self.reference, median_ms)?;
        Estimate::new(median_ms, sigma_ms, &self.config)
    }
}

impl<P: Policy> Watch<P> for Explained {
    fn after(&mut self, _: &Planner<P>, record: &Record) -> Result<(), String> {
        let Some(decision) = decision(&record.step) else { return Ok(()) };
        let argument = &decision.derivation;
        let Some(current) = argument.current else { return Ok(()) };
        let broken = |why: &str| Err(format!("{why}: {}", told_of(decision)));
        for pair in argument.guards.windows(2) {
            if pair[0].after != pair[1].before {
                return broken("a guard does not start from what the one before left");
            }
        }
        let (last, binding) = argument.guards.iter().fold(
            (argument.guards[0].before, Constraint::Unconstrained),
            |(_, binding), step| {
                let bound = step.before != step.after;
                (step.after, if bound { step.constraint } else { binding })
            },
        );
        let binding = match binding {
            Constraint::Unconstrained if decision.origin == Origin::Advisor => {
                Constraint::Advice { preferred: argument.proposal.preferred }
            }
            guarded => guarded,
        };
        if decision.replicas() != Some(last) || binding != argument.binding {
            return broken("the guards lead elsewhere");
        }
        if decision.target() == Some(current) {
            return broken("a scaling to where it is");
        }
        self.exercised += u64::from(binding != Constraint::Unconstrained);
        // Windows that were awaited together teach without a record of their own: from then on
        // the reference cannot be followed.
        if let Step::Decide(decision) = &record.step
            && self.config.advice().is_none()
        {
            let told = |estimate: Option<Estimate>| {
                estimate.map(|it| (it.median.as_millis().to_bits(), it.sigma.as_millis().to_bits()))
            };
            if told(argument.estimate) != told(self.estimate()) {
                return broken("median and sigma do not recompute");
            }
            self.follow(decision);
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

/// Law 18: that nothing panics is seen by whoever runs the case.
#[derive(Default)]
pub(crate) struct Total {
    steps: u64,
}

impl<P: Policy> Watch<P> for Total {
    fn after(&mut self, planner: &Planner<P>, record: &Record) -> Result<(), String> {
        self.steps += 1;
        let _text = decision(&record.step).map(told_of);
        let _wake = planner.next_wake();
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.steps
    }
}
