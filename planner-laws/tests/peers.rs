//! Which laws the policies of other systems keep alone: the committed table is what a run says.

use std::fs;
use std::path::Path;

use planner_core::GuardSet;
use planner_laws::{Law, Laws, Verdict, peers};
use planner_peers::hpa::Hpa;
use planner_peers::on_windows::OnWindows;

/// What is written by hand ends with this line; the rest is written by the test.
const GENERATED: &str = "<!-- from here on: BLESS=1 cargo test -p planner-laws --test peers -->\n";
/// As the example has it.
const STEPS: u64 = 5_000;

#[test]
fn the_table_in_the_docs_is_what_the_laws_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/laws-of-peers.md");
    let text = fs::read_to_string(&path).expect("docs/laws-of-peers.md");
    let (written, committed) = text.split_once(GENERATED).expect("a line that begins the table");
    let found = format!("\n{}", peers(STEPS));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{written}{GENERATED}{found}")).expect("a folder to write to");
        return;
    }
    for (committed, found) in committed.lines().zip(found.lines()) {
        assert_eq!(committed, found, "BLESS=1 writes docs/laws-of-peers.md anew");
    }
    assert_eq!(committed.lines().count(), found.lines().count(), "BLESS=1 writes it anew");
}

fn hpa() -> OnWindows<Hpa> {
    OnWindows::new(Hpa::average_value(20.0).expect("a target"))
}

#[test]
fn what_a_policy_breaks_alone_the_guards_keep() {
    let laws = || Laws::of(hpa).steps(2_000).exercised_min(20).capacity_per_s(25.0);
    for law in [Law::Rate, Law::Failure, Law::NoPoisoning] {
        assert!(laws().check_one(law).holds(), "{law} behind all guards");
        let alone = laws().guard_set(GuardSet::Peer).check_one(law);
        assert!(matches!(alone.findings[0].verdict, Verdict::Broken { .. }), "{alone}");
    }
}

#[test]
fn a_case_that_broke_a_law_alone_carries_its_guards() {
    let alone = Laws::of(hpa).steps(2_000).exercised_min(20).guard_set(GuardSet::Peer);
    let report = alone.check_one(Law::Rate);
    let Verdict::Broken { case, .. } = &report.findings[0].verdict else { panic!("{report}") };
    let case: planner_laws::Case = serde_json::from_str(case).expect("a case");
    assert_eq!(case.config.guard_set(), GuardSet::Peer);
}
