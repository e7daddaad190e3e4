//! Questions to journals: what is refused, and what an answer tells.

use std::fs;
use std::path::Path;

use super::*;
use crate::lab::journals::testing::lines;

fn journal(folder: &Path) -> PathBuf {
    let path = folder.join("journal.jsonl");
    fs::write(&path, lines().join("\n") + "\n").expect("written");
    path
}

fn args(journal: &Path, changes: &[&str]) -> Args {
    Args {
        journal: journal.to_owned(),
        changes: changes.iter().map(|&change| change.to_owned()).collect(),
        policy: None,
        objective_ms: None,
        out: OutArgs::default(),
    }
}

#[test]
fn what_is_no_question_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = journal(folder.path());
    let refusal = |args: Args| args.run().expect_err("refused").to_string();
    assert_eq!(
        refusal(args(&journal, &[])),
        "nothing is to be otherwise; give --set NAME=VALUE or --policy NAME"
    );
    assert!(refusal(args(&journal, &["cooldown=1s"])).starts_with("--set: "));
    assert_eq!(
        refusal(Args { objective_ms: Some(-1.0), ..args(&journal, &["bounds.max=4"]) }),
        "--objective-ms: -1 is not above 0 and finite; give a number of ms"
    );
    assert!(refusal(args(&folder.path().join("none"), &["bounds.max=4"])).contains("none"));
}

#[test]
fn a_lower_maximum_is_told_with_its_first_difference() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = journal(folder.path());
    let results = args(&journal, &["bounds.max=4"]).run().expect("an answer");
    assert!(results.tables.contains("first divergence"), "{}", results.tables);
    assert_eq!(results.json["changes"][0]["setting"], "bounds.max");
    let page = results.page.expect("a page");
    assert!(page.contains("bounds.max") && page.contains("most replicas"), "{page}");
}

#[test]
fn another_policy_can_be_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = journal(folder.path());
    let asked = Args { policy: Some(PolicyName::Poc), ..args(&journal, &[]) };
    let results = asked.run().expect("an answer");
    assert_ne!(results.json["tried"], results.json["policy"]);
}
