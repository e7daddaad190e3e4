//! The four dialects: each a pure request and a pure reading of what comes back.

mod anthropic;
mod gemini;
mod ollama;
mod openai;

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::reply::Text;
use crate::{LlmError, Question};

/// Whose dialect is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// Anthropic's Messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Ollama's chat.
    Ollama,
    /// Chat Completions of `OpenAI` and everybody who imitates them.
    OpenAi,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Anthropic, Self::Gemini, Self::Ollama, Self::OpenAi];

    /// Its name in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::OpenAi => "openai",
        }
    }

    /// The base address of its public service; of Ollama, which has none, that of this machine.
    pub const fn public_url(self) -> &'static str {
        match self {
            Self::Anthropic => "https://api.anthropic.com",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
            Self::Ollama => "http://127.0.0.1:11434",
            Self::OpenAi => "https://api.openai.com/v1",
        }
    }

    /// The header that carries the key, and what stands before it there. Never the address: that
    /// lands in logs.
    pub const fn key_header(self) -> (&'static str, &'static str) {
        match self {
            Self::Anthropic => ("x-api-key", ""),
            Self::Gemini => ("x-goog-api-key", ""),
            Self::Ollama | Self::OpenAi => ("authorization", "Bearer "),
        }
    }

    /// The first steps of the ladder of ways to ask for JSON that this dialect has; see [`Rung`].
    pub const fn rungs(self) -> &'static [Rung] {
        match self {
            Self::OpenAi => &[Rung::Schema, Rung::ObjectWithSchema, Rung::Object, Rung::Prompt],
            Self::Anthropic | Self::Gemini | Self::Ollama => &[Rung::Schema, Rung::Prompt],
        }
    }

    /// The request that asks `question` in this dialect.
    pub fn request(self, question: &Question<'_>, rung: Rung) -> Request {
        let mut request = match self {
            Self::Anthropic => anthropic::request(question, rung),
            Self::Gemini => gemini::request(question, rung),
            Self::Ollama => ollama::request(question, rung),
            Self::OpenAi => openai::request(question, rung),
        };
        merge(&mut request.body, question.extra_body);
        request
    }

    /// The model's text in a body of this dialect, or the code of its absence.
    pub(crate) fn text(self, body: &Value) -> Result<Text, String> {
        match self {
            Self::Anthropic => anthropic::text(body),
            Self::Gemini => gemini::text(body),
            Self::Ollama => ollama::text(body),
            Self::OpenAi => openai::text(body),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = LlmError;

    fn from_str(name: &str) -> Result<Self, LlmError> {
        let found = Self::ALL.into_iter().find(|provider| provider.as_str() == name);
        found.ok_or_else(|| LlmError::Provider { name: name.to_owned() })
    }
}

/// How an answer in JSON is asked for. What says that it speaks a dialect may know less of it: one
/// rung after the other is tried, and the one that works is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the ladder, from its top to its foot")]
pub enum Rung {
    /// By a schema.
    Schema,
    /// As an object, with the schema beside it.
    ObjectWithSchema,
    /// As an object of any shape.
    Object,
    /// By the prompt alone.
    Prompt,
}

/// A request: where to, beside the base address, and what. The key goes into a header.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// What follows the base address.
    pub path: String,
    /// Headers other than that of the key.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body.
    pub body: Value,
}

/// Puts what the operator wants into a body; objects are merged, anything else is replaced.
fn merge(body: &mut Value, extra: &Map<String, Value>) {
    let Value::Object(fields) = body else { return };
    for (name, value) in extra {
        match (fields.get_mut(name), value) {
            (Some(inner @ Value::Object(_)), Value::Object(more)) => merge(inner, more),
            _ => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The turns of a question as most dialects have them.
fn messages(question: &Question<'_>) -> Vec<Value> {
    let turn = |(is_model, text): (bool, &str)| json!({"role": if is_model { "assistant" } else { "user" }, "content": text});
    question.turns().map(turn).collect()
}

/// The same after the system text, where that is a turn of its own.
fn messages_with_system(question: &Question<'_>) -> Vec<Value> {
    let system = json!({"role": "system", "content": question.system});
    [vec![system], messages(question)].concat()
}

/// A text at a place of a body.
fn at<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer)?.as_str()
}

/// The sum of counts at places of a body, where at least one is there.
fn tokens(body: &Value, pointers: &[&str]) -> Option<u64> {
    let counts = pointers.iter().filter_map(|pointer| body.pointer(pointer)?.as_u64());
    counts.reduce(u64::saturating_add)
}
