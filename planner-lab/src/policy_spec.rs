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

mod beside;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> PolicySpec {
        text.parse().expect("a policy")
    }

    fn refusal(text: &str) -> String {
        text.parse::<PolicySpec>().expect_err("refused").to_string()
    }

    #[test]
    fn a_text_that_names_no_policy_is_refused_with_what_to_do() {
        for (text, message) in [
            (
                "vpa",
                "policy \"vpa\" is none of planner, hpa, kpa, nomad, keda, poc, fixed; name one of \
                 them",
            ),
            (
                "",
                "policy \"\" is none of planner, hpa, kpa, nomad, keda, poc, fixed; name one of \
                 them",
            ),
            ("hpa:0.6", "policy hpa: \"0.6\" is no setting; write hpa:KEY=VALUE,KEY=VALUE"),
            ("kpa:target=0.6,", "policy kpa: \"\" is no setting; write kpa:KEY=VALUE,KEY=VALUE"),
            ("kpa:goal=0.6", "policy kpa: there is no setting \"goal\"; it has target"),
            (
                "keda:target=0",
                "policy keda: target is \"0\"; give a share of what a replica answers, 0.01 to 10",
            ),
            (
                "nomad:target=NaN",
                "policy nomad: target is \"NaN\"; give a share of what a replica answers, 0.01 to \
                 10",
            ),
            (
                "planner:window_s=2.5",
                "policy planner: window_s is \"2.5\"; give a whole number of seconds, 1 to 600",
            ),
            (
                "hpa:target=0.5,target=0.6",
                "policy hpa: target is given twice; leave one of them out",
            ),
            (
                "fixed",
                "policy fixed: replicas is missing, a whole number from 0 to 10000; write \
                 fixed:replicas=10",
            ),
        ] {
            assert_eq!(refusal(text), message);
        }
    }

    #[test]
    fn what_is_shown_of_a_text_is_short() {
        assert!(refusal(&"x".repeat(10_000)).len() < 200);
        assert!(refusal(&format!("hpa:target={}", "9".repeat(10_000))).len() < 200);
    }

    #[test]
    fn what_is_left_out_is_the_default() {
        let planner = spec("planner: slow_price = 40 , cooldown_in_s=30");
        assert_eq!((planner.name(), planner.knob()), ("planner", Some("slow_price")));
        let settings = planner.settings();
        let expected = [("slow_price", 40.0), ("cooldown_in_s", 30.0), ("window_s", 5.0)];
        for (name, value) in expected {
            assert_eq!(settings[name], value, "{name}");
        }
        assert_eq!(settings["stabilisation_in_s"], 120.0, "the configuration's own");
        assert_eq!(spec("hpa:").settings()["target"], 0.6);
    }

    #[test]
    fn it_reads_what_it_writes() {
        for text in ["planner", "planner:cooldown_in_s=30,slow_price=40", "hpa:target=0.65", "poc"]
        {
            assert_eq!(spec(text).to_string(), text);
        }
    }

    #[test]
    fn a_knob_is_turned_within_its_range() {
        let hpa = spec("hpa");
        assert_eq!(hpa.with_knob(0.75).to_string(), "hpa:target=0.75");
        assert_eq!(hpa.with_knob(-1.0).knob_value(), Some(0.01));
        assert_eq!(hpa.with_knob(f64::NAN).knob_value(), Some(0.01));
        assert_eq!(spec("fixed:replicas=3").with_knob(7.4).knob_value(), Some(7.0));
        let poc = spec("poc");
        assert_eq!((poc.knob(), poc.grid(), poc.with_knob(3.0)), (None, &[][..], poc.clone()));
    }

    #[test]
    fn every_setting_says_what_it_is() {
        for (name, _) in PolicySpec::all() {
            assert!(PolicySpec::settings_of(name).all(|(_, summary)| !summary.is_empty()));
        }
        assert_eq!(PolicySpec::settings_of("planner").count(), 8);
        assert_eq!(PolicySpec::settings_of("vpa").count(), 0);
    }
}
