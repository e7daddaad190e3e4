//! Where nginx is and how it is told. Names that reach the configuration are checked here.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::NginxError;

/// The name of an upstream: 1 to 63 of `a-z`, `0-9` and `_`, beginning with a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamName(String);

impl UpstreamName {
    /// The name, checked: it is the only text of ours in the configuration.
    ///
    /// # Errors
    ///
    /// [`NginxError::Name`] unless the name is 1 to 63 of `a-z`, `0-9` and `_`, a letter first.
    pub fn new(name: &str) -> Result<Self, NginxError> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if begins && name.len() <= 63 && name.bytes().all(legal) {
            return Ok(Self(name.to_owned()));
        }
        Err(NginxError::Name)
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How nginx is made to read its configuration again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reload {
    /// A program with its arguments, for an nginx that is not a process of this machine. No shell.
    Command(Vec<String>),
    /// SIGHUP to the process whose number stands in this file.
    Signal {
        /// nginx's `pid` file.
        pid_file: PathBuf,
    },
}

/// Where nginx is and how it is told. Start from [`NginxSettings::new`] and change what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NginxSettings {
    /// The include file that is ours to write; nobody else may.
    pub file: PathBuf,
    /// The upstream that a location passes to; `app_pool` by default, as the proof of concept's.
    pub upstream: UpstreamName,
    /// A free loopback address at which nginx tells the generation it serves, and refuses requests
    /// while there is no backend.
    pub status: SocketAddr,
    /// The program and arguments that validate the configuration: `nginx -t -c ...`.
    pub validate: Vec<String>,
    /// How nginx is made to read it again.
    pub reload: Reload,
    /// Idle connections to backends that each worker keeps; 32 by default, 0 for none.
    pub keepalive: u16,
    /// Whether the file also sets what makes keep-alive to backends effective: HTTP 1.1 and no
    /// `Connection` header, for every location without headers of its own. On by default.
    pub proxy_defaults: bool,
    /// Where a datagram is sent for every request that is over; none by default. Set by
    /// [`NginxTraffic::new`](crate::NginxTraffic::new). A location with an access log of its own
    /// needs the same line once more, and `access_log off` beside the include turns this off too.
    pub log: Option<SocketAddr>,
    /// What clients are told to wait when there is no backend; 5 s by default.
    pub retry_after: Duration,
    /// Least time between two reloads, up to an hour; 1 s by default.
    pub interval_min: Duration,
    /// Longest time that validating, reloading and verifying may take, each, up to 5 minutes; 5 s
    /// by default.
    pub deadline: Duration,
    /// How long a reload that fails is tried again before the caller is told, up to an hour; 5 s by
    /// default.
    pub patience: Duration,
}

impl NginxSettings {
    /// Settings of an nginx on this machine with the configuration `config`, whose include file is
    /// `file`, whose `pid` file is `pid_file`, and which may listen on `status` as well.
    pub fn new(
        config: impl Into<PathBuf>,
        file: impl Into<PathBuf>,
        pid_file: impl Into<PathBuf>,
        status: SocketAddr,
    ) -> Self {
        let config = config.into().to_string_lossy().into_owned();
        Self {
            file: file.into(),
            upstream: UpstreamName(String::from("app_pool")),
            status,
            validate: ["nginx", "-t", "-q", "-c", &config].map(String::from).into(),
            reload: Reload::Signal { pid_file: pid_file.into() },
            keepalive: 32,
            proxy_defaults: true,
            log: None,
            retry_after: Duration::from_secs(5),
            interval_min: Duration::from_secs(1),
            deadline: Duration::from_secs(5),
            patience: Duration::from_secs(5),
        }
    }

    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), NginxError> {
        if !self.status.ip().is_loopback() {
            return Err(NginxError::Status { status: self.status });
        }
        if let Some(log) = self.log.filter(|log| !log.ip().is_loopback()) {
            return Err(NginxError::Status { status: log });
        }
        for (setting, value, max) in [
            ("deadline", self.deadline, Duration::from_secs(300)),
            ("interval_min", self.interval_min, Duration::from_secs(3_600)),
            ("patience", self.patience, Duration::from_secs(3_600)),
        ] {
            if value > max {
                return Err(NginxError::Span { setting, value, max });
            }
        }
        if self.file.file_name().is_none() {
            return Err(NginxError::File { file: self.file.clone() });
        }
        if self.validate.is_empty() {
            return Err(NginxError::Program { setting: "validate" });
        }
        if matches!(&self.reload, Reload::Command(command) if command.is_empty()) {
            return Err(NginxError::Program { setting: "reload" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_end_a_directive_is_refused() {
        let long = "a".repeat(64);
        for name in ["", "a;", "a b", "a{", "a\n", "$a", "ä", "A", "1a", "_a", "a-b", &long] {
            assert_eq!(UpstreamName::new(name), Err(NginxError::Name), "{name:?}");
        }
        assert!(UpstreamName::new("app_pool2").is_ok());
        assert_eq!(
            NginxError::Name.to_string(),
            "upstream: not 1 to 63 of a-z, 0-9 and '_', a letter first; rename it"
        );
    }

    #[test]
    fn a_span_without_end_is_refused() {
        let mut settings =
            NginxSettings::new("/n.conf", "/u.conf", "/n.pid", ([127, 0, 0, 1], 8_099).into());
        settings.deadline = Duration::from_secs(301);
        assert_eq!(
            settings.check().expect_err("too long").to_string(),
            "deadline: 301s is longer than 300s; choose a shorter time"
        );
        settings.deadline = Duration::from_secs(5);
        settings.patience = Duration::MAX;
        assert!(settings.check().is_err());
    }

    #[test]
    fn a_status_address_that_others_can_reach_is_refused() {
        let status = SocketAddr::from(([0, 0, 0, 0], 8_099));
        let settings = NginxSettings::new("/n.conf", "/u.conf", "/n.pid", status);
        assert_eq!(
            settings.check().expect_err("not loopback").to_string(),
            "status: 0.0.0.0:8099 is not a loopback address; use 127.0.0.1 with a free port"
        );
    }
}
