//! Replicas as the tasks of a Swarm service: for whoever has outgrown one machine. Scheduling,
//! restarting and spreading are the Swarm's; this only says how many.

mod tasks;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{Service, ServiceSpecModeReplicated};
use bollard::query_parameters::UpdateServiceOptions;
use planner_ports::{Executor, ExecutorError, Member, ReplicaCounts};
use tasks::Task;
use tokio::time::{sleep, timeout};

use crate::DockerError;
use crate::docker::{connect, failed, within};

/// A call that takes longer has failed.
const CALL_MAX: Duration = Duration::from_secs(30);
/// Times that a target is handed over, when somebody else changes the service at the same moment.
const TRIES: u64 = 3;
/// Pause between two of them, and the step by which it grows.
const PAUSE: Duration = Duration::from_millis(150);
const ENGINE: &str = "Docker Swarm";

/// Scales one replicated service of a Swarm.
///
/// The service must exist; it is never created. A change is made on the version that was read, so
/// one that somebody else makes at the same moment is not undone: the service is read again, and
/// the same target handed over again. When scaling in, the Swarm chooses which tasks end, and ends
/// them with SIGTERM: a service that finishes what it has on SIGTERM loses nothing, as long as its
/// load balancer tries another task when one refuses.
#[derive(Clone, Debug)]
pub struct SwarmExecutor {
    socket: PathBuf,
    service: String,
    max_replicas: u32,
}

impl SwarmExecutor {
    /// An executor of the service `service` on the Swarm whose manager listens on `socket`, which
    /// takes targets of up to `max_replicas`. The manager need not be reachable yet.
    ///
    /// # Errors
    ///
    /// [`DockerError::Socket`] unless the socket is absolute, [`DockerError::Service`] unless the
    /// name is 1 to 63 of `A-Z`, `a-z`, `0-9`, `_`, `.` and `-`.
    pub fn new(
        socket: impl Into<PathBuf>,
        service: &str,
        max_replicas: u32,
    ) -> Result<Self, DockerError> {
        let socket = socket.into();
        if !socket.is_absolute() {
            return Err(DockerError::Socket { socket });
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !(1..=63).contains(&service.len()) || !service.bytes().all(legal) {
            let cause = String::from("is no name of a service; use letters, digits, '_', '.', '-'");
            return Err(DockerError::Service { service: service.to_owned(), cause });
        }
        Ok(Self { socket, service: service.to_owned(), max_replicas })
    }

    /// The socket of the manager.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The tasks one by one, for whoever routes to them: each at `port` of the address that it has
    /// on `network`, which virtual addresses and published ports have no part in. One that the
    /// Swarm is ending is draining, and takes requests for as long as it likes to after SIGTERM.
    ///
    /// # Errors
    ///
    /// [`ExecutorError::Unavailable`] when the manager does not answer.
    pub async fn members(&self, network: &str, port: u16) -> Result<Vec<Member>, ExecutorError> {
        let tasks = self.tasks().await?;
        Ok(tasks.iter().filter_map(|task| task.member(network, port)).collect())
    }

    async fn tasks(&self) -> Result<Vec<Task>, ExecutorError> {
        let tasks = timeout(CALL_MAX, tasks::tasks(&self.socket, &self.service)).await;
        let late = |_| unavailable(format!("no answer after {CALL_MAX:?}"));
        tasks.map_err(late)?.map_err(unavailable)
    }

    fn engine(&self) -> Result<Docker, ExecutorError> {
        connect(&self.socket, CALL_MAX).map_err(|error| unavailable(error.to_string()))
    }

    async fn inspect(&self, engine: &Docker) -> Result<Service, ExecutorError> {
        let found = within(CALL_MAX, engine.inspect_service(&self.service, None)).await;
        let found = found.and_then(|found| found.map_err(failed));
        found.map_err(|error| unavailable(error.to_string()))
    }

    /// Hands a target over once; whether somebody else was faster.
    async fn hand_over(&self, engine: &Docker, replicas: u32) -> Result<bool, ExecutorError> {
        let found = self.inspect(engine).await?;
        let version = found.version.and_then(|version| version.index).unwrap_or(0);
        let mut spec = found.spec.unwrap_or_default();
        let Some(mode) = spec.mode.as_mut().and_then(|mode| mode.replicated.as_mut()) else {
            let rule = format!(
                "the service {} runs once on every node or is a job; only a replicated one can be \
                 scaled",
                self.service
            );
            return Err(ExecutorError::Refused { replicas, rule });
        };
        let wanted = ServiceSpecModeReplicated { replicas: Some(i64::from(replicas)) };
        if *mode == wanted {
            return Ok(true);
        }
        *mode = wanted;
        let version = i32::try_from(version).map_err(|_| {
            unavailable(format!("its version {version} is beyond what can be sent"))
        })?;
        let options = UpdateServiceOptions { version, ..<_>::default() };
        let updated = within(CALL_MAX, engine.update_service(&self.service, spec, options, None));
        match updated.await.map_err(|error| unavailable(error.to_string()))? {
            Ok(_) => Ok(true),
            Err(error) if is_out_of_sequence(&error) => Ok(false),
            Err(error) => Err(unavailable(failed(error).to_string())),
        }
    }
}

fn unavailable(cause: String) -> ExecutorError {
    ExecutorError::Unavailable { engine: ENGINE, cause }
}

/// A Swarm tells a stale version as an internal error; only its text says so.
fn is_out_of_sequence(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError { message, .. } if message.contains("update out of sequence")
    )
}

#[async_trait]
impl Executor for SwarmExecutor {
    async fn scale_to(&self, replicas: u32) -> Result<(), ExecutorError> {
        if replicas > self.max_replicas {
            let max = self.max_replicas;
            let rule = format!("at most {max} here; ask for fewer or raise max_replicas");
            return Err(ExecutorError::Refused { replicas, rule });
        }
        let engine = self.engine()?;
        for attempt in 1..=TRIES {
            if self.hand_over(&engine, replicas).await? {
                return Ok(());
            }
            // Two who try at once should not meet again: their numbers differ.
            let jitter = u64::from(std::process::id() % 97);
            sleep(PAUSE * u32::try_from(attempt).unwrap_or(1) + Duration::from_millis(jitter))
                .await;
        }
        Err(unavailable(format!("the service changed under each of {TRIES} tries")))
    }

    async fn counts(&self) -> Result<ReplicaCounts, ExecutorError> {
        // Where they are does not matter.
        Ok(ReplicaCounts::of(&self.members("", 0).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_place_in_an_address_is_refused() {
        for name in ["", "a/b", "a?b", "a b", &"a".repeat(64)] {
            let told =
                SwarmExecutor::new("/docker.sock", name, 4).expect_err("refused").to_string();
            assert!(told.ends_with("use letters, digits, '_', '.', '-'"), "{told}");
        }
        let told = SwarmExecutor::new("docker.sock", "app", 4).expect_err("relative").to_string();
        assert!(told.starts_with("socket: docker.sock is not absolute"), "{told}");
    }

    #[tokio::test]
    async fn a_target_beyond_the_maximum_is_refused_before_anybody_is_asked() {
        let swarm = SwarmExecutor::new("/nowhere/docker.sock", "app", 4).expect("settings");
        assert!(matches!(swarm.scale_to(5).await, Err(ExecutorError::Refused { replicas: 5, .. })));
        assert!(matches!(swarm.scale_to(4).await, Err(ExecutorError::Unavailable { .. })));
        assert!(matches!(swarm.counts().await, Err(ExecutorError::Unavailable { .. })));
    }
}
