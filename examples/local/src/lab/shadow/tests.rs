//! Policies beside a planner: what is refused, what the ledger tells, what comes later.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use planner_core::journal::Header;
use planner_core::{Planner, ReplicaBounds};
use planner_lab::{Plant, PlantSpec, run};

use super::*;

/// The journal of a step from 60 to 240 requests a second after five minutes, in lines.
fn lines() -> Vec<String> {
    let mut planner = Planner::heuristic(ReplicaBounds::new(1, 8).expect("bounds"));
    let service = planner_core::ServiceId::new("shop").expect("a name");
    let header = Header::of(service, &planner, false);
    let mut plant = Plant::new(PlantSpec::default(), 2);
    let run = run(&mut planner, &mut plant, 200, |t| if t < 300.0 { 60.0 } else { 240.0 });
    let mut lines = vec![serde_json::to_string(&header).expect("plain")];
    lines.extend(run.records().map(|record| serde_json::to_string(&record).expect("plain")));
    lines
}

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
        Ok(())
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
            "journal {}: cannot be read: there is no journal-NUMBER.jsonl in this folder; check \
             path and permissions",
            empty.display()
        )
    );
}

#[test]
fn a_ledger_tells_who_wanted_what_and_what_it_was_worth() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = written(&folder.path().join("journal.jsonl"), &lines());
    let results = told(&args(&journal, &["hpa:target=0.6", "hpa:target=0.2"]));
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
}

#[test]
fn journals_of_a_folder_are_one_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = lines();
    let alone = written(&folder.path().join("whole.jsonl"), &lines);
    let (first, rest) = lines.split_at(101);
    written(&folder.path().join("journal-1.jsonl"), first);
    let second: Vec<String> = lines[..1].iter().chain(rest).cloned().collect();
    written(&folder.path().join("journal-2.jsonl"), &second);
    let in_parts = told(&args(folder.path(), &["poc"])).expect("a ledger");
    let whole = told(&args(&alone, &["poc"])).expect("a ledger");
    assert_eq!(in_parts[0].json, whole[0].json);
}

#[test]
fn who_follows_is_told_what_comes_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = lines();
    let journal = written(&folder.path().join("journal.jsonl"), &lines[..101]);
    let following = Args { follow: true, ..args(&journal, &["poc"]) };
    let (mut rest, mut judged) = (Some(lines[101..].join("\n") + "\n"), Vec::new());
    // Who is told ends it, as Ctrl-C would.
    let ended = following.run(|results| {
        judged.push(results.json["ledger"]["real"]["judged"].as_u64());
        let Some(rest) = rest.take() else {
            return Err(OutError::NoFolder { path: PathBuf::new() });
        };
        let mut file = fs::OpenOptions::new().append(true).open(&journal).expect("there");
        file.write_all(rest.as_bytes()).expect("written");
        Ok(())
    });
    assert!(matches!(ended, Err(ShadowError::Out(_))));
    assert_eq!(judged, [Some(97), Some(197)]);
}
