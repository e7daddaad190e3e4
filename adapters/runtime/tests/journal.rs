//! Journals on disk: what is kept after a kill, what is refused, what is repeated.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use planner_core::journal::{Header, Record, replay};
use planner_core::policy::HeuristicState;
use planner_core::{
    Config, Event, Heuristic, NoSignal, Planner, QuarantinedBaseline, ReplicaBounds, ServiceId,
    Timestamp, Window,
};
use planner_runtime::{JournalError, JournalFolder, JournalReader, JournalWriter};

type OwnHeader = Header<HeuristicState, QuarantinedBaseline>;

fn planner() -> Planner {
    let bounds = ReplicaBounds::new(1, 8).expect("bounds");
    Planner::new(Config::builder(bounds).build().expect("settings"), Heuristic)
}

fn header() -> OwnHeader {
    Header::of(ServiceId::new("shop").expect("a name"), &planner(), false)
}

/// What a planner makes of the window that ends at this second.
fn record(planner: &mut Planner, second: u64) -> Record {
    let at = |second| Timestamp::from_origin(Duration::from_secs(second));
    // Latencies whose last bits a careless text would lose.
    let latencies = [20.0 / 3.0, 0.1 + 0.2, 1e-7 * second as f64];
    let window = Window::probes(at(second - 1), at(second), &latencies, 0, 2).expect("valid");
    let event = Event::Observe(window);
    let step = planner.step(at(second), event.clone());
    Record { at: at(second), event, step }
}

/// Writes a journal of so many windows.
fn write(path: &Path, windows: u64) {
    let mut journal = JournalWriter::create(path, &header()).expect("writable");
    let mut planner = planner();
    for second in 1..=windows {
        journal.record(&record(&mut planner, second)).expect("writable");
    }
}

fn repeat(path: &Path) -> (u64, bool) {
    let (header, mut reader): (OwnHeader, _) =
        JournalReader::<NoSignal>::open(path).expect("a journal");
    header.check(&Heuristic).expect("of this version");
    let mut planner = match header.snapshot {
        Some(snapshot) => Planner::restore(header.config, Heuristic, snapshot).expect("restorable"),
        None => Planner::new(header.config, Heuristic),
    };
    let records: Vec<Record> = reader.by_ref().collect::<Result<_, _>>().expect("records");
    let repeated = replay(&mut planner, records);
    assert_eq!(repeated.divergence, None);
    (repeated.decisions, reader.is_torn())
}

/// The files of a folder by age, and their size together.
fn journals(folder: &Path) -> (Vec<PathBuf>, u64) {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort_unstable();
    let bytes = paths.iter().map(|path| path.metadata().expect("there").len()).sum();
    (paths, bytes)
}

/// Size of the folder of these tests, and more than a record and a header.
const FOLDER_BYTES_MAX: u64 = 400_000;
const SLACK_BYTES: u64 = 40_000;

#[test]
fn a_folder_stays_within_its_size_and_each_of_its_journals_is_repeated_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let strangers = ["journal-.jsonl", "journal-007.jsonl", "notes.jsonl", "journal-1.txt"];
    for name in strangers {
        fs::write(folder.path().join(name), "not ours").expect("written");
    }
    let mut planner = planner();
    let mut second = 0;
    let mut begun = 0;
    let service = || ServiceId::new("shop").expect("a name");
    for run in 0..3 {
        let header = Header::of(service(), &planner, run > 0);
        let mut journals_of_run =
            JournalFolder::open(folder.path(), FOLDER_BYTES_MAX, &header).expect("writable");
        let mut newest = journals_of_run.path();
        for _ in 0..400 {
            second += 1;
            let record = record(&mut planner, second);
            let header = || Header::of(service(), &planner, true);
            journals_of_run.record(&record, header).expect("writable");
            if journals_of_run.path() != newest {
                newest = journals_of_run.path();
                begun += 1;
            }
            let (_, bytes) = journals(folder.path());
            assert!(bytes <= FOLDER_BYTES_MAX + SLACK_BYTES, "{bytes} bytes");
        }
    }
    assert!(begun > 8, "only {begun} were begun");
    let (paths, bytes) = journals(folder.path());
    assert!(bytes > FOLDER_BYTES_MAX / 2, "too much was removed: {bytes} bytes are left");
    let mut repeated = 0;
    let mut next = None;
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if strangers.contains(&name) {
            assert_eq!(fs::read(&path).expect("there"), b"not ours");
            continue;
        }
        let first = JournalReader::<NoSignal>::records(&path).expect("a journal").next();
        let Some(first) = first else { continue };
        let at = first.expect("a record").at;
        let (decisions, is_torn) = repeat(&path);
        assert!(!is_torn && decisions > 0);
        if let Some(next) = next {
            assert_eq!(at, Timestamp::from_origin(Duration::from_secs(next)), "{name}: a gap");
        }
        repeated += decisions;
        let begun_at = at.saturating_since(Timestamp::ORIGIN).as_secs();
        next = Some(begun_at + decisions);
    }
    assert_eq!(next, Some(second + 1));
    assert!(repeated > 50, "{repeated}");
}

#[test]
fn a_folder_that_is_too_small_for_anything_keeps_the_newest_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut planner = planner();
    let mut small = JournalFolder::open(folder.path(), 0, &header()).expect("writable");
    for second in 1..=5 {
        let record = record(&mut planner, second);
        let header = || Header::of(ServiceId::new("shop").expect("a name"), &planner, true);
        small.record(&record, header).expect("writable");
        assert_eq!(journals(folder.path()).0, [small.path()]);
    }
}

#[test]
fn journals_of_a_folder_are_listed_by_age_and_other_files_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["journal-1000.jsonl", "journal-999.jsonl", "journal-01.jsonl", "notes.txt"] {
        fs::write(folder.path().join(name), "").expect("writable");
    }
    let listed: Vec<_> = JournalFolder::list(folder.path()).expect("listed").into_iter().collect();
    let expected = [(999, "journal-999.jsonl"), (1000, "journal-1000.jsonl")];
    assert_eq!(listed, expected.map(|(number, name)| (number, folder.path().join(name))));
    let missing = folder.path().join("none");
    let error = JournalFolder::list(&missing).expect_err("not there").to_string();
    assert!(error.starts_with(&format!("journal {}: cannot be read: ", missing.display())));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none");
    let error = JournalFolder::open(&path, 1_000, &header()).expect_err("not there").to_string();
    assert_eq!(
        error,
        format!(
            "journals in {}: no room made: No such file or directory (os error 2); check \
             permissions, or remove the oldest by hand",
            path.display()
        )
    );
}

#[test]
fn what_was_written_is_repeated_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    write(&path, 40);
    assert_eq!(repeat(&path), (40, false));
}

#[test]
fn a_journal_cut_at_any_byte_is_readable_up_to_its_last_whole_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    write(&path, 6);
    let whole = fs::read(&path).expect("written");
    let header_end = whole.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
    for length in (header_end..whole.len()).step_by(7) {
        let cut = whole.get(..length).expect("shorter");
        fs::write(&path, cut).expect("writable");
        let records = cut.split(|byte| *byte == b'\n').count() as u64 - 2;
        assert_eq!(repeat(&path), (records, cut.last() != Some(&b'\n')), "cut at {length}");
    }
}

#[test]
fn a_reader_goes_on_where_a_journal_grows_and_in_the_middle_of_a_record_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, growing) = (folder.path().join("whole.jsonl"), folder.path().join("growing.jsonl"));
    write(&whole, 3);
    let text = fs::read(&whole).expect("readable");
    let ends: Vec<usize> =
        text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    fs::write(&growing, &text[..ends[1] + 10]).expect("writable");
    let mut reader = JournalReader::<NoSignal>::records(&growing).expect("a journal");
    assert!(reader.next().is_some_and(|record| record.is_ok()), "the first record");
    assert!(reader.next().is_none() && reader.is_torn(), "the second is not whole yet");
    assert!(reader.next().is_none() && reader.is_torn(), "nothing has come");
    for end in [ends[2] - 5, ends[2]] {
        let mut file = fs::OpenOptions::new().append(true).open(&growing).expect("there");
        let before = fs::read(&growing).expect("there").len();
        std::io::Write::write_all(&mut file, &text[before..end]).expect("writable");
        let record = reader.next();
        assert_eq!(record.is_some_and(|record| record.is_ok()), end == ends[2]);
    }
    assert!(reader.next().is_none() && !reader.is_torn(), "it ends with a whole record");
}

#[test]
fn a_record_that_its_writer_took_back_is_not_joined_to_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    write(&path, 2);
    let text = fs::read(&path).expect("readable");
    let first_ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1);
    let first_ends = first_ends.map(|(at, _)| at + 1).expect("two lines");
    fs::write(&path, &text[..first_ends + 20]).expect("writable");
    let mut reader = JournalReader::<NoSignal>::records(&path).expect("a journal");
    assert_eq!(reader.by_ref().count(), 1, "the second is not whole yet");
    fs::write(&path, &text[..first_ends]).expect("writable");
    assert!(reader.next().is_none() && !reader.is_torn(), "nothing is left of it");
    fs::write(&path, &text).expect("writable");
    assert!(reader.next().is_some_and(|record| record.is_ok()), "the second, whole");
}

#[test]
fn a_journal_is_never_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    write(&path, 2);
    let before = fs::read(&path).expect("written");
    let error = JournalWriter::create(&path, &header()).expect_err("it exists");
    assert_eq!(
        error.to_string(),
        format!(
            "journal {}: cannot be written: File exists (os error 17); name a folder with space \
             and permission",
            path.display()
        )
    );
    assert_eq!(fs::read(&path).expect("still there"), before);
}

#[test]
fn a_line_that_was_edited_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    write(&path, 3);
    let text = fs::read_to_string(&path).expect("written").replacen("\"seq\":2", "\"seq\":-2", 1);
    let text = text.replace("\"seq\":2000000000", "\"seq\":-2");
    fs::write(&path, text).expect("writable");
    let (_, reader): (OwnHeader, _) = JournalReader::<NoSignal>::open(&path).expect("a header");
    let error = reader.collect::<Result<Vec<Record>, _>>().expect_err("edited");
    assert!(matches!(error, JournalError::Line { line: 3, .. }), "{error}");
}

#[test]
fn a_window_that_breaks_its_rules_is_no_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    write(&path, 1);
    let text =
        fs::read_to_string(&path).expect("written").replace("\"failures\":0", "\"failures\":99");
    fs::write(&path, text).expect("writable");
    let (_, mut reader): (OwnHeader, _) = JournalReader::<NoSignal>::open(&path).expect("a header");
    let error = reader.next().expect("a line").expect_err("99 failures of 3").to_string();
    assert!(error.contains("samples: 3 is fewer than the 99 errors"), "{error}");
}

#[test]
fn a_configuration_that_was_edited_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    write(&path, 1);
    let text = fs::read_to_string(&path).expect("written").replacen("\"max\":8", "\"max\":9", 1);
    fs::write(&path, text).expect("writable");
    let (header, _): (OwnHeader, JournalReader<NoSignal>) =
        JournalReader::open(&path).expect("a header");
    let error = header.check(&Heuristic).expect_err("edited").to_string();
    assert_eq!(
        error,
        "journal: the configuration does not match its fingerprint; it was edited after the run"
    );
}

#[test]
fn an_empty_file_is_no_journal() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = JournalReader::<NoSignal>::open::<HeuristicState, QuarantinedBaseline>(file.path())
        .expect_err("empty");
    assert!(error.to_string().ends_with("empty; the run that wrote it never began"), "{error}");
}
