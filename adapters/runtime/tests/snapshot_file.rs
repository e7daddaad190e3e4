//! Snapshots on disk: torn, edited, foreign and half-renamed files.

use std::fs;
use std::path::Path;

use planner_core::{
    Config, Heuristic, HeuristicState, Planner, QuarantinedBaseline, ReplicaBounds, ServiceId,
    Timestamp, Window,
};
use planner_runtime::{SnapshotFile, SnapshotFileError};

fn service(name: &str) -> ServiceId {
    ServiceId::new(name).expect("a name")
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_nanos(second * 1_000_000_000)
}

/// A planner after so many calm windows.
fn planner(windows: u64) -> Planner {
    let bounds = ReplicaBounds::new(1, 8).expect("bounds");
    let mut planner = Planner::new(Config::builder(bounds).build().expect("settings"), Heuristic);
    for second in 1..=windows {
        let window = Window::probes(at(second - 1), at(second), &[40.0; 20], 0, 2);
        let _ = planner.decide(at(second), &window.expect("a window"));
    }
    planner
}

/// A folder with two snapshots of the shop in it, of 20 windows and of 21.
fn two_saved() -> (tempfile::TempDir, SnapshotFile) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = SnapshotFile::new(folder.path().join("shop.snapshot"), service("shop"));
    file.save(at(20), &planner(20).snapshot()).expect("saved");
    file.save(at(21), &planner(21).snapshot()).expect("saved");
    (folder, file)
}

fn load(file: &SnapshotFile) -> Result<Option<(u64, bool)>, SnapshotFileError> {
    let stored = file.load::<HeuristicState, QuarantinedBaseline>()?;
    Ok(stored.map(|it| (it.at.as_nanos() / 1_000_000_000, it.refused.is_some())))
}

fn text(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a file")
}

#[test]
fn a_file_that_is_torn_anywhere_is_refused_for_the_one_before_it() {
    let (folder, file) = two_saved();
    let path = folder.path().join("shop.snapshot");
    let whole = text(&path);
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).expect("written");
        assert_eq!(load(&file), Ok(Some((20, true))), "torn at {length}");
    }
}

#[test]
fn a_file_with_any_byte_changed_is_refused_for_the_one_before_it() {
    let (folder, file) = two_saved();
    let path = folder.path().join("shop.snapshot");
    let whole = text(&path);
    for index in 0..whole.len() {
        let mut edited = whole.clone();
        edited[index] ^= 1;
        fs::write(&path, &edited).expect("written");
        assert_eq!(load(&file), Ok(Some((20, true))), "byte {index} was taken");
    }
}

#[test]
fn without_a_good_file_the_newer_ones_fault_is_told() {
    let (folder, file) = two_saved();
    let path = folder.path().join("shop.snapshot");
    let mut short = text(&path);
    short.pop();
    let bytes = short.len() - short.iter().position(|byte| *byte == b'\n').expect("a line") - 1;
    fs::write(&path, &short).expect("written");
    fs::write(folder.path().join("shop.snapshot.previous"), "junk").expect("written");
    let error = load(&file).expect_err("neither is good");
    assert_eq!(
        error.to_string(),
        format!(
            "{}: not taken as a snapshot, {bytes} bytes where it says {}: it is torn; move it \
             away to start without it",
            path.display(),
            bytes + 1
        )
    );
}

#[test]
fn another_services_memory_is_refused() {
    let (folder, _) = two_saved();
    let path = folder.path().join("shop.snapshot");
    fs::remove_file(folder.path().join("shop.snapshot.previous")).expect("it was there");
    let error = load(&SnapshotFile::new(&path, service("search"))).expect_err("not its own");
    assert_eq!(
        error.to_string(),
        format!(
            "{}: not taken as a snapshot, it is of service shop; move it away to start without it",
            path.display()
        )
    );
}

#[test]
fn a_crash_between_the_two_renames_leaves_the_one_before() {
    let (folder, file) = two_saved();
    fs::remove_file(folder.path().join("shop.snapshot")).expect("it was there");
    assert_eq!(load(&file), Ok(Some((20, false))));
}

#[test]
fn a_draft_that_cannot_be_written_leaves_the_last_good_one() {
    let (folder, file) = two_saved();
    // A folder stands where the draft would be written.
    fs::create_dir(folder.path().join("shop.snapshot.draft")).expect("a folder");
    let error = file.save(at(22), &planner(22).snapshot()).expect_err("not writable");
    assert!(error.to_string().contains("the last good one is kept"), "{error}");
    assert_eq!(load(&file), Ok(Some((21, false))));
}

#[test]
fn a_link_in_place_of_the_draft_is_not_followed() {
    let (folder, file) = two_saved();
    let victim = folder.path().join("victim");
    fs::write(&victim, "mine").expect("written");
    std::os::unix::fs::symlink(&victim, folder.path().join("shop.snapshot.draft")).expect("a link");
    file.save(at(22), &planner(22).snapshot()).expect("saved");
    assert_eq!(text(&victim), b"mine");
    assert_eq!(load(&file), Ok(Some((22, false))));
}

#[test]
fn nothing_saved_is_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = SnapshotFile::new(folder.path().join("none"), service("shop"));
    assert_eq!(load(&file), Ok(None));
}

#[test]
fn a_planner_goes_on_from_disk_with_the_same_next_step() {
    let (_folder, file) = two_saved();
    let stored = file.load::<HeuristicState, QuarantinedBaseline>().expect("good").expect("saved");
    let mut whole = planner(21);
    let config = whole.config().clone();
    let mut resumed = Planner::restore(config, Heuristic, stored.snapshot).expect("its own");
    let window = Window::probes(at(21), at(22), &[900.0; 20], 0, 2).expect("a window");
    assert_eq!(resumed.decide(at(22), &window), whole.decide(at(22), &window));
}
