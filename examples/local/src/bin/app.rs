//! The toy service alone: see `planner_examples_local::app`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use planner_examples_local::app::{Args, run};

/// A toy web service with a real, finite capacity.
#[derive(Parser)]
#[command(name = "app")]
struct Program {
    #[command(flatten)]
    args: Args,
}

fn main() -> ExitCode {
    match run(&Program::parse().args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _reader_is_gone = writeln!(std::io::stderr(), "app: {error}");
            ExitCode::FAILURE
        }
    }
}
