//! The service over real sockets, spoken to by hand.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use tokio::sync::oneshot;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Parser)]
struct Program {
    #[command(flatten)]
    args: Args,
}

fn args(flags: &[&str]) -> Args {
    let line = std::iter::once("app").chain(flags.iter().copied());
    <Program as clap::Parser>::try_parse_from(line).expect("valid flags").args
}

struct Running {
    address: SocketAddr,
    drain: oneshot::Sender<()>,
    ended: JoinHandle<usize>,
}

fn start(flags: &[&str], drain_at_most: Duration) -> Running {
    let args = args(flags);
    let service = service(&args).expect("threads can be started");
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = serve::listen(any_port).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (drain, signal) = oneshot::channel();
    let signal = async move {
        let _ = signal.await;
    };
    let signal = leave(signal, &service, args.linger_s);
    let ended = tokio::spawn(serve::until_drained(listener, service, signal, drain_at_most));
    Running { address, drain, ended }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("the service listens")
}

async fn send(stream: &mut TcpStream, path: &str, connection: &str) {
    let text = format!("GET {path} HTTP/1.1\r\nhost: app\r\nconnection: {connection}\r\n\r\n");
    stream.write_all(text.as_bytes()).await.expect("the connection is open");
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("a complete answer");
    text
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address).await;
    send(&mut stream, path, "close").await;
    rest(&mut stream).await
}

#[tokio::test]
async fn an_unknown_path_is_404_and_nonsense_400_with_a_clear_text() {
    let app = start(&[], MINUTE);
    assert!(get(app.address, "/nowhere").await.starts_with("HTTP/1.1 404 "));
    let refused = get(app.address, "/work?ms=soon").await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(
        refused.ends_with(
            "ms is \"soon\": it is a whole number of milliseconds from 0 to 60000; \
             for example /work?ms=20\n"
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn garbage_on_the_wire_harms_nobody_else() {
    let app = start(&[], MINUTE);
    let mut stream = connect(app.address).await;
    stream.write_all(b"\x16\x03\x01\x02\x00\r\n\r\n").await.expect("open");
    assert!(get(app.address, "/").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_answer_names_the_process_that_gave_it() {
    let app = start(&["--ms=1"], MINUTE);
    let answer = get(app.address, "/").await;
    assert!(answer.contains(&format!("x-replica: {}\r\n", std::process::id())), "{answer}");
    assert!(answer.ends_with("served in 1 ms\n"), "{answer}");
}

#[tokio::test]
async fn health_answers_at_once_while_every_worker_is_occupied() {
    let app = start(&["--ms=10000"], MINUTE);
    let mut occupied = connect(app.address).await;
    send(&mut occupied, "/", "close").await;
    let started = std::time::Instant::now();
    assert!(get(app.address, "/health").await.starts_with("HTTP/1.1 200 "));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_request_takes_its_own_time_plus_the_extra_delay() {
    let app = start(&["--extra-delay-ms=100"], MINUTE);
    let started = std::time::Instant::now();
    assert!(get(app.address, "/work?ms=50").await.ends_with("served in 150 ms\n"));
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_connection_can_be_kept_alive() {
    let app = start(&["--ms=1"], MINUTE);
    let mut stream = connect(app.address).await;
    send(&mut stream, "/", "keep-alive").await;
    let mut answer = vec![0; 1_024];
    assert!(stream.read(&mut answer).await.expect("open") > 0);
    send(&mut stream, "/", "close").await;
    assert!(rest(&mut stream).await.ends_with("served in 1 ms\n"));
}

#[tokio::test]
async fn the_end_waits_for_everything_queued_and_takes_nothing_new() {
    let app = start(&["--ms=200"], MINUTE);
    let mut idle = connect(app.address).await;
    send(&mut idle, "/health", "keep-alive").await;
    let mut answer = vec![0; 1_024];
    let length = idle.read(&mut answer).await.expect("open");
    assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
    let mut queued = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(app.address).await;
        send(&mut stream, "/", "keep-alive").await;
        queued.push(stream);
    }
    app.drain.send(()).expect("running");
    sleep(Duration::from_millis(50)).await;
    send(&mut idle, "/health", "keep-alive").await;
    assert!(rest(&mut idle).await.starts_with("HTTP/1.1 503 "));
    assert!(TcpStream::connect(app.address).await.is_err(), "a new connection was accepted");
    for mut stream in queued {
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    assert_eq!(app.ended.await.expect("no panic"), 0);
}

#[tokio::test]
async fn one_that_lingers_is_unhealthy_and_takes_requests_for_that_long() {
    let app = start(&["--ms=1", "--linger-s=1"], MINUTE);
    let began = std::time::Instant::now();
    app.drain.send(()).expect("running");
    let told = async { while !get(app.address, "/health").await.starts_with("HTTP/1.1 503 ") {} };
    tokio::time::timeout(MINUTE, told).await.expect("told");
    assert!(get(app.address, "/").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(app.ended.await.expect("no panic"), 0);
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert!(TcpStream::connect(app.address).await.is_err(), "a new connection was accepted");
}

#[tokio::test]
async fn its_log_tells_what_was_answered_what_was_cut_and_when_it_was_told_to_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display().to_string();
    let app = start(&["--ms=1", "--log-dir", &at], MINUTE);
    get(app.address, "/").await;
    let mut broken = connect(app.address).await;
    send(&mut broken, "/work?ms=60000", "close").await;
    sleep(Duration::from_millis(50)).await;
    drop(broken);
    sleep(Duration::from_millis(50)).await;
    app.drain.send(()).expect("running");
    assert_eq!(app.ended.await.expect("no panic"), 0);
    let file = std::fs::read_dir(&at).expect("a folder").next().expect("a log").expect("a log");
    let text = std::fs::read_to_string(file.path()).expect("a log");
    let told: Vec<(String, String)> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .map(|line: serde_json::Value| {
            assert!(line["at_s"].as_f64() > Some(1.7e9), "{line}");
            (line["what"].as_str().expect("a word").to_owned(), line["of"].to_string())
        })
        .collect();
    let address = format!("{:?}", app.address.to_string());
    let expected = [
        ("reached", address.as_str()),
        ("received", "0"),
        ("answered", "0"),
        ("received", "1"),
        ("cut", "1"),
        ("told_to_end", "null"),
    ];
    assert_eq!(told, expected.map(|(what, of)| (what.to_owned(), of.to_owned())));
}

#[tokio::test]
async fn the_end_does_not_wait_for_idle_connections() {
    let app = start(&[], MINUTE);
    let _idle = connect(app.address).await;
    sleep(Duration::from_millis(50)).await;
    app.drain.send(()).expect("running");
    let ended = tokio::time::timeout(Duration::from_secs(2), app.ended).await;
    assert_eq!(ended.expect("in time").expect("no panic"), 0);
}

#[tokio::test]
async fn what_cannot_be_finished_in_time_is_counted() {
    let app = start(&["--ms=60000"], Duration::from_millis(300));
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(app.address).await;
        send(&mut stream, "/", "close").await;
        streams.push(stream);
    }
    sleep(Duration::from_millis(100)).await;
    app.drain.send(()).expect("running");
    assert_eq!(app.ended.await.expect("no panic"), 3);
}

#[test]
fn a_port_in_use_is_one_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let error = run(&args(&["--port", &address.port().to_string()])).expect_err("in use");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on {address}: Address already in use (os error 98); \
             give a free --port (0 takes any) and a local --listen"
        )
    );
}
