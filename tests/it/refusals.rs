//! What cannot work is told in one line, with exit code 2, and leaves nothing behind.

use std::path::Path;

use planner_tests::run;

/// Runs quickstart with these flags into a fresh folder; its one line, and the folder's content.
fn refusal(flags: &[&str]) -> (String, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("run");
    let named = flags.contains(&"--out");
    let mut args = flags.to_vec();
    if !named {
        args.extend(["--out", out.to_str().expect("a path")]);
    }
    let output = run("quickstart", &args);
    let text = String::from_utf8(output.stderr).expect("text");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("app: serving")).collect();
    assert_eq!(output.status.code(), Some(2), "{flags:?}: {text}");
    assert_eq!(lines.len(), 1, "{flags:?}: {text}");
    let left = std::fs::read_dir(folder.path()).expect("the folder").count();
    (lines.concat(), left)
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let (line, left) = refusal(&[&format!("--listen={address}")]);
    assert_eq!(
        line,
        format!(
            "quickstart: --listen: {address} cannot be listened on: Address already in use (os \
             error 98); free the port or choose port 0"
        )
    );
    assert_eq!(left, 0);
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let (line, left) = refusal(&["--listen=0.0.0.0:0"]);
    assert!(line.contains("0.0.0.0:0 is not a loopback address"), "{line}");
    assert_eq!(left, 0);
}

#[test]
fn a_missing_parent_is_named_and_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("missing/run");
    let (line, _) = refusal(&["--out", out.to_str().expect("a path")]);
    let missing = folder.path().join("missing");
    assert_eq!(
        line,
        format!(
            "quickstart: --out: {} has no parent folder {}; make that first",
            out.display(),
            missing.display()
        )
    );
    assert!(!missing.exists());
}

#[test]
fn a_nonsense_scenario_is_refused() {
    let (line, left) = refusal(&["--scenario=often"]);
    assert!(line.starts_with("quickstart: --scenario: "), "{line}");
    assert!(line.contains("often"), "{line}");
    assert_eq!(left, 0);
}

#[test]
fn an_unknown_policy_is_refused_with_the_known_ones() {
    let (line, left) = refusal(&["--policy=oracle"]);
    assert_eq!(
        line,
        "quickstart: --policy: \"oracle\" is not heuristic or poc; choose one of them"
    );
    assert_eq!(left, 0);
}

#[test]
fn an_unknown_flag_is_refused_in_one_line() {
    let (line, left) = refusal(&["--scenari=1x1"]);
    assert!(line.contains("--scenari") && line.ends_with("see --help"), "{line}");
    assert_eq!(left, 0);
}

#[test]
#[ignore = "mounts a small file system, which takes root; scripts/test runs it where it can"]
fn a_full_disk_is_told_before_the_run_begins() {
    let disk = SmallDisk::mount();
    let out = disk.path().join("run");
    let (line, _) = refusal(&["--out", out.to_str().expect("a path")]);
    assert!(line.contains("bytes free and the run needs"), "{line}");
    assert!(line.ends_with("free some space or name another folder"), "{line}");
    assert_eq!(std::fs::read_dir(disk.path()).expect("the disk").count(), 0);
}

/// A file system of 64 KiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "planner-test"])
            .arg(folder.path())
            .status();
        assert!(mounted.expect("mount").success(), "this test needs root");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn the_doctor_tells_legal_from_workable_by_its_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("planner.toml");
    let examined = |text: &str| {
        std::fs::write(&file, text).expect("written");
        let output = run("doctor", &[file.to_str().expect("a path")]);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text"))
    };
    assert_eq!(examined("min_replicas = 3\n"), (Some(0), String::from("nothing found\n")));
    assert_eq!(
        examined("samples_min = 50\n"),
        (
            Some(1),
            String::from(
                "SAMPLES_MIN: 50 samples are needed, a window has 40; every window would be \
                 doubtful, lower it or measure more\n\n1 finding\n"
            )
        )
    );
    let (code, said) = examined("min_replicas = 30\n");
    assert_eq!(code, Some(2));
    assert_eq!(
        said,
        "doctor: max_replicas: 10 is below min_replicas 30; raise max_replicas or lower \
         min_replicas\n"
    );
}

#[test]
fn a_search_for_worst_loads_says_what_it_cannot_do() {
    let line = |args: &[&str]| {
        let output = run("adversary", args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    assert_eq!(
        line(&["--evaluations", "0"]),
        "error: invalid value '0' for '--evaluations <N>': number would be zero for non-zero type; \
         see --help\n"
    );
    assert_eq!(
        line(&["--out", "/no/such/folder"]),
        "adversary: --out /no/such/folder: is no folder; make it first\n"
    );
}
