//! P26: nothing grows. Memory, files, threads and logs of every program stay as they are while
//! replicas come and go and fifty slow readers hang on the dashboard, and the loop keeps its pace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use planner_core::{Event, NoSignal, Timestamp};
use planner_examples_stack::demo::servers::{Process, free_address};
use planner_runtime::JournalReader;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::rounds;
use crate::support::PROGRAMS;
use crate::support_stack::{Stack, Traffic, served};

/// Length of a window, of which each leads to a decision: that of the settings' default.
const WINDOW_S: f64 = 3.0;
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// How many of these between two looks at the journals, which keep about twenty minutes.
const LOOKS_A_JOURNAL: u64 = 60;

/// What one program uses at a moment.
#[derive(Clone, Copy, Debug)]
struct Usage {
    rss_kib: u64,
    files: u64,
    threads: u64,
    log_bytes: u64,
}

impl Usage {
    fn of(pid: u32, log: &Path) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
        };
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
        Self {
            rss_kib: field("VmRSS:"),
            files: u64::try_from(files).expect("few"),
            threads: field("Threads:"),
            log_bytes: log.metadata().expect("a log").len(),
        }
    }
}

/// The most of a figure, by when it was seen: in the second and in the last quarter.
fn quarters(seen: &[Usage], of: impl Fn(&Usage) -> u64) -> (u64, u64) {
    let most = |part: &[Usage]| part.iter().map(&of).max().expect("looks");
    let quarter = seen.len() / 4;
    (most(&seen[quarter..2 * quarter]), most(&seen[3 * quarter..]))
}

/// Bytes that a log has grown by in the second and in the last quarter.
fn written(seen: &[Usage]) -> (u64, u64) {
    let quarter = seen.len() / 4;
    let grown = |from: usize, to: usize| seen[to].log_bytes - seen[from].log_bytes;
    (grown(quarter, 2 * quarter), grown(seen.len() - 1 - quarter, seen.len() - 1))
}

/// What has grown, in words.
fn growth(seen: &[Usage]) -> Result<String, String> {
    let (rss, rss_last) = quarters(seen, |usage| usage.rss_kib);
    let (files, files_last) = quarters(seen, |usage| usage.files);
    let (threads, threads_last) = quarters(seen, |usage| usage.threads);
    let (log, log_last) = written(seen);
    let told = format!(
        "{rss} -> {rss_last} KiB, {files} -> {files_last} files, {threads} -> {threads_last} \
         threads, {log} -> {log_last} bytes of log"
    );
    // A tenth and a megabyte is what an allocator breathes; an idle pool closes and opens files.
    let is_flat = rss_last <= rss + rss / 10 + 1_024
        && files_last <= files + 4
        && threads_last <= threads + 1
        && log_last <= log + log / 2 + 4_096;
    if is_flat { Ok(told) } else { Err(told) }
}

#[test]
fn what_grows_is_found_out() {
    let usage = |n: u64| Usage { rss_kib: 10_000, files: 20, threads: 4, log_bytes: n * 100 };
    let flat: Vec<_> = (0..40).map(usage).collect();
    growth(&flat).expect("flat");
    for leak in [
        |n: u64, it: Usage| Usage { rss_kib: it.rss_kib + n * 200, ..it },
        |n: u64, it: Usage| Usage { files: it.files + n / 2, ..it },
        |n: u64, it: Usage| Usage { threads: it.threads + n / 8, ..it },
        |n: u64, it: Usage| Usage { log_bytes: n * n * 100, ..it },
    ] {
        let leaking: Vec<_> = (0..40).map(|n| leak(n, usage(n))).collect();
        growth(&leaking).expect_err("it leaks");
    }
}

/// Readers of the dashboard that never read.
async fn slow_readers(listen: std::net::SocketAddr) -> Vec<TcpStream> {
    let mut readers = Vec::new();
    for _ in 0..50 {
        let mut reader = TcpStream::connect(listen).await.expect("it listens");
        let asked = format!("GET /api/events HTTP/1.1\r\nHost: {listen}\r\n\r\n");
        reader.write_all(asked.as_bytes()).await.expect("sent");
        readers.push(reader);
    }
    readers
}

/// Adds when the planner decided on a window, as far as the journals go back: the oldest are given
/// up, so this is asked for long before that.
fn note_windows(state: &Path, times: &mut BTreeSet<Timestamp>) {
    let entries = std::fs::read_dir(state).expect("a folder").map(|entry| entry.expect("one"));
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort_unstable();
    for path in paths {
        // The oldest may be gone by now, and the newest may hold nothing yet.
        let Ok(records) = JournalReader::<NoSignal>::records(&path) else { continue };
        for record in records.map(|record| record.expect("whole")) {
            if matches!(record.event, Event::Observe(_)) {
                times.insert(record.at);
            }
        }
    }
}

/// Seconds between the windows, oldest first.
fn pace(times: &BTreeSet<Timestamp>) -> Vec<f64> {
    let later = times.iter().skip(1);
    times.iter().zip(later).map(|(at, next)| next.saturating_since(*at).as_secs_f64()).collect()
}

/// Starts every program; the planner decides and gives no orders, the test does.
fn start(stack: &mut Stack, listen: std::net::SocketAddr) -> BTreeMap<&'static str, Process> {
    let quoted = |text: String| format!("{text:?}");
    for (name, value) in [
        ("sample_interval", WINDOW_S.to_string()),
        ("journal_mib", String::from("1")),
        ("listen", quoted(listen.to_string())),
        ("max_replicas", String::from("3")),
    ] {
        stack.rig.set(name, value);
    }
    let mut running = BTreeMap::new();
    for name in PROGRAMS {
        if name == "planner" {
            let file = stack.rig.path("planner-pauses");
            std::fs::write(&file, "").expect("written");
            stack.rig.set("pause_file", quoted(file.display().to_string()));
        }
        running.insert(name, stack.rig.run(name, &[]));
        stack.rig.unset("pause_file");
    }
    running
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs redis-server, nginx and a Docker engine"]
async fn p26_nothing_grows_and_the_loop_keeps_its_pace_while_replicas_come_and_go() {
    let mut stack = Stack::start().await;
    let listen = free_address().expect("a port");
    let running = start(&mut stack, listen);
    served(&stack).await;
    let readers = slow_readers(listen).await;
    let traffic = Traffic::start(stack.http, "/work?ms=20");
    let length = Duration::from_secs(rounds(300, 7_200).into());
    let (began, mut orders) = (Instant::now(), 0_u64);
    let mut seen: BTreeMap<&str, Vec<Usage>> = BTreeMap::new();
    let mut times = BTreeSet::new();
    while began.elapsed() < length {
        orders += 1;
        let replicas = if orders % 4 < 2 { 3 } else { 1 };
        // Of an epoch that no planner reaches.
        stack.order(1_000_000, orders, replicas, None).await;
        sleep(LOOK).await;
        if orders.is_multiple_of(LOOKS_A_JOURNAL) {
            note_windows(&stack.rig.path("state"), &mut times);
        }
        for (name, program) in &running {
            let log = stack.rig.path(&format!("{name}.log"));
            let usage = Usage::of(program.id().expect("it runs"), &log);
            seen.entry(name).or_default().push(usage);
        }
    }
    let (sent, failures) = traffic.end().await;
    note_windows(&stack.rig.path("state"), &mut times);
    let gaps = pace(&times);
    let grown: Vec<_> = seen.iter().map(|(name, seen)| (name, growth(seen))).collect();
    for (name, told) in &grown {
        println!("{name}: {}", told.as_ref().unwrap_or_else(|told| told));
    }
    let off = |gap: &f64| (gap - WINDOW_S).abs();
    let slipped = gaps.iter().filter(|gap| off(gap) > WINDOW_S / 10.0).count();
    let worst = gaps.iter().map(off).fold(0.0, f64::max);
    println!(
        "{orders} orders, {} decisions, {slipped} of them off by more than a tenth of a window, \
         the worst by {:.0} ms; {sent} requests, {} failed",
        gaps.len(),
        worst * 1_000.0,
        failures.len()
    );
    assert!(grown.iter().all(|(_, told)| told.is_ok()), "something grows");
    assert_eq!(failures.len(), 0, "{:?}", failures.first());
    assert!(gaps.len() as f64 > length.as_secs_f64() / WINDOW_S * 0.9, "decisions are missing");
    // One moment in which the machine was elsewhere makes two.
    assert!(slipped * 50 <= gaps.len(), "{gaps:?}");
    drop((readers, running));
    stack.end().await;
}
