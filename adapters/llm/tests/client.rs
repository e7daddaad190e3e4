//! The client against a server on loopback that behaves in every way there is.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use planner_core::{AdvisedAction, AdvisorFault};
use planner_llm::{ApiKey, Class, LlmAdvisor, Provider};
use planner_ports::Advisor as _;
use serde_json::{Map, Value, json};
use support::{Behaviour, KEY, Server, consultation, ok, settings};

#[tokio::test]
async fn every_provider_is_asked_in_its_dialect_and_its_answer_is_taken() {
    let consultation = consultation();
    for provider in Provider::ALL {
        let text = r#"{"action":"scale_up","target_replicas":5,"reason":"rising"}"#;
        let server = Server::start(vec![ok(provider, text)]).await;
        let advisor = LlmAdvisor::new(settings(provider, server.address)).expect("settings");
        let call = advisor.ask(&consultation).await;
        let answer = call.outcome.as_ref().expect("an answer");
        assert_eq!((answer.action, call.tokens), (AdvisedAction::ScaleUp, Some(9)), "{provider}");
        assert_eq!(call.model.as_deref(), Some("m-2"));
        assert_eq!(call.request_sha256.len(), 64);
        let advice = advisor.advise(&consultation).await.outcome.expect("advice");
        assert_eq!(advice.reason, "rising");
        let asked = server.asked().remove(0);
        let (head, body) = asked.split_once("\r\n\r\n").expect("a request");
        let line = head.lines().next().expect("a line");
        assert!(line.starts_with("POST /v1/") && !line.contains(KEY), "{line}");
        assert!(head.contains(KEY) && !body.contains(KEY), "the key is in a header alone");
        assert!(body.contains("test-model") || line.contains("test-model"), "{provider}");
        let shown = format!("{advisor:?} {call:?}");
        assert!(!shown.contains(KEY), "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_drips_resets_or_lies_costs_the_deadline_and_nothing_else() {
    let consultation = consultation();
    let (provider, deadline) = (Provider::OpenAi, Duration::from_millis(600));
    let noise = "x".repeat(10 << 20);
    for (behaviour, class, code) in [
        (Behaviour::Hang, Class::Transient, "timeout"),
        (Behaviour::Drip, Class::Transient, "timeout"),
        (Behaviour::Reset, Class::Transient, "unreachable"),
        (Behaviour::Truncate, Class::Transient, "unreachable"),
        (Behaviour::Reply(200, "", noise), Class::Rejected, "too_large"),
        (
            Behaviour::Reply(200, "content-encoding: gzip\r\n", "\u{1f}".into()),
            Class::Rejected,
            "no_choice",
        ),
        (Behaviour::Reply(200, "", "<html>".into()), Class::Rejected, "no_choice"),
        (Behaviour::Reply(204, "", String::new()), Class::Rejected, "no_choice"),
        (
            Behaviour::Reply(302, "location: http://127.0.0.1:1/\r\n", String::new()),
            Class::Config,
            "http_302",
        ),
        (Behaviour::Reply(404, "", String::new()), Class::Config, "http_404"),
        (Behaviour::Reply(529, "", String::new()), Class::Transient, "http_529"),
    ] {
        let server = Server::start(vec![behaviour.clone()]).await;
        let advisor = LlmAdvisor::new(settings(provider, server.address)).expect("settings");
        let began = Instant::now();
        let fault = advisor.ask(&consultation).await.outcome.expect_err("no answer");
        let took = began.elapsed();
        assert_eq!((fault.class, fault.code.as_str()), (class, code));
        assert!(took < deadline + Duration::from_millis(400), "{code}: {took:?}");
        assert_eq!(server.asked().len(), 1, "{code}: nothing is tried again here");
    }
    let nobody = settings(provider, "127.0.0.1:1".parse().expect("an address"));
    let advisor = LlmAdvisor::new(nobody).expect("settings");
    assert_eq!(advisor.advise(&consultation).await.outcome, Err(AdvisorFault::Unreachable));
}

#[tokio::test]
async fn what_a_reply_means_for_the_next_call_reaches_the_planner() {
    let consultation = consultation();
    let day = json!({"error": {"details": [
        {"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}, {"retryDelay": "22s"}]}});
    let key = include_str!("data/fixtures/gemini_400_key.json");
    let key: Value = serde_json::from_str(key).expect("a fixture");
    for (status, headers, body, least_s) in
        [(429, "retry-after: 20\r\n", Value::Null, 20), (429, "", day, 60), (400, "", key, 0)]
    {
        let reply = Behaviour::Reply(status, headers, body.to_string());
        let server = Server::start(vec![reply]).await;
        let advisor = LlmAdvisor::new(settings(Provider::Gemini, server.address));
        let fault =
            advisor.expect("settings").advise(&consultation).await.outcome.expect_err("none");
        match (status, least_s, fault) {
            (429, 20, AdvisorFault::Throttle { retry_after: Some(wait) }) => {
                assert_eq!(wait, Duration::from_secs(20));
            }
            (429, 60, AdvisorFault::Exhaust { retry_after: Some(wait) }) => {
                assert!(wait > Duration::from_secs(least_s), "{wait:?}");
            }
            (400, _, AdvisorFault::Misconfigure) => {}
            (_, _, other) => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn each_dialect_of_a_dialect_is_found_within_three_calls_and_remembered() {
    let consultation = consultation();
    let provider = Provider::OpenAi;
    let refuse = |status| Behaviour::Reply(status, "", String::from("{}"));
    for (before, rung) in [
        (Vec::new(), "json_schema\""),
        (vec![refuse(500)], "\"schema\""),
        (vec![refuse(400), refuse(400)], "json_object"),
        (vec![refuse(422), refuse(400), refuse(500)], "no format"),
    ] {
        let tries = before.len();
        let mut behaviours = before;
        behaviours.push(ok(provider, r#"{"action":"noop"}"#));
        behaviours.push(refuse(500));
        behaviours.push(ok(provider, r#"{"action":"noop"}"#));
        let server = Server::start(behaviours).await;
        let advisor = LlmAdvisor::new(settings(provider, server.address)).expect("settings");
        for _ in 0..tries {
            // Nobody's settings are wrong while there is another way to ask.
            let fault = advisor.ask(&consultation).await.outcome.expect_err("not understood");
            assert_eq!(fault.class, Class::Transient, "{rung}");
        }
        advisor.ask(&consultation).await.outcome.expect(rung);
        // What worked once is kept: a server has bad moments.
        advisor.ask(&consultation).await.outcome.expect_err("a bad moment");
        advisor.ask(&consultation).await.outcome.expect(rung);
        let asked = server.asked();
        let format = |text: &str| {
            let (_, body) = text.split_once("\r\n\r\n").expect("a request");
            let body: Map<String, Value> = serde_json::from_str(body).expect("JSON");
            body.get("response_format").map_or_else(|| "no format".into(), Value::to_string)
        };
        assert!(format(&asked[tries]).contains(rung), "{rung}: {}", format(&asked[tries]));
        assert_eq!(format(&asked[tries]), format(&asked[tries + 2]), "{rung}");
    }
}

#[test]
fn settings_that_cannot_work_are_named() {
    let here: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let mut nameless = settings(Provider::Gemini, here);
    nameless.model = String::new();
    let mut outside = settings(Provider::Gemini, here);
    outside.url = String::from("http://example.org/");
    let mut garbled = settings(Provider::Gemini, here);
    garbled.key = Some(ApiKey::new("two\nlines"));
    for (settings, text) in [
        (
            nameless,
            "model: \"\" is not 1 to 128 of A-Z, a-z, 0-9, '.', '_', ':', '/', '@' and '-'; name the provider's model",
        ),
        (outside, "url: not https, or http on this machine; name the provider's base address"),
        (garbled, "key: has letters that no header may carry; write it again"),
    ] {
        assert_eq!(LlmAdvisor::new(settings).expect_err("refused").to_string(), text);
    }
    assert_eq!(
        "claude".parse::<Provider>().expect_err("refused").to_string(),
        "provider: \"claude\" is none of gemini, openai, anthropic and ollama; name one of them"
    );
}
