//! A Redis of a test's own, and the programs of the stack on it.

// Every test program uses a part of it.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use planner_core::ServiceId;
use planner_examples_stack::demo::servers::{self, Process, free_address};
use planner_redis::wire::wall_now;
use planner_redis::{Bus, Channel, Mode, Reader, RedisSettings};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

/// How long anything may take to come true.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The program that all programs are, by subcommand.
pub(crate) fn demo() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_demo"))
}

/// Every program that runs for long.
pub(crate) const PROGRAMS: [&str; 6] =
    ["dashboard", "executor", "monitor", "planner", "subscriber", "watcher"];

/// An alert of the proof of concept's monitor, field by field.
pub(crate) fn old_alert(p95_ms: f64, replicas: u32) -> String {
    json!({
        "kind": "latency_metrics", "endpoint": "http://lb/", "window_sec": 0.1, "requests": 40,
        "success_rate": 1.0, "avg_ms": p95_ms / 2.0, "p95_ms": p95_ms, "replicas": replicas,
        "ts": wall_now(),
    })
    .to_string()
}

/// A folder, a Redis, and settings of programs on it.
pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) redis: SocketAddr,
    pub(crate) server: Option<Process>,
    settings: Vec<(String, String)>,
}

impl Rig {
    /// A Redis without anything in it.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let redis = free_address().expect("a free port");
        let server = Some(servers::redis(folder.path(), redis).await.expect("redis-server"));
        let mut rig = Self { folder, redis, server, settings: Vec::new() };
        rig.set("redis_port", redis.port());
        let state = rig.path("state");
        rig.set("state_dir", format!("{:?}", state.display().to_string()));
        rig
    }

    /// Names a setting; text has to be quoted as TOML wants it.
    pub(crate) fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        self.unset(name);
        self.settings.push((name.to_owned(), value.to_string()));
    }

    /// A setting, without its quotes.
    pub(crate) fn setting(&self, name: &str) -> String {
        let found = self.settings.iter().find(|(known, _)| known == name);
        found.map_or_else(String::new, |(_, value)| value.trim_matches('"').to_owned())
    }

    /// Leaves a setting out.
    pub(crate) fn unset(&mut self, name: &str) {
        self.settings.retain(|(known, _)| known != name);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a program of the stack with the settings of this moment, and further arguments.
    pub(crate) fn run(&self, name: &'static str, more: &[&str]) -> Process {
        self.run_as(name, name, more)
    }

    /// The same, with files of another name: there may be several of one program.
    pub(crate) fn run_as(&self, program: &str, name: &'static str, more: &[&str]) -> Process {
        let file = self.path(&format!("{name}.toml"));
        let rows = self.settings.iter().map(|(name, value)| format!("{name} = {value}\n"));
        std::fs::write(&file, rows.collect::<Vec<_>>().concat()).expect("written");
        let mut command = tokio::process::Command::new(demo());
        command.arg(program).arg("--config").arg(file).arg("--exit-with-parent").args(more);
        Process::start(name, self.folder.path(), &mut command).expect("it starts")
    }

    /// The way to this Redis for the service `app`.
    pub(crate) async fn bus(&self, mode: Mode) -> Bus {
        let service = ServiceId::new("app").expect("a name");
        let mut settings = RedisSettings::new(format!("redis://{}/", self.redis), service);
        settings.mode = mode;
        Bus::open(settings).await.expect("settings")
    }

    /// Sends a command to Redis.
    pub(crate) async fn ask(&self, command: &[&str]) {
        self.ask_with("", command).await;
    }

    /// The same with a password.
    pub(crate) async fn ask_with(&self, password: &str, command: &[&str]) {
        self.try_ask::<redis::Value>(password, command).await.expect("done");
    }

    /// What Redis keeps under a key, where it answers.
    pub(crate) async fn text(&self, key: &str) -> Option<String> {
        self.try_ask("", &["GET", key]).await.ok()
    }

    async fn try_ask<T: redis::FromRedisValue>(
        &self,
        password: &str,
        command: &[&str],
    ) -> redis::RedisResult<T> {
        let secret = if password.is_empty() { "" } else { &format!(":{password}@") };
        let client = redis::Client::open(format!("redis://{secret}{}/", self.redis))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let (name, arguments) = command.split_first().expect("a command");
        redis::cmd(name).arg(arguments).query_async(&mut connection).await
    }

    /// Waits until a program has written something.
    pub(crate) async fn has_said(&self, name: &str, words: &str) {
        let end = Instant::now() + SOON;
        while !self.log(name).contains(words) {
            assert!(Instant::now() < end, "{name} has not said {words:?}: {}", self.log(name));
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// What a program has written.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }
}

/// The next message of a reader that `wanted` makes something of.
pub(crate) async fn next<T>(
    reader: &mut Reader,
    mut wanted: impl FnMut(&serde_json::Value) -> Option<T>,
) -> T {
    let found = async {
        loop {
            let Ok(entry) = reader.next().await else { continue };
            let value = serde_json::from_slice(&entry.bytes).expect("JSON");
            if let Some(found) = wanted(&value) {
                return found;
            }
        }
    };
    timeout(SOON, found).await.expect("a message in time")
}

/// Waits until `done` gives something.
pub(crate) async fn eventually<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(25)).await;
    }
}

/// A subscription that is known to be heard: what is published before it would be lost.
pub(crate) async fn subscribed(bus: &Bus, channel: Channel) -> Reader {
    let mut reader = Reader::follow(bus, channel, 0);
    let end = Instant::now() + SOON;
    loop {
        bus.publish(channel, r#"{"kind":"test"}"#).await.expect("published");
        if timeout(Duration::from_millis(100), reader.next()).await.is_ok() {
            return reader;
        }
        assert!(Instant::now() < end, "not subscribed");
    }
}
