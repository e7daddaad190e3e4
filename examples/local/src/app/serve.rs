//! Connections, from the first to the last one finished.
//!
//! Not for what is answered: [`super::answer`] decides that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::answer::Service;

/// Connections that the kernel holds for us before we take them: bursts must not be refused.
const BACKLOG: u32 = 1_024;
/// How long connections have, once draining, to show the request that they came with.
const LAST_REQUEST_GRACE: Duration = Duration::from_millis(200);
/// How long to wait when no socket can be taken; the kernel keeps the connection meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Listens on an address with a large backlog.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, std::io::Error> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A replica that just ended leaves its port in use for a minute otherwise.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `drain` resolves and everything queued by then is answered.
///
/// Returns how many requests were still unanswered after `drain_at_most`.
pub(super) async fn until_drained(
    listener: TcpListener,
    service: Service,
    drain: impl Future<Output = ()>,
    drain_at_most: Duration,
) -> usize {
    let (close, closing) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(drain);
    loop {
        tokio::select! {
            biased;
            () = &mut drain => break,
            stream = accept(&listener) => {
                connections.spawn(serve(stream, service.clone(), closing.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    let deadline = Instant::now() + drain_at_most;
    let state = Arc::clone(&service.state);
    state.is_draining.store(true, Ordering::Relaxed);
    // What the kernel has already accepted for us would be reset with the listener.
    while let Ok(stream) = timeout(Duration::ZERO, accept(&listener)).await {
        connections.spawn(serve(stream, service.clone(), closing.clone()));
    }
    drop(listener);
    sleep(LAST_REQUEST_GRACE.min(drain_at_most)).await;
    close.send_replace(true);
    let all_closed = async { while connections.join_next().await.is_some() {} };
    match timeout_at(deadline, all_closed).await {
        Ok(()) => 0,
        Err(_elapsed) => state.unanswered.load(Ordering::Relaxed),
    }
}

/// The next connection. Without a free file descriptor it waits rather than spin or give up.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return stream,
            Err(_out_of_files_or_gone_already) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, service: Service, mut closing: watch::Receiver<bool>) {
    let _only_slower = stream.set_nodelay(true);
    if let Ok(address) = stream.local_addr() {
        service.log.reached(address);
    }
    let answer = service_fn(move |request| service.clone().answer(request));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(Duration::from_mins(1));
    let connection = server.serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        // A broken connection is the client's business: it has been told, or is gone.
        _broken = &mut connection => return,
        _ = closing.wait_for(|is_closing| *is_closing) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _broken = connection.await;
}
