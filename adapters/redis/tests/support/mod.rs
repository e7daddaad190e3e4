//! A real Redis on loopback with its own folder.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use planner_core::ServiceId;
use planner_redis::wire::MacKey;
use planner_redis::{Bus, Mode, RedisSettings};
use redis::FromRedisValue;

/// A Redis of a test's own; killed when the test is over.
pub(crate) struct Redis {
    folder: tempfile::TempDir,
    port: u16,
    more: Vec<String>,
    process: Option<Child>,
}

impl Redis {
    pub(crate) fn start(more: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let more = more.iter().map(|text| String::from(*text)).collect();
        let mut redis = Self { folder, port, more, process: None };
        redis.run();
        redis
    }

    /// Starts the process, and waits until it listens.
    pub(crate) fn run(&mut self) {
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always", "--loglevel", "warning"])
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        self.process = Some(process);
        for _ in 0..200 {
            // What counts is an answer; that of one with a password is a refusal.
            let client = redis::Client::open(self.url("")).expect("an address");
            if client.get_connection().is_ok_and(|mut connection| {
                match redis::cmd("PING").query::<String>(&mut connection) {
                    Ok(_) => true,
                    Err(error) => error.code() == Some("NOAUTH"),
                }
            }) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("redis-server did not start");
    }

    /// Ends the process as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it was alive");
            process.wait().expect("a status");
        }
    }

    pub(crate) fn url(&self, login: &str) -> String {
        format!("redis://{login}127.0.0.1:{}/", self.port)
    }

    /// A way to it for the service `shop`.
    pub(crate) async fn bus(&self, mode: Mode) -> Bus {
        self.open(mode, None).await
    }

    /// The same with streams, and a key.
    pub(crate) async fn sealed_bus(&self, key: MacKey) -> Bus {
        self.open(Mode::Streams, Some(key)).await
    }

    async fn open(&self, mode: Mode, mac_key: Option<MacKey>) -> Bus {
        let mut settings = RedisSettings::new(self.url(""), shop());
        (settings.mode, settings.mac_key) = (mode, mac_key);
        settings.block = Duration::from_millis(200);
        Bus::open(settings).await.expect("settings")
    }

    /// Sends a command as an operator would.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.url("")).expect("an address");
        let mut connection = client.get_connection().expect("a connection");
        let (name, args) = command.split_first().expect("a command");
        redis::cmd(name).arg(args).query(&mut connection).expect("an answer")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _it_may_have_ended = process.kill();
            let _status = process.wait();
        }
    }
}

pub(crate) fn shop() -> ServiceId {
    ServiceId::new("shop").expect("a name")
}

/// Waits until `done` gives something, at most ten seconds.
pub(crate) async fn eventually<T>(mut done: impl FnMut() -> Option<T>) -> T {
    for _ in 0..400 {
        if let Some(value) = done() {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not come true");
}
