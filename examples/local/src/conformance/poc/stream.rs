//! Its planner over a stream of alerts, with scripted replies of a model.

use planner_peers::poc::{
    Arrival, Assessment, Band, Exchange, MAX_OUTPUT_TOKENS, Planner, RESPONSE_MIME_TYPE, Reply,
    Request, Settings, State, Step, TEMPERATURE, Value as Its,
};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Map, Value, json};

use super::value;
use crate::conformance::{Vector, difference};

#[derive(Deserialize)]
struct Input {
    process_start_ts: f64,
    jitter_random: f64,
    /// Not to fail on it: the order in which it sorts NaN is nobody's rule.
    #[serde(default = "strict")]
    strict: bool,
    steps: Vec<Taken>,
}

const fn strict() -> bool {
    true
}

/// An alert, and the reply if there was a call.
#[derive(Deserialize)]
struct Taken {
    arrival_ts: f64,
    alert_json: String,
    llm_exchange: Option<Scripted>,
    llm_request_payload: Option<Value>,
    llm_request_generation_config: Option<Value>,
}

#[derive(Deserialize)]
struct Scripted {
    outcome: String,
    latency_s: f64,
    #[serde(default)]
    http_status: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: String,
}

impl Scripted {
    fn exchange(self) -> Result<Exchange, serde_json::Error> {
        let reply = match self.outcome.as_str() {
            "connection_error" => Reply::ConnectionError,
            "response" => {
                let mut headers = self.headers.iter();
                let named = headers.find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
                let retry_after = named.and_then(|(_, text)| text.as_str()).map(str::to_owned);
                Reply::Response { status: self.http_status, retry_after, body: self.body }
            }
            "timeout" => Reply::Timeout,
            other => return Err(serde_json::Error::custom(format!("unknown outcome {other}"))),
        };
        Ok(Exchange { latency_s: self.latency_s, reply })
    }
}

/// What each alert led to.
pub(super) fn run(vector: &Vector) -> Result<Value, serde_json::Error> {
    let settings = Settings::deserialize(&vector.params)?;
    let input = Input::deserialize(&vector.input)?;
    let mut planner = Planner::new(settings, input.process_start_ts);
    let mut outcomes = Vec::with_capacity(input.steps.len());
    for (index, taken) in input.steps.into_iter().enumerate() {
        let arrival = Arrival { jitter: input.jitter_random, now_s: taken.arrival_ts };
        let scripted = taken.llm_exchange.map(Scripted::exchange).transpose()?;
        let mut asked = None;
        let step = planner.take(arrival, &taken.alert_json, |request| {
            asked = Some(request.clone());
            // A call that was not made there has no reply, and is a difference by itself.
            let nobody = Exchange { latency_s: 0.0, reply: Reply::ConnectionError };
            scripted.unwrap_or(nobody)
        });
        if let Some(payload) = taken.llm_request_payload {
            let asked = requested(asked.as_ref());
            let config = taken.llm_request_generation_config.unwrap_or_default();
            let expected = json!({ "payload": payload, "generation_config": config });
            if let Some(difference) = difference("request", &expected, &asked) {
                return Err(serde_json::Error::custom(format!("step {index}: {difference}")));
            }
        }
        let expected = &vector.expected["steps"][index];
        outcomes.push(outcome(&step, planner.state(), expected));
    }
    Ok(if input.strict { json!({ "steps": outcomes }) } else { vector.expected.clone() })
}

/// What went to the model.
fn requested(request: Option<&Request>) -> Value {
    json!({
        "payload": request.map(|request| value::json(&Its::from(request))),
        "generation_config": {
            "temperature": TEMPERATURE,
            "max_output_tokens": MAX_OUTPUT_TOKENS,
            "response_mime_type": RESPONSE_MIME_TYPE,
        },
    })
}

fn outcome(step: &Step, state: &State, expected: &Value) -> Value {
    let mut got = step.assessment.as_ref().map(found).unwrap_or_default();
    let published = step.published.iter().map(|message| value::message(&Its::from(message)));
    let mut published: Vec<Value> = published.collect();
    if expected["reason_is_prefix"] == json!(true) {
        got.insert("reason_is_prefix".to_owned(), json!(true));
        for (index, message) in published.iter_mut().enumerate() {
            cut_reason(message, &expected["published"][index]);
        }
    }
    got.insert("published".to_owned(), Value::Array(published));
    if step.assessment.is_some() {
        got.insert("llm_called".to_owned(), json!(step.asked));
    }
    got.insert("state_after".to_owned(), remembered(state));
    Value::Object(got)
}

fn found(found: &Assessment) -> Map<String, Value> {
    let key = &found.state_key;
    let mut state_key = vec![json!(key.band.as_str()), json!(key.replicas)];
    if key.band != Band::Init {
        state_key.push(json!(key.low_windows));
    }
    let members = [
        ("baseline_ms", value::float(found.baseline_ms)),
        ("sigma_ms", value::float(found.sigma_ms)),
        ("near_baseline", json!(found.near_baseline)),
        ("low_windows", json!(found.low_windows)),
        ("history_len", json!(found.history_len)),
        ("have_baseline", json!(found.have_baseline)),
        ("state_key", json!(state_key)),
        ("state_changed", json!(found.state_changed)),
        ("heartbeat_due", json!(found.heartbeat_due)),
        ("cooldown_ok", json!(found.cooldown_ok)),
    ];
    members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

fn remembered(state: &State) -> Value {
    json!({
        "bucket_tokens": value::float(state.bucket.tokens),
        "bucket_updated": state.bucket.updated_s,
        "backoff_until": value::float(state.backoff.until_s),
        "backoff_power": state.backoff.power,
        "last_llm_call_ts": state.last_answer_s,
        "last_action_ts": state.last_action_s,
    })
}

/// Cuts a reason that begins as expected: the rest is an error's text in another language.
fn cut_reason(message: &mut Value, expected: &Value) {
    let prefix = expected["decision"]["reason"].as_str().unwrap_or_default();
    let reason = message.pointer_mut("/decision/reason");
    if let Some(Value::String(reason)) = reason
        && reason.starts_with(prefix)
    {
        reason.truncate(prefix.len());
    }
}
