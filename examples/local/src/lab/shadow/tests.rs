//! Policies beside a planner: what is refused, what the ledger tells, what comes later.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use planner_core::journal::Record;
use planner_core::{Event, Idle, Step, Timestamp};

use super::*;
use crate::lab::journals::testing::{header, lines};

fn written(path: &Path, lines: &[String]) -> PathBuf {
    fs::write(path, lines.join("\n") + "\n").expect("written");
    path.to_owned()
}

fn args(journal: &Path, policies: &[&str]) -> Args {
    Args {
        journal: journal.to_owned(),
        policies: policies.iter().map(|policy| policy.parse().expect("a policy")).collect(),
        rate: Some(50.0),
        look_ahead: 3,
        follow: false,
        every: Span { seconds: 1 },
        out: OutArgs::default(),
    }
}

/// All that is told.
fn told(args: &Args) -> Result<Vec<Results>, ShadowError> {
    let mut all = Vec::new();
    args.run(|results| {
        all.push(results.clone());
        Ok(true)
    })?;
    Ok(all)
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = written(&folder.path().join("journal.jsonl"), &lines());
    let refusal = |args: &Args| told(args).expect_err("refused").to_string();
    assert_eq!(
        refusal(&Args { rate: Some(0.0), ..args(&journal, &["poc"]) }),
        "--rate: 0 is not above 0 and finite; give requests per second of one replica"
    );
    assert_eq!(
        refusal(&Args { every: Span { seconds: 0 }, ..args(&journal, &["poc"]) }),
        "--every: 0s would look without a rest; give 1s or more"
    );
    assert_eq!(
        refusal(&Args { rate: None, ..args(&journal, &["hpa"]) }),
        "--policy: policy hpa: its settings are shares of what a replica answers, which is not \
         known; say how many requests per second that are"
    );
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("made");
    assert_eq!(
        refusal(&args(&empty, &["poc"])),
        format!(
            "{}: no journal-NUMBER.jsonl with a header is in this folder; name that of a planner",
            empty.display()
        )
    );
}

#[test]
fn a_ledger_tells_who_wanted_what_and_what_it_was_worth() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = written(&folder.path().join("journal.jsonl"), &lines());
    let out = OutArgs { json: false, out: Some(folder.path().join("out")) };
    let results = told(&Args { out, ..args(&journal, &["hpa:target=0.6", "hpa:target=0.2"]) });
    let [results] = &results.expect("a ledger")[..] else { panic!("told once") };
    let ledger = &results.json["ledger"];
    assert_eq!(ledger["real"]["judged"], 197, "the last three have too few windows behind them");
    let candidates = ledger["candidates"].as_array().expect("two");
    assert_eq!(candidates[0]["name"], "hpa:target=0.6");
    let spare = &candidates[1];
    assert!(spare["more"].as_u64() > spare["fewer"].as_u64(), "a third as busy: {spare}");
    assert!(results.tables.contains("what was done"), "{}", results.tables);
    let page = results.page.as_ref().expect("a page");
    assert!(page.contains("2 policies beside heuristic") && page.contains("needed"), "{page}");
    let unread = told(&args(&journal, &["poc"])).expect("a ledger");
    assert!(unread[0].page.is_none(), "drawn for nobody");
}

/// A journal of a folder that begins like the first.
fn part(folder: &Path, number: u32, head: &str, records: &[String]) {
    let lines: Vec<String> =
        std::iter::once(head.to_owned()).chain(records.iter().cloned()).collect();
    written(&folder.join(format!("journal-{number}.jsonl")), &lines);
}

#[test]
fn journals_of_a_folder_are_one_run_whatever_lies_between_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = lines();
    let alone = written(&folder.path().join("whole.jsonl"), &lines);
    // A header that was cut short, and journals that were never begun.
    for (number, text) in [(1, &lines[0][..40]), (3, ""), (5, "")] {
        fs::write(folder.path().join(format!("journal-{number}.jsonl")), text).expect("written");
    }
    part(folder.path(), 2, &lines[0], &lines[1..101]);
    part(folder.path(), 4, &lines[0], &lines[101..]);
    let in_parts = told(&args(folder.path(), &["poc"])).expect("a ledger");
    let whole = told(&args(&alone, &["poc"])).expect("a ledger");
    assert_eq!(in_parts[0].json, whole[0].json);
}

#[test]
fn a_journal_with_another_configuration_begins_the_ledger_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = lines();
    let other = header((2, 30));
    part(folder.path(), 1, &lines[0], &lines[1..101]);
    part(folder.path(), 2, &other, &lines[101..]);
    let results = told(&args(folder.path(), &["hpa:target=0.1"])).expect("a ledger");
    assert_eq!(results[0].json["ledger"]["real"]["judged"], 97, "100 of the second journal");
    let entries = results[0].json["ledger"]["entries"].as_array().expect("kept").clone();
    let most = entries.iter().filter_map(|entry| entry["wishes"][0]["replicas"].as_u64()).max();
    assert!(most > Some(8), "the first allowed 8: {most:?}");
    let edited = lines[0].replace("\"max\":8", "\"max\":9");
    part(folder.path(), 1, &edited, &[]);
    assert_eq!(
        told(&args(folder.path(), &["poc"])).expect_err("refused").to_string(),
        format!(
            "{}: journal: the configuration does not match its fingerprint; it was edited after \
             the run",
            folder.path().join("journal-1.jsonl").display()
        )
    );
}

#[test]
fn who_follows_is_told_what_comes_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = lines();
    part(folder.path(), 1, &lines[0], &lines[1..101]);
    let following = Args { follow: true, ..args(folder.path(), &["poc"]) };
    let mut judged = Vec::new();
    let ended = following.run(|results| {
        judged.push(results.json["ledger"]["real"]["judged"].as_u64());
        let journal = folder.path().join("journal-1.jsonl");
        match judged.len() {
            1 => {
                let mut file = fs::OpenOptions::new().append(true).open(&journal).expect("there");
                writeln!(file, "{}", lines[101..151].join("\n")).expect("written");
            }
            // The first is removed to make room before it was looked at again.
            2 => {
                part(folder.path(), 2, &lines[0], &lines[151..]);
                fs::remove_file(&journal).expect("removed");
            }
            _ => return Ok(false),
        }
        Ok(true)
    });
    ended.expect("it ends when nobody reads");
    assert_eq!(judged, [Some(97), Some(147), Some(197)]);
}

#[test]
fn what_a_policy_observes_itself_is_no_hindrance() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut lines = lines();
    let signal = Record {
        at: Timestamp::ORIGIN,
        event: Event::Signal(json!({ "pods": 3 })),
        step: Step::Idle(Idle::Note),
    };
    lines.insert(1, serde_json::to_string(&signal).expect("plain"));
    let journal = written(&folder.path().join("journal.jsonl"), &lines);
    let results = told(&args(&journal, &["poc"])).expect("a ledger");
    assert!(results[0].json["ledger"]["real"]["judged"].as_u64() == Some(197));
}
