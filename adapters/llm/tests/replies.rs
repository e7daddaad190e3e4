//! Every vector and every fixture, through a real server on loopback in its provider's dialect.

mod support;

use std::time::Duration;

use planner_llm::{Class, LlmAdvisor, Provider};
use serde_json::{Map, Value, json};
use support::{Behaviour, Server, consultation, said, settings};

const VECTORS: &str = include_str!("data/vectors.json");
const EXPECTED: &str = include_str!("data/fixtures/expected.json");

/// The word of a dialect for a model that ended for this reason.
fn with_finish(provider: Provider, body: &str, finish: &str) -> String {
    let mut body: Value = serde_json::from_str(body).expect("JSON");
    let natural = finish == "stop";
    match provider {
        Provider::Gemini if !natural => body["candidates"][0]["finishReason"] = finish.into(),
        Provider::OpenAi if !natural => body["choices"][0]["finish_reason"] = finish.into(),
        Provider::Anthropic if !natural => body["stop_reason"] = finish.into(),
        _ if !natural => body["done_reason"] = finish.into(),
        _ => {}
    }
    body.to_string()
}

#[tokio::test]
async fn every_vector_comes_through_every_provider_with_its_verdict() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).expect("vectors");
    assert!(vectors.len() >= 29);
    let question = consultation();
    for provider in Provider::ALL {
        let (mut accepted, mut refused) = (0, 0);
        for vector in &vectors {
            let (name, text) = (&vector["name"], vector["text"].as_str().expect("a text"));
            let finish = vector["state"]["finish"].as_str().expect("a word");
            let body = with_finish(provider, &said(provider, text), finish);
            let server = Server::start(vec![Behaviour::Reply(200, "", body)]).await;
            let advisor = LlmAdvisor::new(settings(provider, server.address)).expect("settings");
            let call = advisor.ask(&question).await;
            assert_eq!(call.text.as_deref(), Some(text), "{provider} {name}");
            match (vector["expect"]["reject"].as_str(), &call.outcome) {
                (Some(code), Err(fault)) => {
                    assert_eq!((fault.class, fault.code.as_str()), (Class::Rejected, code));
                    refused += 1;
                }
                (None, Ok(answer)) => {
                    let action = &vector["expect"]["accept"]["action"];
                    assert_eq!(&answer.to_json()["action"], action, "{provider} {name}");
                    accepted += 1;
                }
                // The question is not the vector's own: what was a step up there is none here.
                (None, Err(fault)) if fault.code == "target_contradicts_action" => accepted += 1,
                (expected, outcome) => panic!("{provider} {name}: {expected:?}, {outcome:?}"),
            }
        }
        println!("{provider}: {accepted} accepted, {refused} refused, as documented");
    }
}

#[tokio::test]
async fn every_fixture_has_its_class_and_its_wait() {
    let expected: Map<String, Value> = serde_json::from_str(EXPECTED).expect("a table");
    assert!(expected.len() >= 15);
    let question = consultation();
    for (name, expected) in &expected {
        let path = format!("{}/tests/data/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read_to_string(path).expect("a fixture");
        let status = expected["status"].as_u64().expect("a status");
        let status = u16::try_from(status).expect("a status");
        let provider: Provider =
            expected["provider"].as_str().expect("a name").parse().expect("a provider");
        let server = Server::start(vec![Behaviour::Reply(status, "", body)]).await;
        let advisor = LlmAdvisor::new(settings(provider, server.address)).expect("settings");
        let call = advisor.ask(&question).await;
        assert_eq!(call.status, Some(status), "{name}");
        let class = match &call.outcome {
            Ok(answer) => {
                for (field, value) in expected["answer"].as_object().expect("an answer") {
                    assert_eq!(answer.to_json().get(field), Some(value), "{name}");
                }
                Class::Answer
            }
            Err(fault) => {
                if let Some(wait_s) = expected.get("wait_s").and_then(Value::as_f64) {
                    let wait = fault.wait.map_or(Duration::ZERO, |wait| wait);
                    assert!((wait.as_secs_f64() - wait_s).abs() < 1.0, "{name}: {wait:?}");
                }
                fault.class
            }
        };
        assert_eq!(json!(class.to_string()), expected["class"], "{name}");
    }
    println!("{} fixtures, each of its class", expected.len());
}
