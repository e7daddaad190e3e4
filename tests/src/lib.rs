//! Starts the project's programs as a user would, and cleans up after them.
//!
//! A program is built on first use. Every process that a test starts ends with it. Not for testing
//! a module: that is done at the bottom of its file.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a harness for tests: a panic is how it tells of a failure"
)]

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The root of the project.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the root of the project").to_owned()
}

/// The path of a program of `examples/local`, built if need be: as `scripts/test` builds it, since
/// another choice of packages has other features, and would build all of them again.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--all-targets"]).current_dir(root());
        // What cargo tells a test of its package: build scripts that look at it would run again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&name);
            }
        }
        let built = build.status().expect("cargo");
        assert!(built.success(), "the programs could not be built");
        let test = std::env::current_exe().expect("this test");
        let folder = test.parent().and_then(Path::parent).expect("target/debug");
        folder.to_owned()
    });
    folder.join(name)
}

/// Runs a program to its end, which must come within two minutes.
pub fn run(name: &str, args: &[&str]) -> Output {
    let child = Command::new(program(name))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.wait_with_output().expect("the program ends")
}

/// A program under way; killed when it is dropped.
pub struct Running(Option<Child>);

impl Running {
    /// Starts a program with its output thrown away.
    pub fn start(name: &str, args: &[&str]) -> Self {
        Self::spawn(Command::new(program(name)).args(args), Stdio::null)
    }

    /// Starts a program with more in its environment, and keeps its output for
    /// [`Running::output`]; one that writes more than a pipe holds waits for that.
    pub fn start_with(name: &str, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program(name));
        Self::spawn(command.args(args).envs(environment.iter().copied()), Stdio::piped)
    }

    fn spawn(command: &mut Command, output: fn() -> Stdio) -> Self {
        let command = command.stdin(Stdio::null()).stdout(output()).stderr(output());
        Self(Some(command.spawn().expect("the program starts")))
    }

    /// Waits for its end and gives what it wrote.
    pub fn output(mut self) -> Output {
        let child = self.0.take().expect("still here");
        child.wait_with_output().expect("the program ends")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.as_ref().expect("still here").id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let raw = i32::try_from(self.pid()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(raw).expect("a process id");
        rustix::process::kill_process(pid, signal).expect("it is alive");
    }

    /// Waits for its end and gives its exit code; `None` when a signal ended it.
    pub fn wait(mut self) -> Option<i32> {
        let mut child = self.0.take().expect("still here");
        child.wait().expect("a status").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _it_may_have_ended = child.kill();
            let _status = child.wait();
        }
    }
}

/// Waits until `done`, at most `limit`; whether it came true.
pub fn eventually(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Ids of all processes whose command line contains `text`, zombies and this one left out.
pub fn processes_with(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return found };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if pid != std::process::id() && String::from_utf8_lossy(&line).contains(text) {
            found.push(pid);
        }
    }
    found
}

/// Ids of the direct children of a process.
pub fn children_of(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return found };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name may hold anything; what follows it is state, then the parent.
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if after_name.split(' ').nth(1).and_then(|id| id.parse().ok()) == Some(parent) {
            found.push(pid);
        }
    }
    found
}

/// Whether a process is alive, zombies not counted.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !after_name.is_empty() && !after_name.starts_with('Z')
}

/// Reads a JSON file.
pub fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}
