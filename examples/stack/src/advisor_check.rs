//! Asks the advisor of the settings once, and shows all that came of it.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Command;
use planner_core::{Config, Consultation, Event, Heuristic, Planner, Step, Timestamp, Window};
use planner_examples_local::program::say;
use planner_llm::{Call, LlmAdvisor, user};
use serde_json::json;

use crate::advisor::llm_settings;
use crate::program::{Context, Failure};

/// Windows after which a service that gets slower must have raised a question.
const WINDOWS_MAX: u64 = 2_000;

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let command = Command::new("advisor-check")
        .about("Asks the advisor of the settings once, about a service that gets slower")
        .after_help(
            "Prints the numbers that it was shown, what it wrote, what was made of that, and what it \
             cost, as JSON. The key is not shown. Exits 2 when there is no advice.",
        );
    crate::program::run(command, arguments, run)
}

async fn run(context: Context) -> Result<(), Failure> {
    let Some(llm) = llm_settings(&context.settings)? else {
        return Err("no advisor: set LLM_URL, or LLM_PROVIDER and LLM_MODEL".into());
    };
    let provider = llm.provider;
    let advisor = LlmAdvisor::new(llm)?;
    let consultation = question(context.settings.config()?)?;
    let call = tokio::select! {
        () = context.stopped() => return Ok(()),
        call = advisor.ask(&consultation) => call,
    };
    let shown = user(&consultation);
    say(&format!("{:#}", report(provider.as_str(), &shown, &call)));
    match call.outcome {
        Ok(_) => Ok(()),
        Err(fault) => Err(format!("no advice: {}, {}", fault.class, fault.code).into()),
    }
}

/// Everything about a call but its key.
fn report(provider: &str, shown: &str, call: &Call) -> serde_json::Value {
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap_or_default();
    let verdict = match &call.outcome {
        Ok(answer) => {
            let notes: Vec<&str> = answer.notes.iter().map(|note| note.as_str()).collect();
            json!({"class": "Answer", "accept": answer.to_json(), "notes": notes})
        }
        Err(fault) => json!({
            "class": fault.class.to_string(), "code": fault.code,
            "wait_s": fault.wait.map(|wait| wait.as_secs_f64()),
        }),
    };
    json!({
        "provider": provider, "shown": shown, "request_sha256": call.request_sha256,
        "status": call.status, "model": call.model, "wrote": call.text, "tokens": call.tokens,
        "took_ms": call.took.as_secs_f64() * 1e3, "verdict": verdict,
    })
}

/// A question as a planner asks it: normal is 20 ms, and it gets slower window by window.
fn question(config: Config) -> Result<Consultation, Failure> {
    let ready = config.bounds().min().max(1);
    let mut planner = Planner::new(config, Heuristic);
    let at = |second| Timestamp::from_origin(Duration::from_secs(second));
    for second in 1..WINDOWS_MAX {
        let noise_ms = f64::from(u32::try_from(second % 7).unwrap_or(0));
        let rise_ms = f64::from(u32::try_from(second.saturating_sub(100)).unwrap_or(0)) * 0.4;
        let latencies = [20.0 + noise_ms + rise_ms; 40];
        let window = Window::probes(at(second - 1), at(second), &latencies, 0, ready)?;
        if let Step::Consult(consultation) = planner.step(at(second), Event::Observe(window)) {
            return Ok(consultation);
        }
    }
    Err("no question arises with these settings; allow more than one target: MAX_REPLICAS".into())
}
