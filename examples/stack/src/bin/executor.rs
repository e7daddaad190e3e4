//! See `planner_examples_stack::executor`.

use std::process::ExitCode;

fn main() -> ExitCode {
    planner_examples_stack::executor::main(std::env::args_os().collect())
}
