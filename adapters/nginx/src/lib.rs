#![doc = include_str!("../README.md")]

mod error;
mod log;
mod process;
mod render;
mod router;
mod settings;
mod status;
mod traffic;
mod upstream_file;

pub use error::NginxError;
pub use render::{Generation, render};
pub use router::NginxRouter;
pub use settings::{NginxSettings, Reload, UpstreamName};
pub use traffic::NginxTraffic;
