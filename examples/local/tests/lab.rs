//! The lab as a process: exit codes, what is on which stream, the same bytes, and interrupts.
//!
//! Goal: what a script relies on. Method: start the real binary on small loads.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const LOAD: &str = "step:from=100,to=900,at=10m";

fn lab(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(words).stdin(Stdio::null());
    command
}

fn output(words: &[&str]) -> Output {
    lab(words).output().expect("the binary was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn what_cannot_be_done_is_one_line_on_standard_error_and_exit_2() {
    for (words, expected) in [
        (
            &["run", "--trace", "missing.csv"][..],
            "lab: --trace: \"missing.csv\" is no file and no folder, and no load that is made up; \
             name one, or write one such as sine:low=100,high=1800,period=1d\n",
        ),
        (
            &["optimum", "--trace", LOAD, "--share", "2"],
            "lab: --share: 2 is no share; give a number from 0 to 1, such as 0.01\n",
        ),
        (
            &["run", "--trace", LOAD, "--first", "4x"],
            "error: invalid value '4x' for '--first <TIME>': \"4x\" is no length of time; write \
             whole seconds, or a whole number with s, m, h or d, as in 30s or 4d; see --help\n",
        ),
        (
            &["run", "--trace", LOAD, "--policy", "hpa:aim=3"],
            "error: invalid value 'hpa:aim=3' for '--policy <NAME[:KEY=VALUE,...]>': policy hpa: \
             there is no setting \"aim\"; it has ",
        ),
        (
            &["run", "--trace", LOAD, "--plant", "solid"],
            "error: invalid value 'solid' for '--plant <KIND[:KEY=VALUE,...]>': \"solid\" is no \
             plant; take fluid or queue; see --help\n",
        ),
        (
            &["run", "--trace", LOAD, "--min", "9", "--max", "3"],
            "lab: --min: 9 with --max 3 is not at most --max; lower it, or raise --max\n",
        ),
        (
            &["whatif", "missing.jsonl"],
            "lab: nothing is to be otherwise; give --set NAME=VALUE or --policy NAME\n",
        ),
    ] {
        let output = output(words);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
        let told = text(&output.stderr);
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn help_of_every_command_has_an_example() {
    for command in ["doctor", "optimum", "run", "score", "shadow", "whatif"] {
        let output = output(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(&format!("\n  lab {command} ")), "{command}");
    }
}

#[test]
fn a_doctor_that_found_something_exits_1() {
    let coarse = "# unit: requests per step\n# step_s: 300\nt_s,value\n0,1\n300,2\n";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("coarse.csv");
    fs::write(&file, coarse).expect("written");
    let file = file.display().to_string();
    assert_eq!(output(&["doctor", "--trace", &file]).status.code(), Some(1));
    let made_up = output(&["doctor", "--trace", "walk:low=100,high=900"]);
    assert_eq!((made_up.status.code(), made_up.stderr.len()), (Some(0), 0));
}

#[test]
fn standard_output_is_json_alone_and_standard_error_a_line_for_each_load() {
    let words = ["run", "--trace", LOAD, "--trace", "constant:rate=70", "--first", "20m", "--json"];
    let output = output(&words);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["runs"].as_array().map(Vec::len), Some(2));
    assert_eq!(text(&output.stderr).lines().count(), 2, "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains('\u{1b}'));
}

#[test]
fn the_same_seed_gives_the_same_files_on_any_number_of_threads() {
    let root = tempfile::tempdir().expect("a folder");
    let files = |name: &str, jobs: &str| {
        let folder = root.path().join(name);
        let out = folder.display().to_string();
        for command in ["run", "score", "optimum"] {
            let mut words = vec![command, "--trace", LOAD, "--first", "20m", "--jobs", jobs];
            words.extend(["--trace", "mmpp:low=100,high=900,low_for=200,high_for=40"]);
            words.extend(["--out", &out]);
            if command == "score" {
                words.extend(["--seeds", "2", "--policy", "planner", "--policy", "hpa"]);
            }
            assert_eq!(output(&words).status.code(), Some(0), "{command}");
        }
        contents(&folder)
    };
    let one = files("one", "1");
    assert_eq!(one.len(), 6);
    assert!(one == files("three", "3"), "threads change nothing");
    assert!(one == files("again", "1"), "nor does another run");
}

#[test]
fn an_interrupt_ends_it_at_once_and_leaves_nothing() {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("out");
    let out = folder.display().to_string();
    let mut process = lab(&["score", "--trace", LOAD, "--first", "30d", "--out", &out])
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary was built");
    std::thread::sleep(Duration::from_millis(700));
    let pid = Pid::from_child(&process);
    kill_process(pid, Signal::INT).expect("it runs");
    let begun = Instant::now();
    let status = process.wait().expect("it ends");
    assert_eq!(status.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(!folder.exists());
}

/// The files of a folder by name.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("there")
        .map(|entry| entry.expect("readable").path())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(path).expect("readable"))
        })
        .collect();
    files.sort();
    files
}
