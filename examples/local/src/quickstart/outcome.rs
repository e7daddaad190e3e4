//! From a finished run to its figures: score, floor, `run.json`, `report.html`, summary.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::args::Plan;
use super::recorder::Rows;
use crate::loadgen::RequestRecord;
use crate::report::RunReport;
use crate::score::{Service, floor_share, score};

/// What is known when a run is over.
pub struct Ended<'a> {
    /// What was to be run.
    pub plan: &'a Plan,
    /// What was collected.
    pub rows: Rows,
    /// What the replicas have cost.
    pub replica_seconds: f64,
    /// Replicas at the end.
    pub final_replicas: u32,
    /// How long it took, seconds.
    pub duration_s: f64,
    /// Whether somebody ended it.
    pub interrupted: bool,
    /// The journal.
    pub journal: &'a Path,
    /// The generator's log.
    pub requests_log: &'a Path,
}

/// Reads a request log back, up to its last whole line.
pub(super) fn read_requests(path: &Path) -> std::io::Result<Vec<RequestRecord>> {
    let mut records = Vec::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let Ok(record) = serde_json::from_str(&line?) else {
            break;
        };
        records.push(record);
    }
    Ok(records)
}

/// Puts the report together. Without a request log the figures are the balancer's own, and what
/// cannot be known from them is absent.
pub(super) fn report(ended: Ended<'_>, records: Option<&[RequestRecord]>) -> RunReport {
    let args = &ended.plan.args;
    let min_replicas = args.min;
    let mut report = RunReport {
        scenario: ended.plan.scenario.to_string(),
        seed: args.seed,
        policy: ended.plan.policy.to_string(),
        slo_ms: args.slo_ms,
        requests: ended.rows.measured,
        failed: ended.rows.failed,
        replica_seconds: ended.replica_seconds,
        min_replicas,
        max_replicas: ended.rows.windows.iter().filter_map(|row| row.ready).max().unwrap_or(0),
        final_replicas: ended.final_replicas,
        interrupted: ended.interrupted,
        duration_s: ended.duration_s,
        settings: settings(ended.plan),
        windows: ended.rows.windows,
        decisions: ended.rows.scalings,
        decisions_total: ended.rows.decisions,
        faults: ended.rows.faults,
        journal: ended.journal.display().to_string(),
        requests_log: ended.requests_log.display().to_string(),
        ..RunReport::default()
    };
    let Some(records) = records else {
        report.scenario = String::from("own client");
        report.requests_log = String::new();
        return report;
    };
    let counted = score(records, args.slo_ms);
    report.requests = counted.requests;
    report.failed = counted.failed;
    report.slow = Some(counted.slow);
    report.cancelled = counted.cancelled;
    report.slow_or_failed_share = Some(counted.slow_or_failed_share);
    report.max_sent_late_ms = records.iter().map(|record| record.sent_late_ms).fold(0.0, f64::max);
    let sent_s: Vec<f64> = records.iter().map(|record| record.at_s).collect();
    let service = Service { workers: args.app_workers, service_ms: f64::from(args.app_ms) };
    let floor = floor_share(&sent_s, service, min_replicas.max(1), args.max, args.slo_ms);
    report.floor_share = Some(floor.share);
    report
}

/// Every setting by name, for the report.
fn settings(plan: &Plan) -> BTreeMap<String, String> {
    let config = &plan.config;
    let (out, step_in) = (config.step_out(), config.step_in());
    let thresholds = config.thresholds();
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: String| settings.insert(name.to_owned(), value);
    set("replicas", config.bounds().to_string());
    set("up_ratio", thresholds.up_ratio.to_string());
    set("down_ratio", thresholds.down_ratio.to_string());
    set("up_z", thresholds.up_z.to_string());
    set("target_utilisation", config.target_utilisation().to_string());
    set("warmup_windows", config.warmup_windows().to_string());
    set("baseline_windows", config.baseline_windows().to_string());
    set("cooldown_out", format!("{:?}", config.cooldown_out()));
    set("cooldown_in", format!("{:?}", config.cooldown_in()));
    set("stabilisation_in", format!("{:?}", config.stabilisation_in()));
    set("step_out", format!("{} or {} % per {:?}", out.replicas, out.percent, out.period));
    set(
        "step_in",
        format!("{} or {} % per {:?}", step_in.replicas, step_in.percent, step_in.period),
    );
    set("flap_budget_per_hour", config.flap_budget_per_hour().to_string());
    if let Some(advice) = config.advice() {
        let mode = if advice.shadow { "on record" } else { "applied" };
        let (period, ttl) = (advice.period, advice.thresholds_ttl);
        let text = format!(
            "{mode}, a call per {period:?}, {} in reserve, thresholds for {ttl:?}",
            advice.reserve
        );
        set("advice", text);
    }
    set("window", format!("{:?}", super::args::WINDOW));
    set("app", format!("{} workers x {} ms", plan.args.app_workers, plan.args.app_ms));
    set("in_flight_per_replica", plan.in_flight_per_replica.to_string());
    settings
}

/// The run in a few lines.
pub(super) fn summary(report: &RunReport) -> String {
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let mut lines = vec![String::new()];
    let mut line = |name: &str, text: String| lines.push(format!("{name:<22}{text}"));
    line("requests", format!("{} ({} failed)", report.requests, report.failed));
    if let (Some(slow), Some(share)) = (report.slow, report.slow_or_failed_share) {
        line(
            "slow or failed",
            format!("{} ({slow} slower than {} ms)", percent(share), report.slo_ms),
        );
    }
    if let Some(floor) = report.floor_share {
        line("an ideal reaction", format!("{} would have been lost", percent(floor)));
    }
    line(
        "replicas",
        format!(
            "{} at the end, {} at most, {:.0} replica-seconds",
            report.final_replicas, report.max_replicas, report.replica_seconds
        ),
    );
    line(
        "decisions",
        format!("{}, {} of them scaled", report.decisions_total, report.decisions.len()),
    );
    for fault in report.faults.iter().take(3) {
        line("fault", fault.clone());
    }
    lines.join("\n")
}
