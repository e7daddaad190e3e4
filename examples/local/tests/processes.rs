//! The programs as processes: signals, standard input, exit codes.
//!
//! Goal: what a supervisor sees. Method: start the real binaries on free ports and treat them as
//! a supervisor would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A started service, which ends with the test whatever happens.
struct App {
    process: Child,
    address: String,
}

impl App {
    fn start(flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_app"))
            .args(["--port=0"])
            .args(flags)
            .env_remove("PORT")
            .env_remove("EXTRA_DELAY_MS")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let stderr = process.stderr.take().expect("piped");
        let mut line = String::new();
        BufReader::new(stderr).read_line(&mut line).expect("the service says where it is");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        Self { process, address }
    }

    fn request(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("the service listens");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n")
            .expect("the connection is open");
        stream
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).expect("process ids are small");
        kill_process(Pid::from_raw(id).expect("not zero"), signal).expect("it runs");
    }

    fn exit_code_within(&mut self, limit: Duration) -> Option<i32> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().expect("our own child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _ended_already = self.process.wait();
    }
}

fn read_all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a complete answer");
    text
}

#[test]
fn a_drain_that_takes_too_long_ends_with_an_error_even_if_nobody_reads_it() {
    let mut app = App::start(&["--ms=60000", "--drain-s=1"]);
    let _waiting = app.request("/");
    std::thread::sleep(Duration::from_millis(200));
    app.signal(Signal::TERM);
    assert_eq!(app.exit_code_within(Duration::from_secs(5)), Some(2));
}

#[test]
fn either_signal_answers_what_is_queued_and_exits_with_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut app = App::start(&["--ms=100"]);
        let queued: Vec<TcpStream> = (0..5).map(|_| app.request("/")).collect();
        app.signal(signal);
        for stream in queued {
            let answer = read_all(stream);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        assert_eq!(app.exit_code_within(Duration::from_secs(5)), Some(0));
    }
}

#[test]
fn the_end_of_standard_input_ends_the_service_only_when_asked() {
    let mut bound = App::start(&["--exit-with-parent"]);
    assert_eq!(bound.exit_code_within(Duration::from_millis(300)), None, "input is still open");
    drop(bound.process.stdin.take());
    assert_eq!(bound.exit_code_within(Duration::from_secs(5)), Some(0));
    let mut free = App::start(&[]);
    drop(free.process.stdin.take());
    assert_eq!(free.exit_code_within(Duration::from_millis(500)), None, "nobody asked for that");
}

#[test]
fn a_log_on_a_full_disk_is_one_error_and_exit_code_two() {
    let app = App::start(&[]);
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--scenario=30x20", "--log=/dev/full"])
        .arg(format!("--target=http://{}/", app.address))
        .output()
        .expect("the binary was built");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        error,
        "loadgen: cannot write the request log /dev/full: No space left on device \
         (os error 28); free some space, or give another --log\n"
    );
}

#[test]
fn the_generator_measures_the_service_and_prints_its_summary_as_json() {
    let app = App::start(&["--ms=5"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("requests.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--scenario=2x30", "--seed=3", "--json", "--log"])
        .arg(&log)
        .arg(format!("--target=http://{}/", app.address))
        .output()
        .expect("the binary was built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let lines = std::fs::read_to_string(&log).expect("written").lines().count();
    assert_eq!(summary["requests"], lines);
    assert_eq!(summary["failed"], 0);
    assert!(summary["p50_ms"].as_f64() >= Some(5.0), "{summary}");
}
