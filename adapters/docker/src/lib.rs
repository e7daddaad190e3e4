#![doc = include_str!("../README.md")]

mod docker;
mod engine;
mod error;
mod executor;
mod reconciler;
mod settings;
mod swarm;
mod template;
#[cfg(test)]
mod tests;

pub use error::DockerError;
pub use executor::DockerExecutor;
pub use settings::{DockerSettings, InstallId, Readiness};
pub use swarm::SwarmExecutor;
pub use template::Template;
