//! Settings of the programs: a TOML file, the environment and flags, in rising priority.
//!
//! They are read once, at the start, and only here: the libraries know no environment. One
//! [table](table::TABLE) names them all. What cannot be read, is not known or would have no effect
//! stops the program with one line.

mod error;
pub mod table;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
pub use error::SettingsError;
use planner_core::config::doctor::Surroundings;
use planner_core::{AdviceConfig, Config, ReplicaBounds, StepLimit, Thresholds};
use table::{Setting, TABLE, Unit};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The environment.
    Environment,
    /// The file.
    File,
    /// The command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "by default",
            Self::Environment => "in the environment",
            Self::File => "in the file",
            Self::Flag => "by a flag",
        })
    }
}

/// Every setting with its value.
#[derive(Clone)]
pub struct Settings {
    values: BTreeMap<&'static str, (String, Source)>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_toml())
    }
}

/// One flag for every setting, for a program's command line. A secret has none: everybody on the
/// machine can read command lines.
pub fn flags() -> impl Iterator<Item = Arg> {
    TABLE.iter().filter(|setting| setting.unit != Unit::Secret).map(|setting| {
        let default = match setting.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        Arg::new(setting.name)
            .long(setting.flag())
            .value_name(match setting.unit {
                Unit::Count => "N",
                Unit::Number => "X",
                Unit::Seconds => "S",
                Unit::Secret | Unit::Text => "TEXT",
            })
            .allow_negative_numbers(true)
            .help_heading("Settings (also NAME=VALUE in the environment, name = value in the file)")
            .help(format!("{}{default} [env: {}]", setting.help, setting.name))
    })
}

impl Settings {
    /// The settings of a program: `file`, then what `environment` says of a name, then `flags`.
    /// An empty variable is an unset one.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] for what cannot be read, is unknown, or would have no effect.
    pub fn load(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &ArgMatches,
    ) -> Result<Self, SettingsError> {
        let by_default =
            |setting: &Setting| (setting.name, (setting.default.into(), Source::Default));
        let mut settings = Self { values: TABLE.iter().map(by_default).collect() };
        if let Some(path) = file {
            settings.read_file(path)?;
        }
        for setting in TABLE {
            if let Some(value) = environment(setting.name).filter(|value| !value.is_empty()) {
                settings.values.insert(setting.name, (value, Source::Environment));
            }
            if setting.unit != Unit::Secret
                && let Some(value) = flags.get_one::<String>(setting.name)
            {
                settings.values.insert(setting.name, (value.clone(), Source::Flag));
            }
        }
        settings.check()?;
        Ok(settings)
    }

    /// The settings of a program without a command line for them.
    ///
    /// # Errors
    ///
    /// As those of [`Settings::load`].
    pub fn of_environment(
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let no_flags = Command::new("settings").args(flags()).get_matches_from([""; 0]);
        Self::load(None, environment, &no_flags)
    }

    /// Everything that is set and no secret, by its name in a file.
    pub fn set(&self) -> impl Iterator<Item = (String, &str)> {
        TABLE.iter().filter(|setting| setting.unit != Unit::Secret).filter_map(|setting| {
            let (value, source) = self.value(setting.name);
            (source != Source::Default).then(|| (setting.key(), value))
        })
    }

    fn read_file(&mut self, path: &Path) -> Result<(), SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| SettingsError::Unopened { path: path.into(), cause })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let cause = error.message().to_owned();
            SettingsError::File { path: path.into(), line, cause }
        })?;
        for (key, value) in table {
            let known = Setting::named(&key).filter(|setting| setting.key() == key);
            let Some(setting) = known else {
                return Err(SettingsError::Unknown { path: path.into(), key });
            };
            let text = match value {
                toml::Value::String(text) => text,
                other => other.to_string(),
            };
            self.values.insert(setting.name, (text, Source::File));
        }
        Ok(())
    }

    /// Refuses what cannot be read and what nobody would look at.
    fn check(&self) -> Result<(), SettingsError> {
        for setting in TABLE {
            match setting.unit {
                Unit::Count => drop(self.count(setting.name)?),
                Unit::Number => drop(self.number(setting.name)?),
                Unit::Seconds => drop(self.span(setting.name)?),
                Unit::Secret | Unit::Text => {}
            }
            let (_, source_) = self.value(setting.name);
            if let Some(without) = self.is_missing_for(setting)
                && source_ != Source::Default
            {
                return Err(SettingsError::NoEffect { name: setting.name, source_, without });
            }
        }
        Ok(())
    }

    /// What would have to be set for `setting` to mean anything, where it is not.
    fn is_missing_for(&self, setting: &Setting) -> Option<&'static str> {
        if setting.needs_advisor() && !self.names_advisor() {
            return Some("LLM_URL");
        }
        match (setting.engine(), self.text("ENGINE")) {
            (Some("swarm"), Some("docker")) => Some("ENGINE=swarm"),
            (Some("docker"), Some("swarm")) => Some("ENGINE=docker"),
            _ => None,
        }
    }

    fn value(&self, name: &str) -> (&str, Source) {
        self.values.get(name).map_or(("", Source::Default), |(value, source)| (value, *source))
    }

    /// A setting that is text; `None` when there is none.
    pub fn text(&self, name: &str) -> Option<&str> {
        Some(self.value(name).0).filter(|text| !text.is_empty())
    }

    /// A setting that is text of some kind; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Unreadable`] unless it follows `rule`, which is what it parses as.
    pub fn parsed<T: FromStr>(
        &self,
        name: &str,
        rule: &'static str,
    ) -> Result<Option<T>, SettingsError> {
        self.text(name).map(|text| text.parse().map_err(|_| self.not(name, rule))).transpose()
    }

    /// The value of `name` does not follow its rule.
    fn unreadable(&self, name: &str) -> SettingsError {
        self.not(name, Setting::named(name).map_or("", |setting| setting.unit.rule()))
    }

    /// The value of `name` breaks `rule`. The error tells the value, so not for secrets.
    pub fn not(&self, name: &str, rule: &'static str) -> SettingsError {
        let (value, source_) = self.value(name);
        let name = Setting::named(name).map_or("", |setting| setting.name);
        SettingsError::Unreadable { name, value: format!("{value:?}"), source_, rule }
    }

    /// A setting that is a whole number.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Unreadable`]; none that [`Settings::load`] would not have found.
    pub fn count(&self, name: &str) -> Result<u32, SettingsError> {
        self.value(name).0.trim().parse().map_err(|_| self.unreadable(name))
    }

    /// A setting that is a number.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Unreadable`]; none that [`Settings::load`] would not have found.
    pub fn number(&self, name: &str) -> Result<f64, SettingsError> {
        let number =
            self.value(name).0.trim().parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.unreadable(name))
    }

    /// A setting that is a time.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Unreadable`]; none that [`Settings::load`] would not have found.
    pub fn span(&self, name: &str) -> Result<Duration, SettingsError> {
        let seconds = self.number(name)?;
        let sensible = (0.0..=1e9).contains(&seconds);
        sensible.then(|| Duration::from_secs_f64(seconds)).ok_or_else(|| self.unreadable(name))
    }

    fn step(&self, direction: &str) -> Result<StepLimit, SettingsError> {
        Ok(StepLimit {
            replicas: self.count(&format!("STEP_{direction}_REPLICAS"))?,
            percent: self.count(&format!("STEP_{direction}_PERCENT"))?,
            period: self.span(&format!("STEP_{direction}_PERIOD_SEC"))?,
        })
    }

    /// The planner's configuration.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Config`] for a value out of its range, or two that contradict each other.
    pub fn config(&self) -> Result<Config, SettingsError> {
        let bounds = ReplicaBounds::new(self.count("MIN_REPLICAS")?, self.count("MAX_REPLICAS")?)?;
        let builder = Config::builder(bounds)
            .thresholds(Thresholds {
                up_ratio: self.number("ALPHA_UP")?,
                down_ratio: self.number("BETA_DOWN")?,
                up_z: self.number("UP_Z")?,
            })
            .band_sigmas(self.number("K_SIGMA")?)
            .deviation_ratio_min(self.number("DEVIATION_RATIO_MIN")?)
            .low_windows(self.count("LOW_NEED_N")?)
            .baseline_windows(self.count("HIST_WINDOWS")?)
            .warmup_windows(self.count("WARMUP_WINDOWS")?)
            .baseline_hint_ms(self.number("IDLE_HINT_MS")?)
            .sigma_floor_ms(self.number("SIGMA_FLOOR_MS")?)
            .sigma_floor_share(self.number("SIGMA_FLOOR_SHARE")?)
            .error_share_max(self.number("ERROR_SHARE_MAX")?)
            .window_age_max(self.span("WINDOW_AGE_MAX_SEC")?)
            .samples_min(self.count("SAMPLES_MIN")?)
            .coverage_min(self.number("COVERAGE_MIN")?)
            .target_utilisation(self.number("TARGET_UTILISATION")?)
            .capacity_hint_per_s(self.number("CAPACITY_HINT_PER_SEC")?)
            .slow_price(self.number("SLOW_PRICE")?)
            .cooldown_out(self.span("COOLDOWN_SEC")?)
            .cooldown_in(self.span("COOLDOWN_IN_SEC")?)
            .stabilisation_in(self.span("STABILISATION_SEC")?)
            .step_out(self.step("OUT")?)
            .step_in(self.step("IN")?)
            .flap_budget_per_hour(self.count("FLAP_BUDGET_PER_HOUR")?)
            .efficacy_attempts(self.count("EFFICACY_ATTEMPTS")?)
            .startup_allowance(self.span("STARTUP_ALLOWANCE_SEC")?)
            .seed(self.count("SEED")?.into());
        let builder = match self.advice()? {
            Some(advice) => builder.advice(advice),
            None => builder,
        };
        Ok(builder.build()?)
    }

    /// Whether there is an advisor, and it is not turned off.
    pub fn has_advisor(&self) -> bool {
        self.names_advisor() && self.text("LLM_MODE") != Some("off")
    }

    /// Whether an advisor is named. Turned off it may keep all its settings.
    fn names_advisor(&self) -> bool {
        self.text("LLM_URL").is_some() || self.text("LLM_PROVIDER").is_some()
    }

    /// A setting that is yes or no.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Unreadable`] for anything else.
    pub fn flag(&self, name: &str) -> Result<bool, SettingsError> {
        match self.text(name) {
            Some("yes") => Ok(true),
            Some("no") => Ok(false),
            _ => Err(self.not(name, "yes or no")),
        }
    }

    /// How the advisor may be asked; `None` without one.
    fn advice(&self) -> Result<Option<AdviceConfig>, SettingsError> {
        if !matches!(self.text("LLM_MODE"), Some("advise" | "off" | "shadow")) {
            return Err(self.not("LLM_MODE", "advise, shadow or off"));
        }
        if !self.has_advisor() {
            return Ok(None);
        }
        let per_minute = self.number("LLM_RPM")?;
        let period = Duration::try_from_secs_f64(60.0 / per_minute);
        let period = period.ok().filter(|_| per_minute > 0.0);
        Ok(Some(AdviceConfig {
            period: period.ok_or_else(|| self.not("LLM_RPM", "a number above 0"))?,
            calls_per_day: self.count("LLM_RPD")?,
            tokens_per_day: self.count("LLM_TOKENS_PER_DAY")?,
            timeout: self.span("LLM_TIMEOUT_SEC")?,
            backoff: self.span("LLM_BACKOFF_BASE_SEC")?..=self.span("LLM_BACKOFF_MAX_SEC")?,
            heartbeat: self.span("LLM_HEARTBEAT_SEC")?,
            thresholds_ttl: self.span("LLM_THRESHOLDS_TTL_SEC")?,
            reserve: self.count("LLM_RESERVE")?,
            shadow: self.text("LLM_MODE") == Some("shadow"),
        }))
    }

    /// What these settings say of the world, for the doctor.
    ///
    /// # Errors
    ///
    /// None that [`Settings::load`] would not have found.
    pub fn surroundings(&self) -> Result<Surroundings, SettingsError> {
        let world = Surroundings::new()
            .windows(self.span("SAMPLE_INTERVAL")?, self.count("PROBE_REQUESTS")?)
            .timeout(self.span("TIMEOUT_S")?);
        Ok(match self.number("IDLE_HINT_MS")? {
            hint_ms if hint_ms > 0.0 => world.baseline_ms(hint_ms),
            _ => world,
        })
    }

    /// All settings as a file that could be read again, with where each comes from; secrets are
    /// hidden.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for setting in TABLE {
            let (key, (value, source)) = (setting.key(), self.value(setting.name));
            let missing = self.is_missing_for(setting);
            let line = match setting.unit {
                _ if value.is_empty() => format!("# {key} is not set"),
                _ if let Some(missing) = missing => {
                    format!("# {key} has no effect without {missing}")
                }
                Unit::Secret => format!("# {key} is set {source}, and hidden"),
                // An address may carry a password or a key.
                Unit::Text if value.contains(['@', '?']) => {
                    format!("# {key} is set {source}, and hidden: it may hold a secret")
                }
                Unit::Text => format!("{key:<22} = {} # {source}", toml::Value::from(value)),
                Unit::Count | Unit::Number | Unit::Seconds => {
                    format!("{key:<22} = {:<8} # {source}", plain(value))
                }
            };
            let _a_string_takes_everything = writeln!(text, "{line}");
        }
        text
    }
}

/// A number as TOML writes it, however it was given.
fn plain(value: &str) -> String {
    let number = value.trim();
    number.parse::<f64>().map_or_else(|_| number.to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests;
