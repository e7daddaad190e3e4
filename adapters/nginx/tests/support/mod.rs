//! A real nginx on loopback with its own folder, backends that say their name, and a client.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use planner_nginx::{NginxRouter, NginxSettings};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// An nginx of a test's own; killed with its workers when the test is over.
pub(crate) struct Nginx {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) http: SocketAddr,
    status: SocketAddr,
    process: Option<Child>,
}

impl Nginx {
    /// Starts one without backends.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (http, status) = (free().await, free().await);
        let path = folder.path().display();
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {path}/{kind};\n"));
        let config = format!(
            "daemon off;\nworker_processes 2;\npid {path}/nginx.pid;\nerror_log {path}/error.log;\n\
             events {{ worker_connections 512; }}\nhttp {{\naccess_log {path}/access.log;\n{}\
             include {path}/conf.d/*.conf;\nserver {{ listen {http} backlog=511; location / {{ \
             proxy_pass http://app_pool; }} }}\n}}\n",
            temp.concat()
        );
        std::fs::create_dir(folder.path().join("conf.d")).expect("a folder");
        std::fs::write(folder.path().join("nginx.conf"), config).expect("written");
        let mut nginx = Self { folder, http, status, process: None };
        // Its first file, without which nginx would not start.
        drop(NginxRouter::new(nginx.settings()).expect("settings"));
        nginx.run().await;
        nginx
    }

    pub(crate) fn settings(&self) -> NginxSettings {
        let path = |name: &str| self.folder.path().join(name);
        let file = path("conf.d/planner-upstream.conf");
        let mut settings =
            NginxSettings::new(path("nginx.conf"), file, path("nginx.pid"), self.status);
        settings.interval_min = Duration::from_millis(10);
        settings
    }

    /// Starts the process, and waits until it answers.
    pub(crate) async fn run(&mut self) {
        let config = self.folder.path().join("nginx.conf");
        let process = Command::new("nginx")
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is installed");
        self.process = Some(process);
        for _ in 0..200 {
            if get(self.status, "/").await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!(
            "nginx did not start: {:?}",
            std::fs::read_to_string(self.folder.path().join("error.log"))
        );
    }

    /// Ends the process and its workers.
    pub(crate) async fn stop(&mut self) {
        self.signal("-TERM");
        if let Some(mut process) = self.process.take() {
            process.wait().await.expect("it ends");
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().and_then(Child::id);
        if let Some(pid) = pid {
            let mut kill = std::process::Command::new("kill");
            kill.arg(signal).arg(pid.to_string()).status().expect("kill");
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A killed master would leave its workers behind.
        self.signal("-TERM");
        let Some(process) = &mut self.process else { return };
        for _ in 0..100 {
            if !matches!(process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A loopback address that was free a moment ago.
async fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address")
}

/// A server that answers with its name, `/slow` after a second and a half; it keeps connections.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicU32>,
}

impl Backend {
    pub(crate) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, name));
            }
        });
        Self { address, connections }
    }

    /// Connections that it was asked for.
    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(stream: TcpStream, name: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut line) = (String::new(), String::from("."));
        if stream.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        while !line.trim().is_empty() {
            line.clear();
            stream.read_line(&mut line).await?;
        }
        if first.contains(" /slow ") {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// One request on a connection of its own: status, body and head.
pub(crate) async fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no status: {answer:?}")))?;
    Ok((status, body.to_owned(), head.to_owned()))
}

/// A client that keeps its connection, and tries once more when nginx closed it before it answered.
pub(crate) struct Keeper {
    address: SocketAddr,
    kept: Option<BufReader<TcpStream>>,
    /// Requests that were tried once more.
    pub(crate) again: u32,
}

impl Keeper {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, kept: None, again: 0 }
    }

    /// One request; panics when it is lost in any other way.
    pub(crate) async fn ask(&mut self) {
        if let Some(kept) = self.kept.take() {
            match exchange(kept).await {
                Ok(kept) => return self.kept = kept,
                Err(bytes) => assert_eq!(bytes, 0, "an answer was cut"),
            }
            self.again += 1;
        }
        let fresh = TcpStream::connect(self.address).await.expect("nginx listens");
        self.kept = exchange(BufReader::new(fresh)).await.expect("an answer to a fresh connection");
    }
}

/// A request and its answer; the connection, if it is kept. The bytes that came of one that broke.
async fn exchange(mut stream: BufReader<TcpStream>) -> Result<Option<BufReader<TcpStream>>, usize> {
    let request = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
    stream.write_all(request).await.map_err(|_| 0_usize)?;
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let before = head.len();
        match stream.read_line(&mut head).await {
            Ok(read) if read > 0 => {}
            _ => return Err(head.len()),
        }
        let line = head[before..].trim().to_ascii_lowercase();
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().expect("a length");
        }
        if line.is_empty() {
            break;
        }
    }
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(|_| head.len())?;
    let closes = head.to_ascii_lowercase().contains("connection: close");
    Ok((!closes).then_some(stream))
}
