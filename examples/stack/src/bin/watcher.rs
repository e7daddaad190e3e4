//! See `planner_examples_stack::watcher`.

use std::process::ExitCode;

fn main() -> ExitCode {
    planner_examples_stack::watcher::main(std::env::args_os().collect())
}
