//! planner-local
mod balancer;
mod executor;
pub use balancer::{BalancerError, BalancerSettings, LoadBalancer, TrafficSample};
pub use executor::{ExecutorSettings, ProcessExecutor, ReplicaTemplate, TemplateError};
