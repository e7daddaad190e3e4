//! The prober against real servers on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use planner_core::Window;
use planner_ports::{Executor, ExecutorError, ReplicaCounts, TelemetrySource, Timeline};
use planner_probe::{ProbeError, ProbeSettings, Prober};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that answers every connection once, `delay` late, with `status`. Returns its URL and
/// the number of requests that it got.
async fn server(delay: Duration, status: &'static str) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let requests = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                continue;
            };
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = [0; 1_024];
                let _ = stream.read(&mut head).await;
                tokio::time::sleep(delay).await;
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url(address), requests)
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/x")
}

const NEVER: Duration = Duration::from_hours(1);
const WINDOW: Duration = Duration::from_millis(500);

fn settings(change: impl FnOnce(&mut ProbeSettings)) -> ProbeSettings {
    let mut settings = ProbeSettings::default();
    settings.window = WINDOW;
    settings.per_second = 50.0;
    change(&mut settings);
    settings
}

fn prober(url: &str, settings: ProbeSettings) -> Prober {
    Prober::new(url, settings, Timeline::begin(), None).expect("valid")
}

async fn windows(prober: &mut Prober, count: usize) -> Vec<Window> {
    let mut windows = Vec::new();
    for _ in 0..count {
        windows.push(prober.next_window().await.expect("a window"));
    }
    windows
}

fn sum(windows: &[Window], field: fn(&Window) -> u32) -> u32 {
    windows.iter().map(field).sum()
}

#[test]
fn settings_out_of_range_and_urls_that_cannot_be_probed_are_refused() {
    let refused = |url: &str, change: fn(&mut ProbeSettings)| {
        let made = Prober::new(url, settings(change), Timeline::begin(), None);
        made.err().expect("refused").to_string()
    };
    let good = "http://127.0.0.1:1/";
    assert_eq!(
        refused("https://127.0.0.1:1/", |_| ()),
        "url: \"https://127.0.0.1:1/\" is not http, the only scheme that is probed; write it like \
         http://127.0.0.1:8080/path"
    );
    assert_eq!(
        refused(good, |settings| settings.per_second = f64::NAN),
        "per_second: NaN is not from 0.01 to 10000; 20 suits most"
    );
    assert_eq!(
        refused(good, |settings| settings.max_in_flight = 0),
        "max_in_flight: 0 is not from 1 to 10000; 256 suits most"
    );
    assert_eq!(
        refused(good, |settings| settings.timeout = Duration::ZERO),
        "timeout: 0ns is not from 1 ms to 60 s; use a little more than the worst answer"
    );
    assert_eq!(
        refused(good, |settings| settings.window = Duration::from_hours(2)),
        "window: 7200s is not from 10 ms to 1 h; choose a few seconds"
    );
    let url = "https://127.0.0.1:1/".to_owned();
    let made = Prober::new(&url, settings(|_| ()), Timeline::begin(), None).err();
    assert!(matches!(made, Some(ProbeError::Url { .. })));
}

#[tokio::test]
async fn a_window_ends_on_time_when_every_probe_times_out_and_no_timeout_is_a_latency() {
    let (url, _) = server(NEVER, "200 OK").await;
    let settings = settings(|settings| settings.timeout = Duration::from_millis(300));
    let mut prober = prober(&url, settings);
    let windows = windows(&mut prober, 4).await;
    for window in &windows {
        // One after the other, the 25 probes of a window would take 7.5 s.
        assert!(window.length() < WINDOW * 4, "{:?}", window.length());
        assert_eq!(window.latencies(), None);
        assert_eq!(window.samples(), window.timeouts());
    }
    let timeouts = sum(&windows, Window::timeouts);
    assert!(timeouts >= 50, "{timeouts} of about 85");
}

#[tokio::test]
async fn the_timeout_covers_an_answer_that_trickles() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
                let mut sent = stream.write_all(head).await;
                while sent.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    sent = stream.write_all(b"x").await;
                }
            });
        }
    });
    let settings = settings(|settings| settings.timeout = Duration::from_millis(200));
    let mut prober = prober(&url(address), settings);
    let windows = windows(&mut prober, 2).await;
    assert_eq!(windows[1].latencies(), None);
    assert!(windows[1].timeouts() > 0);
    assert_eq!(sum(&windows, Window::successes), 0);
}

#[tokio::test]
async fn refused_connections_are_failures_and_such_a_window_has_no_percentiles() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let mut prober = prober(&url(address), settings(|_| ()));
    let window = prober.next_window().await.expect("a window");
    assert!(window.failures() >= 10, "{} of about 25", window.failures());
    assert_eq!(window.samples(), window.failures());
    assert_eq!((window.latencies(), window.timeouts()), (None, 0));
}

#[tokio::test]
async fn answers_with_500_and_connections_that_break_off_are_failures() {
    let (failing, _) = server(Duration::ZERO, "500 Oops").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let breaking = url(listener.local_addr().expect("an address"));
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    for target in [failing, breaking] {
        let mut prober = prober(&target, settings(|_| ()));
        let window = prober.next_window().await.expect("a window");
        assert!(window.failures() >= 10, "{} of about 25", window.failures());
        assert_eq!((window.samples(), window.latencies()), (window.failures(), None));
    }
}

#[tokio::test]
async fn a_slow_server_is_probed_at_the_full_rate_and_no_wait_is_hidden() {
    let delay = Duration::from_millis(600);
    let (url, requests) = server(delay, "200 OK").await;
    let mut prober = prober(&url, settings(|_| ()));
    let windows = windows(&mut prober, 4).await;
    // 50 a second for 2 s; one after the other it would be 3.
    let sent = requests.load(Ordering::SeqCst);
    assert!((80..=130).contains(&sent), "{sent} of about 100");
    let last = windows[3].latencies().expect("successes");
    assert!(last.p50().expect("known").as_millis() >= 600.0, "{last:?}");
    // No answer can be known in the first window, and that is not held against it.
    assert_eq!((windows[0].samples(), windows[0].coverage()), (0, Some(1.0)));
    assert_eq!(sum(&windows, |window| window.failures() + window.timeouts()), 0);
}

#[tokio::test]
async fn probes_beyond_the_bound_are_not_sent_and_the_coverage_falls() {
    let (url, requests) = server(NEVER, "200 OK").await;
    let settings = settings(|settings| {
        settings.max_in_flight = 3;
        settings.timeout = Duration::from_mins(1);
    });
    let mut prober = prober(&url, settings);
    let windows = windows(&mut prober, 2).await;
    assert_eq!(requests.load(Ordering::SeqCst), 3);
    let first = windows[0].coverage().expect("probes were due");
    assert!(first > 0.0 && first < 0.5, "{first}");
    assert_eq!(windows[1].coverage(), Some(0.0));
}

/// Knows its counts, or not.
struct Fleet(Option<ReplicaCounts>);

#[async_trait]
impl Executor for Fleet {
    async fn scale_to(&self, _replicas: u32) -> Result<(), ExecutorError> {
        Ok(())
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        self.0.ok_or(ExecutorError::ShuttingDown)
    }
}

#[tokio::test]
async fn replicas_are_those_of_the_executor_and_absent_when_unknown() {
    let (url, _) = server(Duration::ZERO, "200 OK").await;
    let counts = ReplicaCounts { ready: 3, starting: 2, draining: 1 };
    let fleets = [None, Some(Fleet(None)), Some(Fleet(Some(counts)))];
    let mut seen = Vec::new();
    for fleet in fleets {
        let executor = fleet.map(|fleet| Arc::new(fleet) as Arc<dyn Executor>);
        let made = Prober::new(&url, settings(|_| ()), Timeline::begin(), executor);
        let window = made.expect("valid").next_window().await.expect("a window");
        seen.push((window.ready(), window.starting()));
    }
    assert_eq!(seen, [(None, None), (None, None), (Some(3), Some(2))]);
}

#[tokio::test]
async fn windows_follow_each_other_and_a_late_call_gets_one_longer_window() {
    let (url, _) = server(Duration::ZERO, "200 OK").await;
    let mut prober = prober(&url, settings(|_| ()));
    let first = prober.next_window().await.expect("a window");
    tokio::time::sleep(WINDOW * 5 / 2).await;
    let second = prober.next_window().await.expect("a window");
    assert_eq!((first.seq(), second.seq(), second.start()), (1, 2, first.end()));
    assert!(second.length() > WINDOW * 2, "{:?}", second.length());
    // Probing went on meanwhile.
    assert!(second.samples() >= 75, "{} of about 150", second.samples());
    assert_eq!(second.coverage(), Some(1.0));
}

#[tokio::test]
async fn a_dropped_prober_sends_no_more() {
    let (url, requests) = server(Duration::ZERO, "200 OK").await;
    let mut prober = prober(&url, settings(|_| ()));
    prober.next_window().await.expect("a window");
    drop(prober);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let sent = requests.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(requests.load(Ordering::SeqCst), sent);
}
