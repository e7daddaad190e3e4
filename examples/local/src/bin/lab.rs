//! Policies on real traffic, offline: see `planner_examples_local::lab`.

use std::process::ExitCode;

use clap::Parser;
use planner_examples_local::{lab, program};

/// Try policies and settings on recorded or made-up load, beside each other and beside the best
/// that was possible
#[derive(Parser)]
#[command(name = "lab", version, after_help = HELP)]
struct Program {
    #[command(subcommand)]
    command: lab::Command,
}

const HELP: &str = "\
Examples:
  lab doctor --trace access.log
  lab run --trace access.log --policy planner --policy hpa:target=0.6 --out first
  lab score --trace traces/ --policy planner --policy hpa --policy kpa --out score
  lab optimum --trace access.log --share 0.01
  lab whatif journal.jsonl --set cooldown_in=30s
  lab shadow journal.jsonl --policy hpa:target=0.6 --rate 50 --follow

Every command tells its own with --help. The same command line on the same files gives the same bytes.";

fn main() -> ExitCode {
    match program::parse::<Program>() {
        Ok(parsed) => lab::run(&parsed.command),
        Err(code) => code,
    }
}
