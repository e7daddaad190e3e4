//! The load balancer: a loopback HTTP/1.1 reverse proxy with one queue in front of all backends.
//!
//! It is for replicas on the same host. It is not an edge proxy: no TLS, no HTTP/2, no upgrades,
//! no health checks (whoever routes a backend has probed it).

mod dispatcher;
mod meter;
mod proxy;
mod reply;
mod upstream;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use planner_ports::{Router, RouterError, refuse_strange};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use dispatcher::{Dispatcher, Limits};
pub use meter::TrafficSample;
use proxy::{Shared, answer};

/// How a [`LoadBalancer`] behaves. Start from the default and change what differs.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BalancerSettings {
    /// Whether an address other hosts can reach may be listened on. Off by default: there is no
    /// TLS and no authentication here.
    pub allow_non_loopback: bool,
    /// Clients connected at the same time; further ones wait in the kernel's queue.
    pub max_connections: NonZeroU32,
    /// Requests under way at one backend; further ones wait in the balancer's queue, so that a
    /// backend which joins later takes its share of them. `None`: no bound.
    pub max_in_flight_per_backend: Option<NonZeroU32>,
    /// Requests that wait at the same time; further ones are answered with 503.
    pub max_queue: u32,
    /// How long a request waits for a backend before it is answered with 503.
    pub queue_timeout: Duration,
    /// How long a backend may be silent: until the head of its answer (504), and between two
    /// pieces of the body (the answer breaks off).
    pub upstream_timeout: Duration,
}

impl Default for BalancerSettings {
    fn default() -> Self {
        Self {
            allow_non_loopback: false,
            max_connections: NonZeroU32::MIN.saturating_add(16_383),
            max_in_flight_per_backend: None,
            max_queue: 100_000,
            queue_timeout: Duration::from_secs(30),
            upstream_timeout: Duration::from_secs(30),
        }
    }
}

/// Why there is no load balancer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BalancerError {
    /// The address could not be listened on.
    #[error("listen: {address} cannot be listened on: {cause}; free the port or choose port 0")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Other hosts could reach the address.
    #[error(
        "listen: {address} is not a loopback address; listen on 127.0.0.1 or set \
         allow_non_loopback where something else guards the port"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// There is no tokio runtime to run in.
    #[error("no tokio runtime: the load balancer runs in one; call bind within it")]
    NoRuntime,
}

/// A reverse proxy that gives each request to the routed backend with the fewest under way.
///
/// Requests that find no free backend, or none at all, wait in one queue, first in first out. A
/// backend that cannot be connected to is skipped. A client that goes away frees its slot at once.
/// Dropped, it stops at once; [`LoadBalancer::shutdown`] lets requests finish.
#[derive(Debug)]
pub struct LoadBalancer {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Keeps the dispatcher and the pool of one opinion.
    membership: Mutex<()>,
    /// When everything has to be over; none while requests are accepted.
    closing: watch::Sender<Option<Instant>>,
    /// Whether the server has ended, and then whether every request was finished.
    ended: watch::Receiver<Option<bool>>,
}

impl LoadBalancer {
    /// Backends at the same time.
    pub const BACKENDS_MAX: usize = 4_096;

    /// Listens on `listen` (port 0: any free one) and serves in the current tokio runtime. There
    /// are no backends at first: requests wait.
    ///
    /// # Errors
    ///
    /// [`BalancerError`] when the address is not loopback and that is not allowed, cannot be
    /// listened on, or when there is no runtime.
    pub fn bind(listen: SocketAddr, settings: BalancerSettings) -> Result<Self, BalancerError> {
        if !listen.ip().is_loopback() && !settings.allow_non_loopback {
            return Err(BalancerError::NotLoopback { address: listen });
        }
        let runtime =
            tokio::runtime::Handle::try_current().map_err(|_| BalancerError::NoRuntime)?;
        let failed = |cause| BalancerError::Listen { address: listen, cause };
        let listener = open(listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let in_flight_max = settings.max_in_flight_per_backend;
        let shared = Arc::new(Shared {
            dispatcher: Arc::new(Dispatcher::new(Limits {
                in_flight_max: in_flight_max.map_or(u32::MAX, NonZeroU32::get),
                queue_max: settings.max_queue as usize,
            })),
            meter: Arc::default(),
            pool: Arc::default(),
            queue_timeout: settings.queue_timeout,
            upstream_timeout: settings.upstream_timeout,
        });
        let (closing, is_closing) = watch::channel(None);
        let (end, ended) = watch::channel(None);
        let server = Server {
            listener,
            shared: Arc::clone(&shared),
            connections_max: settings.max_connections.get() as usize,
            closing: is_closing,
        };
        runtime.spawn(async move { end.send(Some(server.run().await)) });
        Ok(Self { address, shared, membership: Mutex::new(()), closing, ended })
    }

    /// The address that is listened on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How often the set of backends was changed.
    pub fn generation(&self) -> u64 {
        self.shared.dispatcher.generation()
    }

    /// Requests that wait for a backend now.
    pub fn queued(&self) -> usize {
        self.shared.dispatcher.queued()
    }

    /// Address and requests under way of every backend that is routed or still busy.
    pub fn loads(&self) -> Vec<(SocketAddr, u32)> {
        self.shared.dispatcher.loads()
    }

    /// What happened since the last call, for one reader: each request's end is handed out once.
    pub fn take_traffic(&self) -> TrafficSample {
        let queued = u32::try_from(self.queued()).unwrap_or(u32::MAX);
        TrafficSample { queued, ..self.shared.meter.take() }
    }

    /// Stops accepting, and waits until what is under way is finished, at most `deadline` long;
    /// the rest is broken off. Returns whether everything was finished. A second call waits too.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let latest = Instant::now() + deadline;
        self.closing.send_if_modified(|closing| {
            let is_first = closing.is_none();
            closing.get_or_insert(latest);
            is_first
        });
        let mut ended = self.ended.clone();
        // Without a result the runtime has dropped the server.
        let finished = ended.wait_for(Option::is_some).await;
        finished.is_ok_and(|finished| *finished == Some(true))
    }
}

#[async_trait]
impl Router for LoadBalancer {
    /// In effect when it returns. An empty set is legal: requests then wait, at most
    /// [`BalancerSettings::queue_timeout`] long.
    async fn route(&self, backends: &[SocketAddr]) -> Result<(), RouterError> {
        if backends.len() > Self::BACKENDS_MAX {
            let count = backends.len();
            let max = Self::BACKENDS_MAX;
            let cause = format!("{count} backends are more than {max}");
            return Err(RouterError::Refused { cause });
        }
        refuse_strange(backends)?;
        let backends: BTreeSet<SocketAddr> = backends.iter().copied().collect();
        let _one_at_a_time = self.membership.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.pool.route(&backends);
        self.shared.dispatcher.route(&backends);
        Ok(())
    }

    async fn drained(&self, backend: SocketAddr, deadline: Duration) -> Result<bool, RouterError> {
        let latest = Instant::now() + deadline;
        Ok(self.shared.dispatcher.idle_by(backend, latest).await)
    }
}

/// A socket that listens on `address`.
fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?; // a restart need not wait for old connections to be forgotten
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connections that the kernel holds until they are accepted; with fewer a burst of clients would
/// lose packets and wait a second each.
const BACKLOG: u32 = 4_096;

/// The side that clients connect to.
struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    connections_max: usize,
    closing: watch::Receiver<Option<Instant>>,
}

impl Server {
    /// Pause after a connection could not be accepted: the usual cause, too many open files,
    /// does not go away at once.
    const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

    /// Serves until it is told to close, or its balancer is dropped. Returns whether every
    /// request was finished.
    async fn run(mut self) -> bool {
        let mut connections = JoinSet::new();
        loop {
            let has_room = connections.len() < self.connections_max;
            tokio::select! {
                () = closing(&mut self.closing) => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if has_room => match accepted {
                    Ok((stream, peer)) => {
                        let shared = Arc::clone(&self.shared);
                        let closing = self.closing.clone();
                        connections.spawn(serve(stream, peer.ip(), shared, closing));
                    }
                    Err(_) => tokio::time::sleep(Self::ACCEPT_PAUSE).await,
                },
            }
        }
        drop(self.listener);
        let latest = self.closing.borrow().unwrap_or_else(Instant::now);
        let all = async { while connections.join_next().await.is_some() {} };
        timeout_at(latest, all).await.is_ok()
    }
}

/// Serves one client's connection; what is under way is finished when closing begins.
async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    shared: Arc<Shared>,
    mut closing: watch::Receiver<Option<Instant>>,
) {
    // Without it an answer may only be slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let answer = answer(Arc::clone(&shared), peer, request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A connection's error is its client's affair: there is nobody left to tell.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = self::closing(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Returns when closing begins, or the balancer is gone.
async fn closing(closing: &mut watch::Receiver<Option<Instant>>) {
    // Both a value and the sender's end mean closing.
    let _ = closing.wait_for(Option::is_some).await;
}
