//! The body of an answer: streamed from a backend, or a short text made here.
//!
//! A streamed body carries the request's slot, ticket and connection, and settles them at its end,
//! whatever that is: complete, broken by the backend, too long a silence, or given up by the
//! client.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use tokio::time::{Instant, Sleep, sleep};

use super::dispatcher::Permit;
use super::meter::{Outcome, Ticket};
use super::upstream::{Connection, Pool};

/// Why a body broke off.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A body of either kind.
pub(crate) enum Reply {
    /// Made here.
    Made(Full<Bytes>),
    /// From a backend. Boxed: it is much larger.
    Streamed(Box<Streamed>),
}

impl Reply {
    /// An answer made here, as plain text. Says when to try again where that makes sense.
    pub(crate) fn made(status: StatusCode, text: &'static str) -> Response<Self> {
        let mut response =
            Response::new(Self::Made(Full::new(Bytes::from_static(text.as_bytes()))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Made(body) => {
                Pin::new(body).poll_frame(context).map_err(|never: Infallible| match never {})
            }
            Self::Streamed(body) => body.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Made(body) => body.is_end_stream(),
            Self::Streamed(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Made(body) => body.size_hint(),
            Self::Streamed(body) => body.incoming.size_hint(),
        }
    }
}

/// What is given back at the end of an exchange with a backend.
pub(crate) struct Exchange {
    /// Counts the end. Dropped unsettled, the client went away.
    pub(crate) ticket: Ticket,
    /// The backend's slot.
    pub(crate) permit: Permit,
    /// Goes to the pool after a complete exchange; absent when it may not be used again.
    pub(crate) connection: Option<Connection>,
    /// Where it goes.
    pub(crate) pool: Arc<Pool>,
}

impl Exchange {
    fn end(self, outcome: Outcome) {
        let complete = matches!(outcome, Outcome::Succeeded | Outcome::AnsweredWithError);
        if let Some(connection) = self.connection.filter(|_| complete) {
            self.pool.put(self.permit.backend(), connection);
        }
        self.ticket.settle(outcome);
    }
}

/// A backend's body on its way to the client.
pub(crate) struct Streamed {
    incoming: Incoming,
    /// Absent once settled.
    exchange: Option<Exchange>,
    when_complete: Outcome,
    silence_max: Duration,
    silence: Pin<Box<Sleep>>,
    is_silent: bool,
}

impl Streamed {
    /// The body of an answer with `status`, whose backend may pause for `silence_max`.
    pub(crate) fn new(
        incoming: Incoming,
        status: StatusCode,
        exchange: Exchange,
        silence_max: Duration,
    ) -> Self {
        let mut body = Self {
            incoming,
            exchange: Some(exchange),
            when_complete: if status.is_server_error() {
                Outcome::AnsweredWithError
            } else {
                Outcome::Succeeded
            },
            silence_max,
            silence: Box::pin(sleep(silence_max)),
            is_silent: false,
        };
        body.settle_if_complete();
        body
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Ready(frame) => {
                self.is_silent = false;
                match &frame {
                    None => self.settle(self.when_complete),
                    // A body of known length is not polled again after its last byte.
                    Some(Ok(_)) => self.settle_if_complete(),
                    Some(Err(_)) => self.settle(Outcome::Broken),
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
            }
            Poll::Pending => {
                if !self.is_silent {
                    self.is_silent = true;
                    self.silence.as_mut().reset(Instant::now() + self.silence_max);
                }
                ready!(self.silence.as_mut().poll(context));
                self.settle(Outcome::TimedOut { answered: false });
                Poll::Ready(Some(Err("the backend was silent for too long".into())))
            }
        }
    }

    fn settle_if_complete(&mut self) {
        if self.incoming.is_end_stream() {
            self.settle(self.when_complete);
        }
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(exchange) = self.exchange.take() {
            exchange.end(outcome);
        }
    }
}
