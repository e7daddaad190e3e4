//! The generator against services that misbehave in one known way each.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A service that treats every connection by the same function; its target.
async fn service<F>(treat: impl Fn(TcpStream) -> F + Send + 'static) -> Target
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(stream));
        }
    });
    format!("http://{address}/").parse().expect("an address is a target")
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => text.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(text).expect("a request line and headers are text")
}

async fn answer_with(mut stream: TcpStream, delay: Duration, answer: &'static str) {
    read_request(&mut stream).await;
    tokio::time::sleep(delay).await;
    let _client_may_be_gone = stream.write_all(answer.as_bytes()).await;
}

const EMPTY_OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

async fn load(target: &Target, arrivals_s: &[f64], settings: Settings) -> Vec<RequestRecord> {
    let (events, _) = mpsc::unbounded_channel();
    let (_switch, never) = watch::channel(false);
    run(target, arrivals_s, settings, events, never).await.expect("the run itself succeeds")
}

#[tokio::test]
async fn instants_that_do_not_ascend_are_refused_before_anything_is_sent() {
    let target = "http://127.0.0.1:9/".parse().expect("valid");
    for (arrivals_s, index) in
        [(vec![0.0, 1.0, 0.5], 2), (vec![-1.0], 0), (vec![f64::NAN], 0), (vec![0.0, 1e18], 1)]
    {
        let (events, mut heard) = mpsc::unbounded_channel();
        let (_switch, never) = watch::channel(false);
        let error = run(&target, &arrivals_s, Settings::default(), events, never)
            .await
            .expect_err("unusable instants");
        let at_s = arrivals_s[index];
        assert_eq!(
            error.to_string(),
            format!(
                "arrival {index} is due at {at_s} s: instants are finite, not negative and \
                 ascending; take them from Scenario::arrivals_s"
            )
        );
        assert!(heard.recv().await.is_none());
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_failure_by_connect() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = free.local_addr().expect("bound");
    drop(free);
    let target = format!("http://{address}/").parse().expect("valid");
    let records = load(&target, &[0.0], Settings::default()).await;
    assert_eq!(records[0].cause, Some(Cause::Connect));
    assert_eq!((records[0].outcome, records[0].status), (Outcome::Failed, None));
}

#[tokio::test]
async fn silence_is_a_failure_by_timeout_after_exactly_the_timeout() {
    let target = service(|stream| answer_with(stream, Duration::from_mins(1), EMPTY_OK)).await;
    let settings = Settings { timeout: Duration::from_millis(200), ..Settings::default() };
    let records = load(&target, &[0.0], settings).await;
    assert_eq!((records[0].outcome, records[0].cause), (Outcome::Failed, Some(Cause::Timeout)));
    assert!((200.0..400.0).contains(&records[0].latency_ms), "{:?}", records[0]);
}

#[tokio::test]
async fn an_answer_that_trickles_forever_meets_the_same_timeout() {
    let target = service(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
        let mut open = stream.write_all(head.as_bytes()).await.is_ok();
        while open {
            tokio::time::sleep(Duration::from_millis(10)).await;
            open = stream.write_all(b".").await.is_ok();
        }
    })
    .await;
    let settings = Settings { timeout: Duration::from_millis(200), ..Settings::default() };
    let records = load(&target, &[0.0], settings).await;
    assert_eq!(records[0].cause, Some(Cause::Timeout));
}

#[tokio::test]
async fn a_status_of_500_and_above_is_a_failure_and_one_below_is_not() {
    let broken = "HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n";
    let target = service(move |stream| answer_with(stream, Duration::ZERO, broken)).await;
    let records = load(&target, &[0.0], Settings::default()).await;
    assert_eq!((records[0].status, records[0].cause), (Some(500), Some(Cause::Status)));
    assert_eq!(records[0].outcome, Outcome::Failed);
    let gone = "HTTP/1.1 499 Gone\r\ncontent-length: 0\r\n\r\n";
    let target = service(move |stream| answer_with(stream, Duration::ZERO, gone)).await;
    let records = load(&target, &[0.0], Settings::default()).await;
    assert_eq!((records[0].status, records[0].outcome), (Some(499), Outcome::Ok));
}

#[tokio::test]
async fn a_short_body_no_answer_or_nonsense_is_a_failure_by_reset() {
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", Some(200)),
        ("", None),
        ("HTTP/1.1 200 O", None),
        ("SSH-2.0-OpenSSH\r\n\r\n", None),
    ] {
        let target = service(move |stream| answer_with(stream, Duration::ZERO, answer)).await;
        let records = load(&target, &[0.0], Settings::default()).await;
        assert_eq!((records[0].cause, records[0].status), (Some(Cause::Reset), status), "{answer}");
    }
}

#[tokio::test]
async fn a_slow_answer_delays_no_later_request() {
    let second = Duration::from_millis(500);
    let target = service(move |stream| answer_with(stream, second, EMPTY_OK)).await;
    let arrivals_s: Vec<f64> = (0..20).map(|i| f64::from(i) * 0.01).collect();
    let records = load(&target, &arrivals_s, Settings::default()).await;
    assert_eq!(records.len(), 20);
    for record in &records {
        assert_eq!(record.outcome, Outcome::Ok);
        assert!(record.sent_late_ms < 100.0, "{record:?}");
        assert!((500.0..900.0).contains(&record.latency_ms), "{record:?}");
    }
}

#[tokio::test]
async fn latency_counts_from_when_the_request_was_due() {
    let target = service(|stream| answer_with(stream, Duration::ZERO, EMPTY_OK)).await;
    let (events, _) = mpsc::unbounded_channel();
    let settings = Settings::default();
    let client = Client::new(target, settings, events);
    let due = Due { at_s: 0.0, at: Instant::now() };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (_switch, never) = watch::channel(false);
    let record = client.request(due, 1, never).await.expect("no limit is reached");
    assert!(record.sent_late_ms >= 300.0 && record.latency_ms >= record.sent_late_ms);
}

#[tokio::test]
async fn a_cancelled_run_sends_nothing_more_and_blames_nobody() {
    let target = service(|stream| answer_with(stream, Duration::from_mins(1), EMPTY_OK)).await;
    let (events, mut heard) = mpsc::unbounded_channel();
    let (switch, cancel) = watch::channel(false);
    let started = Instant::now();
    let canceller = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        switch.send_replace(true);
    };
    let arrivals_s = [0.0, 0.1, 30.0];
    let (records, ()) =
        tokio::join!(run(&target, &arrivals_s, Settings::default(), events, cancel), canceller);
    let records = records.expect("cancelling is no error");
    assert_eq!(records.len(), 2, "{records:?}");
    assert!(records.iter().all(|r| r.outcome == Outcome::Cancelled && r.cause.is_none()));
    let took = started.elapsed();
    assert!(took >= CANCEL_GRACE && took < Duration::from_secs(3), "{took:?}");
    let mut ended = 0;
    while let Some(event) = heard.recv().await {
        ended += usize::from(matches!(event, LoadEvent::Ended(_)));
    }
    assert_eq!(ended, 2, "a listener hears of the cancelled ones too");
}

#[tokio::test]
async fn what_ends_within_the_grace_after_a_cancel_counts_as_usual() {
    let target = service(|stream| answer_with(stream, Duration::from_millis(500), EMPTY_OK)).await;
    let (events, _) = mpsc::unbounded_channel();
    let (_switch, already) = watch::channel(true);
    let records = run(&target, &[0.0], Settings::default(), events, already).await;
    assert!(records.expect("no error").is_empty(), "nothing is sent after the cancel");
    let (events, _) = mpsc::unbounded_channel();
    let (switch, cancel) = watch::channel(false);
    let canceller = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        switch.send_replace(true);
    };
    let (records, ()) =
        tokio::join!(run(&target, &[0.0], Settings::default(), events, cancel), canceller);
    assert_eq!(records.expect("no error")[0].outcome, Outcome::Ok);
}

#[tokio::test]
async fn without_keep_alive_every_request_asks_to_close_and_has_its_own_connection() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let target = service(move |mut stream| {
        let seen = seen.clone();
        async move {
            let port = stream.peer_addr().expect("connected").port();
            let _test_is_over = seen.send((port, read_request(&mut stream).await));
            let _client_may_be_gone = stream.write_all(EMPTY_OK.as_bytes()).await;
        }
    })
    .await;
    load(&target, &[0.0, 0.1, 0.2], Settings::default()).await;
    let mut ports = Vec::new();
    while let Ok((port, text)) = requests.try_recv() {
        assert!(text.starts_with("GET / HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("connection: close\r\n"), "{text}");
        ports.push(port);
    }
    ports.dedup();
    assert_eq!(ports.len(), 3);
}

#[tokio::test]
async fn with_keep_alive_a_connection_is_reused_until_the_service_closes_it() {
    let (seen, mut connections) = mpsc::unbounded_channel();
    let target = service(move |mut stream| {
        let _test_is_over = seen.send(());
        async move {
            for _ in 0..2 {
                read_request(&mut stream).await;
                let _client_may_be_gone = stream.write_all(EMPTY_OK.as_bytes()).await;
            }
        }
    })
    .await;
    let settings = Settings { keep_alive: true, ..Settings::default() };
    let records = load(&target, &[0.0, 0.1, 0.2, 0.3], settings).await;
    assert!(records.iter().all(|record| record.outcome == Outcome::Ok), "{records:?}");
    let mut count = 0;
    while connections.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, 2);
}
