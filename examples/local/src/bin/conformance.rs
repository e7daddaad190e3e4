//! Runs vector files: see `planner_examples_local::conformance`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use planner_examples_local::{conformance, program};

/// Run conformance vectors and print `family/kind passed/total` with the first differences.
#[derive(Parser)]
#[command(name = "conformance", version)]
struct Program {
    /// .jsonl files, or folders that hold some
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let parsed = match program::parse::<Program>() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    match conformance::run(&parsed.paths) {
        Ok(results) => {
            program::say(results.to_string().trim_end());
            if results.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => program::finish::<_, ()>("conformance", Err(error)),
    }
}
