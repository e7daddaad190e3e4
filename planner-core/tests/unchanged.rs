//! What was decided once is decided again: stories with known decisions.
//!
//! Method: seeded stories, each with settings of its own, in which a made-up service lives through
//! calm, load, noise, failures, outages, restarts, refusals, clocks that are set back, and advisors
//! of every kind. Each step and the memory at the end are hashed; the hashes are in
//! `data/unchanged.txt`. A journal of an earlier build replays identically only while they stay as
//! they are. A change that is wanted raises the policy's version when it is released;
//! `BLESS=1 cargo test -p planner-core --test unchanged` writes the hashes anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use planner_core::{
    Advice, AdviceConfig, AdvisedAction, AdvisorFault, Config, ConsultationId, DecisionId, Event,
    Heuristic, Latencies, Latency, Mode, NoSignal, Operation, Outcome, Planner, Poc, Policy,
    ReplicaBounds, Step, StepLimit, Thresholds, Timestamp, Traffic, Window,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

const STORIES: u64 = 240;
const WINDOWS: u64 = 320;
const KNOWN: &str = include_str!("data/unchanged.txt");

/// A seeded generator: what is drawn must be the same on every machine and for ever.
struct Dice(u64);

impl Dice {
    /// A number from 0 to below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    /// True once in so many times.
    fn once_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }

    /// A number from `low` to below `high` in 1000 steps.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.roll(1_000) as f64 / 1_000.0
    }

    fn small(&mut self, low: u32, high: u32) -> u32 {
        low + u32::try_from(self.roll(u64::from(high - low + 1))).expect("small")
    }

    fn seconds(&mut self, most: u64) -> Duration {
        Duration::from_secs(self.roll(most + 1))
    }
}

fn config(dice: &mut Dice) -> Config {
    let (min, more) = (dice.small(0, 3), dice.small(1, 12));
    let limit = |dice: &mut Dice, percent| StepLimit {
        replicas: dice.small(1, 4),
        percent: dice.small(0, percent),
        period: dice.seconds(40),
    };
    let (step_out, step_in) = (limit(dice, 200), limit(dice, 60));
    let builder = Config::builder(ReplicaBounds::new(min, min + more).expect("bounds"))
        .baseline_windows(dice.small(12, 60))
        .warmup_windows(dice.small(3, 12))
        .baseline_hint_ms(if dice.once_in(4) { 35.0 } else { 0.0 })
        .low_windows(dice.small(1, 4))
        .cooldown_out(dice.seconds(20))
        .cooldown_in(dice.seconds(30))
        .stabilisation_in(dice.seconds(60))
        .startup_allowance(dice.seconds(30))
        .flap_budget_per_hour(dice.small(1, 8))
        .efficacy_attempts(dice.small(1, 4))
        .target_utilisation(dice.between(0.5, 1.0))
        .step_out(step_out)
        .step_in(step_in)
        .seed(dice.roll(1_000));
    let advice = AdviceConfig {
        period: Duration::from_secs(1 + dice.roll(20)),
        heartbeat: Duration::from_secs(1 + dice.roll(60)),
        timeout: Duration::from_millis(500 + dice.roll(5_000)),
        thresholds_ttl: Duration::from_secs(1 + dice.roll(120)),
        ..AdviceConfig::default()
    };
    let advised = dice.once_in(2);
    let builder = if advised { builder.advice(advice) } else { builder };
    builder.build().expect("settings")
}

/// A service that can carry so much, and what is wrong with it.
struct Service {
    ready: u32,
    starting: u32,
    load_per_s: f64,
    capacity_per_s: f64,
    usual_ms: f64,
    backlog: f64,
    knows_traffic: bool,
    counts_starting: bool,
    failing: f64,
    slow: f64,
}

impl Service {
    fn new(dice: &mut Dice) -> Self {
        Self {
            ready: dice.small(1, 6),
            starting: 0,
            load_per_s: dice.between(5.0, 120.0),
            capacity_per_s: dice.between(20.0, 80.0),
            usual_ms: dice.between(5.0, 200.0),
            backlog: 0.0,
            knows_traffic: !dice.once_in(3),
            counts_starting: !dice.once_in(4),
            failing: 0.0,
            slow: 1.0,
        }
    }

    /// Something changes now and then.
    fn live(&mut self, dice: &mut Dice) {
        match dice.roll(60) {
            0 | 1 => self.load_per_s = dice.between(0.0, 220.0),
            2 => self.load_per_s *= 1.0 + dice.between(0.0, 2.0),
            3 => self.failing = dice.between(0.0, 1.0),
            4 | 5 | 13 | 14 => self.failing = 0.0,
            6 => self.slow = dice.between(1.0, 20.0),
            7 | 8 | 11 | 12 => self.slow = 1.0,
            9 => self.ready = dice.small(0, 12),
            10 => self.slow = dice.between(1.0, 1.6),
            _ => {}
        }
        self.ready += self.starting;
        self.starting = 0;
    }

    fn obey(&mut self, target: u32) {
        self.starting = target.saturating_sub(self.ready);
        self.ready = self.ready.min(target);
    }

    /// The window of this number, as long as it says.
    fn window(&mut self, dice: &mut Dice, seq: u64, end: Timestamp, length: Duration) -> Window {
        let start = Timestamp::from_nanos(
            end.as_nanos().saturating_sub(u64::try_from(length.as_nanos()).expect("short")),
        );
        let seconds = length.as_secs_f64();
        let capacity_per_s = self.capacity_per_s * f64::from(self.ready);
        let load_per_s = self.load_per_s * dice.between(0.85, 1.15);
        let waiting = self.backlog + load_per_s * seconds;
        let done = waiting.min(capacity_per_s * seconds);
        self.backlog = (waiting - done).min(5_000.0);
        let wait_ms = 1_000.0 * self.backlog / capacity_per_s.max(1.0);
        let busy = (load_per_s / capacity_per_s.max(1.0)).min(1.0);
        let p95_ms = self.usual_ms * self.slow * dice.between(0.9, 1.1) * (1.0 + busy) + wait_ms;
        let samples = if dice.once_in(25) { dice.small(0, 7) } else { dice.small(20, 120) };
        let bad = (f64::from(samples) * self.failing).floor().to_string();
        let bad = bad.parse::<u32>().expect("whole").min(samples);
        let timeouts = if dice.once_in(2) { bad / 2 } else { 0 };
        let mut builder =
            Window::builder(seq, start, end).outcomes(samples, timeouts, bad - timeouts);
        if samples > bad {
            let at = |share: f64| Latency::from_millis((p95_ms * share).min(1e8));
            let found = Latencies::from_p95(at(1.0).expect("a latency"));
            builder = builder.latencies(match dice.roll(3) {
                0 => found,
                1 => found.with_p95_interval(at(0.8), at(1.3)),
                _ => found.with_p95_interval(at(0.3), None),
            });
        }
        if self.knows_traffic {
            let traffic = Traffic::arriving(load_per_s).expect("a rate");
            let traffic = traffic.with_completions(done / seconds).expect("a rate");
            let waits = self.backlog.floor().to_string().parse::<u32>().expect("whole");
            builder = builder.traffic(traffic.with_in_flight(waits + 2).with_queued(waits));
            builder = builder.coverage(if dice.once_in(20) { 0.3 } else { 1.0 });
        }
        if !dice.once_in(40) {
            builder = builder.ready(self.ready);
        }
        if self.counts_starting {
            builder = builder.starting(self.starting);
        }
        builder.build().expect("a window")
    }
}

/// An answer of an advisor that may be anything.
fn answer(dice: &mut Dice) -> Result<Advice, AdvisorFault> {
    match dice.roll(9) {
        0 => return Err(AdvisorFault::Garble),
        1 => return Err(AdvisorFault::Unreachable),
        2 => {
            let retry_after = dice.once_in(2).then(|| dice.seconds(600));
            return Err(AdvisorFault::Throttle { retry_after });
        }
        _ => {}
    }
    let actions = [AdvisedAction::Noop, AdvisedAction::ScaleUp, AdvisedAction::ScaleDown];
    let mut advice = Advice::new(actions[usize::try_from(dice.roll(3)).expect("three")], "because");
    if dice.once_in(2) {
        advice = advice.to_replicas(dice.small(0, 20));
    }
    if dice.once_in(3) {
        advice = advice.with_thresholds(Thresholds {
            up_ratio: dice.between(1.1, 12.0),
            down_ratio: dice.between(1.0, 1.5),
            up_z: dice.between(1.0, 9.0),
        });
    }
    Ok(advice)
}

/// FNV-1a over what was hashed before and the text of this.
fn hashed(before: u64, what: &impl Serialize) -> u64 {
    let text = serde_json::to_vec(what).expect("serialisable");
    text.iter().fold(before, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A story under way.
struct Story<P: Policy<Signal = NoSignal>> {
    planner: Planner<P>,
    policy: P,
    config: Config,
    open: Option<ConsultationId>,
    decided: Option<DecisionId>,
    /// Hash of every step, and of the memory at the end.
    decisions: u64,
    memory: u64,
    /// How often each constraint bound.
    bound: BTreeMap<String, u32>,
}

impl<P> Story<P>
where
    P: Policy<Signal = NoSignal> + Copy,
    P::State: Serialize + DeserializeOwned,
{
    fn step(&mut self, now: Timestamp, event: Event, service: &mut Service) {
        let step = self.planner.step(now, event);
        self.decisions = hashed(self.decisions, &step);
        match step {
            Step::Consult(consultation) => self.open = Some(consultation.id),
            Step::Decide(decision) => {
                self.open = None;
                self.decided = Some(decision.id);
                let binding = format!("{:?}", decision.derivation.binding);
                let name = binding.split([' ', '(']).next().unwrap_or_default().to_owned();
                *self.bound.entry(name).or_default() += 1;
                if let Some(target) = decision.target() {
                    service.obey(target);
                }
            }
            _ => {}
        }
    }

    /// Things that happen beside windows.
    fn happen(&mut self, dice: &mut Dice, now: &mut Timestamp, service: &mut Service) {
        if let Some(wake) = self.planner.next_wake().filter(|wake| wake <= now) {
            self.step(wake, Event::Wake, service);
        }
        if let Some(id) = self.open
            && dice.once_in(2)
        {
            self.step(*now, Event::Advise(id, answer(dice)), service);
        }
        if let Some(id) = self.decided
            && dice.once_in(12)
        {
            let outcome = if dice.once_in(2) { Outcome::Refuse } else { Outcome::Apply };
            self.step(*now, Event::Settle(id, outcome), service);
        }
        match dice.roll(150) {
            0 => {
                let text = serde_json::to_string(&self.planner.snapshot()).expect("serialisable");
                let snapshot = serde_json::from_str(&text).expect("as written");
                self.planner = Planner::restore(self.config.clone(), self.policy, snapshot)
                    .expect("its own memory");
            }
            1 => {
                let back = Duration::from_secs(31 + dice.roll(400)).as_nanos();
                let back = u64::try_from(back).expect("short");
                *now = Timestamp::from_nanos(now.as_nanos().saturating_sub(back));
            }
            2 => {
                let modes = [Mode::Act, Mode::Pause, Mode::Shadow];
                let operation = Operation::of(modes[usize::try_from(dice.roll(3)).expect("three")]);
                let operation = if dice.once_in(4) { operation.holding_in() } else { operation };
                let operation = if dice.once_in(4) { operation.holding_out() } else { operation };
                self.step(*now, Event::Operate(operation), service);
            }
            3 | 4 => self.step(*now, Event::Operate(Operation::default()), service),
            _ => {}
        }
    }
}

/// The hashes of one story; what bound in it is added to `bound`.
fn tell<P>(seed: u64, policy: P, bound: &mut BTreeMap<String, u32>) -> [u64; 2]
where
    P: Policy<Signal = NoSignal> + Copy,
    P::State: Serialize + DeserializeOwned,
{
    let mut dice = Dice(seed);
    let config = config(&mut dice);
    let length = Duration::from_secs([1, 1, 2, 3, 10, 60][usize::try_from(seed % 6).expect("six")]);
    let mut service = Service::new(&mut dice);
    let mut story = Story {
        planner: Planner::new(config.clone(), policy),
        policy,
        config,
        open: None,
        decided: None,
        decisions: 0xcbf2_9ce4_8422_2325,
        memory: 0xcbf2_9ce4_8422_2325,
        bound: std::mem::take(bound),
    };
    let mut now = Timestamp::from_origin(Duration::from_secs(1_000));
    for seq in 1..=WINDOWS {
        now = now.saturating_add(length);
        service.live(&mut dice);
        let window = service.window(&mut dice, seq, now, length);
        let again = dice.once_in(30).then(|| window.clone());
        story.step(now, Event::Observe(window), &mut service);
        if let Some(again) = again {
            story.step(now, Event::Observe(again), &mut service);
        }
        story.happen(&mut dice, &mut now, &mut service);
    }
    *bound = std::mem::take(&mut story.bound);
    [story.decisions, hashed(story.memory, &story.planner.snapshot())]
}

/// A column of the file of hashes, line by line with its story.
fn column(text: &str, index: usize) -> Vec<(&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            Some((*words.first()?, *words.get(index)?))
        })
        .collect()
}

#[test]
fn what_was_decided_is_decided_again() {
    let mut bound = BTreeMap::new();
    let mut told =
        String::from("# story, policy and its version, hash of its steps, of its memory\n");
    for seed in 0..STORIES {
        let (name, version, [decisions, memory]) = if seed % 8 == 7 {
            ("poc", Poc.version(), tell(seed, Poc, &mut bound))
        } else {
            ("heuristic", Heuristic.version(), tell(seed, Heuristic, &mut bound))
        };
        let _a_string_takes_everything =
            writeln!(told, "{seed} {name}-{version} {decisions:016x} {memory:016x}");
    }
    println!("{bound:?}");
    // A breach holds a scale-in only of policies that want one, and a repeated window has no story.
    assert!(bound.len() >= 18, "guards that never bound tell nothing: {bound:?}");
    if std::env::var_os("BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/unchanged.txt");
        std::fs::write(path, told).expect("writable");
        return;
    }
    for (index, what) in [
        (1, "are of another version of the policy"),
        (2, "are decided differently; journals of earlier builds no longer replay"),
        (3, "leave another memory; is the snapshot still read, and its version right?"),
    ] {
        let (now, before) = (column(&told, index), column(KNOWN, index));
        let differs = now.iter().zip(&before).filter(|(now, before)| now != before);
        let stories: Vec<&str> = differs.map(|((story, _), _)| *story).collect();
        assert!(
            stories.is_empty() && now.len() == before.len(),
            "{} of {STORIES} stories, {:?} first, {what}",
            stories.len(),
            stories.first()
        );
    }
}
