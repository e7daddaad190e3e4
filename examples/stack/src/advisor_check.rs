//! Asks the advisor of the settings once, and shows all that came of it.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Command;
use planner_examples_local::advisor::{Chosen, chosen};
use planner_examples_local::program::say;
use planner_llm::{Call, sample, user};
use serde_json::json;

use crate::program::{Context, Failure};

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let command = Command::new("advisor-check")
        .about("Asks the advisor of the settings once, about a service that gets slower")
        .after_help(
            "Prints the request and the numbers in it, what the model wrote, what was made of that, \
             and what it cost, as JSON. The key is not shown. Exits 2 when there is no advice.",
        );
    crate::program::run(command, arguments, run)
}

async fn run(context: Context) -> Result<(), Failure> {
    let Some(Chosen::Model(advisor)) = chosen(&context.settings)? else {
        return Err("no model: set LLM_URL, or LLM_PROVIDER and LLM_MODEL".into());
    };
    let consultation = sample(context.settings.config()?)
        .ok_or("no question arises with these settings; allow more than one: MAX_REPLICAS")?;
    let call = tokio::select! {
        () = context.stopped() => return Ok(()),
        call = advisor.ask(&consultation) => call,
    };
    let shown = user(&consultation);
    say(&format!("{:#}", report(&shown, &call)));
    match call.outcome {
        Ok(_) => Ok(()),
        Err(fault) => Err(format!("no advice: {}, {}", fault.class, fault.code).into()),
    }
}

/// Everything about a call but its key.
fn report(shown: &str, call: &Call) -> serde_json::Value {
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
        "provider": call.provider.as_str(), "shown": shown, "request": call.request,
        "request_sha256": call.request_sha256,
        "status": call.status, "model": call.model, "wrote": call.text, "tokens": call.tokens,
        "took_ms": call.took.as_secs_f64() * 1e3, "verdict": verdict,
    })
}
