//! See `planner_examples_stack::advisor_check`.

use std::process::ExitCode;

fn main() -> ExitCode {
    planner_examples_stack::advisor_check::main(std::env::args_os().collect())
}
