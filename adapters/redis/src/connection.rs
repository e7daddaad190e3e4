//! The way to Redis: settings, names, and one connection for commands that heals by itself.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use planner_core::ServiceId;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, ScriptInvocation,
    TlsCertificates,
};

use crate::BusError;
use crate::wire::{BYTES_MAX, MacKey, Routing, WireError, seal, verify};

/// Longest wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(1);
/// Longest wait for an answer.
const RESPONSE_WAIT: Duration = Duration::from_secs(2);
/// Longest wait for both, with one more try to connect.
const COMMAND_WAIT: Duration = Duration::from_secs(5);
/// Most characters of what Redis says that are repeated.
const CAUSE_CHARS_MAX: usize = 200;

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two ways that Redis offers")]
pub enum Mode {
    /// By publish and subscribe on the proof of concept's channels: who is not there misses them.
    PubSub,
    /// By streams, which wait for their readers.
    Streams,
}

/// What messages are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the channels that the wire knows")]
pub enum Channel {
    /// What the planner wants.
    Actions,
    /// What the monitor saw.
    Alerts,
    /// Which replicas there are.
    Membership,
    /// What became of actions.
    Results,
    /// Where requests go.
    Routing,
}

impl Channel {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Actions => "actions",
            Self::Alerts => "alerts",
            Self::Membership => "membership",
            Self::Results => "results",
            Self::Routing => "routing",
        }
    }
}

/// An address with a password in it; shown nowhere.
#[derive(Clone, PartialEq, Eq)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(..)")
    }
}

/// Which Redis, and how it is used. Start from [`RedisSettings::new`] and change what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisSettings {
    url: Secret,
    /// Who signs the certificate of a `rediss://` server, as a PEM file; whom the system trusts by
    /// default.
    pub ca_file: Option<PathBuf>,
    /// With what orders, memberships and routings are sealed, and have to be sealed by others; not
    /// at all by default. Whoever only shows them needs none.
    pub mac_key: Option<MacKey>,
    /// What the names of keys begin with: 1 to 63 of `a-z`, `A-Z`, `0-9`, `_`, `.` and `-`;
    /// `planner` by default.
    pub prefix: String,
    /// Whose messages.
    pub service: ServiceId,
    /// How messages travel; streams by default.
    pub mode: Mode,
    /// Entries that a stream keeps, about, 100 to 1 000 000; 10 000 by default.
    pub stream_max_len: u64,
    /// How long a read waits for something new, 10 ms to 60 s; 1 s by default.
    pub block: Duration,
}

impl RedisSettings {
    /// Settings for a Redis at `url`, such as `redis://user:password@host:6379/0` or
    /// `unix:///run/redis.sock`, and for one service.
    pub fn new(url: impl Into<String>, service: ServiceId) -> Self {
        Self {
            url: Secret(url.into()),
            ca_file: None,
            mac_key: None,
            prefix: String::from("planner"),
            service,
            mode: Mode::Streams,
            stream_max_len: 10_000,
            block: Duration::from_secs(1),
        }
    }

    fn check(&self) -> Result<(), BusError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !(1..=63).contains(&self.prefix.len()) || !self.prefix.bytes().all(legal) {
            return Err(BusError::Prefix);
        }
        if !(100..=1_000_000).contains(&self.stream_max_len) {
            return Err(BusError::Range {
                setting: "stream_max_len",
                value: self.stream_max_len,
                least: 100,
                most: 1_000_000,
            });
        }
        span("block", self.block, Duration::from_millis(10), Duration::from_secs(60))
    }
}

/// Refuses a span outside its range.
pub(crate) fn span(
    setting: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), BusError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(BusError::Span { setting, value, least, most })
}

/// The way to one Redis for one service. Clones share one connection for commands; every reader
/// has one more, since it waits on it.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    settings: RedisSettings,
    client: Client,
    manager: ConnectionManager,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bus").field(&self.0.settings).finish()
    }
}

impl Bus {
    /// Opens the way; nothing is connected before it is needed. To be called within a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`BusError`] names the setting that cannot work.
    #[expect(clippy::unused_async, reason = "so that nobody calls it outside of a runtime")]
    pub async fn open(settings: RedisSettings) -> Result<Self, BusError> {
        settings.check()?;
        // What is wrong with the address may quote it, so the cause is dropped.
        let client = match &settings.ca_file {
            None => Client::open(settings.url.0.as_str()).map_err(|_| BusError::Url)?,
            Some(file) => {
                let unread = |cause: std::io::Error| BusError::CaFile {
                    file: file.clone(),
                    cause: cause.to_string(),
                };
                let root_cert = Some(std::fs::read(file).map_err(unread)?);
                let certificates = TlsCertificates { client_tls: None, root_cert };
                Client::build_with_tls(settings.url.0.as_str(), certificates)
                    .map_err(|_| BusError::Url)?
            }
        };
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(500))
            .set_connection_timeout(Some(CONNECT_WAIT))
            .set_response_timeout(Some(RESPONSE_WAIT));
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config)
            .map_err(|_| BusError::Url)?;
        Ok(Self(Arc::new(Inner { settings, client, manager })))
    }

    /// Whose messages.
    pub fn service(&self) -> &ServiceId {
        &self.0.settings.service
    }

    /// How messages travel.
    pub fn mode(&self) -> Mode {
        self.0.settings.mode
    }

    /// Sends a message. It may have been sent even where an error is returned.
    ///
    /// # Errors
    ///
    /// [`BusError::TooLong`] for what readers would refuse, [`BusError::Unavailable`] otherwise.
    pub async fn publish(&self, channel: Channel, text: &str) -> Result<(), BusError> {
        check_length(text)?;
        let mut command = match self.mode() {
            Mode::PubSub => redis::cmd("PUBLISH"),
            Mode::Streams => redis::cmd("XADD"),
        };
        command.arg(self.channel(channel));
        match self.mode() {
            Mode::PubSub => command.arg(text),
            Mode::Streams => {
                command.arg("MAXLEN").arg("~").arg(self.stream_max_len()).arg("*");
                command.arg("m").arg(text)
            }
        };
        self.query::<redis::Value>("sending", &command).await.map(drop)
    }

    /// Says what is in effect, for the executor and for whoever comes later.
    ///
    /// # Errors
    ///
    /// As for [`Bus::publish`].
    pub async fn publish_routing(&self, routing: &Routing) -> Result<(), BusError> {
        let text = self.sealed(routing.write());
        self.keep("routed", &text).await?;
        self.publish(Channel::Routing, &text).await
    }

    /// Whether what is sealed is checked here.
    pub(crate) fn has_mac_key(&self) -> bool {
        self.0.settings.mac_key.is_some()
    }

    /// A message as it is sent: sealed, where there is a key.
    pub(crate) fn sealed(&self, text: String) -> String {
        match &self.0.settings.mac_key {
            Some(key) => seal(&text, key),
            None => text,
        }
    }

    /// Refuses what is not sealed as it has to be, where there is a key.
    pub(crate) fn verify(&self, bytes: &[u8]) -> Result<(), WireError> {
        self.0.settings.mac_key.as_ref().map_or(Ok(()), |key| verify(bytes, key))
    }

    /// Name of the stream or channel.
    pub(crate) fn channel(&self, channel: Channel) -> String {
        let old = matches!(channel, Channel::Actions | Channel::Alerts | Channel::Results);
        match self.mode() {
            Mode::PubSub if old => channel.as_str().to_owned(),
            _ => self.key(channel.as_str()),
        }
    }

    /// Name of a key.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}:{}:{name}", self.0.settings.prefix, self.0.settings.service)
    }

    pub(crate) fn stream_max_len(&self) -> u64 {
        self.0.settings.stream_max_len
    }

    pub(crate) fn block(&self) -> Duration {
        self.0.settings.block
    }

    /// Keeps a message under a key.
    pub(crate) async fn keep(&self, name: &str, text: &str) -> Result<(), BusError> {
        check_length(text)?;
        let mut command = redis::cmd("SET");
        command.arg(self.key(name)).arg(text);
        self.twice::<redis::Value>("keeping", &command).await.map(drop)
    }

    /// The message that is kept under a key.
    pub(crate) async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, BusError> {
        let mut command = redis::cmd("GET");
        command.arg(self.key(name));
        self.twice("reading", &command).await
    }

    /// Whether there is a key `planner:SERVICE:pause`, of whatever content: an operator's word that
    /// nothing is to be scaled. Who decides or carries out has to ask, and to stop.
    ///
    /// # Errors
    ///
    /// [`BusError`] when Redis did not answer.
    pub async fn is_paused(&self) -> Result<bool, BusError> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.key("pause"));
        self.twice("reading", &command).await
    }

    /// Sends a command, once.
    pub(crate) async fn query<T: FromRedisValue>(
        &self,
        what: &'static str,
        command: &Cmd,
    ) -> Result<T, BusError> {
        let mut manager = self.0.manager.clone();
        self.within(what, command.query_async(&mut manager)).await
    }

    /// Sends a command that may as well be carried out twice; once more when the first answer does
    /// not come, as is the rule after Redis was started anew.
    pub(crate) async fn twice<T: FromRedisValue>(
        &self,
        what: &'static str,
        command: &Cmd,
    ) -> Result<T, BusError> {
        match self.query(what, command).await {
            Err(BusError::Unavailable { .. }) => self.query(what, command).await,
            answer => answer,
        }
    }

    /// Runs a script that may as well be run twice.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        what: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, BusError> {
        let mut manager = self.0.manager.clone();
        match self.within(what, script.invoke_async(&mut manager)).await {
            Err(BusError::Unavailable { .. }) => {
                self.within(what, script.invoke_async(&mut manager)).await
            }
            answer => answer,
        }
    }

    /// A connection of its own for a reader that waits up to [`RedisSettings::block`] on it.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection, BusError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WAIT))
            .set_response_timeout(Some(self.block() + RESPONSE_WAIT));
        let connecting = self.0.client.get_multiplexed_async_connection_with_config(&config);
        self.within("connecting", connecting).await
    }

    /// A subscription to a channel.
    pub(crate) async fn subscribe(&self, channel: Channel) -> Result<PubSub, BusError> {
        let subscribing = async {
            let mut subscription = self.0.client.get_async_pubsub().await?;
            subscription.subscribe(self.channel(channel)).await?;
            Ok(subscription)
        };
        self.within("subscribing", subscribing).await
    }

    /// What went wrong, without a password: some of Redis' messages repeat what it was sent.
    pub(crate) fn failed(&self, what: &'static str, error: &RedisError) -> BusError {
        let mut cause = error.to_string();
        let info = self.0.client.get_connection_info().redis_settings();
        for secret in [info.password(), Some(self.0.settings.url.0.as_str())] {
            if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
                cause = cause.replace(secret, "(..)");
            }
        }
        let cause: String =
            cause.chars().take(CAUSE_CHARS_MAX).flat_map(char::escape_debug).collect();
        BusError::unavailable(what, cause)
    }

    /// Waits for an answer, no longer than commands may take.
    async fn within<T>(
        &self,
        what: &'static str,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, BusError> {
        match tokio::time::timeout(COMMAND_WAIT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(what, &error)),
            Err(_) => Err(BusError::unavailable(what, "no answer in time")),
        }
    }
}

fn check_length(text: &str) -> Result<(), BusError> {
    if text.len() > BYTES_MAX {
        return Err(BusError::TooLong { bytes: text.len(), most: BYTES_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings::new(url, ServiceId::new("shop").expect("a name"))
    }

    #[tokio::test]
    async fn names_hold_the_service_apart_from_the_old_channels() {
        let mut settings = settings("redis://127.0.0.1:1/");
        let bus = Bus::open(settings.clone()).await.expect("settings");
        assert_eq!(bus.channel(Channel::Alerts), "planner:shop:alerts");
        assert_eq!(bus.key("desired"), "planner:shop:desired");
        settings.mode = Mode::PubSub;
        let bus = Bus::open(settings).await.expect("settings");
        assert_eq!(bus.channel(Channel::Actions), "actions");
        assert_eq!(bus.channel(Channel::Membership), "planner:shop:membership");
    }

    #[tokio::test]
    async fn what_cannot_work_is_refused_and_no_password_is_shown() {
        let refused = Bus::open(settings("no url with pass:hunter2@")).await.expect_err("refused");
        assert_eq!(refused, BusError::Url);
        let mut tls = settings("rediss://:hunter2@127.0.0.1:1/");
        tls.ca_file = Some(PathBuf::from("/nowhere/ca.pem"));
        assert!(matches!(Bus::open(tls).await, Err(BusError::CaFile { .. })));
        let mut wrong = settings("redis://:hunter2@127.0.0.1:1/");
        assert!(!format!("{wrong:?}").contains("hunter2"));
        wrong.prefix = String::from("a:b");
        assert_eq!(Bus::open(wrong.clone()).await.expect_err("refused"), BusError::Prefix);
        wrong.prefix = String::from("a");
        wrong.stream_max_len = 7;
        assert!(matches!(Bus::open(wrong.clone()).await, Err(BusError::Range { .. })));
        wrong.stream_max_len = 100;
        wrong.block = Duration::ZERO;
        assert!(matches!(Bus::open(wrong).await, Err(BusError::Span { .. })));
    }

    #[tokio::test]
    async fn what_no_reader_would_take_is_not_sent() {
        let bus = Bus::open(settings("redis://127.0.0.1:1/")).await.expect("settings");
        let refused = bus.publish(Channel::Alerts, &"x".repeat(BYTES_MAX + 1)).await;
        assert_eq!(refused, Err(BusError::TooLong { bytes: 65_537, most: 65_536 }));
    }

    #[tokio::test]
    async fn a_redis_that_is_not_there_is_told_in_time_and_without_the_password() {
        let bus = Bus::open(settings("redis://:hunter2@127.0.0.1:1/")).await.expect("settings");
        let begun = std::time::Instant::now();
        let error = bus.publish(Channel::Alerts, "{}").await.expect_err("nobody there");
        assert!(begun.elapsed() < COMMAND_WAIT, "{:?}", begun.elapsed());
        assert!(matches!(error, BusError::Unavailable { what: "sending", .. }), "{error}");
        assert!(!format!("{error} {error:?} {bus:?}").contains("hunter2"));
    }
}
