//! Snapshots over time and space: older formats are read, what cannot be a memory is refused.

use planner_core::{
    Config, Event, Heuristic, HeuristicState, Idle, Latencies, Latency, Planner, Poc, Receipt,
    RestoreError, Snapshot, Step, Timestamp, Window,
};
use serde_json::{Value, json};

/// A memory in format 1, from the middle of an incident, with the configuration it was made under.
const FORMAT_1: &str = include_str!("data/snapshot-v1.json");

fn stored() -> (Config, Value) {
    let mut whole: Value = serde_json::from_str(FORMAT_1).expect("JSON");
    let config = serde_json::from_value(whole["config"].take()).expect("a configuration");
    (config, whole["snapshot"].take())
}

fn read(stored: Value) -> Result<Snapshot<HeuristicState>, String> {
    serde_json::from_value(stored).map_err(|error| error.to_string())
}

/// The next window after those that the stored planner saw.
fn next_window(p95_ms: f64) -> Window {
    let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
    Window::builder(60, at(177), at(180))
        .outcomes(40, 0, 0)
        .latencies(Latencies::from_p95(Latency::from_millis(p95_ms).expect("a latency")))
        .ready(10)
        .starting(0)
        .build()
        .expect("a window")
}

#[test]
fn a_snapshot_of_format_1_goes_on_where_it_was() {
    let (config, snapshot) = stored();
    let snapshot = read(snapshot).expect("format 1");
    let mut planner = Planner::restore(config, Heuristic, snapshot).expect("restorable");
    let window = next_window(41.0);
    let Step::Decide(decision) = planner.step(window.end(), Event::Observe(window)) else {
        panic!("no decision");
    };
    assert_eq!(decision.id.get(), 59);
    let estimate = decision.derivation.estimate.expect("warm");
    assert_eq!((estimate.median.as_millis(), estimate.windows), (40.74, 44));
    // The last scale-out was at second 177; 10 replicas were proposed then.
    assert_eq!(decision.to_string(), "#59 hold 10: calm");
    assert_eq!(decision.derivation.effect.map(|effect| effect.attempts), Some(1));
}

#[test]
fn a_receipt_is_taken_once_and_changes_nothing_else() {
    let (config, snapshot) = stored();
    let snapshot = read(snapshot).expect("format 1");
    let mut planner = Planner::restore(config, Heuristic, snapshot).expect("restorable");
    let window = next_window(41.0);
    let at = window.end();
    let _decision = planner.step(at, Event::Observe(window));
    let decided = planner.preview(at, &next_window(55.0));
    let receipt = Receipt {
        provider: String::from("test"),
        model: None,
        request_sha256: "0".repeat(64),
        prompt_sha256: "0".repeat(64),
        reply: Some(String::from("scale everything down")),
        verdict: String::from("not_json"),
        tokens: None,
        took_ms: 40,
    };
    let id = serde_json::from_value(json!(1)).expect("a number");
    assert_eq!(planner.step(at, Event::Attest(id, receipt.clone())), Step::Idle(Idle::Note));
    let taken = planner.snapshot();
    assert_eq!(planner.step(at, Event::Attest(id, receipt.clone())), Step::Idle(Idle::Stale));
    assert_eq!(planner.snapshot(), taken);
    let unknown = serde_json::from_value(json!(99)).expect("a number");
    assert_eq!(planner.step(at, Event::Attest(unknown, receipt)), Step::Idle(Idle::Stale));
    assert_eq!(planner.preview(at, &next_window(55.0)), decided);
}

#[test]
fn a_snapshot_of_format_1_is_written_again_in_the_present_format() {
    let (config, snapshot) = stored();
    let snapshot = read(snapshot).expect("format 1");
    let planner = Planner::restore(config, Heuristic, snapshot).expect("restorable");
    let written = serde_json::to_value(planner.snapshot()).expect("serialisable");
    assert_eq!(written["version"], json!(2));
    assert_eq!(read(written), Ok(planner.snapshot()));
}

#[test]
fn changes_of_direction_of_format_1_are_still_counted() {
    let (_, mut snapshot) = stored();
    for past in snapshot["guards"]["scalings"].as_array_mut().expect("a list") {
        past["flipped"] = json!(true);
    }
    let snapshot = read(snapshot).expect("format 1");
    let written = serde_json::to_value(&snapshot).expect("serialisable");
    assert_eq!(written["guards"]["flips"]["counts"][0], json!(4));
}

#[test]
fn a_format_of_the_future_is_refused_by_its_number() {
    let (config, mut snapshot) = stored();
    snapshot["version"] = json!(3);
    let error = Planner::restore(config, Heuristic, read(snapshot).expect("the same layout"))
        .expect_err("format 3");
    assert_eq!(error, RestoreError::Version { found: 3, supported: 2 });
    assert_eq!(
        error.to_string(),
        "snapshot: format 3 is not one of 1 to 2, which this version reads; start without it"
    );
}

#[test]
fn the_memory_of_another_policy_is_refused() {
    let (config, mut snapshot) = stored();
    snapshot["state"] = json!({ "low_windows": [] });
    let snapshot = serde_json::from_value(snapshot).expect("the other policy's state");
    let error = Planner::restore(config, Poc, snapshot).expect_err("another policy");
    assert_eq!(
        error.to_string(),
        "snapshot: not of policy poc version 1 (its version is 1); restore it with the policy it \
         was taken with, or start without it"
    );
}

#[test]
fn a_reference_that_does_not_fit_is_refused() {
    let (_, mut snapshot) = stored();
    snapshot["baseline"]["capacity"] = json!(12);
    assert_eq!(
        read(snapshot),
        Err("baseline: 44 windows do not fit a reference of 12; start without the snapshot".into())
    );
}

#[test]
fn a_run_without_a_mean_is_refused() {
    let (_, mut snapshot) = stored();
    let level = json!({ "replicas": 2, "windows": 1, "total_ms": 1e300 });
    snapshot["baseline"]["run"] = json!([level, level]);
    assert_eq!(
        read(snapshot),
        Err("baseline: the run above the band has no mean; start without the snapshot".into())
    );
}

#[test]
fn a_number_that_is_no_latency_is_refused() {
    for wrong in [json!(-1.0), json!(1e9), json!(null), json!("40")] {
        let (_, mut snapshot) = stored();
        snapshot["baseline"]["reference_ms"][0] = wrong.clone();
        assert!(read(snapshot).is_err(), "{wrong} was taken");
    }
}

#[test]
fn a_run_above_the_band_of_format_1_becomes_its_last_two_levels() {
    let (_, mut snapshot) = stored();
    // Two counts, the first one again, then a third: the last two are told apart.
    let windows = [(2, 70.0), (2, 72.0), (3, 74.0), (2, 76.0), (4, 78.0), (4, 80.0)];
    snapshot["baseline"]["shift"] = json!(windows);
    let written = serde_json::to_value(read(snapshot).expect("format 1")).expect("serialisable");
    assert_eq!(
        written["baseline"]["run"],
        json!([
            { "replicas": 2, "windows": 3, "total_ms": 218.0 },
            { "replicas": 4, "windows": 2, "total_ms": 158.0 },
        ])
    );
    let (_, mut snapshot) = stored();
    snapshot["baseline"]["shift"] = json!([(2, 70.0), (3, 74.0), (4, 78.0)]);
    let written = serde_json::to_value(read(snapshot).expect("format 1")).expect("serialisable");
    assert_eq!(
        written["baseline"]["run"][0],
        json!({ "replicas": 3, "windows": 1, "total_ms": 74.0 })
    );
}

#[test]
fn steady_windows_of_format_1_count_at_one_replica_count_only() {
    let steady = |windows: &[(u32, bool)]| {
        let (_, mut snapshot) = stored();
        let past = |(ready, steady_and_near): &(u32, bool)| {
            json!({ "seconds": 3.0, "arrivals_per_s": 60.0, "ready": ready,
                    "steady_and_near": steady_and_near })
        };
        snapshot["state"]["recent"] = windows.iter().map(past).collect();
        let read = read(snapshot).expect("format 1");
        serde_json::to_value(read).expect("serialisable")["state"]["recent"]["steady"].clone()
    };
    assert_eq!(steady(&[(8, true), (8, true), (8, true)]), json!(3));
    assert_eq!(steady(&[(8, true), (9, true), (9, true)]), json!(1));
    assert_eq!(steady(&[(8, true), (8, false)]), json!(0));
}

#[test]
fn a_proof_claims_no_more_windows_than_there_are() {
    let claimed = |steady: u8, loads: usize| {
        let (_, mut snapshot) = stored();
        let load = json!({ "seconds": 3.0, "arrivals_per_s": 60.0 });
        snapshot["state"]["recent"] =
            json!({ "loads": vec![load; loads], "steady": steady, "ready": 8 });
        let read = read(snapshot).expect("a memory");
        serde_json::to_value(read).expect("serialisable")["state"]["recent"]["steady"].clone()
    };
    assert_eq!(claimed(200, 2), json!(2), "two windows prove nothing more");
    assert_eq!(claimed(2, 2), json!(2));
    assert_eq!(claimed(200, 10), json!(200), "a long run goes on");
}
