//! From an alert to what is published.

use std::collections::VecDeque;

use planner_core::policy::PocInput;
use thiserror::Error;

use super::answer::{self, Failure};
use super::assessment::{Assessment, Band, StateKey, robust_stats};
use super::call::{Backoff, Bucket, Exchange, Reply, Request};
use super::message::{Action, Decision, Message, Plan, Telemetry};
use super::python;
use super::settings::Settings;
use super::value::Value;

/// When an alert is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the two things that it does not decide itself")]
pub struct Arrival {
    /// What it drew at random, from 0 to 1: the heartbeat is due after 0.9 to 1.1 of its time.
    pub jitter: f64,
    /// Unix seconds.
    pub now_s: f64,
}

impl Arrival {
    /// At this time, in Unix seconds, with a heartbeat of exactly its time.
    pub const fn at(now_s: f64) -> Self {
        Self { jitter: 0.5, now_s }
    }
}

/// What it remembers.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "the fixed state of a fixed program")]
pub struct State {
    /// How long it does not ask.
    pub backoff: Backoff,
    /// How often it asks.
    pub bucket: Bucket,
    /// p95s, oldest first, at most `HIST_WINDOWS`.
    pub history: VecDeque<f64>,
    /// The last action, in Unix seconds; 0 for none.
    pub last_action_s: f64,
    /// The last answer, in Unix seconds; 0 for none.
    pub last_answer_s: f64,
    /// The band of the last alert.
    pub last_key: Option<StateKey>,
    /// Whether each recent window was near, oldest first, at most `LOW_NEED_N`.
    pub low_windows: VecDeque<bool>,
}

impl State {
    /// What it remembers when it was started, in Unix seconds: a full bucket.
    pub fn new(settings: &Settings, started_s: f64) -> Self {
        Self {
            backoff: Backoff::default(),
            bucket: Bucket { tokens: settings.llm_rpm, updated_s: started_s },
            history: VecDeque::new(),
            last_action_s: 0.0,
            last_answer_s: 0.0,
            last_key: None,
            low_windows: VecDeque::new(),
        }
    }
}

/// What came of an alert.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed results of a fixed program")]
pub struct Step {
    /// Whether the model was asked.
    pub asked: bool,
    /// What it found; `None` for alerts that it ignored or could not read.
    pub assessment: Option<Assessment>,
    /// What it published; `None` for alerts that it ignored.
    pub published: Option<Message>,
}

/// Why an alert cannot be read. It went on with the next one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
enum Refusal {
    /// It is JSON, but no object.
    #[error("the alert is {0}; send a JSON object")]
    NoObject(String),
    /// A field is no number.
    #[error("{field} is {value}; send a number")]
    NoNumber {
        /// Which one.
        field: &'static str,
        /// What it is, in its language.
        value: String,
    },
}

/// The planner.
#[derive(Clone, Debug, PartialEq)]
pub struct Planner {
    settings: Settings,
    state: State,
}

impl Planner {
    /// A planner that was started at this time, in Unix seconds.
    pub fn new(settings: Settings, started_s: f64) -> Self {
        let state = State::new(&settings, started_s);
        Self { settings, state }
    }

    /// A planner that goes on. The original cannot: it relearns after every start.
    pub const fn resume(settings: Settings, state: State) -> Self {
        Self { settings, state }
    }

    /// What it remembers.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What it remembers, for whoever puts it aside.
    pub fn into_state(self) -> State {
        self.state
    }

    /// Takes an alert, the text of a message. `ask` is called at most once, and blocks.
    ///
    /// O(n log n) in the history.
    pub fn take(
        &mut self,
        arrival: Arrival,
        alert: &str,
        ask: impl FnOnce(&Request) -> Exchange,
    ) -> Step {
        // What is no JSON is of no kind that it knows.
        let Some(alert) = Value::parse(alert) else { return Step::default() };
        match self.read(&alert) {
            Ok(Some((p95_ms, replicas))) => self.consider(arrival, p95_ms, replicas, ask),
            Ok(None) => Step::default(),
            Err(refusal) => {
                let error = refusal.to_string();
                Step { published: Some(Message::Error { error, raw: alert }), ..Step::default() }
            }
        }
    }

    /// Takes an alert without a model: every call finds nobody there.
    pub fn take_alone(&mut self, arrival: Arrival, alert: &str) -> Step {
        self.take(arrival, alert, nobody)
    }

    /// Takes a p95 and a count as if an alert had brought them, without a model.
    pub(super) fn take_window(&mut self, arrival: Arrival, p95_ms: f64, replicas: i64) -> Step {
        self.remember(p95_ms);
        self.consider(arrival, p95_ms, replicas, nobody)
    }

    /// The p95 and the count of an alert; `None` for one of another kind.
    fn read(&mut self, alert: &Value) -> Result<Option<(f64, i64)>, Refusal> {
        if alert.members().is_none() {
            return Err(Refusal::NoObject(python::text(alert)));
        }
        if alert.get("kind") != Some(&Value::from("latency_metrics")) {
            return Ok(None);
        }
        let refuse = |field, value| Refusal::NoNumber { field, value: python::text(value) };
        let p95_ms = alert.get("p95_ms").unwrap_or(&Value::Int(0));
        let p95_ms = python::float(p95_ms).ok_or_else(|| refuse("p95_ms", p95_ms))?;
        self.remember(p95_ms);
        let replicas = alert.get("replicas").unwrap_or(&Value::Int(1));
        let replicas = python::int(replicas).ok_or_else(|| refuse("replicas", replicas))?;
        Ok(Some((p95_ms, replicas)))
    }

    fn remember(&mut self, p95_ms: f64) {
        push(&mut self.state.history, p95_ms, self.settings.hist_windows);
    }

    /// Goes on with a p95 that it remembers already.
    fn consider(
        &mut self,
        Arrival { jitter, now_s }: Arrival,
        p95_ms: f64,
        replicas: i64,
        ask: impl FnOnce(&Request) -> Exchange,
    ) -> Step {
        let assessment = self.assess(Arrival { jitter, now_s }, p95_ms, replicas);
        let asked = self.may_ask(now_s, &assessment);
        let (mut decision, now_s) = if asked {
            let settings = self.settings;
            let request = Request { assessment: assessment.clone(), settings };
            let Exchange { latency_s, reply } = ask(&request);
            let now_s = now_s + latency_s;
            (self.hear(now_s, &assessment, reply), now_s)
        } else {
            let why = if now_s < self.state.backoff.until_s {
                "llm_backoff"
            } else if !self.settings.llm_enabled {
                "no_llm_key"
            } else if !assessment.cooldown_ok {
                "cooldown"
            } else {
                "cadence"
            };
            (self.fallback(&assessment, why), now_s)
        };
        if decision.action != Action::Noop {
            if assessment.cooldown_ok {
                self.state.last_action_s = now_s;
            } else {
                decision = Decision { action: Action::Noop, reason: "cooldown".to_owned() };
            }
        }
        let telemetry = Telemetry {
            baseline_ms: assessment.baseline_ms,
            low_windows: assessment.low_windows.clone(),
            p95_ms,
            replicas,
            sigma_ms: assessment.sigma_ms,
        };
        let published = Some(Message::Plan(Plan { ts: now_s, decision, telemetry }));
        Step { asked, assessment: Some(assessment), published }
    }

    fn assess(
        &mut self,
        Arrival { jitter, now_s }: Arrival,
        p95_ms: f64,
        replicas: i64,
    ) -> Assessment {
        let (settings, state) = (&self.settings, &mut self.state);
        let (mut baseline_ms, sigma_ms) = robust_stats(&state.history);
        let history_len = state.history.len();
        let have_baseline = history_len >= settings.warmup_windows.max(1);
        if !have_baseline && settings.idle_hint_ms > 0.0 && baseline_ms == 0.0 {
            baseline_ms = settings.idle_hint_ms;
        }
        let input =
            PocInput { p95_ms, baseline_ms, sigma_ms, replicas, have_baseline, low_windows: &[] };
        let near_baseline = have_baseline && settings.rules().is_near(&input);
        push(&mut state.low_windows, near_baseline, settings.low_need_n);
        let low_windows: Vec<bool> = state.low_windows.iter().copied().collect();

        let band = Band::of(&input);
        let compared = if band == Band::Init { Vec::new() } else { low_windows.clone() };
        let state_key = StateKey { band, replicas, low_windows: compared };
        let last_key = state.last_key.replace(state_key.clone());
        let heartbeat_s = settings.llm_heartbeat_sec * (0.9 + 0.2 * jitter);
        Assessment {
            baseline_ms,
            cooldown_ok: now_s - state.last_action_s >= settings.cooldown_sec,
            have_baseline,
            heartbeat_due: now_s - state.last_answer_s >= heartbeat_s,
            history_len,
            low_windows,
            near_baseline,
            p95_ms,
            replicas,
            sigma_ms,
            state_changed: last_key.as_ref() != Some(&state_key),
            state_key,
        }
    }

    /// Whether it asks. Only what gets as far as the bucket refills it.
    fn may_ask(&mut self, now_s: f64, assessment: &Assessment) -> bool {
        self.settings.llm_enabled
            && now_s >= self.state.backoff.until_s
            && (assessment.state_changed || assessment.heartbeat_due)
            && assessment.cooldown_ok
            && self.state.bucket.take(now_s, self.settings.llm_rpm)
    }

    /// Takes a reply that came at this time, in Unix seconds.
    fn hear(&mut self, now_s: f64, assessment: &Assessment, reply: Reply) -> Decision {
        let failure = match answer::read(reply) {
            Ok(decision) => {
                self.state.last_answer_s = now_s;
                self.state.backoff.power = 0;
                return decision;
            }
            Err(failure) => failure,
        };
        if let Failure::Busy { retry_after } = &failure {
            self.state.backoff.wait(now_s, retry_after.as_deref(), &self.settings);
        }
        self.fallback(assessment, &format!("llm_fallback: {failure}"))
    }

    /// What its heuristic says, and why it was asked.
    fn fallback(&self, assessment: &Assessment, why: &str) -> Decision {
        let verdict = self.settings.rules().decide(&PocInput {
            p95_ms: assessment.p95_ms,
            baseline_ms: assessment.baseline_ms,
            sigma_ms: assessment.sigma_ms,
            replicas: assessment.replicas,
            have_baseline: assessment.have_baseline,
            low_windows: &assessment.low_windows,
        });
        Decision { action: verdict.action.into(), reason: format!("{} ({why})", verdict.reason) }
    }
}

/// The model of a planner that has none.
fn nobody(_: &Request) -> Exchange {
    Exchange { latency_s: 0.0, reply: Reply::ConnectionError }
}

/// Adds to a queue that holds so many.
fn push<T>(queue: &mut VecDeque<T>, value: T, most: usize) {
    queue.push_back(value);
    while queue.len() > most {
        queue.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_S: f64 = 1_700_000_000.0;

    fn alert(p95_ms: &str, replicas: &str) -> String {
        format!(r#"{{"kind":"latency_metrics","p95_ms":{p95_ms},"replicas":{replicas}}}"#)
    }

    fn settings() -> Settings {
        Settings { warmup_windows: 3, low_need_n: 2, ..Settings::default() }
    }

    fn asking() -> Settings {
        Settings { llm_enabled: true, cooldown_sec: 0.0, ..settings() }
    }

    fn said(step: Step) -> (Action, String) {
        match step.published {
            Some(Message::Plan(Plan { decision, .. })) => (decision.action, decision.reason),
            other => panic!("a plan, not {other:?}"),
        }
    }

    /// Takes these p95s, one every 3 s, without a model; what the last one led to.
    fn fed(planner: &mut Planner, p95s_ms: &[f64]) -> Step {
        let mut last = Step::default();
        for p95_ms in p95s_ms {
            let arrival = Arrival::at(START_S + 3.0 * planner.state().history.len() as f64);
            last = planner.take_alone(arrival, &alert(&p95_ms.to_string(), "4"));
        }
        last
    }

    fn answered(text: &str) -> Exchange {
        let text = text.replace('"', "\\\"");
        let body = format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}}}]}}"#);
        Exchange { latency_s: 0.8, reply: Reply::Response { status: 200, retry_after: None, body } }
    }

    #[test]
    fn what_it_cannot_read_is_published_with_the_reason() {
        let mut planner = Planner::new(settings(), START_S);
        for (text, told) in [
            ("123", "the alert is 123; send a JSON object"),
            ("[1,null]", "the alert is [1, None]; send a JSON object"),
            (&*alert("[60]", "2"), "p95_ms is [60]; send a number"),
            (&*alert("60", "\"2.9\""), "replicas is 2.9; send a number"),
        ] {
            let published = planner.take_alone(Arrival::at(START_S), text).published;
            let raw = Value::parse(text).expect("JSON");
            assert_eq!(published, Some(Message::Error { error: told.to_owned(), raw }));
        }
    }

    #[test]
    fn a_p95_is_remembered_although_its_replicas_are_refused() {
        let mut planner = Planner::new(settings(), START_S);
        planner.take_alone(Arrival::at(START_S), &alert("60", "null"));
        assert_eq!(planner.state().history, [60.0]);
        assert!(planner.state().low_windows.is_empty());
    }

    #[test]
    fn what_is_of_no_kind_that_it_knows_is_ignored() {
        let mut planner = Planner::new(settings(), START_S);
        let before = planner.clone();
        for text in ["not json", "{}", r#"{"kind":"other","p95_ms":60}"#] {
            assert_eq!(planner.take_alone(Arrival::at(START_S), text), Step::default());
        }
        assert_eq!(planner, before);
    }

    #[test]
    fn thirty_bad_windows_are_a_baseline_and_it_scales_in() {
        let settings = Settings { cooldown_sec: 0.0, ..Settings::default() };
        let mut planner = Planner::new(settings, START_S);
        fed(&mut planner, &[40.0; 20]);
        assert_eq!(said(fed(&mut planner, &[900.0])).0, Action::ScaleUp);
        let (action, reason) = said(fed(&mut planner, &[900.0; 29]));
        assert_eq!(action, Action::ScaleDown);
        assert_eq!(reason, "near baseline for 3w (no_llm_key)");
    }

    #[test]
    fn after_an_outage_the_first_traffic_scales_it_out_at_no_ratio_at_all() {
        let mut planner = Planner::new(settings(), START_S);
        let (action, reason) = said(fed(&mut planner, &[0.0, 0.0, 0.0, 50.0]));
        assert_eq!((action, &*reason), (Action::ScaleUp, "0.0x baseline (no_llm_key)"));
    }

    #[test]
    fn one_infinite_p95_is_infinitely_many_baselines() {
        let mut planner = Planner::new(settings(), START_S);
        fed(&mut planner, &[50.0, 51.0, 52.0]);
        let step = planner.take_alone(Arrival::at(START_S + 9.0), &alert("Infinity", "2"));
        assert_eq!(step.assessment.as_ref().map(|found| found.sigma_ms), Some(1.4826));
        assert_eq!(said(step).1, "infx baseline (no_llm_key)");
    }

    #[test]
    fn numbers_that_cannot_be_compared_are_in_the_low_band() {
        let mut planner = Planner::new(settings(), START_S);
        let mut step = Step::default();
        for _ in 0..3 {
            step = planner.take_alone(Arrival::at(START_S), &alert("Infinity", "2"));
        }
        let found = step.assessment.expect("an assessment");
        assert_eq!((found.sigma_ms, found.state_key.band), (0.0, Band::Low));
        assert_eq!(
            said(planner.take_alone(Arrival::at(START_S), &alert("NaN", "2"))).0,
            Action::Noop
        );
    }

    #[test]
    fn the_hint_stands_in_for_a_baseline_of_nothing_until_it_is_warm() {
        let hinted = Settings { idle_hint_ms: 50.0, ..settings() };
        let mut planner = Planner::new(hinted, START_S);
        let baseline = |step: Step| step.assessment.map(|found| found.baseline_ms);
        assert_eq!(baseline(fed(&mut planner, &[0.0, 0.0])), Some(50.0));
        assert_eq!(baseline(fed(&mut planner, &[0.0])), Some(0.0));
    }

    #[test]
    fn within_the_cooldown_an_action_becomes_a_noop_and_its_reason_is_lost() {
        let mut planner = Planner::new(Settings { min_replicas: 4, ..settings() }, START_S);
        fed(&mut planner, &[40.0; 8]);
        assert_eq!(said(fed(&mut planner, &[80.0])).0, Action::ScaleUp);
        let at = |after_s: f64| Arrival::at(START_S + 24.0 + after_s);
        let noop = (Action::Noop, "cooldown".to_owned());
        assert_eq!(said(planner.take_alone(at(19.9), &alert("80", "5"))), noop);
        assert_eq!(said(planner.take_alone(at(20.0), &alert("80", "5"))).0, Action::ScaleUp);
        assert_eq!(planner.state().last_action_s, START_S + 44.0);
    }

    #[test]
    fn an_answer_is_published_as_it_is_when_the_call_is_over() {
        let mut planner = Planner::new(asking(), START_S);
        let mut request = None;
        let step = planner.take(Arrival::at(START_S), &alert("40", "9"), |asked| {
            request = Some(Value::from(asked));
            answered(r#"{"action":"restart","reason":"stuck"}"#)
        });
        assert!(step.asked);
        let Some(Message::Plan(plan)) = &step.published else { panic!("a plan") };
        assert_eq!((plan.ts, plan.decision.action), (START_S + 0.8, Action::Restart));
        let state = planner.state();
        assert_eq!((state.last_answer_s, state.last_action_s), (START_S + 0.8, START_S + 0.8));
        assert_eq!(state.bucket, Bucket { tokens: 1.0, updated_s: START_S });
        let request = request.expect("a request");
        assert_eq!(request.get("pct_of_baseline"), Some(&Value::Float(1.0)));
        assert_eq!(request.get("replicas"), Some(&Value::Int(9)));
    }

    #[test]
    fn a_failed_call_spends_a_token_and_moves_no_heartbeat() {
        let mut planner = Planner::new(asking(), START_S);
        let step = planner.take(Arrival::at(START_S), &alert("40", "2"), |_| Exchange {
            latency_s: 20.0,
            reply: Reply::Timeout,
        });
        assert_eq!(said(step).1, "warming (llm_fallback: no reply in time)");
        assert_eq!(planner.state().last_answer_s, 0.0);
        assert_eq!(planner.state().bucket.tokens, 1.0);
        assert_eq!(planner.state().backoff, Backoff::default());
    }

    #[test]
    fn a_change_whose_call_is_skipped_is_forgotten() {
        let settings = Settings { llm_rpm: 1.0, warmup_windows: 12, ..asking() };
        let mut planner = Planner::new(settings, START_S);
        let mut calls = 0;
        for (after_s, replicas) in [(0.0, "2"), (3.0, "3"), (90.0, "3")] {
            let step = planner.take(Arrival::at(START_S + after_s), &alert("40", replicas), |_| {
                calls += 1;
                answered("{}")
            });
            let changed = step.assessment.is_some_and(|found| found.state_changed);
            // The near windows change as long as they are fewer than `LOW_NEED_N`.
            assert_eq!(changed, after_s < 90.0);
        }
        assert_eq!(calls, 1);
    }

    #[test]
    fn a_heartbeat_is_due_as_jittered() {
        let mut planner = Planner::new(asking(), START_S);
        planner.take(Arrival::at(START_S), &alert("40", "2"), |_| answered("{}"));
        let due = |planner: &mut Planner, jitter, after_s| {
            let arrival = Arrival { jitter, now_s: START_S + 0.8 + after_s };
            planner.take_alone(arrival, &alert("40", "2")).assessment.expect("found").heartbeat_due
        };
        assert!(!due(&mut planner, 0.0, 269.9));
        assert!(due(&mut planner, 0.0, 270.1));
        assert!(!due(&mut planner, 1.0, 329.9));
        assert!(due(&mut planner, 1.0, 330.1));
    }

    #[test]
    fn too_many_calls_are_waited_out_and_an_answer_forgives_them() {
        let mut planner = Planner::new(Settings { llm_rpm: 60.0, ..asking() }, START_S);
        let busy = |_: &Request| Exchange {
            latency_s: 0.0,
            reply: Reply::Response { status: 429, retry_after: None, body: String::new() },
        };
        let first = planner.take(Arrival::at(START_S), &alert("40", "2"), busy);
        assert_eq!(said(first).1, "warming (llm_fallback: llm_429)");
        let within = planner.take(Arrival::at(START_S + 9.9), &alert("40", "3"), busy);
        assert_eq!(said(within).1, "warming (llm_backoff)");
        assert_eq!(planner.state().backoff, Backoff { power: 1, until_s: START_S + 10.0 });
        planner.take(Arrival::at(START_S + 10.0), &alert("40", "4"), |_| answered("{}"));
        assert_eq!(planner.state().backoff, Backoff { power: 0, until_s: START_S + 10.0 });
    }
}
