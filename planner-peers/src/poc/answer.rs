//! What it makes of a model's reply.

use thiserror::Error;

use super::call::Reply;
use super::message::{Action, Decision};
use super::python;
use super::value::Value;

/// Most characters of a reason that it keeps.
const REASON_CHARS_MAX: usize = 160;
/// What an answer without text stands for: a `noop` without a reason.
const NO_TEXT: &str = "{}";

/// Why it falls back on its heuristic. Only the text of `Busy` is its own.
#[derive(Clone, Debug, Error, PartialEq)]
pub(super) enum Failure {
    /// The text that the model wrote is not what was asked for.
    #[error("the answer is no JSON object with an action")]
    Answer,
    /// Status 429.
    #[error("llm_429")]
    Busy {
        /// The header that says when to ask again.
        retry_after: Option<String>,
    },
    /// Nobody was there.
    #[error("no connection")]
    Connection,
    /// The body is not where a text is found.
    #[error("the reply has no candidates with parts of text")]
    Envelope,
    /// Another status of failure.
    #[error("status {0}")]
    Status(u16),
    /// It waited in vain.
    #[error("no reply in time")]
    Timeout,
}

/// The decision that a reply is.
pub(super) fn read(reply: Reply) -> Result<Decision, Failure> {
    match reply {
        Reply::ConnectionError => Err(Failure::Connection),
        Reply::Timeout => Err(Failure::Timeout),
        Reply::Response { status: 429, retry_after, .. } => Err(Failure::Busy { retry_after }),
        Reply::Response { status, .. } if status >= 400 => Err(Failure::Status(status)),
        Reply::Response { body, .. } => decision(&text(&body).map_err(|Odd| Failure::Envelope)?),
    }
}

/// Something else stands where an object or a list has to be.
struct Odd;

/// The text of the first part of the first candidate.
fn text(body: &str) -> Result<String, Odd> {
    let body = Value::parse(body).ok_or(Odd)?;
    let candidate = first(member(&body, "candidates")?)?;
    let parts = match member(&candidate, "content")?.filter(|value| python::is_true(value)) {
        None => None,
        Some(content) => member(content, "parts")?,
    };
    let part = first(parts)?;
    match member(&part, "text")? {
        None => Ok(NO_TEXT.to_owned()),
        Some(Value::Text(text)) => Ok(text.clone()),
        Some(_) => Err(Odd),
    }
}

/// A member that may be missing, of what has to be an object.
fn member<'a>(value: &'a Value, key: &str) -> Result<Option<&'a Value>, Odd> {
    value.members().map(|_| value.get(key)).ok_or(Odd)
}

/// The first of a list; an empty object where the list is missing, empty or otherwise false.
fn first(list: Option<&Value>) -> Result<Value, Odd> {
    match list.filter(|value| python::is_true(value)) {
        None => Ok(Value::Map(Vec::new())),
        Some(Value::List(values)) => values.first().cloned().ok_or(Odd),
        Some(_) => Err(Odd),
    }
}

/// The decision in a text, out of its fence.
fn decision(text: &str) -> Result<Decision, Failure> {
    let mut text = text.trim();
    if text.starts_with("```") {
        text = text.trim_matches('`').trim();
        if let Some((tag, rest)) = text.split_at_checked(4)
            && tag.eq_ignore_ascii_case("json")
        {
            text = rest.trim();
        }
    }
    let answer = Value::parse(text).ok_or(Failure::Answer)?;
    let action = match member(&answer, "action").map_err(|Odd| Failure::Answer)? {
        // Neither can be looked up in a set.
        Some(Value::List(_) | Value::Map(_)) => return Err(Failure::Answer),
        Some(Value::Text(name)) => Action::named(name),
        Some(_) | None => Action::Noop,
    };
    let reason = answer.get("reason").map(python::text).unwrap_or_default();
    Ok(Decision { action, reason: reason.trim().chars().take(REASON_CHARS_MAX).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Reply {
        Reply::Response { status, retry_after: None, body: body.to_owned() }
    }

    fn answer(action: Action, reason: &str) -> Decision {
        Decision { action, reason: reason.to_owned() }
    }

    #[test]
    fn every_failure_is_told_apart() {
        let told = |reply| read(reply).expect_err("a failure").to_string();
        assert_eq!(told(Reply::ConnectionError), "no connection");
        assert_eq!(told(Reply::Timeout), "no reply in time");
        assert_eq!(told(response(429, "{}")), "llm_429");
        assert_eq!(told(response(503, "{}")), "status 503");
        let envelope = "the reply has no candidates with parts of text";
        for body in [
            "not json",
            "[]",
            r#"{"candidates":{"0":1}}"#,
            r#"{"candidates":[null]}"#,
            r#"{"candidates":[{"content":[1]}]}"#,
            r#"{"candidates":[{"content":{"parts":[7]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":null}]}}]}"#,
        ] {
            assert_eq!(told(response(200, body)), envelope, "{body}");
        }
    }

    #[test]
    fn a_reply_without_text_is_a_noop() {
        for body in [
            "{}",
            r#"{"candidates":null}"#,
            r#"{"candidates":[{}]}"#,
            r#"{"candidates":[{"content":null}]}"#,
            r#"{"candidates":[{"content":{"parts":[]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{}]}}]}"#,
        ] {
            assert_eq!(read(response(200, body)), Ok(answer(Action::Noop, "")), "{body}");
        }
    }

    #[test]
    fn a_text_that_is_no_object_is_a_failure() {
        for text in ["", "scale_up", "[1,2]", "null", r#"{"action":"#, r#"{"action":["noop"]}"#] {
            assert_eq!(decision(text), Err(Failure::Answer), "{text}");
        }
        assert_eq!(Failure::Answer.to_string(), "the answer is no JSON object with an action");
    }

    #[test]
    fn an_unknown_or_missing_action_is_a_noop() {
        let text = r#"{"action":"explode","reason":" boom "}"#;
        assert_eq!(decision(text), Ok(answer(Action::Noop, "boom")));
        assert_eq!(decision(r#"{"action":null,"reason":null}"#), Ok(answer(Action::Noop, "None")));
        assert_eq!(decision("{}"), Ok(answer(Action::Noop, "")));
    }

    #[test]
    fn fences_of_any_spelling_are_taken_off() {
        for text in [
            "```json\n{\"action\":\"scale_up\",\"reason\":17}\n```",
            "```JSON {\"action\":\"scale_up\",\"reason\":17}```",
            "  ```\n{\"action\":\"scale_up\",\"reason\":17}\n```  ",
        ] {
            assert_eq!(decision(text), Ok(answer(Action::ScaleUp, "17")), "{text}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_after_its_spaces() {
        let text = format!(r#"{{"action":"restart","reason":"  {}  "}}"#, "é".repeat(300));
        assert_eq!(decision(&text), Ok(answer(Action::Restart, &"é".repeat(160))));
    }
}
