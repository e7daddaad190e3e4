//! What calls cost: minutes, days, tokens, and the patience of a provider.

use std::time::{Duration, Instant, SystemTime};

use planner_core::gateway::{AdviceGate as _, CallOutcome};
use planner_core::{
    Advice, AdviceConfig, AdvisedAction, AdvisorFault, Event, Gateway, Heuristic, Planner, Receipt,
    Step, Timestamp,
};
use planner_llm::{CallFault, Class, Heard, LlmAdvisor, LlmSettings, Provider, RawReply, sort};
use serde_json::{Value, json};

use crate::support::{Behaviour, KEY, OPERATOR, Server, consultation, ok, settings};
use crate::world::{Answer, NORMAL_MS, World, eager};

const DAY_S: usize = 86_400;

fn noop() -> Advice {
    Advice::new(AdvisedAction::Noop, "")
}

fn fault(provider: Provider, status: u16, headers: &[(&str, &str)], body: &str) -> CallFault {
    let headers: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let reply = RawReply { status, headers: &headers, body: body.as_bytes(), at };
    match sort(provider, &reply, Duration::from_secs(300)) {
        Heard::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

/// Unrest: something that raises a question in every window.
fn unrest(seconds: usize) -> impl Iterator<Item = f64> {
    (0..seconds).map(|second| if second % 2 == 0 { NORMAL_MS * 2.0 } else { NORMAL_MS * 2.2 })
}

/// Questions in `seconds` of unrest at three replicas, at which second each.
fn asked_at(world: &mut World, seconds: usize, mut answer: impl FnMut() -> Answer) -> Vec<u64> {
    let mut at = Vec::new();
    for latency_ms in unrest(seconds) {
        world.ready = 3;
        let before = world.questions.len();
        drop(world.window(latency_ms, &mut |_| answer()));
        if world.questions.len() > before {
            at.push(world.second);
        }
    }
    at
}

#[tokio::test]
async fn m13_a_server_that_drips_costs_the_deadline_and_loses_its_connection() {
    let server = Server::start(vec![Behaviour::Drip]).await;
    let advisor = LlmAdvisor::new(settings(Provider::OpenAi, server.address)).expect("settings");
    let began = Instant::now();
    let fault = advisor.ask(&consultation()).await.outcome.expect_err("no answer");
    assert_eq!((fault.class, fault.fault()), (Class::Transient, AdvisorFault::Timeout));
    assert!(began.elapsed() < Duration::from_millis(1_000), "{:?}", began.elapsed());
    // The server finds its next byte unwanted.
    let end = Instant::now() + Duration::from_secs(5);
    while server.left() == 0 {
        assert!(Instant::now() < end, "the connection is still open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn m15_a_provider_that_always_says_429_is_asked_ever_less() {
    let mut world = World::warm(eager());
    let throttle = AdvisorFault::Throttle { retry_after: None };
    let asked = asked_at(&mut world, 3_600, || Err(throttle));
    // 10 s, doubled to 300 s, is five waits; then twelve an hour at most.
    assert!((3..=1 + 5 + 12).contains(&asked.len()), "{} calls", asked.len());
    let waits: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().zip([10, 20, 40, 80, 160, 300]).all(|(wait, least)| *wait >= least));
}

#[test]
fn m16_a_hundred_planners_that_were_sent_away_together_come_back_one_by_one() {
    for retry_after in [None, Some(Duration::from_secs(20))] {
        let mut back = [0_u32; 120];
        for seed in 0..100 {
            let mut gate = Gateway::new(&AdviceConfig::default(), seed * 7_919);
            let permit = gate.admit(Timestamp::ORIGIN).expect("the first call");
            let fault = AdvisorFault::Throttle { retry_after };
            gate.settle(Timestamp::ORIGIN, permit, CallOutcome::Failed(fault));
            let wait = gate.state().closed_until.as_secs_f64();
            assert!(wait >= retry_after.map_or(10.0, |asked| asked.as_secs_f64()), "too early");
            let second = gate.state().closed_until.as_nanos() / 1_000_000_000;
            back[usize::try_from(second).expect("few")] += 1;
        }
        assert!(back.iter().all(|planners| *planners <= 10), "{back:?}");
    }
}

#[test]
fn m17_a_days_quota_is_not_asked_again_whatever_short_wait_it_names() {
    let body = include_str!("../data/fixtures/gemini_429_day_short_delay.json");
    let spent = fault(Provider::Gemini, 429, &[], body);
    assert_eq!(spent.class, Class::Exhausted);
    let mut world = World::warm(eager());
    let asked = asked_at(&mut world, 3_600, || Err(spent.fault()));
    assert_eq!(asked.len(), 1, "asked again within the hour");
    let none = json!({"error": {"message": "Quota exceeded, limit: 0. Please retry in 22s"}});
    assert_eq!(fault(Provider::Gemini, 429, &[], &none.to_string()).class, Class::Exhausted);
}

#[test]
fn m18_a_days_budget_of_calls_lasts_the_day_and_survives_a_restart() {
    let advice = AdviceConfig {
        period: Duration::from_secs(30),
        heartbeat: Duration::from_secs(30),
        calls_per_day: 20,
        ..AdviceConfig::default()
    };
    let mut world = World::warm(advice);
    let begun = world.second;
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.extend(asked_at(&mut world, DAY_S / 8, || Ok(noop())));
        let text = serde_json::to_string(&world.planner.snapshot()).expect("text");
        let snapshot = serde_json::from_str(&text).expect("a snapshot");
        let config = world.planner.config().clone();
        world.planner = Planner::restore(config, Heuristic, snapshot).expect("restored");
    }
    assert!((10..=20).contains(&asked.len()), "{} calls in half a day", asked.len());
    assert!(asked.last() > Some(&(begun + 28_800)), "spent by breakfast");
}

#[test]
fn m19_a_days_tokens_stop_the_calls_and_what_is_not_told_counts_too() {
    for (tokens, most) in [(Some(10_000), 4), (None, 22)] {
        let advice = AdviceConfig { tokens_per_day: 30_000, ..eager() };
        let mut world = World::warm(advice);
        // What was asked to become warm was paid for like the others.
        let mut calls = 0_u32;
        for latency_ms in unrest(DAY_S / 4) {
            world.ready = 3;
            let mut step = world.observe(latency_ms);
            if let Step::Consult(question) = step {
                calls += 1;
                drop(world.step(Event::Attest(question.id, receipt(tokens))));
                // Told twice is paid once.
                drop(world.step(Event::Attest(question.id, receipt(tokens))));
                step = world.step(Event::Advise(question.id, Ok(noop())));
            }
            assert!(matches!(step, Step::Decide(_)));
        }
        assert!((1..=most).contains(&calls), "{calls} calls of {tokens:?} tokens");
    }
}

fn receipt(tokens: Option<u64>) -> Receipt {
    Receipt {
        provider: String::from("test"),
        model: None,
        request_sha256: String::new(),
        prompt_sha256: String::new(),
        reply: None,
        verdict: String::from("accepted"),
        tokens,
        took_ms: 1,
    }
}

#[test]
fn m20_a_date_to_come_back_at_is_taken_by_the_replys_own_clock_and_bounded() {
    let at = "Fri, 15 Jan 2027 08:00:40 GMT";
    let wait = |date: &str| {
        let headers = [("retry-after", at), ("date", date)];
        fault(Provider::OpenAi, 429, &headers, "{}").wait.expect("a wait")
    };
    let due = wait("Fri, 15 Jan 2027 08:00:00 GMT");
    assert_eq!(due, Duration::from_secs(40), "whatever our own clock says");
    let past = wait("Fri, 15 Jan 2027 09:00:00 GMT");
    assert!(past < Duration::from_secs(1), "{past:?}");
    let long = fault(Provider::OpenAi, 429, &[("retry-after", "99999999")], "{}");
    assert_eq!(long.class, Class::Exhausted);
    let mut gate = Gateway::new(&AdviceConfig::default(), 1);
    let permit = gate.admit(Timestamp::ORIGIN).expect("the first call");
    gate.settle(Timestamp::ORIGIN, permit, CallOutcome::Failed(long.fault()));
    let held = gate.state().closed_until.as_secs_f64();
    assert!(held < 33.0 * 86_400.0, "held for {held} s");
    let garbage = fault(Provider::OpenAi, 429, &[("retry-after", "soon")], "{}");
    assert_eq!((garbage.class, garbage.wait), (Class::RateLimited, None));
}

#[test]
fn m21_a_clock_that_jumps_a_day_makes_no_more_calls_and_locks_nobody_out() {
    let advice = AdviceConfig { heartbeat: Duration::from_secs(30), ..AdviceConfig::default() };
    for day_forward in [true, false] {
        let mut world = World::new(Some(advice.clone()));
        world.second = 2 * 86_400;
        world.warm_up();
        let before = asked_at(&mut world, 120, || Ok(noop())).len();
        world.second = if day_forward { world.second + 86_400 } else { world.second - 86_400 };
        let after = asked_at(&mut world, 120, || Ok(noop())).len();
        assert!((3..=5).contains(&before), "{before} calls in two minutes");
        assert!((2..=5).contains(&after), "{after} calls in the two minutes after the jump");
    }
}

#[test]
fn m22_half_a_call_a_minute_is_one_each_two_minutes_and_idleness_saves_none_up() {
    let period = Duration::from_secs(120);
    let second = Duration::from_secs(1);
    let advice = AdviceConfig { period, heartbeat: second, ..AdviceConfig::default() };
    let mut world = World::warm(advice);
    let asked = asked_at(&mut world, 600, || Ok(noop()));
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= 120), "{asked:?}");
    assert!(asked.len() >= 4, "{asked:?}");
    for _ in 0..3_600 {
        world.ready = 3;
        drop(world.window(NORMAL_MS, &mut |_| Ok(noop())));
    }
    assert_eq!(asked_at(&mut world, 100, || Ok(noop())).len(), 1, "a burst");
}

#[test]
fn m23_an_outage_is_probed_and_over_with_the_first_success() {
    let mut world = World::warm(eager());
    let asked = asked_at(&mut world, 1_800, || Err(AdvisorFault::Unreachable));
    assert!((3..=1 + 5 + 6).contains(&asked.len()), "{} calls", asked.len());
    let after = asked_at(&mut world, 1_000, || Ok(noop()));
    assert!(after.len() > 100, "{} calls after it came back", after.len());
}

#[test]
fn m24_wrong_settings_are_probed_once_an_hour() {
    let gone = fault(Provider::Gemini, 404, &[], r#"{"error":{"status":"NOT_FOUND"}}"#);
    assert_eq!((gone.class, gone.code.as_str()), (Class::Config, "NOT_FOUND"));
    for status in [400, 401, 403] {
        assert_eq!(fault(Provider::OpenAi, status, &[], "{}").class, Class::Config, "{status}");
    }
    let mut world = World::warm(eager());
    let asked = asked_at(&mut world, 3 * 3_600, || Err(gone.fault()));
    assert_eq!(asked.len(), 3, "{asked:?}");
}

#[tokio::test]
async fn m25_each_dialect_is_found_within_three_failures_and_kept() {
    let refuse = |status| Behaviour::Reply(status, "", String::from("{}"));
    let before = [refuse(500), refuse(400), refuse(422)];
    for failures in 0..=before.len() {
        let mut behaviours = before[..failures].to_vec();
        behaviours.push(ok(Provider::OpenAi, r#"{"action":"noop"}"#));
        let server = Server::start(behaviours).await;
        let settings = settings(Provider::OpenAi, server.address);
        let advisor = LlmAdvisor::new(settings).expect("settings");
        for _ in 0..failures {
            advisor.ask(&consultation()).await.outcome.expect_err("not understood");
        }
        advisor.ask(&consultation()).await.outcome.expect("understood");
        let formats: Vec<Value> = server.asked().iter().map(|text| format(text)).collect();
        assert_eq!(formats.len(), failures + 1);
        assert!(formats.windows(2).all(|pair| pair[0] != pair[1]), "{formats:?}");
    }
}

fn format(asked: &str) -> Value {
    let (_, body) = asked.split_once("\r\n\r\n").expect("a request");
    let body: Value = serde_json::from_str(body).expect("JSON");
    body.get("response_format").cloned().unwrap_or_default()
}

#[tokio::test]
async fn m26_a_model_that_is_swapped_without_a_word_is_told_once() {
    let answer = |model: &str| {
        let body = json!({"choices": [{"message": {"content": "{\"action\":\"noop\"}"},
            "finish_reason": "stop"}], "model": model});
        Behaviour::Reply(200, "", body.to_string())
    };
    let server = Server::start(vec![answer("m-1"), answer("m-1"), answer("m-2")]).await;
    let advisor = LlmAdvisor::new(settings(Provider::OpenAi, server.address)).expect("settings");
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(advisor.ask(&consultation()).await.model_before);
    }
    assert_eq!(told, [None, None, Some(String::from("m-1")), None]);
}

#[tokio::test]
async fn m29_a_key_goes_where_it_is_meant_for_and_is_shown_nowhere() {
    let elsewhere = Server::start(vec![Behaviour::Reset]).await;
    let to: &'static str =
        Box::leak(format!("location: http://{}/\r\n", elsewhere.address).into_boxed_str());
    let server = Server::start(vec![Behaviour::Reply(307, to, String::new())]).await;
    let settings = settings(Provider::Gemini, server.address);
    let shown = format!("{settings:?}");
    let advisor = LlmAdvisor::new(settings).expect("settings");
    let call = advisor.ask(&consultation()).await;
    assert_eq!(call.outcome.as_ref().expect_err("not followed").class, Class::Config);
    assert!(elsewhere.asked().is_empty(), "a redirection was followed");
    let advised = format!("{:?}", call.advised(&consultation()));
    assert!(![shown, format!("{advisor:?}{call:?}"), advised].concat().contains(KEY));
    let plain = LlmSettings::new(Provider::Gemini, "m", OPERATOR);
    let mut plain = plain;
    plain.url = String::from("http://192.0.2.1/");
    assert!(LlmAdvisor::new(plain).is_err(), "without TLS a key stays on this machine");
}

#[tokio::test]
async fn m30_a_call_that_nobody_waits_for_ends_at_once() {
    let server = Server::start(vec![Behaviour::Drip]).await;
    let mut settings = settings(Provider::OpenAi, server.address);
    settings.deadline = Duration::from_secs(60);
    let advisor = LlmAdvisor::new(settings).expect("settings");
    let question = consultation();
    let call = tokio::spawn(async move { advisor.ask(&question).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    call.abort();
    assert!(call.await.is_err());
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    let end = Instant::now() + Duration::from_secs(5);
    while server.left() == 0 {
        assert!(Instant::now() < end, "the connection is still open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
