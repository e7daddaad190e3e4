//! Integration tests: one binary, one module per subject.

mod messages;
mod quickstart;
mod refusals;
mod tidy;
