//! `lab doctor`: what a trace cannot show, and settings of a policy that cannot work.

use serde_json::json;

use planner_lab::trace::{DoctorRules, Finding};

use super::LabError;
use super::load::{First, Load, LoadArgs};
use super::span::Span;
use crate::program;

/// What to know about traces and settings before results are believed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A file, a folder, or a load that is made up; examined whole and as it is
    #[arg(long = "trace", value_name = "FILE|FOLDER|LOAD", required = true)]
    traces: Vec<String>,

    /// How long a replica takes to become ready; steps of a trace should not be longer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    startup: Span,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Exit 0: nothing was found. 1: something was found. 2: it could not be read.

Examples:
  lab doctor --trace access.log
  lab doctor --trace traces/ --startup 60s --json";

impl Args {
    /// Examines everything; how many findings there are.
    ///
    /// # Errors
    ///
    /// [`LabError`] when a trace cannot be read.
    pub(super) fn run(&self) -> Result<usize, LabError> {
        let loads = LoadArgs {
            traces: self.traces.clone(),
            first: First::All,
            at_least: None,
            replicas: 1,
            quantile: 1.0,
            as_is: true,
            seed: 1,
        };
        // As the files are, no rate of a replica has an effect.
        let loads = loads.read(1.0)?.loads;
        let startup_s = u32::try_from(self.startup.seconds).unwrap_or(u32::MAX);
        let rules = DoctorRules { startup_s, ..DoctorRules::default() };
        let examined: Vec<_> =
            loads.iter().map(|load| (load, rules.examine(&load.trace))).collect();
        let text = if self.json { as_json(&examined) } else { as_text(&examined) };
        program::say(text.trim_end());
        Ok(examined.iter().map(|(_, findings)| findings.len()).sum())
    }
}

fn as_text(examined: &[(&Load, Vec<Finding>)]) -> String {
    let mut lines = Vec::new();
    for (load, findings) in examined {
        let trace = &load.trace;
        lines.push(format!(
            "{}: {} steps of {} s, {} in all",
            load.label,
            trace.rates_per_s().len(),
            trace.step_s(),
            Span { seconds: trace.duration_s() }
        ));
        lines.extend(findings.iter().map(|finding| format!("  {finding}")));
    }
    let found: usize = examined.iter().map(|(_, findings)| findings.len()).sum();
    lines.push(match found {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        more => format!("{more} findings"),
    });
    lines.join("\n")
}

fn as_json(examined: &[(&Load, Vec<Finding>)]) -> String {
    let traces: Vec<_> = examined
        .iter()
        .map(|(load, findings)| {
            json!({
                "trace": load.label,
                "name": load.name,
                "step_s": load.trace.step_s(),
                "duration_s": load.trace.duration_s(),
                "findings": findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();
    format!("{:#}", json!({ "traces": traces }))
}

#[cfg(test)]
mod tests {
    use planner_lab::trace::Trace;

    use super::*;

    #[test]
    fn what_was_found_is_counted_and_named_by_trace() {
        let trace = Trace::new("t", 300, vec![1.0; 24]).expect("a trace");
        let load = Load::new("slow".to_owned(), trace);
        let findings = DoctorRules { startup_s: 30, ..DoctorRules::default() }.examine(&load.trace);
        let text = as_text(&[(&load, findings.clone())]);
        assert!(text.starts_with("slow: 24 steps of 300 s, 2h in all\n  step: 300 s"), "{text}");
        assert!(text.ends_with("1 finding"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&as_json(&[(&load, findings)])).expect("JSON");
        assert_eq!(json["traces"][0]["findings"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_trace_without_findings_says_so() {
        let trace = Trace::new("t", 10, (0..720).map(f64::from).collect()).expect("a trace");
        let load = Load::new("good".to_owned(), trace);
        assert!(as_text(&[(&load, Vec::new())]).ends_with("nothing found"));
    }
}
