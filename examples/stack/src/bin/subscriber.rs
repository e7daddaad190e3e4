//! See `planner_examples_stack::subscriber`.

use std::process::ExitCode;

fn main() -> ExitCode {
    planner_examples_stack::subscriber::main(std::env::args_os().collect())
}
