//! One request's way to a backend and back.
//!
//! It chooses no backend (`dispatcher`), and counts nothing but the end of the request (`meter`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Either, Empty};
use hyper::body::{Body, Incoming};
use hyper::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use tokio::time::{Instant, timeout_at};

use super::dispatcher::{Dispatcher, Permit, Refusal};
use super::meter::{Meter, Outcome};
use super::reply::{Exchange, Reply, Streamed};
use super::upstream::{Connection, Outgoing, Pool, connect};

/// Headers between two neighbours, which are not passed on (RFC 9110 section 7.6.1); `expect` is
/// answered here by the server.
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) queue_timeout: Duration,
    pub(crate) upstream_timeout: Duration,
}

/// Answers `request` of the client at `peer`. Dropping the future ends the backend's part too.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Response<Reply> {
    if request.method() == Method::CONNECT {
        return Reply::made(StatusCode::NOT_IMPLEMENTED, "planner: no tunnels here\n");
    }
    let ticket = shared.meter.arrive();
    match forward(&shared, peer, request).await {
        Ok((response, permit, connection)) => {
            let pool = Arc::clone(&shared.pool);
            let (mut parts, body) = response.into_parts();
            let exchange = Exchange { ticket, permit, connection, pool };
            strip_hop_by_hop(&mut parts.headers);
            parts.version = Version::HTTP_11;
            let body = Streamed::new(body, parts.status, exchange, shared.upstream_timeout);
            Response::from_parts(parts, Reply::Streamed(Box::new(body)))
        }
        Err(rejection) => {
            ticket.settle(rejection.outcome());
            rejection.reply()
        }
    }
}

/// Why a request was answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rejection {
    BackendBroke,
    BackendSilent,
    NoBackend(Refusal),
}

impl Rejection {
    fn outcome(self) -> Outcome {
        match self {
            Self::BackendSilent => Outcome::TimedOut { answered: true },
            Self::BackendBroke | Self::NoBackend(_) => Outcome::AnsweredWithError,
        }
    }

    fn reply(self) -> Response<Reply> {
        let (status, text) = match self {
            Self::BackendBroke => {
                (StatusCode::BAD_GATEWAY, "planner: the backend broke off before it answered\n")
            }
            Self::BackendSilent => {
                (StatusCode::GATEWAY_TIMEOUT, "planner: the backend was silent for too long\n")
            }
            Self::NoBackend(Refusal::AllTried) => {
                (StatusCode::BAD_GATEWAY, "planner: no backend could be connected to\n")
            }
            Self::NoBackend(Refusal::QueueFull) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "planner: too many requests wait; try again later\n",
            ),
            Self::NoBackend(Refusal::Waited) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "planner: no backend was free in time; try again later\n",
            ),
        };
        Reply::made(status, text)
    }
}

type Answered = (Response<Incoming>, Permit, Option<Connection>);

/// Brings the request to a backend. One that cannot be connected to is skipped, once each.
async fn forward(
    shared: &Shared,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Result<Answered, Rejection> {
    let queue_deadline = Instant::now() + shared.queue_timeout;
    let (mut parts, body) = request.into_parts();
    prepare(&mut parts, peer);
    // What may be sent twice may be tried on a connection that the backend may just be closing.
    let is_repeatable = body.is_end_stream() && parts.method.is_idempotent();
    let mut body = Some(body);
    let mut turn = shared.dispatcher.arrive();
    loop {
        let permit = shared.dispatcher.acquire(&turn, queue_deadline).await;
        let permit = permit.map_err(Rejection::NoBackend)?;
        let backend = permit.backend();
        let deadline = Instant::now() + shared.upstream_timeout;
        if is_repeatable {
            let reused = send_on_reused(shared, backend, &parts);
            match timeout_at(deadline, reused).await {
                Ok(Some((response, connection))) => {
                    return Ok((response, permit, Some(connection)));
                }
                Ok(None) => {}
                Err(_) => return Err(Rejection::BackendSilent),
            }
        }
        let Ok(Ok(mut connection)) = timeout_at(deadline, connect(backend)).await else {
            turn.refused_by(backend);
            continue;
        };
        let outgoing = match body.take().filter(|_| !is_repeatable) {
            Some(body) => Either::Left(body),
            None => Either::Right(Empty::new()),
        };
        let request = addressed(parts, outgoing, backend);
        return match timeout_at(deadline, connection.send_request(request)).await {
            Ok(Ok(response)) => Ok((response, permit, is_repeatable.then_some(connection))),
            Ok(Err(_)) => Err(Rejection::BackendBroke),
            Err(_) => Err(Rejection::BackendSilent),
        };
    }
}

/// Tries an idle connection. `None` when there is none, or when it broke before it answered: a
/// new connection then tells whether the backend is well.
async fn send_on_reused(
    shared: &Shared,
    backend: SocketAddr,
    parts: &Parts,
) -> Option<(Response<Incoming>, Connection)> {
    let mut connection = shared.pool.take(backend).await?;
    let request = addressed(parts.clone(), Either::Right(Empty::new()), backend);
    let response = connection.send_request(request).await.ok()?;
    Some((response, connection))
}

/// The request for `backend`; without a `host` header (HTTP/1.0) it gets the backend's address.
fn addressed(parts: Parts, body: Outgoing, backend: SocketAddr) -> Request<Outgoing> {
    let mut request = Request::from_parts(parts, body);
    if !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::try_from(backend.to_string())
    {
        request.headers_mut().insert(HOST, host);
    }
    request
}

/// Turns the client's head into the one for a backend.
fn prepare(parts: &mut Parts, peer: IpAddr) {
    parts.version = Version::HTTP_11;
    let path = parts.uri.path_and_query().cloned();
    parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    strip_hop_by_hop(&mut parts.headers);
    let mut chain = Vec::new();
    for value in parts.headers.get_all(FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(peer.to_string().as_bytes());
    // Header values joined by ", " and an address are a header value.
    if let Ok(chain) = HeaderValue::from_bytes(&chain) {
        parts.headers.insert(FORWARDED_FOR, chain);
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_between_neighbours_and_those_they_name_are_not_passed_on() {
        let request = Request::builder()
            .uri("http://elsewhere/a?b=c")
            .header("connection", "close, X-Secret")
            .header("x-secret", "1")
            .header("te", "trailers")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-kept", "2");
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        prepare(&mut parts, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(parts.uri, "/a?b=c");
        let mut names: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["x-forwarded-for", "x-kept"]);
        assert_eq!(parts.headers["x-forwarded-for"], "10.0.0.1, 127.0.0.1");
    }
}
