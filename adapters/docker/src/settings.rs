//! What replicas are made of, and how they are looked after.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use planner_core::ServiceId;

use crate::DockerError;

/// The longest time that a setting may be.
const SPAN_MAX: Duration = Duration::from_secs(3_600);

/// Tells this installation's containers from everybody else's: a container without it is never
/// touched, whatever its name and its other labels. Random, made once and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallId(String);

impl InstallId {
    /// The id, checked: 8 to 64 of `a-z`, `0-9` and `-`.
    ///
    /// # Errors
    ///
    /// [`DockerError::Install`].
    pub fn new(id: &str) -> Result<Self, DockerError> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if (8..=64).contains(&id.len()) && id.bytes().all(legal) {
            return Ok(Self(id.to_owned()));
        }
        Err(DockerError::Install { id: id.to_owned() })
    }
}

impl fmt::Display for InstallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How it is known that a replica can take traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// The container's own health check says so; it needs one.
    Container,
    /// `GET` of this path at its address is answered with 200.
    Http {
        /// The path.
        path: String,
    },
}

/// How an executor looks after its replicas. Start from [`DockerSettings::new`] and change what
/// differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DockerSettings {
    /// The engine's socket; `/var/run/docker.sock` by default.
    pub socket: PathBuf,
    /// The service. Its replicas are named `SERVICE-dup-NUMBER`.
    pub service: ServiceId,
    /// Whose containers they are.
    pub install: InstallId,
    /// The port that a replica serves on.
    pub port: u16,
    /// How it is known that a replica can take traffic; 200 on `/health` by default.
    pub readiness: Readiness,
    /// How long a replica out of traffic may take to finish what it has. 15 s by default.
    pub drain_deadline: Duration,
    /// How long a replica may take to end after it was asked to before it is killed. 10 s by
    /// default.
    pub stop_deadline: Duration,
    /// How long a replica may take to become ready before it is replaced. 60 s by default.
    pub ready_deadline: Duration,
    /// Replicas that are started at the same time. 4 by default.
    pub start_concurrency: NonZeroU32,
    /// The largest target that is accepted. 64 by default.
    pub max_replicas: NonZeroU32,
    /// How often everything is listed although nothing has been heard. 15 s by default.
    pub resync: Duration,
}

impl DockerSettings {
    /// Settings of a service whose replicas serve on `port`.
    pub fn new(service: ServiceId, install: InstallId, port: u16) -> Self {
        Self {
            socket: PathBuf::from("/var/run/docker.sock"),
            service,
            install,
            port,
            readiness: Readiness::Http { path: String::from("/health") },
            drain_deadline: Duration::from_secs(15),
            stop_deadline: Duration::from_secs(10),
            ready_deadline: Duration::from_secs(60),
            start_concurrency: NonZeroU32::MIN.saturating_add(3),
            max_replicas: NonZeroU32::MIN.saturating_add(63),
            resync: Duration::from_secs(15),
        }
    }

    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), DockerError> {
        if !self.socket.is_absolute() {
            return Err(DockerError::Socket { socket: self.socket.clone() });
        }
        if self.port == 0 {
            return Err(DockerError::Port);
        }
        if let Readiness::Http { path } = &self.readiness {
            let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
            if !(path.starts_with('/') && printable) {
                return Err(DockerError::HealthPath { path: path.clone() });
            }
        }
        for (setting, value) in [
            ("drain_deadline", self.drain_deadline),
            ("stop_deadline", self.stop_deadline),
            ("ready_deadline", self.ready_deadline),
            ("resync", self.resync),
        ] {
            if value > SPAN_MAX {
                return Err(DockerError::Span { setting, value, max: SPAN_MAX });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> DockerSettings {
        let service = ServiceId::new("app").expect("an id");
        DockerSettings::new(service, InstallId::new("test-0001").expect("an id"), 8_080)
    }

    #[test]
    fn an_id_that_could_mean_something_else_in_a_filter_is_refused() {
        for id in ["", "short", "UPPERCASE", "a=b-cdefgh", "a,b-cdefgh", &"a".repeat(65)] {
            assert!(InstallId::new(id).is_err(), "{id:?}");
        }
        assert_eq!(
            InstallId::new("a b").expect_err("too short").to_string(),
            "install: \"a b\" is not 8 to 64 of a-z, 0-9 and '-'; choose a random one and keep it"
        );
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let mut wrong = settings();
        wrong.port = 0;
        let told = wrong.check().expect_err("no port").to_string();
        assert_eq!(told, "port: 0 is no port; name the one that a replica serves on");
        let mut wrong = settings();
        wrong.socket = PathBuf::from("docker.sock");
        assert_eq!(
            wrong.check().expect_err("relative").to_string(),
            "socket: docker.sock is not absolute; write it like /var/run/docker.sock"
        );
        let mut wrong = settings();
        wrong.readiness = Readiness::Http { path: String::from("/a b") };
        assert_eq!(
            wrong.check().expect_err("a space").to_string(),
            "health_path: \"/a b\" is not a path of printable ASCII without spaces that starts \
             with '/'; write it like /health"
        );
        let mut wrong = settings();
        wrong.drain_deadline = Duration::from_secs(3_601);
        assert_eq!(
            wrong.check().expect_err("too long").to_string(),
            "drain_deadline: 3601s is longer than 3600s; choose a shorter time"
        );
        assert_eq!(settings().check(), Ok(()));
    }
}
