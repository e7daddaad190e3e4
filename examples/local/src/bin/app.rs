//! The toy service alone: see `planner_examples_local::app`.

use std::process::ExitCode;

use clap::Parser;
use planner_examples_local::app::{Args, run};
use planner_examples_local::program;

/// A toy web service with a real, finite capacity.
#[derive(Parser)]
#[command(name = "app", version)]
struct Program {
    #[command(flatten)]
    args: Args,
}

fn main() -> ExitCode {
    match program::parse::<Program>() {
        Ok(parsed) => program::finish("app", run(&parsed.args)),
        Err(code) => code,
    }
}
