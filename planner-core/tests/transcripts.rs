//! Stories in time: events with times in, printed steps out, readable without Rust.
//!
//! A transcript is a text file in `tests/transcripts`. Lines that begin with `#` are comments and
//! lines that begin with `>` are what the planner said; everything else is input:
//!
//! ```text
//! planner min=1 max=8 cooldown_out=15 ... policy=heuristic advice=on
//! 1..20 p95=40 low=38 high=45 samples=40 bad=0 rate=20 done=20 in_flight=1 ready=2 starting=0
//! 21 restart          23 advise scale_up 5          24 advise garble          25 refuse
//! 26 again            27 operate pause hold_in      28 advise throttle 60
//! ```
//!
//! Further words of a window: `timeouts`, `coverage`, `queued`, `cpu`, and `age`, the seconds since
//! it ended.
//!
//! A target is applied at once, unless the planner line says `applied=no`; the planner is woken
//! when it asks to be.
//! Words that are left out keep their value from the line before; `p95=none` makes it unknown.
//! Each input line is followed by its output, equal lines in a row counted. `BLESS=1` rewrites
//! the files; a reviewer reads the difference. With `PLANNER_JOURNALS` each story also leaves its
//! journal in that folder, for `replay` of another build.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use planner_core::journal::{Header, Record};
use planner_core::{
    Advice, AdviceConfig, AdvisedAction, AdvisorFault, Config, ConsultationId, DecisionId, Event,
    Heuristic, Idle, Latencies, Latency, Mode, NoSignal, Operation, Outcome, Planner, Poc, Policy,
    ReplicaBounds, ServiceId, Step, StepLimit, Timestamp, Traffic, Window,
};

/// Values of the words of a line.
type Words = BTreeMap<String, String>;

/// A story being told.
struct Story<P: Policy<Signal = NoSignal>> {
    planner: Planner<P>,
    policy: P,
    config: Config,
    words: Words,
    consulted: Option<ConsultationId>,
    decided: Option<DecisionId>,
    applied: bool,
    last: Option<Window>,
    /// The story as a journal, line by line.
    journal: String,
}

#[test]
fn every_transcript_reads_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut told = 0;
    let mut wrong = String::new();
    for entry in fs::read_dir(folder).expect("the folder of transcripts") {
        let path = entry.expect("an entry").path();
        let written = fs::read_to_string(&path).expect("a transcript");
        let (said, journal) = tell(&written);
        told += 1;
        if let Some(folder) = std::env::var_os("PLANNER_JOURNALS") {
            let name = path.with_extension("jsonl");
            let name = name.file_name().expect("a name");
            fs::write(Path::new(&folder).join(name), journal).expect("writable");
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, said).expect("writable");
        } else if said != written {
            let _ = writeln!(wrong, "{} now reads:\n{said}", path.display());
        }
    }
    assert!(told >= 24, "only {told} transcripts were found");
    assert!(wrong.is_empty(), "{wrong}");
}

/// The transcript with what the planner says to its input, and its journal.
fn tell(text: &str) -> (String, String) {
    let first = text.lines().find(|line| line.starts_with("planner")).expect("a planner line");
    let words = words_of(first);
    let config = config(&words);
    if words.get("policy").is_some_and(|policy| policy == "poc") {
        tell_with(text, config, Poc)
    } else {
        tell_with(text, config, Heuristic)
    }
}

fn tell_with<P>(text: &str, config: Config, policy: P) -> (String, String)
where
    P: Policy<Signal = NoSignal> + Copy,
    P::State: serde::Serialize + serde::de::DeserializeOwned,
{
    let planner = Planner::new(config.clone(), policy);
    let header = Header::of(ServiceId::new("story").expect("a name"), &planner, false);
    let mut story = Story {
        planner,
        policy,
        config,
        words: Words::new(),
        consulted: None,
        decided: None,
        applied: !text.contains(" applied=no"),
        last: None,
        journal: serde_json::to_string(&header).expect("serialisable") + "\n",
    };
    let mut told = String::new();
    for line in text.lines().filter(|line| !line.starts_with('>')) {
        let _ = writeln!(told, "{line}");
        if line.is_empty() || line.starts_with('#') || line.starts_with("planner") {
            continue;
        }
        let mut said: Vec<(String, u32)> = Vec::new();
        for output in story.play(line) {
            match said.last_mut() {
                Some((last, times)) if *last == output => *times += 1,
                _ => said.push((output, 1)),
            }
        }
        for (output, times) in said {
            let _ = match times {
                1 => writeln!(told, "> {output}"),
                _ => writeln!(told, "> {output}  (x{times})"),
            };
        }
    }
    (told, story.journal)
}

impl<P> Story<P>
where
    P: Policy<Signal = NoSignal> + Copy,
    P::State: serde::Serialize + serde::de::DeserializeOwned,
{
    /// Plays one input line; what the planner says to each of its seconds.
    fn play(&mut self, line: &str) -> Vec<String> {
        let (times, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (from, to) = times.split_once("..").unwrap_or((times, times));
        let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("time in: {line}"));
        let mut said = Vec::new();
        // The words are those of the first second; a target that is applied changes them.
        self.words.extend(words_of(rest));
        for second in number(from)..=number(to) {
            let at = Timestamp::from_origin(Duration::from_secs(second));
            while let Some(wake) = self.planner.next_wake().filter(|wake| *wake < at) {
                let step = self.step(wake, Event::Wake);
                said.push(format!("{} (woken at {wake})", self.hear(&step)));
            }
            match self.event(second, rest.trim()) {
                Some(event) => {
                    let step = self.step(at, event);
                    said.push(self.hear(&step));
                }
                None if rest.trim() == "restart" => said.push(self.restart()),
                None => {}
            }
        }
        said
    }

    /// One step of the planner, noted in the journal.
    fn step(&mut self, at: Timestamp, event: Event) -> Step {
        let step = self.planner.step(at, event.clone());
        let record = Record { at, event, step: step.clone() };
        self.journal += &serde_json::to_string(&record).expect("serialisable");
        self.journal.push('\n');
        step
    }

    fn event(&mut self, second: u64, rest: &str) -> Option<Event> {
        let words: Vec<&str> = rest.split_whitespace().collect();
        match words.as_slice() {
            ["restart"] => None,
            ["again"] => self.last.clone().map(Event::Observe),
            ["operate", rest @ ..] => Some(Event::Operate(operation(rest))),
            ["refuse"] => self.decided.map(|id| Event::Settle(id, Outcome::Refuse)),
            ["advise", rest @ ..] => Some(Event::Advise(self.consulted?, answer(rest))),
            _ => {
                self.last = Some(window(second, &self.words));
                self.last.clone().map(Event::Observe)
            }
        }
    }

    /// The step in one line, without its number: numbers only count.
    fn hear(&mut self, step: &Step) -> String {
        match step {
            Step::Decide(decision) => {
                self.decided = Some(decision.id);
                if let Some(target) = decision.target().filter(|_| self.applied) {
                    self.words.insert("ready".to_owned(), target.to_string());
                }
                let text = decision.to_string();
                let advice = decision.derivation.advice.as_ref();
                let advice = advice.map(|verdict| format!(" (advice {verdict})"));
                let text = text.split_once(' ').map_or("", |(_, text)| text);
                format!("{text}{}", advice.unwrap_or_default())
            }
            Step::Consult(consultation) => {
                self.consulted = Some(consultation.id);
                let (floor, ceiling) = (consultation.brief.floor, consultation.brief.ceiling);
                format!("asks: {floor}..={ceiling}, by {}", consultation.deadline)
            }
            Step::Idle(Idle::Await(_)) => "awaits the answer".to_owned(),
            Step::Idle(idle) => format!("{idle:?}").to_lowercase(),
            _ => unreachable!("no other step"),
        }
    }

    /// Goes on from a snapshot that went through text.
    fn restart(&mut self) -> String {
        let text = serde_json::to_string(&self.planner.snapshot()).expect("serialisable");
        let snapshot = serde_json::from_str(&text).expect("as written");
        self.planner =
            Planner::restore(self.config.clone(), self.policy, snapshot).expect("restorable");
        "restarted".to_owned()
    }
}

fn operation(words: &[&str]) -> Operation {
    words.iter().fold(Operation::default(), |operation, word| match *word {
        "act" => operation,
        "hold_in" => operation.holding_in(),
        "hold_out" => operation.holding_out(),
        "pause" => Operation::of(Mode::Pause),
        "shadow" => Operation::of(Mode::Shadow),
        other => panic!("{other} is nothing that an operator says"),
    })
}

fn answer(words: &[&str]) -> Result<Advice, AdvisorFault> {
    let (action, rest) = match words {
        ["garble"] => return Err(AdvisorFault::Garble),
        ["throttle", wait] => {
            let wait = wait.parse().unwrap_or_else(|_| panic!("{wait} is no number of seconds"));
            let retry_after = Some(Duration::from_secs(wait));
            return Err(AdvisorFault::Throttle { retry_after });
        }
        ["timeout"] => return Err(AdvisorFault::Timeout),
        ["scale_up", rest @ ..] => (AdvisedAction::ScaleUp, rest),
        ["scale_down", rest @ ..] => (AdvisedAction::ScaleDown, rest),
        [_, rest @ ..] => (AdvisedAction::Noop, rest),
        [] => (AdvisedAction::Noop, [].as_slice()),
    };
    let advice = Advice::new(action, "told so");
    Ok(match rest.first().and_then(|to| to.parse().ok()) {
        Some(to) => advice.to_replicas(to),
        None => advice,
    })
}

fn words_of(line: &str) -> Words {
    let words = line.split_whitespace().filter_map(|word| word.split_once('='));
    words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The number of a word; `None` when it is missing or `none`.
fn value<T: std::str::FromStr>(words: &Words, name: &str) -> Option<T> {
    let text = words.get(name).filter(|text| *text != "none")?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn config(words: &Words) -> Config {
    let span = |name: &str, default| Duration::from_secs(value(words, name).unwrap_or(default));
    let bounds =
        ReplicaBounds::new(value(words, "min").unwrap_or(1), value(words, "max").unwrap_or(8));
    let builder = Config::builder(bounds.expect("valid bounds"))
        .warmup_windows(value(words, "warmup").unwrap_or(8))
        .cooldown_out(span("cooldown_out", 2))
        .cooldown_in(span("cooldown_in", 3))
        .stabilisation_in(span("stabilisation_in", 6))
        .flap_budget_per_hour(value(words, "flaps").unwrap_or(6))
        .efficacy_attempts(value(words, "attempts").unwrap_or(3))
        .startup_allowance(span("startup", 10))
        .baseline_hint_ms(value(words, "hint").unwrap_or(0.0))
        .step_out(StepLimit { replicas: 4, percent: 100, period: span("cooldown_out", 2) })
        .step_in(StepLimit { replicas: 1, percent: 50, period: span("cooldown_in", 3) });
    let builder = if words.get("advice").is_some_and(|advice| advice == "on") {
        let (period, heartbeat) = (span("call", 1), Duration::from_secs(300));
        builder.advice(AdviceConfig { period, heartbeat, ..AdviceConfig::default() })
    } else {
        builder
    };
    builder.build().expect("valid settings")
}

fn window(second: u64, words: &Words) -> Window {
    let at = |second| Timestamp::from_origin(Duration::from_secs(second));
    let latency = |name| value(words, name).and_then(Latency::from_millis);
    let rate: Option<f64> = value(words, "rate");
    let bad = value(words, "bad").unwrap_or(0);
    let samples = value(words, "samples").unwrap_or(40);
    let timeouts = value(words, "timeouts").unwrap_or(0);
    let end = second - value(words, "age").unwrap_or(0);
    let mut builder =
        Window::builder(second, at(end - 1), at(end)).outcomes(samples, timeouts, bad);
    if let Some(p95) = latency("p95") {
        let interval = (latency("low"), latency("high"));
        builder =
            builder.latencies(Latencies::from_p95(p95).with_p95_interval(interval.0, interval.1));
    }
    if let Some(rate) = rate {
        let mut traffic = Traffic::arriving(rate).expect("a rate");
        if let Some(done) = value(words, "done") {
            traffic = traffic.with_completions(done).expect("a rate");
        }
        if let Some(in_flight) = value(words, "in_flight") {
            traffic = traffic.with_in_flight(in_flight);
        }
        if let Some(queued) = value(words, "queued") {
            traffic = traffic.with_queued(queued);
        }
        builder = builder.traffic(traffic).coverage(value(words, "coverage").unwrap_or(1.0));
    }
    if let Some(share) = value(words, "cpu") {
        builder = builder.cpu_share(share);
    }
    if let Some(ready) = value(words, "ready") {
        builder = builder.ready(ready);
    }
    if let Some(starting) = value(words, "starting") {
        builder = builder.starting(starting);
    }
    builder.build().expect("a valid window")
}
