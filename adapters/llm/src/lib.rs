#![doc = include_str!("../README.md")]

mod answer;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "advisor")]
mod digest;
#[cfg(feature = "client")]
mod endpoint;
mod error;
mod hint;
mod json;
mod locate;
mod prompt;
mod provider;
#[cfg(feature = "advisor")]
mod recording;
mod reply;
#[cfg(feature = "client")]
mod reset;
mod sample;

pub use answer::{AdvisedThresholds, Answer, Asked, Note, Refused, TEXT_BYTES_MAX, read};
#[cfg(feature = "client")]
pub use client::{ApiKey, Call, LlmAdvisor, LlmSettings};
#[cfg(feature = "advisor")]
pub use digest::prompt_sha256;
pub use error::LlmError;
pub use locate::{Location, is_retired};
pub use prompt::{Question, allowed, asked, system, user};
pub use provider::{Provider, Request, Rung};
#[cfg(feature = "advisor")]
pub use recording::{RecordedAdvisor, Recording, RecordingError};
pub use reply::{CallFault, Class, Heard, RawReply, Text, sort};
pub use sample::sample;
