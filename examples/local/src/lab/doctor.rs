//! `lab doctor`: what a trace cannot show, and settings of a policy that cannot work.

use std::time::Duration;

use planner_core::config::doctor::{Surroundings, doctor};
use planner_lab::policy_spec::PolicySpec;
use planner_lab::trace::DoctorRules;
use serde_json::json;

use super::LabError;
use super::load::{First, Load, LoadArgs};
use super::service::ServiceArgs;
use super::span;
use crate::program;

/// What to know about traces and settings before results are believed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A file, a folder, or a load that is made up; examined whole and as it is
    #[arg(long = "trace", value_name = "FILE|FOLDER|LOAD", required_unless_present = "policies")]
    traces: Vec<String>,

    /// A policy with settings, such as `planner:cooldown_out_s=5`; those of other systems have
    /// nothing to be examined
    #[arg(long = "policy", value_name = "NAME[:KEY=VALUE,...]")]
    policies: Vec<PolicySpec>,

    #[command(flatten)]
    service: ServiceArgs,

    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Exit 0: nothing was found. 1: something was found. 2: it could not be read.

Examples:
  lab doctor --trace access.log
  lab doctor --trace traces/ --startup 60s --json
  lab doctor --policy planner:cooldown_out_s=5";

impl Args {
    /// Examines everything; how many findings there are.
    ///
    /// # Errors
    ///
    /// [`LabError`] when a trace cannot be read, or settings are not legal.
    pub(super) fn run(&self) -> Result<usize, LabError> {
        self.service.check()?;
        let mut examined = Vec::new();
        if !self.traces.is_empty() {
            let rules =
                DoctorRules { startup_s: self.service.startup_s(), ..DoctorRules::default() };
            examined.extend(self.loads()?.iter().map(|load| of_trace(load, &rules)));
        }
        for policy in &self.policies {
            examined.push(of_policy(policy, &self.service)?);
        }
        let text = if self.json { as_json(&examined) } else { as_text(&examined) };
        program::say(text.trim_end());
        Ok(examined.iter().map(|it| it.findings.len()).sum())
    }

    fn loads(&self) -> Result<Vec<Load>, LabError> {
        let loads = LoadArgs {
            traces: self.traces.clone(),
            first: First::All,
            at_least: None,
            replicas: 1,
            quantile: 1.0,
            as_is: true,
            seed: 1,
        };
        Ok(loads.read(self.service.rate)?.loads)
    }
}

/// Something that was examined.
#[derive(Clone, Debug, PartialEq)]
struct Examined {
    /// What it is: a trace or a policy.
    kind: &'static str,
    name: String,
    about: String,
    findings: Vec<String>,
}

fn of_trace(load: &Load, rules: &DoctorRules) -> Examined {
    let trace = &load.trace;
    let (steps, step_s) = (trace.rates_per_s().len(), trace.step_s());
    Examined {
        kind: "trace",
        name: load.label.clone(),
        about: format!("{steps} steps of {step_s} s, {}", span::told(trace.duration_s())),
        findings: rules.examine(trace).iter().map(ToString::to_string).collect(),
    }
}

fn of_policy(policy: &PolicySpec, service: &ServiceArgs) -> Result<Examined, LabError> {
    let fluid = service.fluid();
    // Settings that only the policy itself refuses are found by making it.
    policy.build(&fluid)?;
    let (about, findings) = match policy.configuration(&fluid) {
        None => ("brings its own limits: nothing to examine", Vec::new()),
        Some(config) => {
            let bears = service.plant.fluid();
            let timeout = Duration::try_from_secs_f64(bears.patience_s).unwrap_or(Duration::MAX);
            let world = Surroundings::new()
                .baseline_ms(bears.base_ms)
                .timeout(timeout)
                .startup(Duration::from_secs(service.startup.seconds));
            let findings = doctor(&config?, &world);
            ("settings", findings.iter().map(ToString::to_string).collect())
        }
    };
    Ok(Examined { kind: "policy", name: policy.to_string(), about: about.to_owned(), findings })
}

fn as_text(examined: &[Examined]) -> String {
    let mut lines = Vec::new();
    for Examined { name, about, findings, .. } in examined {
        lines.push(format!("{name}: {about}"));
        lines.extend(findings.iter().map(|finding| format!("  {finding}")));
    }
    let found: usize = examined.iter().map(|it| it.findings.len()).sum();
    lines.push(match found {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        more => format!("{more} findings"),
    });
    lines.join("\n")
}

fn as_json(examined: &[Examined]) -> String {
    let examined = examined.iter().map(|Examined { kind, name, about, findings }| {
        json!({ "kind": kind, "name": name, "about": about, "findings": findings })
    });
    format!("{:#}", json!({ "examined": examined.collect::<Vec<_>>() }))
}

#[cfg(test)]
mod tests {
    use planner_lab::trace::Trace;

    use super::super::service::tests::service;
    use super::*;

    #[test]
    fn what_was_found_is_counted_and_named_by_trace() {
        let trace = Trace::new("t", 300, vec![1.0; 24]).expect("a trace");
        let rules = DoctorRules { startup_s: 30, ..DoctorRules::default() };
        let examined = [of_trace(&Load::new("slow".to_owned(), trace), &rules)];
        let text = as_text(&examined);
        assert!(text.starts_with("slow: 24 steps of 300 s, 2.0 h\n  step: 300 s"), "{text}");
        assert!(text.ends_with("1 finding"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&as_json(&examined)).expect("JSON");
        assert_eq!(json["examined"][0]["findings"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_trace_without_findings_says_so() {
        let trace = Trace::new("t", 10, (0..720).map(f64::from).collect()).expect("a trace");
        let examined = of_trace(&Load::new("good".to_owned(), trace), &DoctorRules::default());
        assert!(as_text(&[examined]).ends_with("nothing found"));
    }

    #[test]
    fn settings_of_ours_are_examined_and_those_of_others_are_not() {
        let of = |text: &str, service: &ServiceArgs| {
            of_policy(&text.parse().expect("a policy"), service).expect("legal")
        };
        let narrow = ServiceArgs { min: 3, max: 3, ..service() };
        assert!(!of("planner", &narrow).findings.is_empty());
        let theirs = of("hpa", &narrow);
        assert_eq!((theirs.findings.len(), theirs.kind), (0, "policy"));
        assert!(theirs.about.contains("its own limits"));
    }
}
