//! Settings that are legal and cannot work: see `planner_examples_local::settings`.

use std::process::ExitCode;

use planner_examples_local::{checkup, program};

/// Exit code when something was found.
const EXIT_FINDINGS: u8 = 1;

fn main() -> ExitCode {
    let matches = match program::matches(checkup::command()) {
        Ok(matches) => matches,
        Err(code) => return code,
    };
    match checkup::run(&matches, |name| std::env::var(name).ok()) {
        Ok(told) => {
            program::say(told.text.trim_end());
            if told.findings == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FINDINGS) }
        }
        Err(error) => program::finish::<_, ()>("doctor", Err(error)),
    }
}
