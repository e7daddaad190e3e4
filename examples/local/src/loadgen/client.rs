//! One request over HTTP/1.1, and what became of it.
//!
//! Not a general client: no redirects, no retries (a retried request is two requests), no
//! body to send.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::{Cause, LoadError, LoadEvent, Outcome, RequestRecord, Settings, Target, turned_true};

/// When a request is due: on the scenario's clock and on this machine's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) at_s: f64,
    pub(super) at: Instant,
}

/// Sends requests to one target; clones share their idle connections.
#[derive(Clone, Debug)]
pub(super) struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    settings: Settings,
    events: mpsc::UnboundedSender<LoadEvent>,
    idle: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
}

/// Why an exchange did not end in an answer.
enum Failure {
    Connect,
    OutOfSockets(std::io::Error),
    /// The connection broke, possibly after a status line.
    Reset(Option<u16>),
}

impl Client {
    pub(super) fn new(
        target: Target,
        settings: Settings,
        events: mpsc::UnboundedSender<LoadEvent>,
    ) -> Self {
        let idle = Mutex::new(Vec::new());
        Self { shared: Arc::new(Shared { target, settings, events, idle }) }
    }

    /// Sends one request now and waits for its end; every end but one is a record.
    pub(super) async fn request(
        &self,
        due: Due,
        under_way: usize,
        given_up: watch::Receiver<bool>,
    ) -> Result<RequestRecord, LoadError> {
        let sent_at = Instant::now();
        let sent_late_ms = milliseconds(sent_at - due.at);
        let _nobody_listens =
            self.shared.events.send(LoadEvent::Sent { at_s: due.at_s, sent_late_ms });
        let deadline = sent_at + self.shared.settings.timeout;
        let exchanged = tokio::select! {
            biased;
            exchanged = timeout_at(deadline, self.exchange()) => Some(exchanged),
            () = turned_true(given_up) => None,
        };
        let (outcome, status, cause) = match exchanged {
            None => (Outcome::Cancelled, None, None),
            Some(Err(_elapsed)) => (Outcome::Failed, None, Some(Cause::Timeout)),
            Some(Ok(Ok(status))) if status >= 500 => {
                (Outcome::Failed, Some(status), Some(Cause::Status))
            }
            Some(Ok(Ok(status))) => (Outcome::Ok, Some(status), None),
            Some(Ok(Err(Failure::Connect))) => (Outcome::Failed, None, Some(Cause::Connect)),
            Some(Ok(Err(Failure::Reset(status)))) => (Outcome::Failed, status, Some(Cause::Reset)),
            Some(Ok(Err(Failure::OutOfSockets(error)))) => {
                return Err(LoadError::OutOfSockets { under_way, reason: error.to_string() });
            }
        };
        let latency_ms = milliseconds(Instant::now() - due.at);
        let record =
            RequestRecord { at_s: due.at_s, latency_ms, sent_late_ms, outcome, status, cause };
        let _nobody_listens = self.shared.events.send(LoadEvent::Ended(record));
        Ok(record)
    }

    /// Request out, whole answer in; the status on success.
    async fn exchange(&self) -> Result<u16, Failure> {
        while let Some(mut connection) = self.idle_connection() {
            if connection.ready().await.is_err() {
                continue;
            }
            match connection.try_send_request(self.message()).await {
                Ok(answer) => return self.read_whole(answer, connection).await,
                // Closed before the request was written: not a request yet, so this is no retry.
                Err(error) if error.message().is_some() => {}
                Err(_written_but_unanswered) => return Err(Failure::Reset(None)),
            }
        }
        let mut connection = self.connect().await?;
        let sent = connection.send_request(self.message()).await;
        let answer = sent.map_err(|_broken| Failure::Reset(None))?;
        self.read_whole(answer, connection).await
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, Failure> {
        let stream = TcpStream::connect(self.shared.target.address()).await.map_err(|error| {
            if is_own_limit(&error) { Failure::OutOfSockets(error) } else { Failure::Connect }
        })?;
        // A request is one small packet: without this it may wait for the packet before it.
        let _only_slower = stream.set_nodelay(true);
        let (connection, driver) =
            handshake(TokioIo::new(stream)).await.map_err(|_broken| Failure::Connect)?;
        // Ends with the connection; what goes wrong on it reaches whoever awaits the answer.
        tokio::spawn(driver);
        Ok(connection)
    }

    async fn read_whole(
        &self,
        answer: Response<Incoming>,
        connection: SendRequest<Empty<Bytes>>,
    ) -> Result<u16, Failure> {
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|_short| Failure::Reset(Some(status)))?;
        }
        if self.shared.settings.keep_alive {
            self.idle().push(connection);
        }
        Ok(status)
    }

    fn message(&self) -> Request<Empty<Bytes>> {
        let target = &self.shared.target;
        let mut builder =
            Request::get(target.path_and_query().clone()).header(HOST, target.authority());
        if !self.shared.settings.keep_alive {
            builder = builder.header(CONNECTION, "close");
        }
        builder.body(Empty::new()).expect("a parsed target is a valid path and host header")
    }

    /// The connection used last: the others may go idle and be closed by the service.
    fn idle_connection(&self) -> Option<SendRequest<Empty<Bytes>>> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SendRequest<Empty<Bytes>>>> {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this machine, not the service, refused: no file descriptor or no local port left.
fn is_own_limit(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let own = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS];
    Errno::from_io_error(error).is_some_and(|errno| own.contains(&errno))
}

fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
