//! Runs vectors of advice, or sorts one reply: see `planner_examples_local::advice_vectors`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use planner_examples_local::{advice_vectors, program};
use planner_llm::Provider;

/// Run vectors of advice and print `passed/total` with the first differences; or, with `--reply`,
/// sort one provider's reply and print it as one JSON object.
#[derive(Parser)]
#[command(name = "advice-vectors", version)]
struct Program {
    /// Files of vectors; with --reply the body of one reply
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// gemini, openai, anthropic or ollama
    #[arg(long, value_name = "PROVIDER", requires = "status")]
    reply: Option<Provider>,
    /// The reply's HTTP status
    #[arg(long, value_name = "N", requires = "reply")]
    status: Option<u16>,
    /// One of its headers, NAME:VALUE; may be given more than once
    #[arg(long, value_name = "NAME:VALUE", requires = "reply", value_parser = header)]
    header: Vec<(String, String)>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME:VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn main() -> ExitCode {
    let parsed = match program::parse::<Program>() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    let ended = match (parsed.reply, parsed.status) {
        (Some(provider), Some(status)) => sort(provider, status, &parsed),
        _ => run(&parsed.files),
    };
    match ended {
        Ok(code) => code,
        Err(error) => program::finish::<_, ()>("advice-vectors", Err(error)),
    }
}

fn run(files: &[PathBuf]) -> Result<ExitCode, advice_vectors::AdviceVectorError> {
    let tally = advice_vectors::run(files)?;
    program::say(&format!("{}/{}", tally.passed, tally.total));
    for difference in &tally.differences {
        program::say(&format!("  {difference}"));
    }
    let is_clean = tally.passed == tally.total;
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sort(
    provider: Provider,
    status: u16,
    parsed: &Program,
) -> Result<ExitCode, advice_vectors::AdviceVectorError> {
    for file in &parsed.files {
        let sorted = advice_vectors::reply(provider, status, &parsed.header, file)?;
        program::say(&sorted.to_string());
    }
    Ok(ExitCode::SUCCESS)
}
