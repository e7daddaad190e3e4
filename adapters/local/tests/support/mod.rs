//! Backends and clients for the tests, on real loopback sockets.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Long enough on a loaded machine; nothing waits for it when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds`, and fails naming `what` when it never does.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A backend that answers each request once the gate lets it.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<BackendState>,
    task: JoinHandle<()>,
}

pub(crate) struct BackendState {
    /// One permit for each answer; open wide by default.
    pub(crate) gate: Semaphore,
    /// Requests that were received.
    pub(crate) received: AtomicU32,
    /// Requests whose handling was dropped before the answer.
    pub(crate) dropped: AtomicU32,
    /// Requests being handled, and the most at once.
    pub(crate) now: AtomicU32,
    pub(crate) most: AtomicU32,
    /// Answers with 500.
    pub(crate) fails: AtomicBool,
    /// The last request's head, in debug form, and its body.
    pub(crate) last: std::sync::Mutex<(String, Bytes)>,
}

impl Backend {
    pub(crate) async fn open() -> Self {
        Self::with_gate(Semaphore::MAX_PERMITS).await
    }

    pub(crate) async fn with_gate(permits: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(BackendState {
            gate: Semaphore::new(permits),
            received: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
            now: AtomicU32::new(0),
            most: AtomicU32::new(0),
            fails: AtomicBool::new(false),
            last: std::sync::Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(|request| handle(Arc::clone(&shared), request));
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, state, task }
    }

    /// The process dies: the port closes and every connection is cut.
    pub(crate) async fn die(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) fn received(&self) -> u32 {
        self.state.received.load(Ordering::SeqCst)
    }
}

struct Handled<'a>(&'a BackendState, bool);

impl Drop for Handled<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
        self.0.dropped.fetch_add(u32::from(!self.1), Ordering::SeqCst);
    }
}

async fn handle(
    state: Arc<BackendState>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    state.received.fetch_add(1, Ordering::SeqCst);
    let now = state.now.fetch_add(1, Ordering::SeqCst) + 1;
    state.most.fetch_max(now, Ordering::SeqCst);
    let mut handled = Handled(&state, false);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    *state.last.lock().expect("no panic under it") = (format!("{parts:?}"), body.clone());
    state.gate.acquire().await.expect("never closed").forget();
    handled.1 = true;
    let mut response =
        Response::new(Full::new(if body.is_empty() { Bytes::from_static(b"hello") } else { body }));
    if state.fails.load(Ordering::SeqCst) {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    drop(handled);
    Ok(response)
}

/// Sends a GET and leaves the connection open.
pub(crate) async fn begin_get(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the balancer listens");
    let head = "GET /x HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

/// The status and text of what comes on a connection that is closed after it; status 0 when
/// nothing comes.
pub(crate) async fn finish(mut stream: TcpStream) -> (u16, String) {
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE * 2, stream.read_to_end(&mut text)).await;
    let _ = read.expect("an answer in time");
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), text)
}

pub(crate) async fn get(address: SocketAddr) -> (u16, String) {
    finish(begin_get(address).await).await
}
