//! What is served: a page of three embedded files, the state, and the state whenever it changes.
//!
//! Nothing here changes anything, and nobody from another site is answered: a name that was made
//! to point at this machine is refused by its `Host`, a page of another site by what its browser
//! says of it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::Stream;
use futures_util::stream::unfold;
use planner_redis::wire::wall_now;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::state::stamped;

/// Clients that are told of changes at the same time.
pub(super) const CLIENTS_MAX: usize = 50;
/// A client that was told nothing for this long is told that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// After a lost connection a browser tries again after this long.
const RETRY: Duration = Duration::from_secs(1);

/// Nothing but our own files, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";
/// What a browser says of who asks.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// For whom an answer is.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What every request needs.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    state: watch::Receiver<Arc<str>>,
    clients: Arc<Semaphore>,
    listen: IpAddr,
}

/// Everything that is served on `listen`.
pub(super) fn router(state: watch::Receiver<Arc<str>>, listen: IpAddr) -> Router {
    let shared = Shared { state, clients: Arc::new(Semaphore::new(CLIENTS_MAX)), listen };
    Router::new()
        .route("/", get(|| async { file("text/html", include_str!("index.html")) }))
        .route("/app.js", get(|| async { file("text/javascript", include_str!("app.js")) }))
        .route("/style.css", get(|| async { file("text/css", include_str!("style.css")) }))
        .route("/api/state", get(state_now))
        .route("/api/events", get(events))
        .fallback(|| async { told(StatusCode::NOT_FOUND, "there is nothing here; see /") })
        .layer(middleware::from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

/// Lets nobody in who should not be, and says how the answer may be used.
async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&request, shared.listen) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(request: &Request, listen: IpAddr) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = told(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refusal);
    }
    let named = request.uri().authority().is_none_or(|name| is_here(name.as_str(), listen));
    if !named || !is_for_here(request.headers(), listen) {
        let why = "Host: not this machine; ask for 127.0.0.1 or localhost";
        return Some(told(StatusCode::MISDIRECTED_REQUEST, why));
    }
    let site = request.headers().get(FETCH_SITE);
    let is_foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    if is_foreign && request.uri().path().starts_with("/api/") {
        return Some(told(StatusCode::FORBIDDEN, "this is for the dashboard's own page"));
    }
    None
}

/// Whether exactly one `Host` is named, and it is this one.
fn is_for_here(headers: &HeaderMap, listen: IpAddr) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    host.is_some_and(|host| is_here(host, listen)) && hosts.next().is_none()
}

/// Whether a host with or without a port is this one: loopback, or the address that is listened on.
/// An address cannot be made to point elsewhere, so where every address is listened on, each will
/// do. Any port will do too: it may be forwarded.
fn is_here(host: &str, listen: IpAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let Ok(address) = bare.parse::<IpAddr>() else { return false };
    address.to_canonical().is_loopback() || address == listen || listen.is_unspecified()
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let kind = format!("{kind}; charset=utf-8");
    ([(CONTENT_TYPE, kind)], text).into_response()
}

fn told(status: StatusCode, why: &'static str) -> Response {
    (status, why).into_response()
}

async fn state_now(State(shared): State<Shared>) -> Response {
    let state = Arc::clone(&shared.state.borrow());
    let text = stamped(&state, wall_now());
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

async fn events(State(shared): State<Shared>) -> Response {
    let Ok(place) = Arc::clone(&shared.clients).try_acquire_owned() else {
        let why = "too many pages are open; close one";
        let mut refusal = told(StatusCode::SERVICE_UNAVAILABLE, why);
        refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        return refusal;
    };
    let changes = changes(shared.state, place);
    Sse::new(changes).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// The state now and on every change. It is taken when the client can take it: a slow one misses
/// those between, and nobody waits for it.
fn changes(
    mut state: watch::Receiver<Arc<str>>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    state.mark_changed();
    unfold((state, place), async |(mut state, place)| {
        state.changed().await.ok()?;
        let text = Arc::clone(&state.borrow_and_update());
        let event = Event::default().retry(RETRY).data(stamped(&text, wall_now()));
        Some((Ok(event), (state, place)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in ["localhost", "LocalHost:8090", "127.0.0.1", "127.1.2.3:1", "[::1]:8090"] {
            assert!(is_here(host, LOOPBACK), "{host}");
        }
        let strangers = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8090",
            "evil@localhost",
            "192.168.1.5:8090",
            "0.0.0.0",
            "localhost/",
            "2130706433",
        ];
        for host in strangers {
            assert!(!is_here(host, LOOPBACK), "{host}");
        }
    }

    #[test]
    fn where_it_listens_to_others_their_address_for_it_is_answered_and_no_name() {
        let listen: IpAddr = "192.168.1.5".parse().expect("an address");
        assert!(is_here("192.168.1.5:8090", listen));
        assert!(!is_here("192.168.1.6:8090", listen));
        let all: IpAddr = "0.0.0.0".parse().expect("an address");
        assert!(is_here("192.168.1.6:8090", all));
        assert!(!is_here("evil.example", all));
    }

    #[test]
    fn a_request_without_a_host_or_with_two_is_for_nobody() {
        let mut headers = HeaderMap::new();
        assert!(!is_for_here(&headers, LOOPBACK));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert!(is_for_here(&headers, LOOPBACK));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert!(!is_for_here(&headers, LOOPBACK));
    }

    #[test]
    fn the_page_asks_for_nothing_from_elsewhere_and_runs_nothing_inline() {
        let page = include_str!("index.html");
        let script = include_str!("app.js");
        for text in [page, script, include_str!("style.css")] {
            for address in ["http://", "https://", "url(", "@import"] {
                let svg = text.replace("http://www.w3.org/2000/svg", "");
                assert!(!svg.contains(address), "{address}");
            }
        }
        for inline in ["<style", " style=", "onclick", "onload", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        for unsafe_word in ["innerHTML", "outerHTML", "insertAdjacent", "eval(", "document.write"] {
            assert!(!script.contains(unsafe_word), "{unsafe_word}");
        }
        assert!(script.lines().count() < 300);
    }
}
