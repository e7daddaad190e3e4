//! Watch a service being scaled: see `planner_examples_local::quickstart`.
//!
//! Its replicas and its load generator are this program too, by subcommand.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use planner_examples_local::quickstart::{Plan, run};
use planner_examples_local::{app, loadgen, program, quickstart};

#[derive(Parser)]
#[command(name = "quickstart", version, args_conflicts_with_subcommands = true)]
struct Program {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    args: quickstart::Args,
}

/// The other processes of a run.
#[derive(Subcommand)]
enum Part {
    /// A replica: the toy service alone
    App(app::Args),
    /// The load generator alone
    Loadgen(loadgen::Args),
}

fn main() -> ExitCode {
    let parsed: Program = match program::parse() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    match parsed.part {
        Some(Part::App(args)) => program::finish("app", app::run(&args)),
        Some(Part::Loadgen(args)) => program::finish("loadgen", loadgen::run_program(&args)),
        None => match Plan::try_from(parsed.args) {
            Ok(plan) => program::finish("quickstart", run(&plan)),
            Err(error) => program::finish::<_, ()>("quickstart", Err(error)),
        },
    }
}
