//! The doctor at the command line: are these settings legal, and can they work?

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use planner_core::config::doctor::{Finding, doctor};
use serde_json::json;

use crate::settings::table::Setting;
use crate::settings::{Settings, SettingsError, flags};

/// What the doctor has to say.
#[derive(Debug)]
pub struct Told {
    /// The whole of it, as text or JSON.
    pub text: String,
    /// How many findings.
    pub findings: usize,
}

/// The command line.
pub fn command() -> Command {
    Command::new("doctor")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Check settings before production: what is contradictory, and what is legal and cannot work")
        .after_help(
            "Settings come from CONFIG, then from the environment, then from flags; the last wins.\n\
             Exit 0: nothing was found. 1: legal, but something cannot work. 2: not legal.",
        )
        .arg(
            Arg::new("CONFIG")
                .value_parser(value_parser!(PathBuf))
                .help("A TOML file: min_replicas = 2, one setting a line"),
        )
        .arg(
            Arg::new("replica-start-s")
                .long("replica-start-s")
                .value_name("S")
                .value_parser(value_parser!(f64))
                .help("How long a replica takes to become ready, where it is known"),
        )
        .arg(
            Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object"),
        )
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print every setting with where it comes from, secrets hidden, and end"),
        )
        .args(flags())
}

/// Examines what the command line and the environment say.
///
/// # Errors
///
/// [`SettingsError`] when the settings are not legal.
pub fn run(
    matches: &ArgMatches,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Told, SettingsError> {
    let file = matches.get_one::<PathBuf>("CONFIG").map(PathBuf::as_path);
    let settings = Settings::load(file, environment, matches)?;
    if matches.get_flag("print-config") {
        return Ok(Told { text: settings.to_toml(), findings: 0 });
    }
    let config = settings.config()?;
    let mut world = settings.surroundings()?;
    if let Some(start_s) = matches.get_one::<f64>("replica-start-s") {
        let startup = Duration::try_from_secs_f64(*start_s);
        world = world.startup(startup.map_err(|_| SettingsError::Unreadable {
            name: "--replica-start-s",
            value: start_s.to_string(),
            source_: crate::settings::Source::Flag,
            rule: "a number of seconds",
        })?);
    }
    let findings = doctor(&config, &world);
    let text = if matches.get_flag("json") { as_json(&findings) } else { as_text(&findings) };
    Ok(Told { text, findings: findings.len() })
}

/// The name under which people set what a finding is about.
fn name(finding: &Finding) -> &'static str {
    match finding.setting() {
        // A limit of several parts is known by its first.
        "step_out" => "STEP_OUT_REPLICAS",
        "step_in" => "STEP_IN_REPLICAS",
        core => Setting::of_core(core).map_or(core, |setting| setting.name),
    }
}

fn as_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let words = finding.to_string();
        let (_, words) = words.split_once(": ").unwrap_or(("", &words));
        let _a_string_takes_everything = writeln!(text, "{}: {words}", name(finding));
    }
    let _a_string_takes_everything = match findings.len() {
        0 => writeln!(text, "nothing found"),
        1 => writeln!(text, "\n1 finding"),
        more => writeln!(text, "\n{more} findings"),
    };
    text
}

fn as_json(findings: &[Finding]) -> String {
    let told: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({ "setting": name(finding), "core": finding.setting(), "text": finding.to_string() })
        })
        .collect();
    json!({ "findings": told }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Told, SettingsError> {
        let arguments = [&["doctor"], arguments].concat();
        let matches = command().try_get_matches_from(arguments).expect("a command line");
        let lookup = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
        };
        run(&matches, lookup)
    }

    #[test]
    fn the_defaults_of_the_proof_of_concept_have_nothing_that_cannot_work() {
        let told = told(&[], &[]).expect("legal");
        assert_eq!((told.text.as_str(), told.findings), ("nothing found\n", 0));
    }

    #[test]
    fn a_rule_that_can_never_fire_is_found_under_the_name_that_people_set() {
        let told = told(&["--idle-hint-ms", "400"], &[("TIMEOUT_S", "2.5")]).expect("legal");
        let line = told.text.lines().next().expect("a finding");
        assert_eq!(
            line,
            "ALPHA_UP: 8 baselines are 3200 ms, requests time out at 2500 ms; it can never fire, \
             lower it"
        );
        assert!(told.text.ends_with("\n1 finding\n"), "{}", told.text);
    }

    #[test]
    fn a_cooldown_shorter_than_the_start_of_a_replica_is_found() {
        let told = told(&["--replica-start-s", "45"], &[]).expect("legal");
        assert!(
            told.text.starts_with(
                "COOLDOWN_SEC: 20s is shorter than the 45s that a replica takes to start"
            ),
            "{}",
            told.text
        );
    }

    #[test]
    fn programs_read_json() {
        let told = told(&["--json", "--min-replicas", "3", "--max-replicas", "3"], &[]);
        let told = told.expect("legal");
        let read: serde_json::Value = serde_json::from_str(&told.text).expect("JSON");
        assert_eq!(read["findings"][0]["setting"], "MIN_REPLICAS");
        assert_eq!(read["findings"].as_array().map(Vec::len), Some(told.findings));
    }

    #[test]
    fn what_is_not_legal_is_an_error_and_no_finding() {
        let error =
            told(&["--min-replicas", "9", "--max-replicas", "3"], &[]).expect_err("reversed");
        assert_eq!(
            error.to_string(),
            "max_replicas: 3 is below min_replicas 9; raise max_replicas or lower min_replicas"
        );
    }
}
