//! Processes of a run: servers and the programs of the stack, each with a log of its own.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use planner_nginx::{NginxRouter, NginxSettings};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use super::error::DemoError;

/// How long a server may take to answer.
const UP_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether one does.
const LOOK: Duration = Duration::from_millis(25);
/// How long a process may take to end before it is killed.
const END_WITHIN: Duration = Duration::from_secs(20);

/// A process of this run; killed when it is dropped.
pub struct Process {
    name: &'static str,
    child: Child,
    /// Its standard input, whose end tells it that this program is gone.
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it writes goes to `FOLDER/NAME.log`.
    ///
    /// # Errors
    ///
    /// [`DemoError`] when there is no log or no such program.
    pub fn start(
        name: &'static str,
        folder: &Path,
        command: &mut Command,
    ) -> Result<Self, DemoError> {
        let log = folder.join(format!("{name}.log"));
        let file = |cause| DemoError::File { path: log.clone(), cause };
        let written = File::create(&log).map_err(file)?;
        let also = written.try_clone().map_err(file)?;
        let child = command
            // Nothing of this environment is meant for it: a setting there would win over its file.
            .env_clear()
            .env("PATH", search_path())
            .stdin(Stdio::piped())
            .stdout(written)
            .stderr(also)
            // Ctrl-C reaches this process alone; it ends the others in their order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut child = child.map_err(|cause| DemoError::Server {
            program: name,
            cause: format!("{cause}; install it: Debian has redis-server and nginx"),
            log: log.clone(),
        })?;
        let lifeline = child.stdin.take();
        Ok(Self { name, child, lifeline, log })
    }

    /// A program of the stack, which is `demo` by subcommand.
    ///
    /// # Errors
    ///
    /// As those of [`Process::start`].
    pub fn stack(
        name: &'static str,
        demo: &Path,
        folder: &Path,
        settings: &Path,
    ) -> Result<Self, DemoError> {
        let mut command = Command::new(demo);
        command.arg(name).arg("--config").arg(settings);
        Self::start(name, folder, command.args(["--exit-with-parent", "--json-logs"]))
    }

    /// Waits until `address` takes connections.
    ///
    /// # Errors
    ///
    /// [`DemoError::Server`] when it ends, or takes none in time.
    pub async fn up(&mut self, address: SocketAddr) -> Result<(), DemoError> {
        let end = Instant::now() + UP_WITHIN;
        loop {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if ended || Instant::now() > end {
                let cause = if ended { "it ended at once" } else { "it does not answer" };
                let (program, log) = (self.name, self.log.clone());
                return Err(DemoError::Server { program, cause: String::from(cause), log });
            }
            sleep(LOOK).await;
        }
    }

    /// Waits until it has written `words`: what answers at its address may be somebody else.
    ///
    /// # Errors
    ///
    /// [`DemoError::Server`] when it ends, or does not say so in time.
    async fn has_said(&mut self, words: &str) -> Result<(), DemoError> {
        let end = Instant::now() + UP_WITHIN;
        loop {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            if said.contains(words) {
                return Ok(());
            }
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if ended || Instant::now() > end {
                let cause = format!("it has not said {words:?}");
                return Err(DemoError::Server { program: self.name, cause, log: self.log.clone() });
            }
            sleep(LOOK).await;
        }
    }

    /// The file that it writes to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its number, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _it_may_have_ended = kill_process(pid, signal);
        }
    }

    /// Ends it in order. How it ended; `None` when it had to be killed.
    pub async fn end(mut self) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let ended = timeout(END_WITHIN, self.child.wait()).await.ok().and_then(Result::ok);
        if ended.is_none() {
            let _it_is_gone_then = self.child.kill().await;
        }
        drop(self.lifeline.take());
        ended
    }
}

impl Drop for Process {
    /// Asks first: an nginx that is killed leaves its workers behind.
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        for _ in 0..40 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

/// Where programs are looked for: servers live where only root's path looks.
pub(super) fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Whether `address` takes connections in time.
pub(super) async fn answers(address: SocketAddr) -> bool {
    let connected = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(LOOK).await;
        }
    };
    timeout(UP_WITHIN, connected).await.is_ok()
}

/// A loopback address that was free a moment ago, and that nobody else in this process was given:
/// two servers on one port would answer each other's clients.
///
/// # Errors
///
/// [`std::io::Error`] when there is no port to be had.
pub fn free_address() -> std::io::Result<SocketAddr> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        // A set of ports is whole whoever panicked.
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if given.insert(address.port()) {
            return Ok(address);
        }
    }
}

/// A Redis with its own folder.
///
/// # Errors
///
/// [`DemoError`] when it does not come up.
pub async fn redis(folder: &Path, address: SocketAddr) -> Result<Process, DemoError> {
    start_redis(folder, address, &[]).await
}

/// The same, which listens on `FOLDER/bus/redis.sock` too, for containers.
pub(super) async fn redis_with_socket(
    folder: &Path,
    address: SocketAddr,
) -> Result<Process, DemoError> {
    make(&folder.join("bus"))?;
    // A path of its own could be longer than a socket's may be.
    let more = ["--unixsocket", "../bus/redis.sock", "--unixsocketperm", "777"];
    start_redis(folder, address, &more).await
}

async fn start_redis(
    folder: &Path,
    address: SocketAddr,
    more: &[&str],
) -> Result<Process, DemoError> {
    let data = folder.join("redis");
    make(&data)?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--port"]);
    command.arg(address.port().to_string()).arg("--dir").arg(data).args(more);
    let mut redis = Process::start("redis-server", folder, &mut command)?;
    redis.up(address).await?;
    redis.has_said("Ready to accept connections").await?;
    Ok(redis)
}

/// An nginx with its own folder, in front of nothing yet.
///
/// # Errors
///
/// [`DemoError`] when it does not come up.
pub async fn nginx(
    folder: &Path,
    http: SocketAddr,
    settings: &NginxSettings,
) -> Result<Process, DemoError> {
    let file = nginx_files(folder, http, settings)?;
    let mut command = Command::new("nginx");
    let mut nginx = Process::start("nginx", folder, command.arg("-c").arg(file))?;
    nginx.up(http).await?;
    Ok(nginx)
}

/// What an nginx reads, in a folder of its own; where its configuration is.
///
/// # Errors
///
/// [`DemoError`] when it cannot be written.
pub(super) fn nginx_files(
    folder: &Path,
    http: SocketAddr,
    settings: &NginxSettings,
) -> Result<PathBuf, DemoError> {
    let path = folder.join("nginx");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", path.display()));
    // A reload on nginx before 1.27.4 resets idle connections; without them nobody can lose one.
    let config = format!(
        "daemon off;\nworker_processes 2;\npid {path}/nginx.pid;\nerror_log {path}/error.log;\n\
         worker_shutdown_timeout 30s;\nevents {{ worker_connections 4096; }}\nhttp {{\n\
         keepalive_timeout 0;\n{}include {path}/conf.d/*.conf;\nserver {{\nlisten {http} \
         backlog=4096;\nlocation / {{ proxy_pass http://app_pool; }}\n}}\n}}\n",
        temporary.concat(),
        path = path.display(),
    );
    make(&path.join("conf.d"))?;
    let file = path.join("nginx.conf");
    std::fs::write(&file, config).map_err(|cause| DemoError::File { path: file.clone(), cause })?;
    // Its first file, without which it would not start.
    drop(NginxRouter::new(settings.clone()).map_err(|e| DemoError::Settings(e.to_string()))?);
    Ok(file)
}

/// Makes a folder and those above it.
///
/// # Errors
///
/// [`DemoError::File`] when it cannot be made.
pub fn make(path: &Path) -> Result<(), DemoError> {
    std::fs::create_dir_all(path).map_err(|cause| DemoError::File { path: path.to_owned(), cause })
}
