//! Integration tests: one binary, one module per subject.

mod advisor;
mod messages;
mod quickstart;
mod refusals;
mod tidy;
