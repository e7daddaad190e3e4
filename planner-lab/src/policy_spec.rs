//! What a user names: a policy with its settings, as one line of text.
//!
//! ```
//! use planner_lab::policy_spec::PolicySpec;
//!
//! let spec: PolicySpec = "hpa:target=0.7".parse()?;
//! assert_eq!((spec.name(), spec.knob()), ("hpa", Some("target")));
//! assert_eq!(spec.with_knob(0.5).to_string(), "hpa:target=0.5");
//! # Ok::<(), planner_lab::policy_spec::PolicySpecError>(())
//! ```
//!
//! Targets of the established policies are shares of what a replica answers: `target=0.6` of a
//! service with 50 requests a second and replica is 30 a second and replica. Every policy is told
//! that number, ours as its hint of capacity.

mod build;
mod error;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub use error::PolicySpecError;
use table::{ENTRIES, Entry, Setting};

/// A policy with its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySpec {
    entry: &'static Entry,
    /// What was set, by name; the rest is as the table says.
    given: BTreeMap<&'static str, f64>,
}

impl PolicySpec {
    /// Names of all policies, each with what it is in one line.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        ENTRIES.iter().map(|entry| (entry.name, entry.summary))
    }

    /// The settings that a policy of this name has, each with what it is in one line.
    pub fn settings_of(name: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
        let settings = Entry::named(name).map_or(&[][..], |entry| entry.settings);
        settings.iter().map(|setting| (setting.name, setting.summary))
    }

    /// The policy's name.
    pub const fn name(&self) -> &'static str {
        self.entry.name
    }

    /// Every setting with its value, given or not.
    pub fn settings(&self) -> BTreeMap<String, f64> {
        let settings = self.entry.settings.iter();
        settings.map(|setting| (setting.name.to_owned(), self.value(setting.name))).collect()
    }

    /// The setting that trades replicas for violations; `None` when there is none.
    pub const fn knob(&self) -> Option<&'static str> {
        self.entry.knob
    }

    /// Where the knob stands; `None` when there is none.
    pub fn knob_value(&self) -> Option<f64> {
        self.entry.knob.map(|knob| self.value(knob))
    }

    /// The values of the knob that a sweep tries; empty without a knob.
    pub const fn grid(&self) -> &'static [f64] {
        self.entry.grid
    }

    /// The same with its knob at this value, taken into the range of the setting; without a knob,
    /// the same.
    #[must_use]
    pub fn with_knob(&self, value: f64) -> Self {
        let mut spec = self.clone();
        if let Some(setting) = self.entry.knob.and_then(|knob| self.entry.setting(knob)) {
            spec.given.insert(setting.name, setting.clamped(value));
        }
        spec
    }

    /// The value of a setting; 0 for one that this policy does not have.
    fn value(&self, name: &str) -> f64 {
        let default = || self.entry.setting(name).map_or(0.0, Setting::default_value);
        self.given.get(name).copied().unwrap_or_else(default)
    }
}

impl FromStr for PolicySpec {
    type Err = PolicySpecError;

    fn from_str(text: &str) -> Result<Self, PolicySpecError> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim();
        let entry = Entry::named(name).ok_or_else(|| PolicySpecError::unknown(name))?;
        let mut given = BTreeMap::new();
        for part in rest.split(',').map(str::trim).filter(|_| !rest.trim().is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| PolicySpecError::syntax(entry, part))?;
            let (key, value) = (key.trim(), value.trim());
            let setting = entry.setting(key).ok_or_else(|| PolicySpecError::setting(entry, key))?;
            let number = setting
                .parse(value)
                .ok_or_else(|| PolicySpecError::value(entry, setting, value))?;
            if given.insert(setting.name, number).is_some() {
                return Err(PolicySpecError::twice(entry, setting));
            }
        }
        if let Some(missing) = entry.settings.iter().find(|it| it.is_missing_in(&given)) {
            return Err(PolicySpecError::missing(entry, missing));
        }
        Ok(Self { entry, given })
    }
}

impl fmt::Display for PolicySpec {
    /// As it is parsed, settings in the order of their names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry.name)?;
        for (at, (name, value)) in self.given.iter().enumerate() {
            let separator = if at == 0 { ':' } else { ',' };
            write!(f, "{separator}{name}={value}")?;
        }
        Ok(())
    }
}
