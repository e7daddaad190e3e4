use std::fs;

use clap::Command;

use super::*;

/// The settings of this file, environment and command line.
fn load(
    file: Option<&str>,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("planner.toml");
    let path = file.map(|text| {
        fs::write(&path, text).expect("written");
        path
    });
    let program = Command::new("program").no_binary_name(true).args(flags());
    let flags = program.try_get_matches_from(arguments).expect("a command line");
    let lookup = |name: &str| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
    };
    Settings::load(path.as_deref(), lookup, &flags)
}

/// The refusal of these settings, without the path of the file.
fn refusal(file: Option<&str>, environment: &[(&str, &str)], arguments: &[&str]) -> String {
    let settings = load(file, environment, arguments);
    let error = settings.and_then(|settings| settings.config()).expect_err("nonsense").to_string();
    match error.split_once("planner.toml") {
        Some((_, rest)) => format!("planner.toml{rest}"),
        None => error,
    }
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = Some("max_replicas = 20\nhist_windows = 30\nlow_need_n = 5\n");
    let environment = [("MAX_REPLICAS", "21"), ("HIST_WINDOWS", "31")];
    let settings = load(file, &environment, &["--max-replicas", "22"]).expect("settings");
    let config = settings.config().expect("legal");
    assert_eq!(config.bounds().max(), 22);
    assert_eq!(config.baseline_windows(), 31);
    assert_eq!(config.low_windows(), 5);
    assert_eq!(config.warmup_windows(), 12);
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let settings = load(None, &[("MAX_REPLICAS", ""), ("LLM_URL", "")], &[]).expect("settings");
    assert_eq!(settings.config().expect("legal").bounds().max(), 10);
}

#[test]
fn a_value_that_is_no_number_is_refused_with_its_name_and_where_it_was_set() {
    assert_eq!(
        refusal(None, &[("MAX_REPLICAS", "ten")], &[]),
        "MAX_REPLICAS: \"ten\", set in the environment, is not a whole number from 0 to \
         4294967295; write it as one"
    );
    assert_eq!(
        refusal(Some("cooldown_sec = \"soon\""), &[], &[]),
        "COOLDOWN_SEC: \"soon\", set in the file, is not a number of seconds from 0 to 1e9; write \
         it as one"
    );
    assert_eq!(
        refusal(None, &[], &["--alpha-up", "nan"]),
        "ALPHA_UP: \"nan\", set by a flag, is not a number; write it as one"
    );
}

#[test]
fn a_value_out_of_its_range_is_refused_under_the_name_that_people_set() {
    assert_eq!(
        refusal(None, &[("ALPHA_UP", "0.5")], &[]),
        "ALPHA_UP: up_ratio: 0.5 is not within 1.1..=1000; choose a value in that range"
    );
    assert_eq!(
        refusal(None, &[("LLM_URL", "http://127.0.0.1:1/"), ("LLM_RPM", "0")], &[]),
        "LLM_RPM: \"0\", set in the environment, is not a number above 0; write it as one"
    );
}

#[test]
fn the_end_of_a_range_is_blamed_and_not_its_beginning() {
    let url = ("LLM_URL", "http://127.0.0.1:1/");
    assert!(
        refusal(None, &[url, ("LLM_BACKOFF_MAX_SEC", "100000")], &[])
            .starts_with("LLM_BACKOFF_MAX_SEC: advice.backoff: 100000s is not within")
    );
}

#[test]
fn an_advisor_is_turned_off_by_one_setting_whatever_else_is_set() {
    let all = [("LLM_URL", "http://127.0.0.1:1/"), ("LLM_RPM", "4"), ("LLM_API_KEY", "k")];
    let config = |mode| {
        let settings = load(None, &[&all[..], &[("LLM_MODE", mode)]].concat(), &[]);
        let settings = settings.expect("settings");
        (settings.has_advisor(), settings.config().expect("valid").advice().map(|it| it.shadow))
    };
    assert_eq!(config("advise"), (true, Some(false)));
    assert_eq!(config("shadow"), (true, Some(true)));
    assert_eq!(config("off"), (false, None));
    assert_eq!(
        refusal(None, &[("LLM_MODE", "maybe")], &[]),
        "LLM_MODE: \"maybe\", set in the environment, is not advise, shadow or off; write it as one"
    );
}

#[test]
fn a_setting_that_would_have_no_effect_is_an_error() {
    assert_eq!(
        refusal(None, &[("LLM_RPM", "4")], &[]),
        "LLM_RPM: set in the environment, and has no effect without LLM_URL; set that too, or \
         leave it out"
    );
    assert!(refusal(None, &[], &["--seed", "3"]).starts_with("SEED: set by a flag, and has no"));
    assert_eq!(
        refusal(None, &[("ENGINE", "swarm")], &["--replica-image", "app"]),
        "REPLICA_IMAGE: set by a flag, and has no effect without ENGINE=docker; set that too, or \
         leave it out"
    );
    assert!(
        refusal(None, &[("SWARM_SERVICE", "app")], &[]).starts_with(
            "SWARM_SERVICE: set in the environment, and has no effect without ENGINE="
        )
    );
}

#[test]
fn a_file_with_an_unknown_key_is_refused() {
    assert_eq!(
        refusal(Some("min_replica = 2"), &[], &[]),
        "planner.toml: \"min_replica\" is no setting; --help lists them all"
    );
    assert_eq!(
        refusal(Some("[planner]\nmin_replicas = 2"), &[], &[]),
        "planner.toml: \"planner\" is no setting; --help lists them all"
    );
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_the_line() {
    for second in ["max_replicas 4", "min_replicas = 4", "= 4"] {
        let text = refusal(Some(&format!("min_replicas = 2\n{second}\n")), &[], &[]);
        assert!(text.starts_with("planner.toml: line 2 is no TOML: "), "{text}");
    }
    let text = refusal(Some("max_replicas 4\n"), &[], &[]);
    assert!(text.starts_with("planner.toml: line 1 is no TOML: "), "{text}");
    assert!(text.ends_with("; write NAME = VALUE, one a line"), "{text}");
}

#[test]
fn a_file_that_is_not_there_is_refused_with_its_name() {
    let flags = Command::new("program").args(flags()).get_matches_from([""; 0]);
    let error = Settings::load(Some(Path::new("/no/such.toml")), |_| None, &flags);
    let text = error.expect_err("no file").to_string();
    assert!(text.starts_with("/no/such.toml: not readable: "), "{text}");
}

#[test]
fn a_key_appears_nowhere() {
    let canary = "SECRET_CANARY_4711";
    for url in ["https://me:SECRET_CANARY_4711@host/", "https://host/?key=SECRET_CANARY_4711"] {
        let shown = load(None, &[("LLM_URL", url)], &[]).expect("settings").to_toml();
        assert!(!shown.contains(canary) && shown.contains("# llm_url is set"), "{shown}");
    }
    let environment = [("LLM_API_KEY", canary), ("LLM_URL", "http://127.0.0.1:1/")];
    let settings = load(None, &environment, &[]).expect("settings");
    assert_eq!(settings.text("LLM_API_KEY"), Some(canary));
    let shown = settings.to_toml();
    assert!(!shown.contains(canary) && !format!("{settings:?}").contains(canary));
    assert!(shown.contains("# llm_api_key is set in the environment, and hidden"), "{shown}");
    assert!(!refusal(None, &[environment[0], ("ALPHA_UP", "x")], &[]).contains(canary));
}

#[test]
fn a_secret_has_no_flag() {
    let program = Command::new("program").args(flags());
    assert!(program.try_get_matches_from(["program", "--llm-api-key", "x"]).is_err());
}

#[test]
fn what_is_printed_can_be_read_again() {
    let all = [("ALPHA_UP", "7."), ("COVERAGE_MIN", ".5"), ("LLM_URL", "http://127.0.0.1:1/")];
    for environment in [&all[..], &all[..2]] {
        let settings = load(None, environment, &["--max-replicas", "03"]).expect("settings");
        let again = load(Some(&settings.to_toml()), &[], &[]).expect("settings");
        assert_eq!(again.config().expect("legal"), settings.config().expect("legal"));
    }
}

#[test]
fn every_setting_of_the_core_changes_the_configuration() {
    // Defect 16: three settings of the proof of concept did nothing.
    let url = ("LLM_URL", "http://127.0.0.1:1/");
    let before = load(None, &[url], &[]).expect("settings").config().expect("legal");
    for setting in TABLE.iter().filter(|setting| !setting.core.is_empty()) {
        let other = match setting.default.parse::<f64>().expect("a number") {
            1.0 => String::from("2"),
            share if share < 1.0 && setting.unit == Unit::Number => (share + 0.01).to_string(),
            number => (number + 1.0).to_string(),
        };
        let environment = [url, (setting.name, other.as_str())];
        let after = load(None, &environment, &[]).expect("settings").config().expect("legal");
        assert_ne!(after, before, "{} = {other} has no effect", setting.name);
        assert_ne!(after.fingerprint(), before.fingerprint(), "{}", setting.name);
    }
}

#[test]
fn the_names_and_defaults_of_the_proof_of_concept_keep_working() {
    for (name, default) in [
        ("SAMPLE_INTERVAL", "3"),
        ("PROBE_REQUESTS", "40"),
        ("TIMEOUT_S", "2.5"),
        ("MIN_REPLICAS", "2"),
        ("MAX_REPLICAS", "10"),
        ("COOLDOWN_SEC", "20"),
        ("HIST_WINDOWS", "60"),
        ("WARMUP_WINDOWS", "12"),
        ("LOW_NEED_N", "3"),
        ("ALPHA_UP", "8.0"),
        ("BETA_DOWN", "1.10"),
        ("K_SIGMA", "2.5"),
        ("IDLE_HINT_MS", "0"),
        ("LLM_URL", ""),
        ("LLM_API_KEY", ""),
        ("LLM_RPM", "2"),
        ("LLM_HEARTBEAT_SEC", "300"),
        ("LLM_BACKOFF_BASE_SEC", "10"),
        ("LLM_BACKOFF_MAX_SEC", "300"),
    ] {
        let setting = Setting::named(name).expect(name);
        assert_eq!((setting.name, setting.default), (name, default));
    }
}

#[test]
fn the_documented_table_is_the_one_in_force() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let made = table::as_markdown();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &made).expect("written");
    }
    let found = fs::read_to_string(&file).expect("docs/settings.md");
    assert!(found == made, "docs/settings.md is not up to date; make it with BLESS=1");
}
