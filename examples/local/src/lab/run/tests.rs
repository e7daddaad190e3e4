//! Runs as text: what is wrong, what differs, and what a page shows.

use planner_lab::trace::Trace;

use super::super::service::tests::service;
use super::*;

fn load(rates_per_s: &[f64]) -> Load {
    let trace = Trace::new("t", 600, rates_per_s.to_vec()).expect("a trace");
    Load::new("two levels".to_owned(), trace)
}

fn spec(text: &str) -> PolicySpec {
    text.parse().expect("a policy")
}

fn ran<'a>(load: &'a Load, policy: &'a PolicySpec) -> Ran<'a> {
    let course = simulate(load, &service(), policy, 1).expect("a run");
    let share = course.score.violation_share;
    let best = best(load, &service(), 1, &[share]).expect("small").remove(0);
    Ran { load, policy, seed: 1, course, optimum: Some(best) }
}

#[test]
fn nobody_is_better_than_who_knows_the_load_in_advance() {
    let load = load(&[200.0, 900.0, 100.0]);
    for text in ["planner", "hpa:target=0.6", "kpa", "fixed:replicas=20"] {
        let policy = spec(text);
        let ran = ran(&load, &policy);
        let ratio = cost_ratio(&ran).expect("an optimum");
        assert!(ratio >= 0.999, "{text}: {ratio}");
    }
}

#[test]
fn what_has_no_optimum_is_said_and_has_no_ratio() {
    let load = load(&[200.0]);
    let policy = spec("fixed:replicas=10");
    let impossible = OptimumError::Impossible { share: 0.0 };
    let ran = Ran { optimum: Some(Err(impossible)), ..ran(&load, &policy) };
    let json = object(&ran);
    assert!(json["cost_ratio"].is_null() && json["optimum_replica_hours"].is_null());
    let page = page::page(std::slice::from_ref(&ran), &service());
    assert!(page.contains("no schedule keeps violations within 0"), "{page}");
    assert!(tables(&[ran]).contains("–"));
}

#[test]
fn an_object_has_the_fields_that_programs_rely_on() {
    let load = load(&[200.0, 900.0]);
    let policy = spec("hpa:target=0.5");
    let json = object(&ran(&load, &policy));
    for field in [
        "violation_share",
        "replica_hours",
        "optimum_replica_hours",
        "cost_ratio",
        "actions",
        "direction_changes_per_hour",
        "recover_s_p95",
    ] {
        assert!(json[field].is_number(), "{field}: {json}");
    }
    assert_eq!(json["settings"]["target"], 0.5);
    let events = json["events"].as_array().map_or(0, Vec::len) as u64;
    assert_eq!(json["actions"].as_u64(), Some(events));
}

#[test]
fn a_page_shows_every_policy_on_every_load_and_fetches_nothing() {
    let load = load(&[200.0, 900.0]);
    let policies = [spec("planner"), spec("fixed:replicas=3")];
    let ran: Vec<Ran> = policies.iter().map(|policy| ran(&load, policy)).collect();
    let page = page::page(&ran, &service());
    for text in ["two levels", "fixed:replicas=3", "Replicas", "Waiting", "Violations", "Orders: "]
    {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("http://") && !page.contains("<script"));
}

#[test]
fn the_queue_of_single_requests_can_stand_in_for_the_fluid() {
    let load = load(&[120.0]);
    let queue = ServiceArgs { plant: "queue:concurrency=2".parse().expect("a plant"), ..service() };
    let course = simulate(&load, &queue, &spec("fixed:replicas=4"), 1).expect("a run");
    assert!(course.score.requests > 60_000.0, "{:?}", course.score);
    assert!(course.score.violation_share < 0.05, "{:?}", course.score);
    let wrong = ServiceArgs { plant: "queue:patience=0".parse().expect("a plant"), ..service() };
    let error = simulate(&load, &wrong, &spec("planner"), 1).expect_err("refused");
    assert!(error.to_string().contains("timeout.after_s"), "{error}");
}
