#![doc = include_str!("../README.md")]

mod answer;
mod error;
mod hint;
mod json;
mod prompt;
mod provider;
mod reply;

pub use answer::{AdvisedThresholds, Answer, Asked, Note, Refused, TEXT_BYTES_MAX, read};
pub use error::LlmError;
pub use prompt::{CONTRACT, Question, allowed, asked, system, user};
pub use provider::{Provider, Request, Rung};
pub use reply::{Class, Heard, Nothing, RawReply, Text, sort};
