//! Anything that the world, an operator or an advisor can do to a planner, and the laws that hold
//! on every single step.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use planner_core::{
    Advice, AdviceConfig, AdvisedAction, AdvisorFault, Config, Constraint, Decision, Event,
    Heuristic, Latencies, Latency, Mode, Operation, Origin, Outcome, Planner, Quality,
    ReplicaBounds, Step, StepLimit, Thresholds, Timestamp, Traffic, Window,
};

/// Settings before they are checked.
#[derive(Arbitrary, Debug)]
struct Settings {
    min: u32,
    more: u16,
    warmup: u8,
    low: u8,
    flaps: u8,
    attempts: u8,
    spans_s: [u8; 4],
    step_out: (u16, u16, u8),
    step_in: (u16, u8, u8),
    thresholds: (f64, f64, f64),
    floor_ms: f64,
    hint_ms: f64,
    advised: bool,
}

impl Settings {
    fn config(&self) -> Option<Config> {
        let seconds = |count: u8| Duration::from_secs(u64::from(count));
        let bounds = ReplicaBounds::new(self.min, self.min.checked_add(self.more.into())?).ok()?;
        let (up_ratio, down_ratio, up_z) = self.thresholds;
        let (out_replicas, out_percent, out_s) = self.step_out;
        let (in_replicas, in_percent, in_s) = self.step_in;
        let limit = |replicas: u16, percent: u32, period| StepLimit {
            replicas: replicas.into(),
            percent,
            period: seconds(period),
        };
        let thresholds = Thresholds { up_ratio, down_ratio, up_z };
        let plausible = Thresholds { up_ratio: 8.0, down_ratio: 1.1, up_z: 6.0 };
        let builder = Config::builder(bounds)
            .warmup_windows(self.warmup.into())
            .low_windows(self.low.into())
            .flap_budget_per_hour(self.flaps.into())
            .efficacy_attempts(self.attempts.into())
            .cooldown_out(seconds(self.spans_s[0]))
            .cooldown_in(seconds(self.spans_s[1]))
            .stabilisation_in(seconds(self.spans_s[2]))
            .startup_allowance(seconds(self.spans_s[3]))
            .step_out(limit(out_replicas, out_percent.into(), out_s))
            .step_in(limit(in_replicas, in_percent.into(), in_s))
            .sigma_floor_ms(self.floor_ms)
            .baseline_hint_ms(self.hint_ms)
            .thresholds(thresholds);
        let period = Duration::from_secs(1);
        let advice = AdviceConfig { period, heartbeat: period, ..AdviceConfig::default() };
        let finish = |builder: planner_core::ConfigBuilder| {
            let builder = if self.advised { builder.advice(advice.clone()) } else { builder };
            builder.build().ok()
        };
        finish(builder.clone()).or_else(|| finish(builder.clone().thresholds(plausible))).or_else(
            || {
                let builder = builder.thresholds(plausible).sigma_floor_ms(2.0);
                finish(builder.clone()).or_else(|| finish(builder.baseline_hint_ms(0.0)))
            },
        )
    }
}

/// What happens next.
#[derive(Arbitrary, Debug)]
enum Happening {
    Window(Measured),
    Again,
    Advise { of: u8, action: u8, to: Option<u32>, thresholds: Option<(f64, f64, f64)> },
    Fault { of: u8, kind: u8, retry_after_s: Option<u64> },
    Wake,
    Settle { of: u8, refuse: bool },
    Operate { mode: u8, hold_in: bool, hold_out: bool },
    Jump { ms: i64 },
    Years { ten: bool },
    Restart,
}

/// A window before it is checked.
#[derive(Arbitrary, Debug)]
struct Measured {
    after_ms: u16,
    length_ms: u16,
    p95: Number,
    low: Option<f64>,
    samples: u32,
    timeouts: u16,
    failures: u16,
    ready: Option<u8>,
    huge: Option<u32>,
    starting: Option<u8>,
    rates: Option<(Number, Option<Number>, Option<u32>, Option<u32>)>,
    coverage: Option<f64>,
}

/// Any bits, or a number that a service might show.
#[derive(Arbitrary, Debug)]
enum Number {
    Bits(u64),
    Usual(u16),
}

impl Number {
    fn value(&self) -> f64 {
        match self {
            Self::Bits(bits) => f64::from_bits(*bits),
            Self::Usual(tenths) => f64::from(*tenths) / 10.0,
        }
    }
}

/// Where the sequence stands.
struct World {
    now: u64,
    seq: u64,
    last: Option<Window>,
    consultations: Vec<planner_core::ConsultationId>,
    decisions: Vec<planner_core::DecisionId>,
}

impl World {
    fn window(&mut self, measured: &Measured) -> Option<Window> {
        self.now = self.now.saturating_add(u64::from(measured.after_ms) * 1_000_000);
        self.seq += 1;
        let start = self.now.saturating_sub(u64::from(measured.length_ms) * 1_000_000);
        let (start, end) = (Timestamp::from_nanos(start), Timestamp::from_nanos(self.now));
        let samples = measured.samples % 2_000_000;
        let mut builder = Window::builder(self.seq, start, end).outcomes(
            samples,
            u32::from(measured.timeouts).min(samples / 2),
            u32::from(measured.failures).min(samples / 2),
        );
        if let Some(p95) = Latency::from_millis(measured.p95.value()) {
            let low = measured.low.and_then(Latency::from_millis);
            builder = builder.latencies(Latencies::from_p95(p95).with_p95_interval(low, None));
        }
        if let Some(ready) = measured.huge.or(measured.ready.map(u32::from)) {
            builder = builder.ready(ready);
        }
        if let Some(starting) = measured.starting {
            builder = builder.starting(starting.into());
        }
        if let Some((arrivals, completions, in_flight, queued)) = &measured.rates
            && let Ok(mut traffic) = Traffic::arriving(arrivals.value())
        {
            if let Some(rate) = completions {
                traffic = traffic.with_completions(rate.value()).unwrap_or(traffic);
            }
            traffic = in_flight.map_or(traffic, |count| traffic.with_in_flight(count));
            traffic = queued.map_or(traffic, |count| traffic.with_queued(count));
            builder = builder.traffic(traffic);
        }
        if let Some(coverage) = measured.coverage {
            builder = builder.coverage(coverage);
        }
        builder.build().ok()
    }

    fn event(&mut self, happening: &Happening) -> Option<Event> {
        Some(match happening {
            Happening::Window(measured) => {
                let window = self.window(measured)?;
                self.last = Some(window.clone());
                Event::Observe(window)
            }
            Happening::Again => Event::Observe(self.last.clone()?),
            Happening::Advise { of, action, to, thresholds } => {
                let action = match action % 3 {
                    0 => AdvisedAction::Noop,
                    1 => AdvisedAction::ScaleUp,
                    _ => AdvisedAction::ScaleDown,
                };
                let mut advice = Advice::new(action, "because");
                advice = to.map_or(advice.clone(), |to| advice.to_replicas(to));
                if let Some((up_ratio, down_ratio, up_z)) = *thresholds {
                    advice = advice.with_thresholds(Thresholds { up_ratio, down_ratio, up_z });
                }
                Event::Advise(*pick(&self.consultations, *of)?, Ok(advice))
            }
            Happening::Fault { of, kind, retry_after_s } => {
                let fault = match kind % 6 {
                    0 => AdvisorFault::Garble,
                    1 => AdvisorFault::Timeout,
                    2 => AdvisorFault::Unreachable,
                    3 => AdvisorFault::Misconfigure,
                    4 => AdvisorFault::Exhaust { retry_after: None },
                    _ => AdvisorFault::Throttle {
                        retry_after: retry_after_s.map(Duration::from_secs),
                    },
                };
                Event::Advise(*pick(&self.consultations, *of)?, Err(fault))
            }
            Happening::Wake => Event::Wake,
            Happening::Settle { of, refuse } => {
                let outcome = if *refuse { Outcome::Refuse } else { Outcome::Apply };
                Event::Settle(*pick(&self.decisions, *of)?, outcome)
            }
            Happening::Operate { mode, hold_in, hold_out } => {
                let mode = [Mode::Act, Mode::Act, Mode::Pause, Mode::Shadow][usize::from(mode % 4)];
                let mut operation = Operation::of(mode);
                operation = if *hold_in { operation.holding_in() } else { operation };
                Event::Operate(if *hold_out { operation.holding_out() } else { operation })
            }
            Happening::Jump { ms } => {
                self.now = self.now.saturating_add_signed(ms.saturating_mul(1_000_000));
                return None;
            }
            Happening::Years { ten } => {
                let years = if *ten { 10 } else { -10 } * 365 * 86_400 * 1_000_000_000_i64;
                self.now = self.now.saturating_add_signed(years);
                return None;
            }
            Happening::Restart => return None,
        })
    }
}

/// One of the latest, or none.
fn pick<T>(list: &[T], of: u8) -> Option<&T> {
    list.iter().rev().nth(usize::from(of % 4))
}

/// What holds of every decision, whatever came before.
fn check(decision: &Decision, config: &Config) {
    let argument = &decision.derivation;
    let Some(current) = argument.current else {
        assert_eq!(decision.target(), None, "a target without a start");
        return;
    };
    let (bounds, operation) = (config.bounds(), argument.operation);
    let replicas = decision.replicas().expect("a start is known");
    let correcting = current > bounds.max() && (bounds.max()..=current).contains(&replicas);
    let held = operation != Operation::default() && replicas == current;
    assert!(bounds.contain(replicas) || correcting || held, "{decision} beyond {bounds}");
    let outside = !bounds.contain(current);
    let hurts = matches!(argument.quality, Quality::Doubtful(_))
        || argument.signal.failing
        || argument.signal.breach.is_some()
        || argument.estimate.is_none();
    assert!(!hurts || outside || replicas >= current, "{decision}\n{argument}");
    assert!(!operation.hold_in || replicas >= current, "{decision}\n{argument}");
    assert!(!operation.hold_out || replicas <= current, "{decision}\n{argument}");
    if operation.mode != Mode::Act {
        assert_eq!(decision.target(), None, "acts in {operation:?}");
    }
    for pair in argument.guards.windows(2) {
        assert_eq!(pair[0].after, pair[1].before, "the chain is broken");
    }
    let bound = argument.guards.iter().rev().find(|step| step.before != step.after);
    let unguarded = match decision.origin {
        Origin::Advisor => Constraint::Advice { preferred: argument.proposal.preferred },
        _ => Constraint::Unconstrained,
    };
    let named = bound.map_or(unguarded, |step| step.constraint);
    assert_eq!(named, argument.binding, "another constraint bound");
    assert!(!decision.to_string().is_empty() && !argument.to_string().is_empty());
}

fuzz_target!(|input: (Settings, Vec<Happening>)| {
    let (settings, happenings) = input;
    let Some(config) = settings.config() else { return };
    let mut planner = Planner::new(config.clone(), Heuristic);
    let mut world = World {
        now: 1_000_000_000,
        seq: 0,
        last: None,
        consultations: Vec::new(),
        decisions: Vec::new(),
    };
    for happening in &happenings {
        if matches!(happening, Happening::Restart) {
            let text = serde_json::to_vec(&planner.snapshot()).expect("serialisable");
            let snapshot = serde_json::from_slice(&text).expect("what was written");
            planner = Planner::restore(config.clone(), Heuristic, snapshot).expect("its own");
        }
        let Some(event) = world.event(happening) else { continue };
        match planner.step(Timestamp::from_nanos(world.now), event) {
            Step::Decide(decision) => {
                check(&decision, &config);
                world.decisions.push(decision.id);
            }
            Step::Consult(consultation) => {
                check(&consultation.fallback, &config);
                world.consultations.push(consultation.id);
            }
            _ => {}
        }
        let _never_in_the_past = planner.next_wake();
    }
});
