//! The dashboard as a process beside a real Redis, asked over HTTP.

mod support_redis;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use support_redis::Redis;

/// A dashboard; killed when the test is over.
struct Dashboard {
    process: Child,
    address: String,
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dashboard"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

fn refused(arguments: &[&str]) -> Output {
    program(arguments).output().expect("it runs")
}

impl Dashboard {
    fn start(redis: &Redis, bus: &str) -> Self {
        let port = redis.port.to_string();
        let mut process =
            program(&["--listen", "127.0.0.1:0", "--redis-port", &port, "--bus", bus])
                .stdout(Stdio::piped())
                .spawn()
                .expect("it starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("text");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { process, address }
    }

    fn open(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream
    }

    /// Head and body of the answer to a request that may say more in its head.
    fn ask_with(&self, line: &str, host: &str, more: &str) -> (String, String) {
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        let mut answer = String::new();
        self.open(&request).read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_ascii_lowercase(), body.to_owned())
    }

    fn ask(&self, line: &str) -> (String, String) {
        self.ask_with(line, &self.address, "")
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.ask("GET /api/state").1).expect("JSON")
    }

    /// The state once it is as wanted, within two seconds.
    fn state_when(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let state = self.state();
            if is_so(&state) {
                return state;
            }
            assert!(begin.elapsed() < Duration::from_secs(2), "it did not come true: {state:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn events(&self) -> BufReader<TcpStream> {
        let request = format!("GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        BufReader::new(self.open(&request))
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _it_may_have_ended = self.process.kill();
        let _status = self.process.wait();
    }
}

/// The next state of a stream of events.
fn next_state(events: &mut BufReader<TcpStream>) -> Value {
    let mut line = String::new();
    while !line.starts_with("data:") {
        line.clear();
        assert!(events.read_line(&mut line).expect("an event") > 0, "it ended");
    }
    serde_json::from_str(line.trim_start_matches("data:")).expect("JSON")
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs_f64()
}

fn old_alert(p95: f64) -> String {
    json!({ "kind": "latency_metrics", "endpoint": "http://lb/", "window_sec": 3.0,
        "requests": 40, "success_rate": 1.0, "avg_ms": 26.1, "p95_ms": p95, "replicas": 2,
        "ts": now() })
    .to_string()
}

fn old_action(reason: &str) -> String {
    json!({ "ts": now(), "kind": "plan", "container": "app",
        "decision": { "action": "scale_up", "target": "app", "reason": reason },
        "telemetry": { "p95_ms": 2510.0, "baseline_ms": 48.4, "sigma_ms": 5.9,
            "low_windows": [false], "replicas": 2 } })
    .to_string()
}

fn old_result(reason: &str) -> String {
    json!({ "ts": now(), "action": "scale_up", "target": "app", "reason": reason,
        "result": { "status": "ok", "message": "started app-dup-1" } })
    .to_string()
}

/// Waits until the dashboard listens to the old channels, which keep nothing.
fn until_subscribed(redis: &Redis) {
    for channel in ["alerts", "actions", "results"] {
        let begin = Instant::now();
        while redis.ask(&["PUBLISH", channel, r#"{"kind":"hello"}"#]) == ":0" {
            assert!(begin.elapsed() < Duration::from_secs(5), "{channel}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
#[ignore = "needs redis-server"]
fn the_old_programs_messages_are_shown_in_the_old_shape_within_two_seconds() {
    let redis = Redis::start();
    let dashboard = Dashboard::start(&redis, "pubsub");
    until_subscribed(&redis);
    let mut events = dashboard.events();
    assert!(next_state(&mut events).get("latest").is_none());
    let begin = Instant::now();
    redis.ask(&["PUBLISH", "alerts", &old_alert(51.1)]);
    while next_state(&mut events)["latest"]["p95_ms"] != 51.1 {}
    assert!(begin.elapsed() < Duration::from_secs(2));
    redis.ask(&["PUBLISH", "actions", &old_action("52.0x baseline")]);
    redis.ask(&["PUBLISH", "results", &old_result("52.0x baseline")]);
    let state = dashboard.state_when(|state| state["actions"][0]["result"].is_object());
    assert_eq!(state["latest"]["avg_ms"], 26.1);
    assert_eq!(state["latest"]["success_rate"], 1.0);
    assert_eq!(state["latest"]["replicas"], 2);
    assert_eq!(state["baseline_ms"], 48.4);
    assert_eq!(state["sigma_ms"], 5.9);
    assert_eq!(state["actions"].as_array().map(Vec::len), Some(1));
    assert_eq!(state["actions"][0]["reason"], "52.0x baseline");
    assert_eq!(state["actions"][0]["result"]["message"], "started app-dup-1");
}

#[test]
#[ignore = "needs redis-server"]
fn what_waits_in_the_streams_is_shown_and_so_are_replicas_and_routing() {
    let mut redis = Redis::start();
    let alert = json!({ "kind": "latency_metrics", "endpoint": "http://me:secret@lb/?key=secret",
        "window_sec": 3.0, "requests": 3, "success_rate": 0.0, "p95_ms": 3000.0, "replicas": 1,
        "ts": now(), "v": 1, "service": "app", "seq": 7, "start_ts": now() - 3.0, "end_ts": now(),
        "samples": 3, "timeouts": 3, "failures": 0, "has_latencies": false, "ready": 0 });
    let action = json!({ "ts": now(), "kind": "plan", "container": "app", "v": 1,
        "service": "app", "id": 5, "epoch": 1, "seq": 2, "expires_ts": now() + 60.0,
        "derivation": ["window     7", "binding    none"], "origin": "policy",
        "decision": { "action": "scale_up", "target": "app", "reason": "why", "replicas": 4 } });
    let result = json!({ "ts": now(), "action": "scale_up", "target": "app", "reason": "why",
        "v": 1, "service": "app", "id": 5, "epoch": 1, "seq": 2, "observed": 4, "took_ms": 120.0,
        "cause": "applied", "result": { "status": "ok", "message": "4 are ready" } });
    for (channel, message) in [("results", &result), ("alerts", &alert), ("actions", &action)] {
        redis.ask(&["XADD", &format!("planner:app:{channel}"), "*", "m", &message.to_string()]);
    }
    let members = json!({ "v": 1, "service": "app", "epoch": 1, "seq": 9, "ts": now(),
        "replicas": [{ "slot": "app-1", "addr": "10.0.0.1:8080", "state": "ready" }] });
    let routing = json!({ "v": 1, "service": "app", "generation": "0a", "seq": 9, "ts": now(),
        "addrs": ["10.0.0.1:8080"], "drained": true });
    redis.ask(&["SET", "planner:app:members", &members.to_string()]);
    redis.ask(&["SET", "planner:app:routed", &routing.to_string()]);
    let dashboard = Dashboard::start(&redis, "streams");
    let state = dashboard.state_when(|state| {
        let shown = ["latest", "members", "routing"].iter().all(|name| state[name].is_object());
        shown && state["actions"][0]["result"]["status"] == "ok"
    });
    assert!(state["latest"].get("p95_ms").is_none(), "{}", state["latest"]);
    assert_eq!((&state["latest"]["replicas"], &state["latest"]["seq"]), (&json!(0), &json!(7)));
    assert!(!state.to_string().contains("secret"));
    assert_eq!(state["actions"].as_array().map(Vec::len), Some(1));
    assert_eq!(state["actions"][0]["derivation"][1], "binding    none");
    assert_eq!(state["members"]["replicas"][0]["slot"], "app-1");
    assert_eq!(state["routing"]["addrs"][0], "10.0.0.1:8080");
    redis.kill();
    let begin = Instant::now();
    while dashboard.state()["bus"]["connected"] == true {
        assert!(begin.elapsed() < Duration::from_secs(10), "the loss was not told");
        std::thread::sleep(Duration::from_millis(50));
    }
    redis.run();
    let begin = Instant::now();
    // An empty stream may be read from its begin again, so it is written to until it is heard.
    while dashboard.state()["latest"]["p95_ms"] != 9.0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "it did not come back");
        redis.ask(&["XADD", "planner:app:alerts", "*", "m", &old_alert(9.0)]);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(dashboard.state()["bus"]["connected"], true);
}

#[test]
#[ignore = "needs redis-server"]
fn hostile_text_is_inert_and_strangers_are_refused() {
    let redis = Redis::start();
    let dashboard = Dashboard::start(&redis, "pubsub");
    until_subscribed(&redis);
    let hostile = "<script>alert(1)</script>\u{202e}\nnext\u{1b}[2J&amp;";
    redis.ask(&["PUBLISH", "actions", &old_action(hostile)]);
    let state = dashboard.state_when(|state| state["actions"][0].is_object());
    assert_eq!(state["actions"][0]["reason"], "<script>alert(1)</script> next [2J&amp;");
    let (head, body) = dashboard.ask("GET /api/state");
    assert!(!body.contains(['<', '>', '&', '\u{202e}', '\u{1b}', '\n']), "{body}");
    assert!(head.contains("content-type: application/json"), "{head}");
    for (line, kind) in [
        ("GET /", "text/html"),
        ("GET /app.js", "text/javascript"),
        ("GET /style.css", "text/css"),
        ("GET /nothing", "text/plain"),
        ("HEAD /", "text/html"),
        ("POST /api/state", "text/plain"),
    ] {
        let (head, _) = dashboard.ask(line);
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; \
             connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            kind,
        ] {
            assert!(head.contains(header), "{line}: {header}: {head}");
        }
        assert!(!head.contains("access-control"), "{head}");
    }
    assert!(dashboard.ask("POST /api/state").0.starts_with("http/1.1 405"));
    assert!(dashboard.ask("DELETE /").0.starts_with("http/1.1 405"));
    for host in ["evil.example", "localhost.evil.example", "192.168.1.5"] {
        let (head, body) = dashboard.ask_with("GET /api/state", host, "");
        assert!(head.starts_with("http/1.1 421") && !body.contains("actions"), "{head}");
        assert!(head.contains("nosniff"), "{head}");
    }
    assert!(dashboard.ask_with("GET /api/state", "localhost:1", "").0.starts_with("http/1.1 200"));
    let cross = "Sec-Fetch-Site: cross-site\r\n";
    let (head, _) = dashboard.ask_with("GET /api/state", &dashboard.address, cross);
    assert!(head.starts_with("http/1.1 403"), "{head}");
}

#[test]
#[ignore = "needs redis-server"]
fn slow_pages_delay_nobody_and_there_are_at_most_fifty() {
    let redis = Redis::start();
    let dashboard = Dashboard::start(&redis, "pubsub");
    until_subscribed(&redis);
    let mut quick = dashboard.events();
    next_state(&mut quick);
    let slow: Vec<TcpStream> = (0..49)
        .map(|_| {
            let mut slow = dashboard.events();
            next_state(&mut slow);
            slow.into_inner()
        })
        .collect();
    assert!(dashboard.ask("GET /api/events").0.starts_with("http/1.1 503"));
    for n in 1..=40 {
        redis.ask(&["PUBLISH", "actions", &old_action(&"x".repeat(3_000))]);
        redis.ask(&["PUBLISH", "alerts", &old_alert(f64::from(n))]);
        std::thread::sleep(Duration::from_millis(20));
    }
    let begin = Instant::now();
    let mut events = 0;
    while next_state(&mut quick)["latest"]["p95_ms"] != 40.0 {
        events += 1;
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(events <= 12, "{events} events of 80 changes in about a second");
    drop(slow);
    // Who is gone is noticed at the latest when it is told something.
    let begin = Instant::now();
    while dashboard.ask_with("HEAD /api/events", &dashboard.address, "").0.contains("503") {
        assert!(begin.elapsed() < Duration::from_secs(5), "places were not given back");
        redis.ask(&["PUBLISH", "alerts", &old_alert(1.0)]);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn only_loopback_is_listened_on() {
    let redis = Redis::start();
    let dashboard = Dashboard::start(&redis, "streams");
    let of_process = format!("/proc/{}", dashboard.process.id());
    let mut sockets = Vec::new();
    for file in std::fs::read_dir(format!("{of_process}/fd")).expect("its files") {
        let link = std::fs::read_link(file.expect("a file").path()).unwrap_or_default();
        let link = link.to_string_lossy().into_owned();
        sockets.extend(link.strip_prefix("socket:[").map(|rest| rest.replace(']', "")));
    }
    let mut listening = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("{of_process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields[3] == "0A" && sockets.iter().any(|socket| socket == fields[9]) {
                listening.push(fields[1].to_owned());
            }
        }
    }
    assert_eq!(listening.len(), 1, "{listening:?}");
    assert!(listening[0].starts_with("0100007F:"), "{listening:?}");
}

#[test]
fn an_address_that_others_can_reach_is_refused_in_one_line() {
    for address in ["0.0.0.0:8090", "[::]:8090", "192.168.1.5:8090"] {
        let output = refused(&["--listen", address]);
        assert_eq!(output.status.code(), Some(2));
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(line.lines().count(), 1, "{line}");
        for part in ["LISTEN", address, "loopback address like 127.0.0.1:8090", "--i-understand"] {
            assert!(line.contains(part), "{line}");
        }
    }
    let output = refused(&["--listen", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
}
