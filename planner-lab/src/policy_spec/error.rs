//! Why a text names no policy.

use thiserror::Error;

use super::table::{ENTRIES, Entry, Setting};

/// The most characters of a text that an error shows.
const SHOWN_CHARS_MAX: usize = 60;

/// Why a text names no policy. Each message names what, its value, the rule and what to do.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum PolicySpecError {
    /// The policy refused its settings for this service.
    #[error("policy {policy}: {why}")]
    Build {
        /// The policy.
        policy: &'static str,
        /// What it said.
        why: String,
    },
    /// A setting that has no default was left out.
    #[error("policy {policy}: {setting} is missing, {rule}; write {policy}:{setting}={example}")]
    Missing {
        /// The policy.
        policy: &'static str,
        /// The setting.
        setting: &'static str,
        /// What it has to be.
        rule: &'static str,
        /// A value that would do.
        example: f64,
    },
    /// The policy has no such setting.
    #[error("policy {policy}: there is no setting {setting:?}; it has {known}")]
    Setting {
        /// The policy.
        policy: &'static str,
        /// What was given.
        setting: String,
        /// Those it has.
        known: String,
    },
    /// What is not `key=value`.
    #[error("policy {policy}: {part:?} is no setting; write {policy}:KEY=VALUE,KEY=VALUE")]
    Syntax {
        /// The policy.
        policy: &'static str,
        /// What was given.
        part: String,
    },
    /// A setting was given twice.
    #[error("policy {policy}: {setting} is given twice; leave one of them out")]
    Twice {
        /// The policy.
        policy: &'static str,
        /// The setting.
        setting: &'static str,
    },
    /// There is no such policy.
    #[error("policy {name:?} is none of {known}; name one of them")]
    Unknown {
        /// What was given.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A value outside the range of its setting.
    #[error("policy {policy}: {setting} is {value:?}; give {rule}")]
    Value {
        /// The policy.
        policy: &'static str,
        /// The setting.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What it has to be.
        rule: &'static str,
    },
}

impl PolicySpecError {
    pub(super) const fn missing(entry: &Entry, setting: &Setting) -> Self {
        let Setting { name, rule, max, .. } = *setting;
        let example = if max < 10.0 { max } else { 10.0 };
        Self::Missing { policy: entry.name, setting: name, rule, example }
    }

    pub(super) fn setting(entry: &Entry, setting: &str) -> Self {
        let known = if entry.settings.is_empty() {
            "none".to_owned()
        } else {
            listed(entry.settings.iter().map(|setting| setting.name))
        };
        Self::Setting { policy: entry.name, setting: shortened(setting), known }
    }

    pub(super) fn syntax(entry: &Entry, part: &str) -> Self {
        Self::Syntax { policy: entry.name, part: shortened(part) }
    }

    pub(super) const fn twice(entry: &Entry, setting: &Setting) -> Self {
        Self::Twice { policy: entry.name, setting: setting.name }
    }

    pub(super) fn unknown(name: &str) -> Self {
        let known = listed(ENTRIES.iter().map(|entry| entry.name));
        Self::Unknown { name: shortened(name), known }
    }

    pub(super) fn value(entry: &Entry, setting: &Setting, value: &str) -> Self {
        let Setting { name, rule, .. } = *setting;
        Self::Value { policy: entry.name, setting: name, value: shortened(value), rule }
    }
}

fn listed(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
