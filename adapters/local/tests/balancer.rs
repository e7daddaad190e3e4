//! The load balancer against real servers and clients on loopback.

mod support;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use planner_local::{BalancerError, BalancerSettings, LoadBalancer};
use planner_ports::contract::{RouterRig, router_keeps_its_contract};
use planner_ports::{Router, RouterError};
use support::{Backend, PATIENCE, begin_get, finish, get, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn balancer(change: impl FnOnce(&mut BalancerSettings)) -> Arc<LoadBalancer> {
    let mut settings = BalancerSettings::default();
    change(&mut settings);
    Arc::new(LoadBalancer::bind(LOOPBACK, settings).expect("a free port"))
}

fn one_at_a_time(settings: &mut BalancerSettings) {
    settings.max_in_flight_per_backend = Some(NonZeroU32::MIN);
}

#[tokio::test]
async fn an_address_that_other_hosts_can_reach_is_refused() {
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = LoadBalancer::bind(listen, BalancerSettings::default()).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "listen: 0.0.0.0:0 is not a loopback address; listen on 127.0.0.1 or set \
         allow_non_loopback where something else guards the port"
    );
    let mut settings = BalancerSettings::default();
    settings.allow_non_loopback = true;
    assert!(LoadBalancer::bind(listen, settings).is_ok());
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do() {
    let taken = balancer(|_| ());
    let listen = taken.local_addr();
    let error = LoadBalancer::bind(listen, BalancerSettings::default()).expect_err("taken");
    let text = error.to_string();
    let start = format!("listen: {listen} cannot be listened on: ");
    assert!(text.starts_with(&start), "{text}");
    assert!(text.ends_with("; free the port or choose port 0"), "{text}");
}

#[test]
fn outside_a_runtime_it_says_so() {
    let error = LoadBalancer::bind(LOOPBACK, BalancerSettings::default());
    assert!(matches!(error, Err(BalancerError::NoRuntime)), "{error:?}");
}

#[tokio::test]
async fn too_many_backends_are_refused_and_the_ones_before_stay() {
    let backend = Backend::open().await;
    let balancer = balancer(|_| ());
    balancer.route(&[backend.address]).await.expect("routed");
    let many = vec![backend.address; LoadBalancer::BACKENDS_MAX + 1];
    let error = balancer.route(&many).await.expect_err("too many");
    let cause = "4097 backends are more than 4096".to_owned();
    assert_eq!(error, RouterError::Refused { cause });
    assert_eq!(balancer.generation(), 1);
    assert_eq!(get(balancer.local_addr()).await.0, 200);
}

#[tokio::test]
async fn without_a_backend_a_request_waits_and_is_answered_when_one_appears() {
    let backend = Backend::open().await;
    let balancer = balancer(|_| ());
    let waiting = begin_get(balancer.local_addr()).await;
    until("the request waits", || balancer.queued() == 1).await;
    balancer.route(&[backend.address]).await.expect("routed");
    assert_eq!(finish(waiting).await.0, 200);
    assert_eq!(balancer.queued(), 0);
}

#[tokio::test]
async fn a_request_that_waited_too_long_is_told_when_to_come_back() {
    let balancer = balancer(|settings| settings.queue_timeout = Duration::from_millis(50));
    let (status, text) = get(balancer.local_addr()).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("retry-after: 1\r\n"), "{text}");
    assert!(text.ends_with("no backend was free in time; try again later\n"), "{text}");
    let traffic = balancer.take_traffic();
    assert_eq!((traffic.arrivals, traffic.failures, traffic.completions), (1, 1, 1));
    assert_eq!(traffic.in_flight, 0);
}

#[tokio::test]
async fn beyond_the_queue_a_request_is_refused_at_once() {
    let balancer = balancer(|settings| settings.max_queue = 1);
    let waiting = begin_get(balancer.local_addr()).await;
    until("the first waits", || balancer.queued() == 1).await;
    let (status, text) = get(balancer.local_addr()).await;
    assert_eq!(status, 503, "{text}");
    assert!(text.ends_with("too many requests wait; try again later\n"), "{text}");
    drop(waiting);
    until("the first left the queue", || balancer.queued() == 0).await;
}

#[tokio::test]
async fn a_backend_that_refuses_is_skipped_and_the_request_is_answered_by_another() {
    let dead = Backend::open().await;
    let gone = dead.address;
    dead.die().await;
    let backend = Backend::open().await;
    let balancer = balancer(|_| ());
    balancer.route(&[gone, backend.address]).await.expect("routed");
    for _ in 0..10 {
        assert_eq!(get(balancer.local_addr()).await.0, 200);
    }
    balancer.route(&[gone]).await.expect("routed");
    let (status, text) = get(balancer.local_addr()).await;
    assert_eq!(status, 502, "{text}");
    assert!(text.ends_with("no backend could be connected to\n"), "{text}");
    assert_eq!(balancer.loads(), [(gone, 0)]);
}

#[tokio::test]
async fn when_a_backend_dies_the_following_requests_go_elsewhere() {
    let doomed = Backend::with_gate(0).await;
    let backend = Backend::with_gate(0).await;
    let balancer = balancer(|_| ());
    balancer.route(&[doomed.address, backend.address]).await.expect("routed");
    let mut begun = Vec::new();
    for _ in 0..4 {
        begun.push(begin_get(balancer.local_addr()).await);
    }
    until("two at each", || doomed.received() == 2 && backend.received() == 2).await;
    doomed.die().await;
    backend.state.gate.add_permits(1_000);
    let mut statuses = Vec::new();
    for stream in begun {
        statuses.push(finish(stream).await.0);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 502, 502]);
    for _ in 0..20 {
        assert_eq!(get(balancer.local_addr()).await.0, 200);
    }
    let traffic = balancer.take_traffic();
    assert_eq!((traffic.successes, traffic.failures), (22, 2));
}

#[tokio::test]
async fn a_connection_kept_for_reuse_and_closed_by_the_backend_fails_no_request() {
    let first = Backend::open().await;
    let address = first.address;
    let balancer = balancer(|_| ());
    balancer.route(&[address]).await.expect("routed");
    assert_eq!(get(balancer.local_addr()).await.0, 200);
    first.die().await; // cuts the idle connection
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.expect("the same port again");
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a new connection");
        let mut head = [0; 1_024];
        let _ = stream.read(&mut head).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.expect("answered");
    });
    assert_eq!(get(balancer.local_addr()).await.0, 200);
    server.await.expect("it was asked");
}

#[tokio::test]
async fn a_reused_connection_that_closes_instead_of_answering_is_replaced_by_a_new_one() {
    let listener = tokio::net::TcpListener::bind(LOOPBACK).await.expect("a free port");
    let backend = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let mut heads = Vec::new();
        for reused in [true, false] {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 1_024];
            let read = stream.read(&mut head).await.expect("a request");
            heads.push(read);
            stream.write_all(answer).await.expect("answered");
            if reused {
                // The next request is received, and then the connection closes.
                heads.push(stream.read(&mut head).await.expect("a request"));
            }
        }
        heads
    });
    let balancer = balancer(|_| ());
    balancer.route(&[backend]).await.expect("routed");
    assert_eq!(get(balancer.local_addr()).await.0, 200);
    assert_eq!(get(balancer.local_addr()).await.0, 200);
    let heads = server.await.expect("no panic");
    assert!(heads.iter().all(|read| *read > 0), "three requests were received: {heads:?}");
}

#[tokio::test]
async fn a_request_that_may_not_be_sent_twice_gets_a_new_connection_and_one_attempt() {
    let listener = tokio::net::TcpListener::bind(LOOPBACK).await.expect("a free port");
    let backend = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 1_024];
        assert!(first.read(&mut head).await.expect("a request") > 0);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        first.write_all(answer).await.expect("answered");
        let (mut second, _) = tokio::select! {
            accepted = listener.accept() => accepted.expect("a connection"),
            _ = first.read(&mut head) => panic!("the idle connection was used or closed"),
        };
        let read = second.read(&mut head).await.expect("a request");
        assert!(head[..read].starts_with(b"POST /pay "));
        drop(second); // broken off: may it have been carried out?
        let again = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(again.is_err(), "it was sent a second time");
    });
    let balancer = balancer(|_| ());
    balancer.route(&[backend]).await.expect("routed");
    assert_eq!(get(balancer.local_addr()).await.0, 200);
    let stream = tokio::net::TcpStream::connect(balancer.local_addr()).await;
    let mut stream = stream.expect("it listens");
    let head = "POST /pay HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let (status, text) = finish(stream).await;
    assert_eq!(status, 502, "{text}");
    assert!(text.ends_with("the backend broke off before it answered\n"), "{text}");
    server.await.expect("sent once, on a connection of its own");
}

#[tokio::test]
async fn a_dropped_balancer_frees_its_port() {
    let balancer = balancer(|_| ());
    let address = balancer.local_addr();
    let waiting = begin_get(address).await;
    until("the request waits", || balancer.queued() == 1).await;
    drop(balancer);
    assert_eq!(finish(waiting).await.0, 0);
    until("the port is free", || std::net::TcpListener::bind(address).is_ok()).await;
}

#[tokio::test]
async fn a_silent_backend_is_a_timeout_and_no_latency() {
    let backend = Backend::with_gate(0).await;
    let balancer = balancer(|settings| settings.upstream_timeout = Duration::from_millis(50));
    balancer.route(&[backend.address]).await.expect("routed");
    assert_eq!(get(balancer.local_addr()).await.0, 504);
    let traffic = balancer.take_traffic();
    assert_eq!((traffic.timeouts, traffic.failures, traffic.successes), (1, 0, 0));
    assert!(traffic.latencies_ms.is_empty());
    assert_eq!(balancer.loads(), [(backend.address, 0)]);
}

#[tokio::test]
async fn a_backend_that_stalls_or_breaks_off_within_the_body_is_no_success() {
    let listener = tokio::net::TcpListener::bind(LOOPBACK).await.expect("a free port");
    let backend = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        let mut held = Vec::new();
        for stalls in [true, false] {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 1_024];
            let _ = stream.read(&mut head).await;
            let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
            stream.write_all(half).await.expect("sent");
            if stalls {
                held.push(stream);
            }
        }
        held
    });
    let balancer = balancer(|settings| settings.upstream_timeout = Duration::from_millis(200));
    balancer.route(&[backend]).await.expect("routed");
    for _ in 0..2 {
        let (status, text) = get(balancer.local_addr()).await;
        assert!(status == 200 && text.ends_with("half"), "{text}");
    }
    drop(server.await);
    let traffic = balancer.take_traffic();
    assert_eq!((traffic.timeouts, traffic.failures, traffic.successes), (1, 1, 0));
    assert_eq!((traffic.completions, traffic.in_flight), (0, 0));
}

#[tokio::test]
async fn an_error_of_the_backend_is_passed_on_and_counted_as_failure() {
    let backend = Backend::open().await;
    backend.state.fails.store(true, Ordering::SeqCst);
    let balancer = balancer(|_| ());
    balancer.route(&[backend.address]).await.expect("routed");
    let (status, text) = get(balancer.local_addr()).await;
    assert!(status == 500 && text.ends_with("hello"), "{text}");
    let traffic = balancer.take_traffic();
    assert_eq!((traffic.failures, traffic.completions, traffic.successes), (1, 1, 0));
    assert!(traffic.latencies_ms.is_empty());
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_slot_and_ends_the_backends_work() {
    let backend = Backend::with_gate(0).await;
    let balancer = balancer(one_at_a_time);
    balancer.route(&[backend.address]).await.expect("routed");
    let impatient = begin_get(balancer.local_addr()).await;
    until("it is under way", || backend.received() == 1).await;
    let patient = begin_get(balancer.local_addr()).await;
    until("the next waits", || balancer.queued() == 1).await;
    drop(impatient);
    until("the backend's work ended", || backend.state.dropped.load(Ordering::SeqCst) == 1).await;
    backend.state.gate.add_permits(1);
    assert_eq!(finish(patient).await.0, 200);
    let traffic = balancer.take_traffic();
    assert_eq!((traffic.aborted, traffic.failures, traffic.successes), (1, 0, 1));
}

#[tokio::test]
async fn a_request_goes_to_the_backend_with_the_fewest_under_way() {
    let busy = Backend::with_gate(0).await;
    let free = Backend::open().await;
    let balancer = balancer(|_| ());
    balancer.route(&[busy.address]).await.expect("routed");
    let stuck = begin_get(balancer.local_addr()).await;
    until("one is under way", || busy.received() == 1).await;
    balancer.route(&[busy.address, free.address]).await.expect("routed");
    for _ in 0..10 {
        assert_eq!(get(balancer.local_addr()).await.0, 200);
    }
    assert_eq!((busy.received(), free.received()), (1, 10));
    busy.state.gate.add_permits(1);
    assert_eq!(finish(stuck).await.0, 200);
}

#[tokio::test]
async fn a_backend_that_joins_takes_its_share_of_the_backlog_at_once() {
    let stuck = Backend::with_gate(0).await;
    let balancer = balancer(one_at_a_time);
    balancer.route(&[stuck.address]).await.expect("routed");
    let first = begin_get(balancer.local_addr()).await;
    until("one is under way", || stuck.received() == 1).await;
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(begin_get(balancer.local_addr()).await);
    }
    until("ten wait", || balancer.queued() == 10).await;
    let joining = Backend::open().await;
    balancer.route(&[stuck.address, joining.address]).await.expect("routed");
    for stream in waiting {
        assert_eq!(finish(stream).await.0, 200);
    }
    assert_eq!((stuck.received(), joining.received()), (1, 10));
    let most = joining.state.most.load(Ordering::SeqCst);
    assert_eq!(most, 1, "the bound holds for the joiner too");
    stuck.state.gate.add_permits(1);
    assert_eq!(finish(first).await.0, 200);
}

#[tokio::test]
async fn a_removed_backend_finishes_its_request_and_gets_no_other() {
    let leaving = Backend::with_gate(0).await;
    let staying = Backend::open().await;
    let balancer = balancer(|_| ());
    balancer.route(&[leaving.address]).await.expect("routed");
    let running = begin_get(balancer.local_addr()).await;
    until("it is under way", || leaving.received() == 1).await;
    balancer.route(&[staying.address]).await.expect("routed");
    assert_eq!(get(balancer.local_addr()).await.0, 200);
    let briefly = Duration::from_millis(20);
    assert_eq!(balancer.drained(leaving.address, briefly).await, Ok(false));
    leaving.state.gate.add_permits(1);
    assert_eq!(finish(running).await.0, 200);
    assert_eq!(balancer.drained(leaving.address, PATIENCE).await, Ok(true));
    assert_eq!(leaving.received(), 1);
    assert_eq!(balancer.loads(), [(staying.address, 0)]);
}

#[tokio::test]
async fn nothing_is_lost_while_backends_come_and_go_under_load() {
    let balancer = balancer(|settings| {
        settings.max_in_flight_per_backend = NonZeroU32::new(4);
    });
    let address = balancer.local_addr();
    let mut backends = vec![Backend::open().await, Backend::open().await];
    let mut routed: Vec<_> = backends.iter().map(|backend| backend.address).collect();
    balancer.route(&routed).await.expect("routed");
    let load = tokio::spawn(async move {
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..400 {
            requests.spawn(get(address));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        requests.join_all().await
    });
    while !load.is_finished() {
        backends.push(Backend::open().await);
        routed.push(backends[backends.len() - 1].address);
        balancer.route(&routed).await.expect("routed");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let leaving = backends.remove(0);
        routed.remove(0);
        balancer.route(&routed).await.expect("routed");
        assert_eq!(balancer.drained(leaving.address, PATIENCE).await, Ok(true));
        leaving.die().await;
    }
    let answers = load.await.expect("the load ran");
    let failed: Vec<_> = answers.iter().filter(|answer| answer.0 != 200).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let traffic = balancer.take_traffic();
    assert_eq!((traffic.arrivals, traffic.successes), (400, 400));
    assert_eq!((traffic.failures, traffic.aborted, traffic.in_flight), (0, 0, 0));
    assert_eq!(traffic.latencies_ms.len(), 400);
    assert!(balancer.generation() > 3, "backends did come and go");
}

#[tokio::test]
async fn one_client_connection_carries_several_requests_and_bodies_pass_both_ways() {
    let backend = Backend::open().await;
    let balancer = balancer(|_| ());
    balancer.route(&[backend.address]).await.expect("routed");
    let stream = tokio::net::TcpStream::connect(balancer.local_addr()).await;
    let mut stream = stream.expect("it listens");
    for body in ["first body", "second body"] {
        let length = body.len();
        let head = format!(
            "POST /a?b=c HTTP/1.1\r\nHost: here\r\nX-Forwarded-For: 10.1.1.1\r\n\
             Upgrade: no\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut text = String::new();
        while !text.ends_with(body) {
            let mut piece = [0; 1_024];
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await;
            let read = read.expect("in time").expect("open");
            assert!(read > 0, "closed after {text}");
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
    let (head, body) = backend.state.last.lock().expect("sane").clone();
    assert_eq!(&body[..], b"second body");
    assert!(head.contains("/a?b=c") && head.contains("\"here\""), "{head}");
    assert!(head.contains("10.1.1.1, 127.0.0.1"), "{head}");
    assert!(!head.contains("upgrade"), "{head}");
}

#[tokio::test]
async fn shutdown_finishes_what_is_under_way_and_accepts_nothing_new() {
    let backend = Backend::with_gate(0).await;
    let balancer = balancer(|_| ());
    balancer.route(&[backend.address]).await.expect("routed");
    let running = begin_get(balancer.local_addr()).await;
    until("it is under way", || backend.received() == 1).await;
    let closing = {
        let balancer = Arc::clone(&balancer);
        tokio::spawn(async move { balancer.shutdown(PATIENCE).await })
    };
    let address = balancer.local_addr();
    let began = std::time::Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "it still accepts");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    backend.state.gate.add_permits(1);
    assert_eq!(finish(running).await.0, 200);
    assert!(closing.await.expect("no panic"), "everything was finished");
}

#[tokio::test]
async fn shutdown_breaks_off_at_its_deadline() {
    let backend = Backend::with_gate(0).await;
    let balancer = balancer(|_| ());
    balancer.route(&[backend.address]).await.expect("routed");
    let running = begin_get(balancer.local_addr()).await;
    until("it is under way", || backend.received() == 1).await;
    assert!(!balancer.shutdown(Duration::from_millis(50)).await);
    assert_eq!(finish(running).await.0, 0);
}

struct Rig(Arc<LoadBalancer>);

impl RouterRig for Rig {
    fn router(&self) -> &dyn Router {
        &*self.0
    }

    fn front(&self) -> SocketAddr {
        self.0.local_addr()
    }
}

#[tokio::test]
async fn the_contract_of_every_router_is_kept() {
    router_keeps_its_contract(&Rig(balancer(|_| ()))).await;
}
