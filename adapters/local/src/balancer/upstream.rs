//! Connections to the backends, and the bounded number of idle ones that are kept for reuse.
//!
//! Which backend serves a request is not decided here (`dispatcher`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Idle connections kept for each backend.
const IDLE_MAX: usize = 64;

/// A request's body on its way to a backend: the client's, or none.
pub(crate) type Outgoing = Either<Incoming, Empty<Bytes>>;

/// A connection that takes one request at a time.
pub(crate) type Connection = SendRequest<Outgoing>;

/// A new connection to `backend`.
pub(crate) async fn connect(backend: SocketAddr) -> std::io::Result<Connection> {
    let stream = TcpStream::connect(backend).await?;
    if stream.local_addr()? == backend {
        // On loopback the kernel may pick the very port that is called: a call to oneself.
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
    stream.set_nodelay(true)?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(std::io::Error::other)?;
    // Ends by itself when the sender and the response are gone, or when the backend hangs up.
    tokio::spawn(connection);
    Ok(sender)
}

/// Idle connections of the routed backends.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<BTreeMap<SocketAddr, Vec<Connection>>>,
}

impl Pool {
    /// Keeps connections to these backends only; those to others are closed.
    pub(crate) fn route(&self, backends: &BTreeSet<SocketAddr>) {
        let mut idle = self.lock();
        idle.retain(|backend, _| backends.contains(backend));
        for &backend in backends {
            idle.entry(backend).or_default();
        }
    }

    /// An idle connection that was open a moment ago. It may be closed by the backend before the
    /// request is on it.
    pub(crate) async fn take(&self, backend: SocketAddr) -> Option<Connection> {
        loop {
            let mut connection = self.lock().get_mut(&backend)?.pop()?;
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last exchange is complete, if there is room and the backend is
    /// still routed.
    pub(crate) fn put(&self, backend: SocketAddr, connection: Connection) {
        let mut idle = self.lock();
        if let Some(kept) = idle.get_mut(&backend)
            && kept.len() < IDLE_MAX
            && !connection.is_closed()
        {
            kept.push(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
