//! One decision's whole argument: see `planner_examples_local::repeat`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use planner_examples_local::{program, repeat};

/// Print one decision's whole argument, stage by stage.
#[derive(Parser)]
#[command(name = "why", version)]
struct Program {
    /// The journal of a run
    journal: PathBuf,
    /// Number of the decision
    id: u64,
}

fn main() -> ExitCode {
    let parsed = match program::parse::<Program>() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let told = repeat::explain(&parsed.journal, parsed.id);
    if let Ok(text) = &told {
        program::say(text);
    }
    program::finish("why", told)
}
