//! Integration tests: one binary, one module per subject.

mod quickstart;
mod refusals;
mod tidy;
