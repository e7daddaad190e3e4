//! Why there is no executor.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// What is wrong with what an executor was given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DockerError {
    /// The container to copy cannot be read.
    #[error("template: container {container:?}: {cause}; start it, or name another")]
    Copied {
        /// Its name.
        container: String,
        /// What the engine said.
        cause: String,
    },
    /// The path of the health check is none.
    #[error(
        "health_path: {path:?} is not a path of printable ASCII without spaces that starts \
         with '/'; write it like /health"
    )]
    HealthPath {
        /// What was given.
        path: String,
    },
    /// The id of this installation is none.
    #[error("install: {id:?} is not 8 to 64 of a-z, 0-9 and '-'; choose a random one and keep it")]
    Install {
        /// What was given.
        id: String,
    },
    /// The template has no image.
    #[error("image: it is empty; name the image that a replica runs")]
    NoImage,
    /// The template has no network.
    #[error("networks: there is none; name the network on which replicas are reached first")]
    NoNetwork,
    /// There is no tokio runtime to run in.
    #[error("no tokio runtime: the executor runs in one; create it within it")]
    NoRuntime,
    /// The port is 0.
    #[error("port: 0 is no port; name the one that a replica serves on")]
    Port,
    /// A Swarm service cannot be scaled.
    #[error("service: {service:?} {cause}")]
    Service {
        /// Its name.
        service: String,
        /// Why, and what to do.
        cause: String,
    },
    /// The engine's socket is not absolute.
    #[error("socket: {} is not absolute; write it like /var/run/docker.sock", socket.display())]
    Socket {
        /// What was given.
        socket: PathBuf,
    },
    /// A time is out of range.
    #[error("{setting}: {value:?} is longer than {max:?}; choose a shorter time")]
    Span {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: Duration,
        /// The longest that is taken.
        max: Duration,
    },
}
