//! The load generator alone: see `planner_examples_local::loadgen`.

use std::process::ExitCode;

use planner_examples_local::loadgen::{Args, run_program};
use planner_examples_local::program;

fn main() -> ExitCode {
    match program::parse::<Args>() {
        Ok(args) => program::finish("loadgen", run_program(&args)),
        Err(code) => code,
    }
}
