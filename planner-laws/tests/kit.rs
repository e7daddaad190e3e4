//! The kit itself: that it finds bugs, counts what was at stake, and keeps what it found.

use std::cell::Cell;
use std::fs;

use planner_core::policy::{NoSignal, Policy, Proposal, View};
use planner_core::{Heuristic, Poc};
use planner_laws::{Case, Law, Laws, Verdict};

/// Wants whatever `want` says.
struct Wants<F>(F);

impl<F: Fn(&View<'_>) -> Proposal> Policy for Wants<F> {
    type Signal = NoSignal;
    type State = ();

    fn name(&self) -> &'static str {
        "wants"
    }
    fn version(&self) -> u32 {
        1
    }
    fn initial_state(&self) {}
    fn propose(&self, view: &View<'_>, (): &()) -> Proposal {
        (self.0)(view)
    }
}

#[test]
fn a_law_that_was_never_at_stake_fails() {
    let report = Laws::of(|| Heuristic).steps(200).exercised_min(1_000_000).check_one(Law::Doubt);
    let Verdict::Unexercised { least } = report.findings[0].verdict else {
        panic!("{report}");
    };
    assert_eq!(least, 1_000_000);
    let text = report.to_string();
    let (steps, exercised) = (report.findings[0].steps, report.findings[0].exercised);
    assert_eq!(
        text,
        format!(
            "law 3 doubt never scales in      UNEXERCISED: {exercised} times in {steps} steps, at \
             least 1000000 needed; a law that its inputs never exercise proves nothing"
        )
    );
}

#[test]
fn a_policy_that_remembers_outside_its_state_is_caught() {
    let make = || {
        let calls = Cell::new(0);
        Wants(move |_: &View<'_>| {
            calls.set(calls.get() + 1);
            Proposal::exactly(calls.get() / 7)
        })
    };
    let report = Laws::of(make).steps(5_000).check_one(Law::RestartEquivalence);
    assert!(matches!(report.findings[0].verdict, Verdict::Broken { .. }), "{report}");
}

#[test]
fn a_policy_that_wants_less_under_more_load_is_caught() {
    let make = || {
        Wants(|view: &View<'_>| {
            let p95 = view.window.latencies().map_or(0.0, |latencies| latencies.p95().as_millis());
            Proposal::exactly(if p95 > 5_000.0 { view.current } else { view.current + 1 })
        })
    };
    let report = Laws::of(make).steps(5_000).check_one(Law::Monotone);
    let Verdict::Broken { why, .. } = &report.findings[0].verdict else { panic!("{report}") };
    assert!(why.starts_with("more p95_ms, fewer replicas"), "{why}");
}

#[test]
fn a_policy_that_panics_is_caught_with_its_message() {
    let make = || {
        Wants(|view: &View<'_>| {
            assert!(view.window.samples() > 3, "too few samples to think");
            Proposal::exactly(2)
        })
    };
    let report = Laws::of(make).steps(5_000).check_one(Law::Total);
    let Verdict::Broken { why, .. } = &report.findings[0].verdict else { panic!("{report}") };
    assert!(why.starts_with("panicked: too few samples to think"), "{why}");
}

#[test]
fn a_broken_case_is_kept_and_tried_first() {
    let folder = std::env::temp_dir().join(format!("planner-laws-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let kept = folder.join("regressions.jsonl");
    let make = || Wants(|_: &View<'_>| panic!("always"));
    let laws = Laws::of(make).steps(100).regressions(&kept);
    assert!(!laws.check_one(Law::Total).holds());
    let text = fs::read_to_string(&kept).expect("it was written");
    let (law, case) = text.trim_end().split_once(' ').expect("a number and a case");
    assert_eq!(law, "18");
    let case: Case = serde_json::from_str(case).expect("a case");
    assert!(!case.phases.is_empty());
    // Found again at once, and not kept twice.
    assert!(!laws.steps(1).check_one(Law::Total).holds());
    assert_eq!(fs::read_to_string(&kept).expect("still there"), text);
    fs::remove_dir_all(&folder).expect("it was ours");
}

#[test]
fn the_laws_of_the_guards_hold_for_the_proof_of_concept_too() {
    use Law::{
        Bounds, Determinism, Doubt, Explained, Failure, NoFlapping, NoPoisoning, Rate, Total,
    };
    for law in
        [Bounds, Rate, Doubt, Failure, NoPoisoning, NoFlapping, Determinism, Explained, Total]
    {
        let report = Laws::of(|| Poc).steps(10_000).exercised_min(100).check_one(law);
        assert!(report.holds(), "{report}");
    }
}

#[test]
fn every_law_has_its_number_and_its_own_title() {
    let mut titles: Vec<&str> = Law::ALL.iter().map(|law| law.title()).collect();
    let numbers: Vec<u8> = Law::ALL.iter().map(|law| law.number()).collect();
    assert_eq!(numbers, (1..=18).collect::<Vec<_>>());
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles.len(), Law::ALL.len());
}
