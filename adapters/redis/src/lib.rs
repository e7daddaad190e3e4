#![doc = include_str!("../README.md")]

mod connection;
mod error;
mod executor;
mod fence;
mod latest;
mod lease;
mod orders;
mod reader;
mod reply;
mod router;
mod scripts;
mod steps;
mod telemetry;
pub mod wire;

pub use connection::{Bus, Channel, Mode, RedisSettings};
pub use error::BusError;
pub use executor::{RedisCounts, RedisExecutor, RedisExecutorSettings};
pub use fence::{Fence, Order, Refusal};
pub use latest::{MembershipReader, RoutingReader};
pub use lease::{Lease, LeaseHold};
pub use orders::{OrderError, Orders, OrdersSettings, Received};
pub use reader::{Entry, Reader};
pub use router::{RedisRouter, RedisRouterSettings};
pub use telemetry::RedisTelemetry;
pub use wire::Step;
