//! What the service answers to one request.
//!
//! Not for connections and their ends: [`super::serve`] handles those.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::log::Log;
use super::workers::Workers;

/// The longest that one request may occupy a worker, in milliseconds.
pub(super) const MS_MAX: u32 = 60_000;

/// What every connection of the service shares.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) workers: Workers,
    pub(super) ms_default: u32,
    pub(super) extra_delay: Duration,
    pub(super) state: Arc<State>,
    pub(super) log: Arc<Log>,
}

/// What the signal handler and the connections tell each other.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The service is on its way out: health is 503 and connections close after each answer.
    pub(super) is_draining: AtomicBool,
    /// Requests queued or being served.
    pub(super) unanswered: AtomicUsize,
}

impl Service {
    /// Answers one request; a connection that breaks drops this future.
    pub(super) async fn answer<B>(
        self,
        request: Request<B>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (status, text) = match request.uri().path() {
            "/" | "/work" => self.work(request.uri().query()).await,
            "/health" if self.state.is_draining.load(Ordering::Relaxed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned())
            }
            "/health" => (StatusCode::OK, "ok\n".to_owned()),
            _ => (StatusCode::NOT_FOUND, "not found: try /, /work?ms=20 or /health\n".to_owned()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert("x-replica", HeaderValue::from(std::process::id()));
        if self.state.is_draining.load(Ordering::Relaxed) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    async fn work(&self, query: Option<&str>) -> (StatusCode, String) {
        let ms = match requested_ms(query) {
            Ok(ms) => ms.unwrap_or(self.ms_default),
            Err(text) => return (StatusCode::BAD_REQUEST, text),
        };
        let duration = Duration::from_millis(ms.into()) + self.extra_delay;
        let _counted = Counted::new(&self.state.unanswered);
        let request = self.log.received();
        let occupied = self.workers.occupy(duration).await;
        request.answered();
        match occupied {
            Ok(()) => (StatusCode::OK, format!("served in {} ms\n", duration.as_millis())),
            Err(_no_worker) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the worker is gone\n".to_owned())
            }
        }
    }
}

/// Counts a request from when it came until it is answered or its connection breaks.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The value of `ms` in the query, if there is one; other parameters mean nothing here.
fn requested_ms(query: Option<&str>) -> Result<Option<u32>, String> {
    let mut parameters = query.unwrap_or_default().split('&');
    let Some(text) = parameters.find_map(|p| p.strip_prefix("ms=")) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(ms) if ms <= MS_MAX => Ok(Some(ms)),
        _ => Err(format!(
            "ms is {text:?}: it is a whole number of milliseconds from 0 to {MS_MAX}; \
             for example /work?ms=20\n"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_for_ms_is_refused_with_the_range_and_an_example() {
        assert_eq!(
            requested_ms(Some("ms=60001")).expect_err("too long"),
            "ms is \"60001\": it is a whole number of milliseconds from 0 to 60000; \
             for example /work?ms=20\n"
        );
        for text in ["", "-1", "1.5", "20ms", "99999999999999", "%32"] {
            assert!(requested_ms(Some(&format!("ms={text}"))).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn ms_is_taken_from_anywhere_in_the_query() {
        assert_eq!(requested_ms(None), Ok(None));
        assert_eq!(requested_ms(Some("")), Ok(None));
        assert_eq!(requested_ms(Some("items=3")), Ok(None));
        assert_eq!(requested_ms(Some("a=1&ms=60000&b")), Ok(Some(60_000)));
        assert_eq!(requested_ms(Some("ms=0")), Ok(Some(0)));
    }
}
