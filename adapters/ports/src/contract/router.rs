//! Nine cases for whoever brings requests to replicas.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::Router;

/// Requests that show who serves.
const REQUESTS: u32 = 40;
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a request is held where somebody waits for it.
const A_WHILE: Duration = Duration::from_millis(300);

/// A router, and where its load balancer listens.
pub trait RouterRig: Send + Sync {
    /// The router.
    fn router(&self) -> &dyn Router;

    /// Where clients reach it, by HTTP/1.1.
    fn front(&self) -> SocketAddr;
}

/// Runs every case, from no backend to none.
///
/// # Panics
///
/// With the case that does not hold, and what was found in its place.
pub async fn router_keeps_its_contract(rig: &dyn RouterRig) {
    let [one, two, three] =
        [Backend::start().await, Backend::start().await, Backend::start().await];
    let case = "requests go to the one backend as soon as it is said";
    route(rig, case, &[&one]).await;
    served_by(rig, case, &[&one]).await;
    let case = "one that joins gets its share";
    route(rig, case, &[&one, &two]).await;
    served_by(rig, case, &[&one, &two]).await;
    let case = "one that is named twice is one";
    route(rig, case, &[&two, &one, &two]).await;
    served_by(rig, case, &[&one, &two]).await;
    let case = "the membership of before, in another order, is no change";
    route(rig, case, &[&one, &two]).await;
    served_by(rig, case, &[&one, &two]).await;
    let case = "one that is taken out gets nothing more";
    route(rig, case, &[&two, &three]).await;
    served_by(rig, case, &[&two, &three]).await;
    drains(rig, &two, &three).await;
    let case = "of memberships that come at the same time one is in effect";
    let (a, b) = (addresses(&[&one]), addresses(&[&three]));
    let (first, second) = tokio::join!(rig.router().route(&a), rig.router().route(&b));
    assert!(first.is_ok() && second.is_ok(), "{case}: {first:?}, {second:?}");
    let found = answering(rig, case).await;
    assert!(found.len() == 1, "{case}: {found:?}");
    let case = "an address that nobody can have is refused, and what is served stays";
    route(rig, case, &[&two]).await;
    for strange in [(Ipv4Addr::LOCALHOST, 0), (Ipv4Addr::UNSPECIFIED, 8_080)] {
        let refused = rig.router().route(&[one.address, SocketAddr::from(strange)]).await;
        assert!(refused.is_err(), "{case}: {strange:?}");
    }
    served_by(rig, case, &[&two]).await;
    let case = "without a backend nobody is served by those of before";
    route(rig, case, &[]).await;
    let before = two.answered();
    let told = timeout(A_WHILE, status(rig.front(), "/")).await;
    assert!(!matches!(told, Ok(Ok(200))), "{case}: {told:?}");
    assert_eq!(two.answered(), before, "{case}");
}

/// A backend that is taken out finishes what it has, and is idle only then.
async fn drains(rig: &dyn RouterRig, leaving: &Backend, staying: &Backend) {
    let case = "a request that was under way is answered, and only then its backend is idle";
    route(rig, case, &[leaving]).await;
    let front = rig.front();
    let held = tokio::spawn(async move { status(front, "/held").await });
    let end = Instant::now() + PATIENCE;
    while leaving.held() == 0 {
        assert!(Instant::now() < end, "{case}: it does not come");
        sleep(Duration::from_millis(5)).await;
    }
    route(rig, case, &[staying]).await;
    let idle = rig.router().drained(leaving.address, A_WHILE).await;
    assert_eq!(idle, Ok(false), "{case}: it is under way");
    assert!(!held.is_finished(), "{case}: it is under way");
    leaving.release();
    let idle = rig.router().drained(leaving.address, PATIENCE).await;
    assert_eq!(idle, Ok(true), "{case}");
    let told = held.await.expect("no panic");
    assert!(matches!(told, Ok(200)), "{case}: {told:?}");
    served_by(rig, case, &[staying]).await;
}

fn addresses(backends: &[&Backend]) -> Vec<SocketAddr> {
    backends.iter().map(|backend| backend.address).collect()
}

async fn route(rig: &dyn RouterRig, case: &str, backends: &[&Backend]) {
    let routed = rig.router().route(&addresses(backends)).await;
    assert_eq!(routed, Ok(()), "{case}: not routed");
}

/// Every request is answered, by all of `backends` and nobody else.
async fn served_by(rig: &dyn RouterRig, case: &str, backends: &[&Backend]) {
    let wanted: BTreeSet<u16> = backends.iter().map(|backend| backend.address.port()).collect();
    assert_eq!(answering(rig, case).await, wanted, "{case}");
}

/// The ports of those that answer.
async fn answering(rig: &dyn RouterRig, case: &str) -> BTreeSet<u16> {
    let mut found = BTreeSet::new();
    // At the same time, so that whoever is told to have fewest under way cannot have them all.
    let asked: Vec<_> = (0..REQUESTS).map(|_| tokio::spawn(exchange(rig.front(), "/"))).collect();
    for request in asked {
        let (status, text) = request.await.expect("no panic").unwrap_or_else(|error| {
            panic!("{case}: a request was lost: {error}");
        });
        assert_eq!(status, 200, "{case}: {text}");
        found.insert(text.trim().parse().expect("a port"));
    }
    found
}

async fn status(front: SocketAddr, path: &'static str) -> io::Result<u16> {
    exchange(front, path).await.map(|(status, _)| status)
}

/// One request on a connection of its own.
async fn exchange(front: SocketAddr, path: &'static str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(front).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no answer: {answer:?}")))?;
    // A body in chunks has its length on a line of its own; ours are one line long.
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let text = body.lines().find(|line| line.starts_with("port "));
    Ok((status, text.unwrap_or_default().replace("port ", "")))
}

/// A backend that tells its port, and holds `/held` until it is told to answer.
struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    answered: AtomicU32,
    held: AtomicU32,
    gate: Semaphore,
}

impl Backend {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            answered: AtomicU32::new(0),
            held: AtomicU32::new(0),
            gate: Semaphore::new(0),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, address.port(), Arc::clone(&serving)));
            }
        });
        Self { address, shared, task }
    }

    fn answered(&self) -> u32 {
        self.shared.answered.load(Ordering::SeqCst)
    }

    fn held(&self) -> u32 {
        self.shared.held.load(Ordering::SeqCst)
    }

    fn release(&self) {
        self.shared.gate.add_permits(1);
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers the requests of one connection.
async fn serve(stream: TcpStream, port: u16, shared: Arc<Shared>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            let before = head.len();
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
            if head.get(before..).is_some_and(|line| line == "\r\n") {
                break;
            }
        }
        if head.starts_with("GET /held ") {
            shared.held.fetch_add(1, Ordering::SeqCst);
            if let Ok(permit) = shared.gate.acquire().await {
                permit.forget();
            }
        }
        shared.answered.fetch_add(1, Ordering::SeqCst);
        // A moment of work, in which others are asked.
        sleep(Duration::from_millis(20)).await;
        let text = format!("port {port}\n");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
}
