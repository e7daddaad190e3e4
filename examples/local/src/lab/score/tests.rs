//! Comparisons as text: what is refused, what is told, and that threads change nothing.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(words: &[&str]) -> Args {
    let line = ["score", "--trace", "step:from=100,to=600,at=10m", "--first", "20m", "--quiet"];
    Line::try_parse_from(line.iter().chain(words)).expect("a command line").args
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_runs() {
    for (words, expected) in [
        (
            &["--plant", "queue"][..],
            "--plant: queue:slo_wait=0.25,patience=10,concurrency=1,cv=1 is not for score, which \
             compares on the fluid plant; leave it out, or use lab run",
        ),
        (
            &["--seeds", "0"],
            "--seeds: 0 seeds from 1 on are not 1 to 1000 whole numbers; give fewer, or a smaller \
             --seed",
        ),
        (
            &["--policy", "hpa", "--policy", "hpa"],
            "policy \"hpa\" is given twice; leave one of them out, or rename it",
        ),
    ] {
        assert_eq!(args(words).run().expect_err("refused").to_string(), expected);
    }
}

#[test]
fn our_policy_is_the_one_that_is_compared_wherever_it_is_named() {
    let names = |words: &[&str]| -> Vec<String> {
        args(words).policies().iter().map(ToString::to_string).collect()
    };
    assert_eq!(names(&[]), ["planner", "hpa", "kpa"]);
    assert_eq!(names(&["--policy", "kpa", "--policy", "planner"]), ["planner", "kpa"]);
    assert_eq!(names(&["--policy", "kpa", "--policy", "hpa"]), ["kpa", "hpa"]);
}

#[test]
fn any_number_of_threads_gives_the_same_results() {
    let words = ["--policy", "hpa", "--policy", "fixed:replicas=14", "--seeds", "2", "--jobs"];
    let with = |jobs| {
        let results = args(&[&words[..], &[jobs]].concat()).run().expect("a comparison");
        (results.json.to_string(), results.page, results.tables)
    };
    assert_eq!(with("1"), with("3"));
}

#[test]
fn every_trace_and_policy_has_an_object_with_the_fields_that_programs_rely_on() {
    let results = args(&["--policy", "hpa", "--seeds", "1"]).run().expect("a comparison");
    let object = &results.json["results"][0];
    for field in [
        "violation_share",
        "replica_hours",
        "optimum_replica_hours",
        "cost_ratio",
        "actions",
        "direction_changes_per_hour",
        "recover_s_p95",
        "settings",
        "curve",
    ] {
        assert!(!object[field].is_null(), "{field}: {object}");
    }
    assert_eq!(object["curve"].as_array().map(Vec::len), Some(20));
    assert!(results.tables.contains("knob of hpa: 0.1 0.15"), "{}", results.tables);
    let page = results.page.expect("a page");
    assert!(page.contains("hpa, target swept") && !page.contains("<script"));
}

#[test]
fn ours_against_another_is_told_with_both_comparisons() {
    let words = ["--policy", "planner", "--policy", "hpa", "--seeds", "1", "--no-optimum"];
    let results = args(&words).run().expect("a comparison");
    assert!(results.tables.contains("planner against hpa: (a)"), "{}", results.tables);
    let against = &results.json["against"][0];
    assert!(against["given_hours_ratio"].is_number(), "{against}");
    assert!(results.json["results"][0]["optimum_replica_hours"].is_null());
}
