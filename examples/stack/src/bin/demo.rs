//! See `planner_examples_stack::demo`.

use std::process::ExitCode;

fn main() -> ExitCode {
    planner_examples_stack::demo::main(std::env::args_os().collect())
}
