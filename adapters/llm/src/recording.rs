//! Advice from a file: what was asked once and what was answered, given again to questions like it.
//!
//! One line, one question and its answer, as the prompt contract has them:
//!
//! ```text
//! {"asked":{"ratio":1.8,"allowed":["noop","scale_up"]},"reply":{"action":"scale_up"}}
//! ```
//!
//! `asked` is what [`user`] writes, or only those of its numbers that matter; `reply` is what the
//! model wrote, as an object or as the text that it was. It is read as strictly as a model's own.

use async_trait::async_trait;
use planner_core::{AdvisorFault, Consultation, Receipt, Thresholds};
use planner_ports::{Advised, Advisor};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::digest::sha256;
use crate::{asked, prompt_sha256, read, user};

/// Questions with their answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    asked: Map<String, Value>,
    reply: String,
}

/// Why a text is no recording.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// There is no line in it.
    #[error(
        "holds no advice; it has a line {{\"asked\":{{...}},\"reply\":{{...}}}} for each answer"
    )]
    Empty,
    /// A line is none.
    #[error("line {line}: {rule}; write {{\"asked\":{{...}},\"reply\":{{...}}}}")]
    Line {
        /// Which line; the first is 1.
        line: usize,
        /// What it has to be and is not.
        rule: &'static str,
    },
}

impl Recording {
    /// Reads a recording; empty lines do not count.
    ///
    /// # Errors
    ///
    /// [`RecordingError`] names the line that is none.
    pub fn parse(text: &str) -> Result<Self, RecordingError> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let refused = |rule| RecordingError::Line { line: index + 1, rule };
            let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else {
                return Err(refused("not one JSON object"));
            };
            let Some(Value::Object(asked)) = fields.remove("asked") else {
                return Err(refused("asked is no object"));
            };
            if asked.get("allowed").is_some_and(|allowed| !allowed.is_array()) {
                return Err(refused("allowed is no list of actions"));
            }
            let reply = match fields.remove("reply") {
                Some(Value::String(text)) => text,
                Some(reply @ Value::Object(_)) => reply.to_string(),
                _ => return Err(refused("reply is neither an object nor a text")),
            };
            entries.push(Entry { asked, reply });
        }
        if entries.is_empty() { Err(RecordingError::Empty) } else { Ok(Self { entries }) }
    }

    /// The line for a question that was answered.
    pub fn line(consultation: &Consultation, reply: &str) -> String {
        let asked: Value = serde_json::from_str(&user(consultation)).unwrap_or_default();
        json!({ "asked": asked, "reply": reply }).to_string()
    }

    /// The answer to the question that is most like `question`: of those that allowed the same
    /// actions, the one whose numbers are nearest in proportion; of two alike the earlier one.
    fn reply(&self, question: &Map<String, Value>) -> Option<&str> {
        let alike = self.entries.iter().filter(|entry| {
            entry
                .asked
                .get("allowed")
                .is_none_or(|allowed| Some(allowed) == question.get("allowed"))
        });
        let away = |entry: &&Entry| distance(&entry.asked, question);
        let nearest = alike.min_by(|a, b| away(a).total_cmp(&away(b)));
        nearest.map(|entry| entry.reply.as_str())
    }
}

/// How far a question is from a recorded one: the sum over what the latter names of the
/// differences, each as a share of the larger number.
fn distance(recorded: &Map<String, Value>, question: &Map<String, Value>) -> f64 {
    let of = |name: &String, value: &Value| match (value, question.get(name)) {
        _ if name == "allowed" => 0.0,
        (Value::Number(one), Some(Value::Number(other))) => {
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
            (one - other).abs() / one.abs().max(other.abs()).max(1.0)
        }
        (value, other) if other == Some(value) => 0.0,
        _ => 1.0,
    };
    recorded.iter().map(|(name, value)| of(name, value)).sum()
}

/// Answers from a recording, at once and for nothing.
#[derive(Clone, Debug)]
pub struct RecordedAdvisor {
    recording: Recording,
    operator: Thresholds,
}

impl RecordedAdvisor {
    /// Answers from `recording`, bounded by the operator's thresholds as a model's answers are.
    pub const fn new(recording: Recording, operator: Thresholds) -> Self {
        Self { recording, operator }
    }

    /// Answers a question. One that is like none of the recorded ones has no answer.
    pub fn answer(&self, consultation: &Consultation) -> Advised {
        let text = user(consultation);
        let question = serde_json::from_str(&text).unwrap_or_default();
        let reply = self.recording.reply(&question);
        let answer = match reply {
            Some(reply) => read(reply, "stop", &asked(consultation, self.operator))
                .map_err(|refused| refused.to_string()),
            None => Err(String::from("unrecorded")),
        };
        let verdict = answer.as_ref().err().map_or("accepted", String::as_str).to_owned();
        let receipt = Receipt {
            provider: String::from("record"),
            model: None,
            request_sha256: sha256(text.as_bytes()),
            prompt_sha256: prompt_sha256(consultation, self.operator, true),
            reply: reply.map(str::to_owned),
            verdict,
            tokens: Some(0),
            took_ms: 0,
        };
        let active = consultation.brief.thresholds;
        let outcome = answer.map(|answer| answer.advice(active)).map_err(|_| AdvisorFault::Garble);
        Advised { outcome, receipt: Some(receipt) }
    }
}

#[async_trait]
impl Advisor for RecordedAdvisor {
    async fn advise(&self, consultation: &Consultation) -> Advised {
        self.answer(consultation)
    }
}

#[cfg(test)]
mod tests {
    use planner_core::AdvisedAction;

    use super::*;
    use crate::sample::consultation;

    fn advisor(text: &str) -> RecordedAdvisor {
        let operator = Thresholds { up_ratio: 8.0, down_ratio: 1.1, up_z: 6.0 };
        RecordedAdvisor::new(Recording::parse(text).expect("a recording"), operator)
    }

    #[test]
    fn what_was_recorded_of_a_question_answers_it_again() {
        let question = consultation();
        let line = Recording::line(&question, r#"{"action":"scale_up","target_replicas":3}"#);
        let advised = advisor(&line).answer(&question);
        let advice = advised.outcome.expect("advice");
        assert_eq!((advice.action, advice.replicas), (AdvisedAction::ScaleUp, Some(3)));
        assert_eq!(advised.receipt.expect("a receipt").verdict, "accepted");
    }

    #[test]
    fn the_nearest_question_that_allowed_the_same_answers() {
        let more = r#""allowed":["noop","scale_up"]"#;
        let text = [
            format!(r#"{{"asked":{{"replicas":9,{more}}},"reply":{{"action":"noop"}}}}"#),
            format!(
                r#"{{"asked":{{"replicas":2,{more}}},"reply":{{"action":"scale_up","reason":"near"}}}}"#
            ),
            r#"{"asked":{"allowed":["noop","scale_down"]},"reply":{"action":"noop"}}"#.into(),
        ];
        let advice = advisor(&text.join("\n")).answer(&consultation()).outcome.expect("advice");
        assert_eq!((advice.action, advice.reason.as_str()), (AdvisedAction::ScaleUp, "near"));
    }

    #[test]
    fn a_question_like_none_of_them_has_no_answer_and_no_wait() {
        let text = r#"{"asked":{"allowed":["noop","scale_down"]},"reply":{"action":"noop"}}"#;
        let advised = advisor(text).answer(&consultation());
        assert_eq!(advised.outcome, Err(AdvisorFault::Garble));
        assert_eq!(advised.receipt.expect("a receipt").verdict, "unrecorded");
    }

    #[test]
    fn a_recorded_reply_is_read_as_strictly_as_a_models_own() {
        for (reply, verdict) in [
            (r#""I would scale up.""#, "not_json"),
            (r#"{"action":"restart"}"#, "action_unknown"),
            (r#"{"action":"scale_up","target_replicas":1}"#, "target_contradicts_action"),
        ] {
            let advised = advisor(&format!(r#"{{"asked":{{}},"reply":{reply}}}"#));
            let advised = advised.answer(&consultation());
            assert_eq!(advised.outcome, Err(AdvisorFault::Garble), "{reply}");
            assert_eq!(advised.receipt.expect("a receipt").verdict, verdict);
        }
    }

    #[test]
    fn a_line_that_is_none_is_named_with_what_to_write() {
        let refusal = |text: &str| Recording::parse(text).expect_err("no recording").to_string();
        let ok = r#"{"asked":{},"reply":{}}"#;
        let write = r#"; write {"asked":{...},"reply":{...}}"#;
        for (line, rule) in [
            ("noop", "not one JSON object"),
            (r#"{"reply":{}}"#, "asked is no object"),
            (r#"{"asked":{"allowed":"noop"},"reply":{}}"#, "allowed is no list of actions"),
            (r#"{"asked":{}}"#, "reply is neither an object nor a text"),
        ] {
            assert_eq!(refusal(&format!("{ok}\n\n{line}")), format!("line 3: {rule}{write}"));
        }
        assert_eq!(
            refusal("\n \n"),
            r#"holds no advice; it has a line {"asked":{...},"reply":{...}} for each answer"#
        );
    }
}
