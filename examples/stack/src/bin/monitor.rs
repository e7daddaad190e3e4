//! See `planner_examples_stack::monitor`.

use std::process::ExitCode;

fn main() -> ExitCode {
    planner_examples_stack::monitor::main(std::env::args_os().collect())
}
