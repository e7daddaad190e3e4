//! The worst loads that were found: the policy is no worse on them than it was, and the search
//! finds the same again.
//!
//! `BLESS=1 cargo test -p planner-lab --test adversary` measures the scenarios anew and writes
//! them, and the table of `docs/worst-cases.md`.

use std::fs;
use std::path::{Path, PathBuf};

use planner_lab::adversary::{Judge, Objective, Plan, Scenario, search, table};

/// What is written by hand ends with this line; the rest is written by the test.
const GENERATED: &str =
    "<!-- from here on: BLESS=1 cargo test -p planner-lab --test adversary -->\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/worst-cases.md")
}

fn is_blessed() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// The committed scenarios with their files, by name.
fn committed() -> Vec<(PathBuf, Scenario)> {
    let entries = fs::read_dir(folder()).expect("planner-lab/scenarios");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a file");
        let scenario = Scenario::from_json(&text).expect("a scenario");
        assert_eq!(path.file_stem().and_then(|it| it.to_str()), Some(&*scenario.name));
        (path, scenario)
    };
    paths.into_iter().map(read).collect()
}

fn checked_page(scenarios: &[Scenario]) {
    let text = fs::read_to_string(page()).expect("docs/worst-cases.md");
    let (written, below) = text.split_once(GENERATED).expect("a line that begins the table");
    let found = table(scenarios);
    if is_blessed() {
        fs::write(page(), format!("{written}{GENERATED}{found}")).expect("a file to write to");
        return;
    }
    for (committed, found) in below.lines().zip(found.lines()) {
        assert_eq!(committed, found, "BLESS=1 writes docs/worst-cases.md anew");
    }
    assert_eq!(below.lines().count(), found.lines().count(), "BLESS=1 writes it anew");
}

#[test]
fn on_the_worst_loads_that_were_found_the_policy_is_as_their_scenarios_say() {
    let judge = Judge::new().expect("policies");
    let mut differences = Vec::new();
    let mut scenarios = Vec::new();
    for (path, scenario) in committed() {
        let replayed = scenario.replayed(&judge).expect("a load");
        let found = scenario.differences(&replayed);
        println!("{}: {:.3}, was {:.3}", scenario.name, replayed.badness(), scenario.badness());
        if is_blessed() && !found.is_empty() {
            fs::write(path, replayed.to_json().expect("JSON")).expect("a file to write to");
            scenarios.push(replayed);
        } else {
            scenarios.push(scenario);
        }
        differences.extend(found);
    }
    if !is_blessed() {
        let worse = differences.iter().filter(|it| it.is_worse);
        let worse: Vec<String> = worse.map(ToString::to_string).collect();
        assert!(worse.is_empty(), "the policy got worse:\n{}", worse.join("\n"));
        let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "BLESS=1 writes them anew:\n{}", lines.join("\n"));
    }
    checked_page(&scenarios);
}

#[test]
fn there_is_a_scenario_for_every_way_of_being_bad() {
    let scenarios = committed();
    for objective in Objective::ALL {
        assert!(scenarios.iter().any(|(_, it)| it.objective == objective), "none for {objective}");
    }
    for (path, scenario) in &scenarios {
        let words = [&scenario.load, &scenario.wrong];
        assert!(words.into_iter().all(|it| !it.is_empty()), "{}: in words?", path.display());
    }
}

#[test]
fn a_scenario_of_another_form_is_refused_with_what_to_do() {
    let (_, scenario) = committed().remove(0);
    let text = scenario.to_json().expect("JSON");
    assert_eq!(Scenario::from_json(&text).expect("it reads what it writes"), scenario);
    let refusal = Scenario::from_json("{}").expect_err("refused").to_string();
    assert_eq!(
        refusal,
        "scenario: missing field `name` at line 1 column 2; correct it, or write it anew with the \
         search"
    );
    let odd = text.replacen("\"horizon_s\": ", "\"horizon_s\": 9", 1);
    assert!(Scenario::from_json(&odd).expect_err("refused").to_string().contains("horizon_s"));
}

#[test]
fn a_policy_that_got_worse_is_told_from_one_that_got_better() {
    let (_, scenario) = committed().remove(0);
    assert_eq!(scenario.differences(&scenario), []);
    let with = |factor: f64| {
        let mut other = scenario.clone();
        let measured = &mut other.measured;
        measured.planner.replica_hours *= factor;
        measured.planner.direction_changes_per_hour *= factor;
        for badness in [
            &mut measured.regret,
            &mut measured.excess_violation_share,
            &mut measured.needless_share,
            &mut measured.beyond_peers,
        ] {
            *badness *= factor;
        }
        scenario.differences(&other)
    };
    assert!(with(1.1).iter().any(|it| it.is_worse));
    let better = with(0.9);
    assert!(!better.is_empty() && better.iter().all(|it| !it.is_worse));
    assert_eq!(with(1.0001), [], "platforms differ by more");
}

#[test]
fn the_same_seed_finds_the_same_to_the_byte() {
    let judge = Judge::new().expect("policies").in_a_hurry();
    for objective in Objective::ALL {
        let written = |seed| {
            let plan = Plan { objective, mean_min_per_s: 100.0, evaluations: 20, seed };
            let mut seen = 0;
            let found = search(&judge, &plan, |progress| seen = progress.evaluations);
            assert_eq!(seen, 20);
            format!("{:?}", found.expect("a search"))
        };
        assert_eq!(written(5), written(5), "{objective}");
        assert_ne!(written(5), written(6), "{objective}");
    }
}
