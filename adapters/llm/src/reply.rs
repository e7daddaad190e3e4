//! What a provider sent back, sorted: an answer, or why there is none and for how long.

use std::fmt;
use std::time::{Duration, SystemTime};

use planner_core::AdvisorFault;
use serde_json::Value;

use crate::Provider;
use crate::hint::{error_of, wait};

/// A reply as it came over the network.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an argument list with names")]
pub struct RawReply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
    /// When it came, where its own `Date` does not say so.
    pub at: SystemTime,
}

/// What a reply is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// There is a text, which has yet to be read.
    Answer,
    /// The request or the account is wrong: asking again changes nothing before somebody changes
    /// the settings.
    Config,
    /// A quota of a day or more, or money, is spent: nothing before its end.
    Exhausted,
    /// A quota of a minute is spent: later.
    RateLimited,
    /// The model was asked and gave no answer that counts.
    Rejected,
    /// The provider has a bad moment: later.
    Transient,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a reply says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Heard {
    /// A model's text.
    Text(Text),
    /// None, and why.
    Fault(CallFault),
}

/// A model's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Text {
    /// What it wrote, thoughts left out.
    pub text: String,
    /// Why it ended, in the provider's word; [`read`](crate::read) knows the natural ones.
    pub finish: String,
    /// The model that answered, as it calls itself.
    pub model: Option<String>,
    /// Tokens that it cost, where that is told.
    pub tokens: Option<u64>,
}

/// Why a call gave no advice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallFault {
    /// What kind of reason.
    pub class: Class,
    /// The reason in one word, the provider's where it has one.
    pub code: String,
    /// How long nobody should ask, where that is known.
    pub wait: Option<Duration>,
}

impl CallFault {
    /// A fault that says nothing of a wait.
    pub(crate) fn new(class: Class, code: impl Into<String>) -> Self {
        Self { class, code: code.into(), wait: None }
    }

    /// As the planner takes it.
    pub fn fault(&self) -> AdvisorFault {
        match self.class {
            Class::Config => AdvisorFault::Misconfigure,
            Class::Exhausted => AdvisorFault::Exhaust { retry_after: self.wait },
            Class::RateLimited => AdvisorFault::Throttle { retry_after: self.wait },
            Class::Transient if self.code == TIMEOUT => AdvisorFault::Timeout,
            Class::Transient if self.wait.is_some() => {
                AdvisorFault::Throttle { retry_after: self.wait }
            }
            Class::Transient => AdvisorFault::Unreachable,
            Class::Answer | Class::Rejected => AdvisorFault::Garble,
        }
    }
}

/// The code of an answer that did not come in time.
pub(crate) const TIMEOUT: &str = "timeout";

/// Sorts a reply. `wait_max` is the longest wait that is still one: what asks for more is
/// [`Class::Exhausted`].
pub fn sort(provider: Provider, reply: &RawReply<'_>, wait_max: Duration) -> Heard {
    let body: Value = serde_json::from_slice(reply.body).unwrap_or(Value::Null);
    if (200..300).contains(&reply.status) {
        return match provider.text(&body) {
            Ok(text) => Heard::Text(text),
            Err(code) => Heard::Fault(CallFault::new(Class::Rejected, code)),
        };
    }
    let hint = wait(reply.headers, &body, reply.at);
    let code = code_of(&body).unwrap_or_else(|| format!("http_{}", reply.status));
    let (class, wait) = match reply.status {
        402 => (Class::Exhausted, hint),
        429 => sort_429(&body, hint, wait_max),
        408 | 425 | 499 | 500.. => (Class::Transient, hint),
        _ => (Class::Config, None),
    };
    Heard::Fault(CallFault { class, code, wait })
}

/// Which quota is spent decides; how long to wait comes after: a day's quota may come with a wait
/// of seconds, which would be a loop until midnight.
fn sort_429(body: &Value, hint: Option<Duration>, wait_max: Duration) -> (Class, Option<Duration>) {
    let long = hint.filter(|hint| *hint > wait_max);
    if is_of_the_day(body) || is_about_money(body) {
        return (Class::Exhausted, long);
    }
    match long {
        Some(long) => (Class::Exhausted, Some(long)),
        None => (Class::RateLimited, hint),
    }
}

/// Google names the quota: `GenerateRequestsPerDayPerProjectPerModel-FreeTier`. A limit of zero is
/// a tier without this model.
fn is_of_the_day(body: &Value) -> bool {
    let error = error_of(body);
    let details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    let mut violations =
        details.filter_map(|detail| detail.get("violations")?.as_array()).flatten();
    let named = |violation: &Value| {
        let id = violation.get("quotaId").and_then(Value::as_str).unwrap_or_default();
        let is_none = violation.get("quotaValue").and_then(Value::as_str) == Some("0");
        id.contains("PerDay") || id.contains("Daily") || is_none
    };
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    violations.any(named) || says_limit_zero(message)
}

/// `limit: 0`, and not `limit: 05`.
fn says_limit_zero(message: &str) -> bool {
    message.split("limit: ").skip(1).any(|after| {
        let number: String =
            after.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
        number.trim_end_matches('.') == "0"
    })
}

/// Words of money, which no wait brings back.
fn is_about_money(body: &Value) -> bool {
    let error = error_of(body);
    let details = error.get("details").and_then(|details| details.get("error_code"));
    let words = [error.get("code"), error.get("type"), details];
    words.into_iter().flatten().filter_map(Value::as_str).any(|word| {
        ["insufficient_quota", "credit_balance", "billing", "spend_limit", "quota_exceeded"]
            .iter()
            .any(|money| word.contains(money))
    })
}

/// The provider's word for an error: a detail's reason, a code that is a word, a status or a type.
fn code_of(body: &Value) -> Option<String> {
    let error = error_of(body);
    let mut details = error.get("details").and_then(Value::as_array).into_iter().flatten();
    let reason = details.find_map(|detail| detail.get("reason"));
    let places = [
        reason,
        error.pointer("/details/error_code"),
        error.get("code"),
        error.get("status"),
        error.get("type"),
    ];
    let word = places.into_iter().flatten().filter_map(Value::as_str).find(|word| {
        (1..=64).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    });
    word.map(str::to_owned)
}
