//! Settings as people change them: `name=value` on the JSON form of a configuration.

use std::time::Duration;

use planner_core::Config;
use serde::Serialize;
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// Settings that are spans; in JSON they are whole nanoseconds.
const SPANS: [&str; 11] = [
    "advice.heartbeat",
    "advice.period",
    "advice.thresholds_ttl",
    "advice.timeout",
    "cooldown_in",
    "cooldown_out",
    "stabilisation_in",
    "startup_allowance",
    "step_in.period",
    "step_out.period",
    "window_age_max",
];
/// Units of spans with their nanoseconds; those that end like another one come first.
const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// The setting that takes all of 64 bits.
const SEED: &str = "seed";
/// The group that may be absent as a whole.
const ADVICE: &str = "advice";

/// One setting that is otherwise, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Changed {
    /// Its name, groups with a dot: `bounds.max`.
    pub setting: String,
    /// What it was.
    pub from: String,
    /// What it is now.
    pub to: String,
}

/// A configuration with changes that are not checked together yet.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    recorded: Value,
    now: Value,
}

impl Changes {
    /// No changes to `config`.
    pub(crate) fn of(config: &Config) -> Self {
        // Plain numbers, names and lists: `to_value` cannot fail on them.
        let recorded = serde_json::to_value(config).unwrap_or_default();
        Self { now: recorded.clone(), recorded }
    }

    /// Changes one setting.
    pub(crate) fn add(&mut self, change: &str) -> Result<(), ChangeError> {
        let Some((name, text)) = change.split_once('=') else {
            return Err(ChangeError::Form { change: change.trim().to_owned() });
        };
        let (name, text) = (name.trim(), text.trim());
        let Some(value) = slot(&mut self.now, name) else {
            let known = names(&self.now);
            return Err(ChangeError::Unknown {
                setting: name.to_owned(),
                nearest: nearest(name, &known),
            });
        };
        *value = parse(name, text, value)?;
        Ok(())
    }

    /// The changed configuration, checked.
    pub(crate) fn config(&self) -> Result<Config, ChangeError> {
        serde_json::from_value(self.now.clone())
            .map_err(|cause| ChangeError::Refused { why: cause.to_string() })
    }

    /// What is otherwise, by name.
    pub(super) fn list(&self) -> Vec<Changed> {
        let mut before = Vec::new();
        flatten(&self.recorded, "", &mut before);
        let mut after = Vec::new();
        flatten(&self.now, "", &mut after);
        let shown = |list: &[(String, &Value)], name: &str| {
            let found = list.iter().find(|(setting, _)| setting == name);
            found.map_or_else(|| String::from("none"), |(_, value)| shown(name, value))
        };
        let mut names: Vec<&String> = before.iter().chain(&after).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        let changed = names.into_iter().map(|name| Changed {
            setting: name.clone(),
            from: shown(&before, name),
            to: shown(&after, name),
        });
        changed.filter(|changed| changed.from != changed.to).collect()
    }
}

/// The value of a setting, groups with a dot.
fn slot<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    name.split('.').try_fold(value, |value, part| value.as_object_mut()?.get_mut(part))
}

/// Every setting with its value, groups with a dot.
fn flatten<'a>(value: &'a Value, name: &str, into: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(group) => {
            for (part, value) in group {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(value, &format!("{name}{dot}{part}"), into);
            }
        }
        value => into.push((name.to_owned(), value)),
    }
}

fn names(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    flatten(value, "", &mut all);
    all.into_iter().map(|(name, _)| name).collect()
}

/// The value that `text` says, of the kind that `old` is.
fn parse(name: &str, text: &str, old: &Value) -> Result<Value, ChangeError> {
    let refused = |expected, example| ChangeError::Value {
        setting: name.to_owned(),
        value: text.to_owned(),
        expected,
        example,
    };
    if name == ADVICE {
        let refusal = refused("none, the only thing it can be made as a whole", "advice=none");
        return if text == "none" { Ok(Value::Null) } else { Err(refusal) };
    }
    if SPANS.contains(&name) {
        let span = nanos(text).ok_or_else(|| refused("a span with its unit", "30s"))?;
        return Ok(Value::from(span));
    }
    match old {
        Value::Object(group) => Err(group_error(name, group)),
        Value::Bool(_) => text.parse().map(Value::Bool).map_err(|_| refused("a yes or no", "true")),
        Value::String(_) => Ok(Value::from(text)),
        Value::Number(number) if number.is_f64() => {
            let parsed = text.parse().ok().and_then(Number::from_f64);
            parsed.map(Value::Number).ok_or_else(|| refused("a finite number", "0.6"))
        }
        Value::Number(_) => {
            let most = if name == SEED { u64::MAX } else { u32::MAX.into() };
            let parsed = text.parse::<u64>().ok().filter(|count| *count <= most);
            parsed.map(Value::from).ok_or_else(|| refused("a whole number from 0", "20"))
        }
        Value::Array(_) | Value::Null => {
            let (from, to) = text.split_once("..").unwrap_or((text, text));
            let range = nanos(from.trim()).zip(nanos(to.trim()));
            let (from, to) = range.ok_or_else(|| refused("a range of spans", "10s..300s"))?;
            Ok(Value::from(vec![from, to]))
        }
    }
}

fn group_error(name: &str, group: &Map<String, Value>) -> ChangeError {
    let parts: Vec<String> = group.keys().map(|part| format!("{name}.{part}")).collect();
    ChangeError::Group { setting: name.to_owned(), settings: parts.join(", ") }
}

/// A span in whole nanoseconds; `None` unless it is a number from 0 with a unit.
fn nanos(text: &str) -> Option<u64> {
    let (number, unit) = UNITS.iter().find_map(|(name, nanos)| {
        let number = text.strip_suffix(name)?;
        number.ends_with(|last: char| last.is_ascii_digit()).then_some((number, *nanos))
    })?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let seconds = number.parse::<f64>().ok()? * (unit as f64 / 1e9);
    let span = Duration::try_from_secs_f64(seconds).ok()?;
    u64::try_from(span.as_nanos()).ok()
}

/// A value as people write it.
fn shown(name: &str, value: &Value) -> String {
    let span =
        |value: &Value| value.as_u64().map(|nanos| format!("{:?}", Duration::from_nanos(nanos)));
    match value {
        Value::Null => String::from("none"),
        Value::String(text) => text.clone(),
        Value::Array(ends) => ends.iter().filter_map(span).collect::<Vec<_>>().join(".."),
        value if SPANS.contains(&name) => span(value).unwrap_or_else(|| value.to_string()),
        value => value.to_string(),
    }
}

/// The known name that takes the fewest edits.
fn nearest(name: &str, known: &[String]) -> String {
    known.iter().min_by_key(|known| edits(name, known)).cloned().unwrap_or_default()
}

/// Insertions, removals and replacements from one text to another. Only so much of a long text is
/// looked at as a name could need.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().take(80).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

/// Why a setting cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Not a name and a value.
    #[error("{change:?}: not of the form name=value; write for example cooldown_in=30s")]
    Form {
        /// What was written.
        change: String,
    },
    /// Several settings under one name.
    #[error("{setting}: a group of settings; change one of {settings}")]
    Group {
        /// The group.
        setting: String,
        /// What is in it.
        settings: String,
    },
    /// The changed settings are out of range or contradict each other.
    #[error("{why}")]
    Refused {
        /// Setting, value, rule and remedy, as the configuration says it.
        why: String,
    },
    /// No setting of that name.
    #[error("{setting}: no such setting; the nearest is {nearest}")]
    Unknown {
        /// What was written.
        setting: String,
        /// The name that is most like it.
        nearest: String,
    },
    /// Not a value of the setting's kind.
    #[error("{setting}: {value:?} is not {expected}; write for example {example}")]
    Value {
        /// The setting.
        setting: String,
        /// What was written.
        value: String,
        /// What it takes.
        expected: &'static str,
        /// A value of that kind.
        example: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use planner_core::{AdviceConfig, GuardSet, ReplicaBounds};

    use super::*;

    fn config() -> Config {
        let bounds = ReplicaBounds::new(1, 10).expect("valid");
        Config::builder(bounds).advice(AdviceConfig::default()).build().expect("valid")
    }

    fn changed(changes: &[&str]) -> Result<Config, ChangeError> {
        let mut all = Changes::of(&config());
        for change in changes {
            all.add(change)?;
        }
        all.config()
    }

    fn refusal(change: &str) -> String {
        changed(&[change]).expect_err("refused").to_string()
    }

    #[test]
    fn what_is_no_change_is_refused_with_what_to_write() {
        for (change, text) in [
            (
                "cooldown_in",
                "\"cooldown_in\": not of the form name=value; write for example cooldown_in=30s",
            ),
            ("cooldwn_in=3s", "cooldwn_in: no such setting; the nearest is cooldown_in"),
            ("bounds.most=3", "bounds.most: no such setting; the nearest is bounds.max"),
            ("bounds=3", "bounds: a group of settings; change one of bounds.max, bounds.min"),
            (
                "cooldown_in=30",
                "cooldown_in: \"30\" is not a span with its unit; write for example 30s",
            ),
            (
                "cooldown_in=-3s",
                "cooldown_in: \"-3s\" is not a span with its unit; write for example 30s",
            ),
            (
                "target_utilisation=NaN",
                "target_utilisation: \"NaN\" is not a finite number; write for example 0.6",
            ),
            (
                "bounds.max=2.5",
                "bounds.max: \"2.5\" is not a whole number from 0; write for example 20",
            ),
            (
                "bounds.max=5000000000",
                "bounds.max: \"5000000000\" is not a whole number from 0; write for example 20",
            ),
            (
                "advice.shadow=maybe",
                "advice.shadow: \"maybe\" is not a yes or no; write for example true",
            ),
            (
                "advice=3",
                "advice: \"3\" is not none, the only thing it can be made as a whole; write for example advice=none",
            ),
            (
                "advice.backoff=soon",
                "advice.backoff: \"soon\" is not a range of spans; write for example 10s..300s",
            ),
            ("guard_set=some", "unknown variant `some`, expected `all` or `peer`"),
            (
                "bounds.max=0",
                "max_replicas: 0 is not within 1..=100000; name the most replicas you can afford",
            ),
            (
                "target_utilisation=7",
                "target_utilisation: 7 is not within 0.05..=1; choose a value in that range",
            ),
        ] {
            assert_eq!(refusal(change), text, "{change}");
        }
    }

    #[test]
    fn no_text_makes_a_panic() {
        for text in [
            "=",
            "==",
            "a=",
            "=s",
            "cooldown_in=s",
            "cooldown_in=1e999h",
            "....=1",
            "é=é",
            "cooldown_in=99999999999999999999h",
            "cooldown_in=infs",
            "advice.backoff=..",
        ] {
            assert!(changed(&[text]).is_err(), "{text}");
        }
    }

    #[test]
    fn relations_are_checked_when_all_changes_are_known() {
        let both = changed(&["bounds.min=20", "bounds.max=40"]).expect("valid together");
        assert_eq!((both.bounds().min(), both.bounds().max()), (20, 40));
        assert_eq!(
            refusal("bounds.min=20"),
            "max_replicas: 10 is below min_replicas 20; raise max_replicas or lower min_replicas"
        );
    }

    #[test]
    fn every_kind_of_setting_can_be_changed() {
        let config = changed(&[
            "target_utilisation=1",
            "cooldown_in=1.5m",
            "step_out.period=0s",
            "thresholds.up_ratio=4",
            "guard_set=peer",
            "advice.shadow=true",
            "advice.backoff=1s..2m",
            "seed=18446744073709551615",
        ])
        .expect("valid");
        assert_eq!(config.target_utilisation(), 1.0);
        assert_eq!(config.cooldown_in(), Duration::from_secs(90));
        assert_eq!(config.step_out().period, Duration::ZERO);
        assert_eq!(config.thresholds().up_ratio, 4.0);
        assert_eq!((config.guard_set(), config.seed()), (GuardSet::Peer, u64::MAX));
        let advice = config.advice().expect("kept");
        assert!(advice.shadow);
        assert_eq!(advice.backoff, Duration::from_secs(1)..=Duration::from_secs(120));
        assert_eq!(changed(&["advice=none"]).expect("valid").advice(), None);
    }

    #[test]
    fn every_span_of_a_configuration_is_known_as_one() {
        let value = serde_json::to_value(config()).expect("plain");
        let mut all = Vec::new();
        flatten(&value, "", &mut all);
        let long = all.iter().filter(|(_, value)| value.as_u64() >= Some(1_000_000));
        let mut long: Vec<&str> = long.map(|(name, _)| name.as_str()).collect();
        long.sort_unstable();
        assert_eq!(long, SPANS);
    }

    #[test]
    fn what_is_otherwise_is_listed_as_people_write_it() {
        let mut changes = Changes::of(&config());
        for change in ["cooldown_in=30s", "bounds.max=9", "bounds.max=10", "advice.shadow=true"] {
            changes.add(change).expect("a change");
        }
        let listed = changes.list();
        let listed: Vec<_> = listed.iter().map(|it| (&*it.setting, &*it.from, &*it.to)).collect();
        assert_eq!(listed, [("advice.shadow", "false", "true"), ("cooldown_in", "60s", "30s")]);
    }
}
