#![doc = include_str!("../README.md")]

mod error;
mod process;
mod render;
mod router;
mod settings;
mod status;
mod upstream_file;

pub use error::NginxError;
pub use render::{Generation, render};
pub use router::NginxRouter;
pub use settings::{NginxSettings, Reload, UpstreamName};
