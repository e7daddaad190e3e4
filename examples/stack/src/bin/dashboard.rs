//! See `planner_examples_stack::dashboard`.

use std::process::ExitCode;

fn main() -> ExitCode {
    planner_examples_stack::dashboard::main(std::env::args_os().collect())
}
