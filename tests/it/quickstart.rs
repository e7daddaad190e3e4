//! The main job, end to end, short: a step that one replica cannot carry.

use std::path::Path;
use std::time::Duration;

use planner_tests::{Running, children_of, eventually, is_alive, json, program, run};
use rustix::process::Signal;

/// What every run leaves in its folder.
const FILES: [&str; 4] = ["journal.jsonl", "requests.jsonl", "run.json", "report.html"];

fn replayed(folder: &Path) -> String {
    let journal = folder.join("journal.jsonl");
    let output = run("replay", &[journal.to_str().expect("a path")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_step_is_answered_without_a_lost_request_and_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let scenario = "--scenario=12x20,8x110,14x15";
    let output = run("quickstart", &[scenario, "--out", out.to_str().expect("a path")]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("slow or failed"), "{shown}");
    for file in FILES {
        assert!(out.join(file).is_file(), "{file} is missing");
    }
    let report = json(&out.join("run.json"));
    assert_eq!(report["failed"], 0, "{shown}");
    assert!(report["requests"].as_u64() > Some(1_000), "{shown}");
    assert!((2..=8).contains(&report["max_replicas"].as_u64().expect("a count")), "{shown}");
    let decisions = report["decisions"].as_array().expect("decisions");
    let out_at_s = decisions.iter().find(|decision| decision["direction"] == "out");
    let out_at_s = out_at_s.expect("a scale-out")["at_s"].as_f64().expect("a time");
    assert!((12.0..16.0).contains(&out_at_s), "the step of second 12 was answered at {out_at_s}");

    assert!(replayed(&out).ends_with("decisions, identical\n"));
    let journal = out.join("journal.jsonl");
    let id = decisions[0]["id"].to_string();
    let why = run("why", &[journal.to_str().expect("a path"), &id]);
    let why = String::from_utf8(why.stdout).expect("text");
    for stage in ["window", "quality", "baseline", "signal", "policy", "rate", "binding"] {
        assert!(why.lines().any(|line| line.starts_with(stage)), "no {stage} in:\n{why}");
    }
}

#[test]
fn a_killed_run_leaves_no_process_and_a_readable_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let running = Running::start(
        "quickstart",
        &["--scenario=60x20", "--min=2", "--out", out.to_str().expect("a path")],
    );
    let journal = out.join("journal.jsonl");
    let lines = || std::fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    assert!(eventually(Duration::from_secs(30), || lines() >= 4), "the run did not begin");
    let children = children_of(running.pid());
    assert!(children.len() >= 3, "two replicas and the load were expected: {children:?}");
    running.signal(Signal::KILL);
    assert_eq!(running.wait(), None);
    let gone = || children.iter().all(|pid| !is_alive(*pid));
    assert!(eventually(Duration::from_secs(10), gone), "children outlived the run: {children:?}");
    assert!(replayed(&out).ends_with("decisions, identical\n"));
}

#[test]
fn an_interrupted_run_still_writes_everything_and_stops_what_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let running =
        Running::start("quickstart", &["--scenario=60x20", "--out", out.to_str().expect("a path")]);
    let journal = out.join("journal.jsonl");
    let lines = || std::fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    assert!(eventually(Duration::from_secs(30), || lines() >= 4), "the run did not begin");
    let children = children_of(running.pid());
    running.signal(Signal::INT);
    assert_eq!(running.wait(), Some(0));
    for file in FILES {
        assert!(out.join(file).is_file(), "{file} is missing");
    }
    let report = json(&out.join("run.json"));
    assert_eq!((&report["interrupted"], &report["failed"]), (&true.into(), &0.into()));
    assert!(children.iter().all(|pid| !is_alive(*pid)), "{children:?}");
}

#[test]
fn a_client_of_ones_own_is_served_and_scaled_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let port = free_port();
    let listen = format!("--listen=127.0.0.1:{port}");
    let running = Running::start(
        "quickstart",
        &[
            "--no-load",
            &listen,
            "--app-workers=2",
            "--app-ms=35",
            "--duration-s=24",
            "--out",
            out.to_str().expect("a path"),
        ],
    );
    let connects = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(eventually(Duration::from_secs(30), connects), "nobody listens");
    let target = format!("--target=http://127.0.0.1:{port}/");
    let load = run("loadgen", &[&target, "--scenario=10x10,8x150", "--json"]);
    let load: serde_json::Value = serde_json::from_slice(&load.stdout).expect("a summary");
    assert_eq!(load["failed"], 0, "{load}");
    assert_eq!(running.wait(), Some(0));
    let report = json(&out.join("run.json"));
    assert!(report["max_replicas"].as_u64() >= Some(3), "150/s need three of 57/s: {report}");
    assert_eq!(report["slow_or_failed_share"], serde_json::Value::Null, "unknown is not zero");
    assert!(replayed(&out).ends_with("decisions, identical\n"));
}

#[test]
fn the_score_never_reaches_the_planner() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let output = run(
        "quickstart",
        &["--scenario=3x20", "--slo-ms=77.25", "--out", out.to_str().expect("a path")],
    );
    assert!(output.status.success());
    let journal = std::fs::read_to_string(out.join("journal.jsonl")).expect("a journal");
    assert!(!journal.contains("slo_") && !journal.contains("77.25"));
    assert_eq!(json(&out.join("run.json"))["slo_ms"], 77.25);
}

#[test]
fn an_edited_decision_is_found_by_replay() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let output = run("quickstart", &["--scenario=4x20", "--out", out.to_str().expect("a path")]);
    assert!(output.status.success());
    let journal = out.join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).expect("a journal");
    assert!(text.contains("\"current\":1"), "no decision to edit");
    std::fs::write(&journal, text.replacen("\"current\":1", "\"current\":3", 1)).expect("writable");
    let output = run("replay", &[journal.to_str().expect("a path")]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("recorded\n") && shown.contains("repeated\n"), "{shown}");
}

#[test]
fn every_program_teaches_its_flags() {
    for name in ["quickstart", "app", "loadgen", "replay", "why", "conformance"] {
        let output = run(name, &["--help"]);
        assert!(output.status.success(), "{}", program(name).display());
        assert!(output.stdout.len() > 200, "{name} --help says too little");
        assert!(run(name, &["--version"]).status.success(), "{name} --version");
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
