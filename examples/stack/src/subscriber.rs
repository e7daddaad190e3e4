//! Prints what became of orders; with `--simulate` it is the executor that it prints.

mod simulate;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};
use planner_examples_local::program::say;
use planner_redis::wire::{ActionResult, Fault, Heard};
use planner_redis::{BusError, Channel, Reader};

use crate::parts;
use crate::program::{Context, Failure};

/// Characters of a text from elsewhere that are shown.
const TEXT_MAX: usize = 400;

/// Runs the program.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let command = Command::new("subscriber")
        .about("Prints the results of orders, as they come")
        .arg(
            Arg::new("status")
                .long("status")
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Only results of this status: ok, noop, skipped, error; may be repeated"),
        )
        .arg(
            Arg::new("last")
                .long("last")
                .value_name("N")
                .default_value("0")
                .value_parser(clap::value_parser!(u32).range(0..=10_000))
                .help("Begin with so many results of before, where the bus keeps them"),
        )
        .arg(flag("json", "One JSON object a line, as it was sent"))
        .arg(flag(
            "simulate",
            "Obey orders in memory, within MIN_REPLICAS and MAX_REPLICAS, and tell results marked \
             simulated: nothing real is scaled",
        ))
        .after_help(
            "With --simulate, monitor and planner close a loop with Redis alone. Do not run it \
             beside an executor of the same service: both would answer.",
        );
    crate::program::run(command, arguments, run)
}

async fn run(context: Context) -> Result<(), Failure> {
    let simulates = context.matches.get_flag("simulate");
    let bus = if simulates {
        parts::sealed_bus(&context.settings).await?
    } else {
        parts::bus(&context.settings).await?
    };
    let last = context.matches.get_one::<u32>("last").copied().unwrap_or(0);
    let mut results = Reader::follow(&bus, Channel::Results, last);
    let statuses: Vec<&String> =
        context.matches.get_many("status").map(Iterator::collect).unwrap_or_default();
    let as_json = context.matches.get_flag("json");
    let simulating = simulates.then(|| simulate::start(&context.settings, &bus)).transpose()?;
    tracing::info!(service = %bus.service(), simulates, "following");
    loop {
        let entry = tokio::select! {
            () = context.stopped() => break,
            entry = results.next() => entry,
        };
        match entry {
            Ok(entry) => {
                let line = if as_json {
                    json_line(&entry.bytes, &statuses)
                } else {
                    text_line(&entry.bytes, &statuses)
                };
                if let Some(line) = line {
                    say(&line);
                }
            }
            Err(error @ BusError::Unavailable { .. }) => tracing::warn!(%error, "results"),
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(simulating) = simulating {
        simulating.abort();
    }
    Ok(())
}

fn is_wanted(status: &str, statuses: &[&String]) -> bool {
    statuses.is_empty() || statuses.iter().any(|wanted| wanted.as_str() == status)
}

/// A result for programs: the same object, on one line.
fn json_line(bytes: &[u8], statuses: &[&String]) -> Option<String> {
    match ActionResult::parse(bytes) {
        Ok(Heard::Message(result)) if is_wanted(result.status.as_str(), statuses) => {
            Some(result.write())
        }
        Ok(Heard::Fault(fault)) if is_wanted("error", statuses) => Some(fault.write_result()),
        _ => None,
    }
}

/// A result for people.
fn text_line(bytes: &[u8], statuses: &[&String]) -> Option<String> {
    match ActionResult::parse(bytes) {
        Ok(Heard::Message(result)) if is_wanted(result.status.as_str(), statuses) => {
            Some(told(&result))
        }
        Ok(Heard::Fault(Fault { error, .. })) if is_wanted("error", statuses) => {
            Some(format!("error    {}", harmless(&error)))
        }
        Err(error) => Some(format!("unread   {}", harmless(&error.to_string()))),
        _ => None,
    }
}

fn told(result: &ActionResult) -> String {
    let number = result.id.map_or_else(String::new, |id| format!(" #{id}"));
    let to = result.replicas.map_or_else(String::new, |to| format!(" to {to}"));
    let simulated = if result.simulated == Some(true) { " (simulated)" } else { "" };
    let took = result.took_ms.map_or_else(String::new, |ms| format!(" after {:.1} s", ms / 1e3));
    let message = result.message.as_deref().unwrap_or_default();
    format!(
        "{:<8} {}{number} {}{to}{took}{simulated}: {} [{}]",
        result.status.as_str(),
        harmless(&result.action),
        harmless(&result.target),
        harmless(message),
        harmless(&result.reason),
    )
}

/// Text from elsewhere, on one line.
fn harmless(text: &str) -> String {
    crate::text::plain(text, TEXT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"ts": 1700000001.25, "action": "scale_up", "target": "app", "reason":
        "why", "result": {"status": "ok", "message": "started app-dup-1700000001 from x:latest"}}"#;

    #[test]
    fn an_old_result_is_one_readable_line() {
        let line = text_line(OLD.as_bytes(), &[]).expect("wanted");
        assert_eq!(line, "ok       scale_up app: started app-dup-1700000001 from x:latest [why]");
    }

    #[test]
    fn what_is_not_wanted_is_not_printed() {
        let errors = String::from("error");
        assert_eq!(text_line(OLD.as_bytes(), &[&errors]), None);
        assert_eq!(json_line(OLD.as_bytes(), &[&errors]), None);
        let ok = String::from("ok");
        assert!(json_line(OLD.as_bytes(), &[&errors, &ok]).is_some());
    }

    #[test]
    fn hostile_text_cannot_leave_its_line() {
        let hostile = OLD.replace("why", r"a\nb\u001b[2J\u202e");
        let line = text_line(hostile.as_bytes(), &[]).expect("wanted");
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    }

    #[test]
    fn an_error_of_an_old_executor_is_told() {
        let fault = r#"{"status": "error", "error": "boom", "raw": {"kind": "plan"}}"#;
        assert_eq!(text_line(fault.as_bytes(), &[]).as_deref(), Some("error    boom"));
    }
}
