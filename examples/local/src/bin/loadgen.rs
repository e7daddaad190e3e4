//! The load generator alone: see `planner_examples_local::loadgen`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use planner_examples_local::loadgen::{Args, run_program};

fn main() -> ExitCode {
    match run_program(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _reader_is_gone = writeln!(std::io::stderr(), "loadgen: {error}");
            ExitCode::from(2)
        }
    }
}
