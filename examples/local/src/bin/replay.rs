//! Re-runs a journal: see `planner_examples_local::repeat`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use planner_examples_local::{advice_report, program, repeat};

/// Exit code for a decision that came out differently.
const EXIT_DIFFERS: u8 = 1;
/// Exit code for a journal of another version of the policy or the format.
const EXIT_OTHER_VERSION: u8 = 3;

/// Re-run a journal and compare every decision: exit 0 identical, 1 different, 2 unreadable,
/// 3 of another version.
#[derive(Parser)]
#[command(name = "replay", version)]
struct Program {
    /// The journal of a run
    journal: PathBuf,

    /// Print what the advisor was worth in it, as JSON, instead
    #[arg(long)]
    advice: bool,
}

fn main() -> ExitCode {
    let parsed = match program::parse::<Program>() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    if parsed.advice {
        let found = advice_report::report(&parsed.journal).map(|found| {
            program::say(&format!("{:#}", serde_json::json!(found)));
        });
        return program::finish("replay", found);
    }
    match repeat::repeat(&parsed.journal) {
        Ok(repeated) => {
            if repeated.torn {
                program::complain("replay: the journal ends within a record; repeated up to there");
            }
            if let Some(difference) = repeated.difference {
                program::say(&difference);
                return ExitCode::from(EXIT_DIFFERS);
            }
            let changed = repeated.prompts_changed;
            if changed > 0 {
                program::complain(&format!(
                    "replay: this version would write {changed} prompts otherwise; what was \
                     answered to those of the journal is what was repeated"
                ));
            }
            program::say(&format!("{} decisions, identical", repeated.decisions));
            ExitCode::SUCCESS
        }
        Err(error) if error.is_other_version() => {
            program::complain(&format!("replay: {error}"));
            ExitCode::from(EXIT_OTHER_VERSION)
        }
        Err(error) => program::finish::<_, ()>("replay", Err(error)),
    }
}
