//! The load generator alone: see `planner_examples_local::loadgen`.

use std::process::ExitCode;

use clap::Parser as _;
use planner_examples_local::loadgen::{Args, run_program};

fn main() -> ExitCode {
    match run_program(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::from(2)
        }
    }
}
