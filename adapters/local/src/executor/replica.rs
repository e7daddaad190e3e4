//! One replica's life: started, probed until it is ready, served, drained, stopped.
//!
//! Whether it is wanted and whether it is routed is the reconciler's business; it gives orders,
//! and the replica's task carries them out and says how it ended.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use planner_ports::Router;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::ledger::Ledger;
use super::{ExecutorSettings, ReplicaTemplate};

/// What in an argument or environment value stands for the replica's port.
pub(super) const PORT: &str = "{port}";
/// Pause between two probes of a replica that is not ready.
const PROBE_PAUSE: Duration = Duration::from_millis(20);
/// One probe takes at most this long.
const PROBE_DEADLINE: Duration = Duration::from_secs(1);
/// Pause before a router that failed is asked again.
pub(super) const ROUTER_PAUSE: Duration = Duration::from_millis(200);

/// What a replica is told. Orders only rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Start, get ready, serve.
    Serve,
    /// Out of the route already: finish what is under way, then stop.
    Drain,
    /// Stop; nothing is under way.
    Stop,
    /// Stop this instant.
    Kill,
}

/// What a replica's task needs.
pub(crate) struct Job {
    pub(crate) replica: u64,
    pub(crate) port: u16,
    pub(crate) template: Arc<ReplicaTemplate>,
    pub(crate) settings: ExecutorSettings,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) orders: watch::Receiver<Order>,
    /// Told the replica's number when it is ready for traffic.
    pub(crate) healthy: mpsc::Sender<u64>,
}

/// How a replica's life ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It died while it served.
    Died,
    /// It never became ready, for this reason.
    NeverReady(String),
    /// It was told to.
    Stopped,
}

/// The address of a replica on `port`.
pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Job {
    /// Lives the replica's life. No process is left when it returns; when the future is dropped,
    /// the process is killed.
    pub(crate) async fn live(mut self) -> Ending {
        let mut child = match self.template.spawn(self.port, self.settings.inherit_stdout) {
            Ok(child) => child,
            Err(cause) => {
                let program = self.template.program.display();
                let why = format!("{program} could not be started: {cause}; fix the program");
                return Ending::NeverReady(why);
            }
        };
        let _entry = self.ledger.enter(self.replica, child.id().unwrap_or(0));
        // Waiting for the child would close this: it is how a child learns that we are gone.
        let _lifeline = child.stdin.take();
        if let Some(ending) = self.get_ready(&mut child).await {
            return ending;
        }
        // The reconciler outlives its replicas; without it nobody wants to know.
        let _ = self.healthy.send(self.replica).await;
        tokio::select! {
            _ = child.wait() => return Ending::Died,
            () = ordered(&mut self.orders, Order::Drain) => {}
        }
        self.stop(&mut child).await;
        Ending::Stopped
    }

    /// Probes until the replica answers; `Some` when its life ended instead.
    async fn get_ready(&mut self, child: &mut Child) -> Option<Ending> {
        let deadline = self.settings.ready_deadline;
        let port = self.port;
        let ready = timeout(deadline, until_ready(address(port), &self.template.health_path));
        let why = tokio::select! {
            biased;
            () = ordered(&mut self.orders, Order::Drain) => {
                self.stop(child).await;
                return Some(Ending::Stopped);
            }
            ended = child.wait() => early_exit(port, ended),
            ready = ready => match (ready, child.try_wait()) {
                (Ok(()), Ok(None)) => return None,
                // Somebody else answers on that port.
                (Ok(()), Ok(Some(status))) => early_exit(port, Ok(status)),
                (Ok(()), Err(cause)) => early_exit(port, Err(cause)),
                (Err(_), _) => {
                    let path = &self.template.health_path;
                    let seconds = deadline.as_secs_f64();
                    format!(
                        "not ready on port {port}: GET {path} gave no 200 within {seconds} s; \
                         look at its standard error or raise ready_deadline"
                    )
                }
            },
        };
        kill(child).await;
        Some(Ending::NeverReady(why))
    }

    /// Carries out an order to end, and the higher ones that come meanwhile.
    async fn stop(&mut self, child: &mut Child) {
        if *self.orders.borrow() <= Order::Drain {
            let drained = timeout(self.settings.drain_deadline, self.drained());
            let mut orders = self.orders.clone();
            tokio::select! {
                _ = drained => {}
                _ = child.wait() => {}
                () = ordered(&mut orders, Order::Stop) => {}
            }
        }
        if *self.orders.borrow() < Order::Kill {
            signal(child, Signal::TERM);
            tokio::select! {
                _ = timeout(self.settings.stop_deadline, child.wait()) => {}
                () = ordered(&mut self.orders, Order::Kill) => {}
            }
        }
        kill(child).await;
    }

    /// Returns when the router says that nothing is under way, or that it waited long enough.
    async fn drained(&self) {
        let deadline = self.settings.drain_deadline;
        while self.router.drained(address(self.port), deadline).await.is_err() {
            sleep(ROUTER_PAUSE).await;
        }
    }
}

impl ReplicaTemplate {
    /// Whether a replica can learn its port.
    pub(super) fn names_the_port(&self) -> bool {
        let named = |text: &OsString| with_port(text, 0) != *text;
        self.args.iter().any(named) || self.env.values().any(named)
    }

    fn spawn(&self, port: u16, inherit_stdout: bool) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(self.args.iter().map(|arg| with_port(arg, port)));
        command.env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.env.iter().map(|(name, value)| (name, with_port(value, port))));
        command.stdin(Stdio::piped());
        if !inherit_stdout {
            command.stdout(Stdio::null());
        }
        // Its own group: Ctrl-C in a terminal reaches only us, and we stop it in order.
        command.process_group(0).kill_on_drop(true).spawn()
    }
}

/// `text` with every `{port}` replaced.
fn with_port(text: &OsStr, port: u16) -> OsString {
    let port = port.to_string();
    let mut rest = text.as_bytes();
    let mut result = Vec::with_capacity(rest.len());
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(PORT.as_bytes()) {
            result.extend_from_slice(port.as_bytes());
            rest = after;
        } else {
            result.push(*first);
            rest = &rest[1..];
        }
    }
    OsString::from_vec(result)
}

/// Returns when the order is at least `order`, or nobody is left to give one.
async fn ordered(orders: &mut watch::Receiver<Order>, order: Order) {
    let _ = orders.wait_for(|given| *given >= order).await;
}

/// Why a child that ended too early is no replica.
fn early_exit(port: u16, ended: std::io::Result<ExitStatus>) -> String {
    match ended {
        Ok(status) => format!(
            "ended before it was ready on port {port} ({status}); look at its standard error"
        ),
        Err(cause) => format!("cannot be waited for: {cause}"),
    }
}

/// Sends `which` to the child and what it started. Nothing to do for one that has ended.
fn signal(child: &Child, which: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(group) = pid.and_then(Pid::from_raw) {
        // It fails only when the group is gone.
        let _ = kill_process_group(group, which);
    }
}

/// Ends the child, if it has not ended, and reaps it.
async fn kill(child: &mut Child) {
    signal(child, Signal::KILL);
    let _ = child.wait().await;
}

/// Returns when the replica answers its health check with 200.
async fn until_ready(address: SocketAddr, path: &str) {
    while !matches!(timeout(PROBE_DEADLINE, probe(address, path)).await, Ok(Ok(true))) {
        sleep(PROBE_PAUSE).await;
    }
}

/// Whether `GET path` is answered with 200.
async fn probe(address: SocketAddr, path: &str) -> std::io::Result<bool> {
    const READY: &[u8; 4] = b" 200";
    let mut stream = TcpStream::connect(address).await?;
    if stream.local_addr()? == address {
        return Ok(false); // the kernel picked the called port: a call to oneself
    }
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = [0; b"HTTP/1.1 200".len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.") && answer.ends_with(READY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mention_of_the_port_is_replaced_and_nothing_else() {
        let filled = |text: &str| with_port(OsStr::new(text), 8_080);
        assert_eq!(filled("{port}:{port}/{por}{port"), "8080:8080/{por}{port");
        assert_eq!(filled(""), "");
        let bytes = OsString::from_vec(vec![0xff, b'{']);
        assert_eq!(with_port(&bytes, 1), bytes);
    }
}
