//! See `planner_examples_stack::planner`.

use std::process::ExitCode;

fn main() -> ExitCode {
    planner_examples_stack::planner::main(std::env::args_os().collect())
}
