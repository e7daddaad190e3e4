//! What a model wrote, read strictly: accepted, or refused with a code.
//!
//! What can only make a step smaller is clamped, an optional part that is wrong is dropped, and
//! where the meaning is in doubt everything is refused. A refused answer is no "do nothing": the
//! policy then decides alone.

mod thresholds;

use std::collections::BTreeSet;
use std::fmt;

use planner_core::{Advice, AdvisedAction, ReplicaBounds, Thresholds};
use serde_json::{Map, Value};

use crate::json::{self, NoJson};

pub use thresholds::AdvisedThresholds;

/// Longest text of a model that is read, bytes.
pub const TEXT_BYTES_MAX: usize = 2_048;

/// What a model was asked about, as far as its answer is judged by it.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "an argument list with names")]
pub struct Asked {
    /// The service by which an answer may name its target.
    pub service: String,
    /// Replicas that are ready or ordered.
    pub current: u32,
    /// Fewest and most replicas.
    pub bounds: ReplicaBounds,
    /// Most replicas of one step.
    pub max_step: u32,
    /// The thresholds in force.
    pub active: Thresholds,
    /// The operator's thresholds, which advice may only tighten.
    pub operator: Thresholds,
}

/// An answer that may be used.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// What is advised.
    pub action: AdvisedAction,
    /// To how many replicas, within bounds and step.
    pub replicas: Option<u32>,
    /// Thresholds, within their envelope.
    pub thresholds: Option<AdvisedThresholds>,
    /// How sure the model says it is, 0 to 1. It unlocks nothing.
    pub confidence: Option<f64>,
    /// Its reason: untrusted text, at most 160 characters, without control characters.
    pub reason: String,
    /// What was changed on the way.
    pub notes: BTreeSet<Note>,
}

/// What was changed in an answer before it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Note {
    /// The confidence was no number from 0 to 1.
    ConfidenceDropped,
    /// `down_ratio` was moved.
    DownRatioClamped,
    /// A Markdown fence stood around it.
    FenceStripped,
    /// The reason was too long, or had letters that could hurt a reader.
    ReasonClamped,
    /// The reason was no text.
    ReasonDropped,
    /// The target was moved into bounds and step.
    ReplicasClamped,
    /// There was a target, and nothing to do.
    ReplicasIgnored,
    /// The thresholds were no numbers, or contradicted each other.
    ThresholdsDropped,
    /// There was a field that means nothing.
    UnknownField,
    /// `up_ratio` was moved.
    UpRatioClamped,
    /// `up_z` was moved.
    UpZClamped,
}

impl Note {
    /// As it is written in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfidenceDropped => "confidence_dropped",
            Self::DownRatioClamped => "down_ratio_clamped",
            Self::FenceStripped => "fence_stripped",
            Self::ReasonClamped => "reason_clamped",
            Self::ReasonDropped => "reason_dropped",
            Self::ReplicasClamped => "target_replicas_clamped",
            Self::ReplicasIgnored => "target_replicas_ignored",
            Self::ThresholdsDropped => "thresholds_dropped",
            Self::UnknownField => "unknown_field",
            Self::UpRatioClamped => "up_ratio_clamped",
            Self::UpZClamped => "up_z_clamped",
        }
    }
}

/// Why an answer is not used. [`fmt::Display`] is its code in records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// There is no action.
    ActionMissing,
    /// The action is none that there is.
    ActionUnknown,
    /// The target contradicts the action.
    Contradiction,
    /// A field is there twice.
    DuplicateKey,
    /// The model did not end by itself: cut off, blocked, refused.
    Finish(String),
    /// A number is none, or infinite.
    NonFinite,
    /// It is not one piece of JSON.
    NotJson,
    /// It is no object.
    NotObject,
    /// `target_replicas` is no count.
    ReplicasType,
    /// It is about another service.
    TargetMismatch,
    /// It is longer than [`TEXT_BYTES_MAX`].
    TooLarge,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ActionMissing => "action_missing",
            Self::ActionUnknown => "action_unknown",
            Self::Contradiction => "target_contradicts_action",
            Self::DuplicateKey => "duplicate_key",
            Self::Finish(word) => return write!(f, "finish_{word}"),
            Self::NonFinite => "non_finite",
            Self::NotJson => "not_json",
            Self::NotObject => "not_object",
            Self::ReplicasType => "target_replicas_type",
            Self::TargetMismatch => "target_mismatch",
            Self::TooLarge => "too_large",
        })
    }
}

impl std::error::Error for Refused {}

impl From<NoJson> for Refused {
    fn from(why: NoJson) -> Self {
        match why {
            NoJson::Duplicate => Self::DuplicateKey,
            NoJson::NonFinite => Self::NonFinite,
            NoJson::Syntax => Self::NotJson,
        }
    }
}

/// Reads the text of a model that ended for the reason `finish`.
///
/// # Errors
///
/// [`Refused`] says why it is not used.
///
/// ```
/// use planner_core::{AdvisedAction, ReplicaBounds, Thresholds};
/// use planner_llm::{Asked, read};
///
/// let thresholds = Thresholds { up_ratio: 8.0, down_ratio: 1.1, up_z: 6.0 };
/// let asked = Asked {
///     service: "app".into(),
///     current: 4,
///     bounds: ReplicaBounds::new(2, 10)?,
///     max_step: 2,
///     active: thresholds,
///     operator: thresholds,
/// };
/// let answer = read(r#"{"action":"scale_up","target_replicas":50}"#, "stop", &asked)?;
/// assert_eq!((answer.action, answer.replicas), (AdvisedAction::ScaleUp, Some(6)));
/// let refused = read("I think you should scale up.", "stop", &asked).expect_err("prose");
/// assert_eq!(refused.to_string(), "not_json");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(text: &str, finish: &str, asked: &Asked) -> Result<Answer, Refused> {
    if !matches!(finish, "stop" | "STOP" | "end_turn") {
        return Err(Refused::Finish(Advice::new(AdvisedAction::Noop, finish).reason));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    let text = text.trim_start_matches('\u{feff}').trim();
    let bare = without_fence(text);
    let Value::Object(fields) = json::parse(bare.unwrap_or(text))? else {
        return Err(Refused::NotObject);
    };
    let mut notes = BTreeSet::from_iter(bare.map(|_| Note::FenceStripped));
    let action = action(&fields)?;
    check_target(&fields, asked)?;
    let replicas = replicas(&fields, action, asked, &mut notes)?;
    let thresholds = thresholds::read(&fields, asked, &mut notes);
    let confidence = confidence(&fields, &mut notes);
    let reason = reason(&fields, &mut notes);
    let known = ["action", "target", "target_replicas", "thresholds", "confidence", "reason"];
    if fields.keys().any(|name| !known.contains(&name.as_str())) {
        notes.insert(Note::UnknownField);
    }
    Ok(Answer { action, replicas, thresholds, confidence, reason, notes })
}

/// What stands between the lines of one Markdown fence around all of it.
fn without_fence(text: &str) -> Option<&str> {
    let (opening, rest) = text.strip_prefix("```")?.split_once('\n')?;
    let is_a_language = opening.trim().chars().all(|letter| letter.is_ascii_alphanumeric());
    is_a_language.then_some(rest)?.strip_suffix("```")
}

/// A field that is there and not `null`.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn action(fields: &Map<String, Value>) -> Result<AdvisedAction, Refused> {
    match fields.get("action") {
        None => Err(Refused::ActionMissing),
        Some(named) => {
            let all = [AdvisedAction::Noop, AdvisedAction::ScaleDown, AdvisedAction::ScaleUp];
            let found = all.into_iter().find(|action| named.as_str() == Some(word(*action)));
            found.ok_or(Refused::ActionUnknown)
        }
    }
}

/// An action in the word of the contract.
pub(crate) const fn word(action: AdvisedAction) -> &'static str {
    match action {
        AdvisedAction::Noop => "noop",
        AdvisedAction::ScaleDown => "scale_down",
        AdvisedAction::ScaleUp => "scale_up",
    }
}

fn check_target(fields: &Map<String, Value>, asked: &Asked) -> Result<(), Refused> {
    match field(fields, "target") {
        None => Ok(()),
        Some(Value::String(name)) if *name == asked.service => Ok(()),
        Some(_) => Err(Refused::TargetMismatch),
    }
}

fn replicas(
    fields: &Map<String, Value>,
    action: AdvisedAction,
    asked: &Asked,
    notes: &mut BTreeSet<Note>,
) -> Result<Option<u32>, Refused> {
    let Some(value) = field(fields, "target_replicas") else { return Ok(None) };
    let wanted = value.as_u64().ok_or(Refused::ReplicasType)?;
    let current = u64::from(asked.current);
    match action {
        AdvisedAction::Noop => {
            notes.insert(Note::ReplicasIgnored);
            return Ok(None);
        }
        AdvisedAction::ScaleUp if wanted <= current => return Err(Refused::Contradiction),
        AdvisedAction::ScaleDown if wanted >= current => return Err(Refused::Contradiction),
        AdvisedAction::ScaleUp | AdvisedAction::ScaleDown => {}
    }
    let within = u32::try_from(wanted).unwrap_or(u32::MAX);
    let bounds = asked.bounds;
    let clamped = within
        .clamp(bounds.min(), bounds.max())
        .min(asked.current.saturating_add(asked.max_step))
        .max(asked.current.saturating_sub(asked.max_step));
    if u64::from(clamped) != wanted {
        notes.insert(Note::ReplicasClamped);
    }
    Ok(Some(clamped))
}

fn confidence(fields: &Map<String, Value>, notes: &mut BTreeSet<Note>) -> Option<f64> {
    let value = field(fields, "confidence")?;
    let sure = value.as_f64().filter(|number| (0.0..=1.0).contains(number));
    if sure.is_none() {
        notes.insert(Note::ConfidenceDropped);
    }
    sure
}

fn reason(fields: &Map<String, Value>, notes: &mut BTreeSet<Note>) -> String {
    match field(fields, "reason") {
        None => String::new(),
        Some(Value::String(text)) => {
            let shown = Advice::new(AdvisedAction::Noop, text).reason;
            if shown != *text {
                notes.insert(Note::ReasonClamped);
            }
            shown
        }
        Some(_) => {
            notes.insert(Note::ReasonDropped);
            String::new()
        }
    }
}

impl Answer {
    /// As the planner takes it.
    pub fn advice(&self, active: Thresholds) -> Advice {
        let mut advice = Advice::new(self.action, &self.reason);
        advice.replicas = self.replicas;
        match self.thresholds {
            Some(thresholds) => advice.with_thresholds(thresholds.over(active)),
            None => advice,
        }
    }

    /// As records have it: those fields that are there.
    pub fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("action".into(), word(self.action).into());
        if let Some(replicas) = self.replicas {
            fields.insert("target_replicas".into(), replicas.into());
        }
        if let Some(thresholds) = self.thresholds {
            fields.insert("thresholds".into(), thresholds.to_json());
        }
        if let Some(confidence) = self.confidence {
            fields.insert("confidence".into(), confidence.into());
        }
        fields.insert("reason".into(), self.reason.clone().into());
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked() -> Asked {
        let thresholds = Thresholds { up_ratio: 8.0, down_ratio: 1.1, up_z: 6.0 };
        Asked {
            service: String::from("app"),
            current: 4,
            bounds: ReplicaBounds::new(2, 10).expect("bounds"),
            max_step: 2,
            active: thresholds,
            operator: thresholds,
        }
    }

    fn code(text: &str) -> String {
        read(text, "stop", &asked()).expect_err(text).to_string()
    }

    fn notes(text: &str) -> Vec<&'static str> {
        let answer = read(text, "stop", &asked()).expect(text);
        answer.notes.into_iter().map(Note::as_str).collect()
    }

    #[test]
    fn what_is_in_doubt_is_refused_with_its_code() {
        for (text, expected) in [
            (r#"{"action":"scale_up","target_replicas":4}"#, "target_contradicts_action"),
            (r#"{"action":"scale_down","target_replicas":4}"#, "target_contradicts_action"),
            (r#"{"action":"noop","action":"scale_up"}"#, "duplicate_key"),
            (r#"{"action":"noop","thresholds":{"up_z":4,"up_z":5}}"#, "duplicate_key"),
            (r#"{"action":"NOOP"}"#, "action_unknown"),
            (r#"{"action":null}"#, "action_unknown"),
            (r#"{"action":"scale_up","target":"other"}"#, "target_mismatch"),
            (r#"{"action":"scale_up","target_replicas":5.5}"#, "target_replicas_type"),
            (r#"{"action":"noop"}{"action":"noop"}"#, "not_json"),
            ("\"noop\"", "not_object"),
            ("", "not_json"),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_model_that_ended_by_itself_is_read() {
        for finish in ["length", "max_tokens", "SAFETY", "tool_calls", "refusal", "", "Stop"] {
            let refused = read(r#"{"action":"noop"}"#, finish, &asked()).expect_err(finish);
            assert_eq!(refused.to_string(), format!("finish_{finish}"));
        }
        let hostile = read("{}", "\u{1b}[31mSTOP", &asked()).expect_err("not natural");
        assert_eq!(hostile.to_string(), "finish_[31mSTOP");
    }

    #[test]
    fn thresholds_that_contradict_each_other_are_dropped_and_the_rest_stands() {
        for thresholds in [
            r#"{"up_ratio":1.2,"down_ratio":1.4}"#,
            r#"{"up_ratio":true}"#,
            "[1]",
            r#"{"up_z":"6"}"#,
        ] {
            let text = format!(r#"{{"action":"scale_up","thresholds":{thresholds}}}"#);
            assert_eq!(notes(&text), ["thresholds_dropped"], "{text}");
            assert_eq!(read(&text, "stop", &asked()).expect("the rest").thresholds, None);
        }
    }

    #[test]
    fn a_reason_is_shown_without_what_could_hurt_a_reader() {
        let text = r#"{"action":"noop","reason":"\u001b[31m<b>\u202eup\n"}"#;
        let answer = read(text, "stop", &asked()).expect("an answer");
        assert_eq!(answer.reason, "[31m<b>up");
        assert_eq!(notes(text), ["reason_clamped"]);
        assert_eq!(notes(r#"{"action":"noop","reason":7}"#), ["reason_dropped"]);
    }

    #[test]
    fn a_fence_is_stripped_once_and_nothing_else() {
        assert_eq!(notes("```\n{\"action\":\"noop\"}\n```"), ["fence_stripped"]);
        for text in [
            "```json\n```json\n{\"action\":\"noop\"}\n```\n```",
            "Here:\n```json\n{\"action\":\"noop\"}\n```",
            "```json {\"action\":\"noop\"}```",
        ] {
            assert_eq!(code(text), "not_json", "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_model_writes_is_within_bounds_step_and_envelope(
            action in prop_oneof![Just("noop"), Just("scale_up"), Just("scale_down")],
            replicas in prop::option::of(any::<u32>()),
            up_ratio in prop::option::of(any::<f64>()),
            down_ratio in prop::option::of(-9.0..9.0_f64),
            up_z in prop::option::of(-1e20..1e20_f64),
        ) {
            let asked = asked();
            let text = serde_json::json!({"action": action, "target_replicas": replicas,
                "thresholds": {"up_ratio": up_ratio, "down_ratio": down_ratio, "up_z": up_z}});
            let Ok(answer) = read(&text.to_string(), "stop", &asked) else { return Ok(()) };
            if let Some(replicas) = answer.replicas {
                prop_assert!((2..=6).contains(&replicas));
            }
            if let Some(thresholds) = answer.thresholds {
                let all = thresholds.over(asked.active);
                prop_assert!((6.0..=8.0).contains(&all.up_ratio), "{all:?}");
                prop_assert!((1.0..=1.1).contains(&all.down_ratio), "{all:?}");
                prop_assert!((4.5..=6.0).contains(&all.up_z), "{all:?}");
            }
        }

        #[test]
        fn no_text_does_harm(text in ".{0,200}", finish in ".{0,20}") {
            let _answer_or_refusal = read(&text, &finish, &asked());
            let _answer_or_refusal = read(&text, "stop", &asked());
        }
    }
}
