//! A service that is measured in windows of a second, a planner on it, and an advisor of any kind.

use std::time::Duration;

use planner_core::journal::Record;
use planner_core::{
    Advice, AdviceConfig, AdvisorFault, Config, Consultation, Decision, Event, Heuristic, Planner,
    ReplicaBounds, Step, Timestamp, Window,
};
use planner_llm::{asked, read};

use crate::support::OPERATOR;

pub(crate) type Answer = Result<Advice, AdvisorFault>;

/// What is normal, milliseconds.
pub(crate) const NORMAL_MS: f64 = 20.0;

/// Asked every second, if need be.
pub(crate) fn eager() -> AdviceConfig {
    let second = Duration::from_secs(1);
    AdviceConfig { period: second, heartbeat: second, ..AdviceConfig::default() }
}

pub(crate) fn config(advice: Option<AdviceConfig>) -> Config {
    let builder = Config::builder(ReplicaBounds::new(1, 8).expect("bounds"))
        .cooldown_out(Duration::from_secs(5))
        .cooldown_in(Duration::from_secs(10))
        .stabilisation_in(Duration::from_secs(20));
    match advice {
        Some(advice) => builder.advice(advice).build(),
        None => builder.build(),
    }
    .expect("settings")
}

/// A service and its planner.
pub(crate) struct World {
    pub(crate) planner: Planner,
    pub(crate) second: u64,
    pub(crate) ready: u32,
    pub(crate) questions: Vec<Consultation>,
    pub(crate) records: Vec<Record>,
}

impl World {
    pub(crate) fn new(advice: Option<AdviceConfig>) -> Self {
        Self::of(config(advice))
    }

    pub(crate) fn of(config: Config) -> Self {
        let planner = Planner::new(config, Heuristic);
        Self { planner, second: 0, ready: 3, questions: Vec::new(), records: Vec::new() }
    }

    /// One that has learned what is normal, at three replicas.
    pub(crate) fn warm(advice: AdviceConfig) -> Self {
        let mut world = Self::new(Some(advice));
        world.warm_up();
        world
    }

    pub(crate) fn warm_up(&mut self) {
        for index in 0..20 {
            self.ready = 3;
            drop(self.window(NORMAL_MS + f64::from(index % 3), &mut |_| Err(AdvisorFault::Garble)));
        }
        self.ready = 3;
        self.questions.clear();
        self.records.clear();
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_origin(Duration::from_secs(self.second))
    }

    pub(crate) fn step(&mut self, event: Event) -> Step {
        let at = self.now();
        let step = self.planner.step(at, event.clone());
        self.records.push(Record { at, event, step: step.clone() });
        step
    }

    /// The next second's window, with this latency.
    pub(crate) fn observe(&mut self, latency_ms: f64) -> Step {
        let start = self.now();
        self.second += 1;
        let latencies = [latency_ms; 40];
        let window = Window::probes(start, self.now(), &latencies, 0, self.ready);
        self.step(Event::Observe(window.expect("a window")))
    }

    /// The same, its question answered at once, its order carried out at once.
    pub(crate) fn window(
        &mut self,
        latency_ms: f64,
        answer: &mut dyn FnMut(&Consultation) -> Answer,
    ) -> Decision {
        let mut step = self.observe(latency_ms);
        if let Step::Consult(question) = step {
            let answer = answer(&question);
            let id = question.id;
            self.questions.push(question);
            step = self.step(Event::Advise(id, answer));
        }
        let Step::Decide(decision) = step else { panic!("no decision but {step:?}") };
        self.ready = decision.target().unwrap_or(self.ready);
        decision
    }

    /// Many of them.
    pub(crate) fn live(
        &mut self,
        latencies_ms: impl IntoIterator<Item = f64>,
        mut answer: impl FnMut(&Consultation) -> Answer,
    ) -> Vec<Decision> {
        latencies_ms.into_iter().map(|latency_ms| self.window(latency_ms, &mut answer)).collect()
    }
}

/// An advisor that always writes the same.
pub(crate) fn writes(text: &str) -> impl FnMut(&Consultation) -> Answer {
    move |question| match read(text, "stop", &asked(question, OPERATOR)) {
        Ok(answer) => Ok(answer.advice(question.brief.thresholds)),
        Err(_) => Err(AdvisorFault::Garble),
    }
}

/// Calm, a slow rise, an overload, and calm again.
pub(crate) fn wave() -> impl Iterator<Item = f64> {
    let rise = (0..30).map(|step| NORMAL_MS + f64::from(step) * 2.0);
    let calm = |count| (0..count).map(|index: u32| NORMAL_MS + f64::from(index % 3));
    calm(20).chain(rise).chain([400.0; 6]).chain(calm(80))
}

pub(crate) fn targets(decisions: &[Decision]) -> Vec<Option<u32>> {
    decisions.iter().map(Decision::target).collect()
}
