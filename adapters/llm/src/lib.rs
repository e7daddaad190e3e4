#![doc = include_str!("../README.md")]

mod answer;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod endpoint;
mod error;
mod hint;
mod json;
mod locate;
mod prompt;
mod provider;
mod reply;
#[cfg(feature = "client")]
mod reset;
mod sample;

pub use answer::{AdvisedThresholds, Answer, Asked, Note, Refused, TEXT_BYTES_MAX, read};
#[cfg(feature = "client")]
pub use client::{ApiKey, Call, LlmAdvisor, LlmSettings};
pub use error::LlmError;
pub use locate::{Location, is_retired};
pub use prompt::{Question, allowed, asked, system, user};
pub use provider::{Provider, Request, Rung};
pub use reply::{CallFault, Class, Heard, RawReply, Text, sort};
pub use sample::sample;
