//! Autoscaling inside one process: no server, no container engine, no root, loopback only.
//!
//! - [`LoadBalancer`] brings requests to replicas and meters them,
//! - [`ProcessExecutor`] keeps the wanted number of replicas running as child processes,
//! - [`TrafficSource`] turns the balancer's traffic into telemetry windows.
//!
//! Each implements a port of [`planner_ports`] and works without the others.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use planner_local::{
//!     BalancerSettings, ExecutorSettings, LoadBalancer, ProcessExecutor, ReplicaTemplate,
//!     TrafficSource,
//! };
//! use planner_ports::{Executor, TelemetrySource, Timeline};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let listen = "127.0.0.1:8080".parse()?;
//! let balancer = Arc::new(LoadBalancer::bind(listen, BalancerSettings::default())?);
//! let template = ReplicaTemplate::new("/usr/local/bin/my-service").arg("--port={port}");
//! let settings = ExecutorSettings::default();
//! let executor = Arc::new(ProcessExecutor::new(template, balancer.clone(), settings)?);
//! executor.scale_to(2).await?;
//! let window = Duration::from_secs(5);
//! let mut traffic =
//!     TrafficSource::new(balancer.clone(), executor.clone(), Timeline::begin(), window)?;
//! println!("{:?}", traffic.next_window().await?);
//! executor.shutdown(Duration::from_secs(30)).await;
//! balancer.shutdown(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What does this crate not do?
//!
//! It decides nothing (`planner-core`), and it is no edge proxy: no TLS, no HTTP/2, no upgrades.
//! Replicas get no resource limits, and one that is in traffic is noticed when it exits, not when
//! it turns ill. Unix only.

mod balancer;
mod executor;
mod traffic;

pub use balancer::{BalancerError, BalancerSettings, LoadBalancer, TrafficSample};
pub use executor::{ExecutorSettings, ProcessExecutor, ReplicaTemplate, TemplateError};
pub use traffic::{TrafficSource, TrafficSourceError};
