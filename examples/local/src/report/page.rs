//! The text of the page around the charts.
//!
//! Not for computing figures: it words what [`RunReport`] says. Every text from outside passes
//! through [`escape`].

use std::fmt::Write as _;

use super::axis::{format_count, format_ms, format_number, format_percent, format_time};
use super::svg::escape;
use super::thin::thin;
use super::{DecisionRow, Direction, RunReport, WindowRow, charts};

/// Holds listed on the page, at most; the journal has them all.
const HOLDS_MAX: usize = 500;
/// Faults shown; a run with more has one cause, and it is among the first.
const FAULTS_SHOWN: usize = 20;
/// From here on the generator's own lateness is worth a warning.
const SENT_LATE_WORTH_A_NOTE_MS: f64 = 50.0;

/// The report as one self-contained HTML page.
pub fn render_html(report: &RunReport) -> String {
    let windows = thin(&report.windows);
    let mut page = Page { text: String::new() };
    page.push(format_args!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>planner run: {}</title>\n<style>\n{}</style></head>\n<body><main>\n",
        escape(&report.scenario),
        include_str!("style.css")
    ));
    page.headline(report);
    page.figures(report);
    page.charts(report, &windows);
    page.decisions(report);
    page.faults(report);
    page.settings(report);
    page.replay(report);
    page.text.push_str("</main></body></html>\n");
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn headline(&mut self, report: &RunReport) {
        let requests = format_count(report.requests);
        let headline = match report.failed + report.slow.unwrap_or(0) {
            _ if report.requests == 0 => "No request was made".to_owned(),
            0 if report.slow.is_some() => {
                format!("All {requests} requests were answered in time")
            }
            0 => format!("All {requests} requests were answered"),
            _ => match report.slow_or_failed_share.map(format_percent) {
                Some(share) => format!("{share} of {requests} requests were slow or failed"),
                None => format!("{} of {requests} requests failed", format_count(report.failed)),
            },
        };
        let floor = report.floor_share.map_or_else(String::new, |share| {
            format!(
                " An ideal reaction to the same arrivals would have lost {}.",
                format_percent(share)
            )
        });
        self.push(format_args!(
            "<header><p class=\"kicker\">planner run report</p><h1>{}</h1>\
             <p class=\"lead\">{} of load <code>{}</code> (seed {}), decided by policy \
             <code>{}</code>; slow is over {}.{floor}</p>",
            escape(&headline),
            format_time(report.duration_s, report.duration_s),
            escape(&report.scenario),
            report.seed,
            escape(&report.policy),
            format_ms(report.slo_ms),
        ));
        if report.max_sent_late_ms > SENT_LATE_WORTH_A_NOTE_MS {
            self.push(format_args!(
                "<p class=\"note\">The load generator itself sent a request {} late at worst. \
                 Latency counts from when a request was due, so part of it may be this \
                 machine's and not the service's.</p>",
                format_ms(report.max_sent_late_ms)
            ));
        }
        self.text.push_str("</header>\n");
    }

    fn figures(&mut self, report: &RunReport) {
        let share_of = |part: u64| match report.requests {
            0 => String::new(),
            requests => format!("{} of all", format_percent(part as f64 / requests as f64)),
        };
        let made = |direction| report.decisions.iter().filter(|d| d.direction == direction).count();
        let (out, in_) = (made(Direction::Out), made(Direction::In));
        let cancelled = match report.cancelled {
            0 => "none cancelled".to_owned(),
            some => format!("and {} cancelled, not counted", format_count(some)),
        };
        let mean = report.replica_seconds / report.duration_s;
        let mean = if mean.is_finite() { mean } else { 0.0 };
        let floor = report.floor_share.map_or_else(|| "–".to_owned(), format_percent);
        self.text.push_str("<dl class=\"figures\">");
        let requests = format_count(report.requests);
        self.figure("Requests", &requests, &cancelled);
        self.figure("Failed", &format_count(report.failed), &share_of(report.failed));
        let slower = format!("Slower than {}", format_ms(report.slo_ms));
        let unknown = || "–".to_owned();
        let slow = report.slow.map_or_else(unknown, format_count);
        self.figure(&slower, &slow, &report.slow.map_or_else(unknown, share_of));
        let share = report.slow_or_failed_share.map_or_else(unknown, format_percent);
        self.figure("Slow or failed", &share, "of all requests");
        self.figure("Floor", &floor, "lost by an ideal reaction");
        let cost = format_number(report.replica_seconds);
        let mean = format!("{} replicas on average", format_number(mean));
        self.figure("Replica-seconds", &cost, &mean);
        let allowed = format!("never fewer than {}", report.min_replicas);
        self.figure("Most replicas", &report.max_replicas.to_string(), &allowed);
        let ways = format!("{out} out, {in_} in, of {} decisions", report.decisions_total);
        self.figure("Scaling decisions", &(out + in_).to_string(), &ways);
        self.text.push_str("</dl>\n");
    }

    fn figure(&mut self, name: &str, value: &str, remark: &str) {
        self.push(format_args!(
            "<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>",
            escape(name),
            escape(value),
            escape(remark)
        ));
    }

    fn charts(&mut self, report: &RunReport, windows: &[WindowRow]) {
        self.text.push_str("<h2>What happened</h2>\n");
        if windows.is_empty() {
            self.text.push_str("<p class=\"empty\">Nothing was measured in this run.</p>\n");
            return;
        }
        let marks = [("", "out", "scaled out"), ("", "in", "scaled in")];
        let mut latency = vec![
            ("", "p95", "p95"),
            ("", "p50", "p50"),
            ("dash", "base", "baseline"),
            ("box", "band", "near the baseline"),
            ("dash", "slo", "SLO"),
        ];
        latency.extend(marks);
        self.chart("Latency", &latency, &charts::latency(report, windows));
        let arrivals = [("", "arrivals", "requests per second, as they arrived")];
        self.chart("Arrival rate", &arrivals, &charts::arrivals(report, windows));
        let mut replicas = vec![("", "ready", "ready"), ("box", "starting", "starting")];
        replicas.extend(marks);
        self.chart("Replicas", &replicas, &charts::replicas(report, windows));
        let success = [("", "success", "share of requests answered well")];
        self.chart("Success rate", &success, &charts::success(report, windows));
    }

    /// A chart under its caption; keys are (shape, colour, text).
    fn chart(&mut self, name: &str, keys: &[(&str, &str, &str)], svg: &str) {
        self.push(format_args!("<figure><figcaption><b>{name}</b>"));
        for (shape, colour, text) in keys {
            let property = if *shape == "box" { "background" } else { "border-color" };
            self.push(format_args!(
                "<span><i class=\"{shape}\" style=\"{property}:var(--{colour})\"></i>{text}</span>"
            ));
        }
        self.push(format_args!("</figcaption>{svg}</figure>\n"));
    }

    fn decisions(&mut self, report: &RunReport) {
        self.text.push_str("<h2>What was decided, and why</h2>\n");
        let (holds, scaling): (Vec<_>, Vec<_>) =
            report.decisions.iter().partition(|decision| decision.direction == Direction::Hold);
        if scaling.is_empty() {
            self.text.push_str("<p class=\"empty\">The number of replicas never changed.</p>\n");
        } else {
            self.table(&scaling, report.duration_s);
        }
        if holds.is_empty() {
            return;
        }
        let shown = holds.len().min(HOLDS_MAX);
        self.push(format_args!(
            "<details class=\"holds\"><summary>Held {}{}</summary>",
            plural(holds.len(), "time"),
            if shown < holds.len() {
                format!("; the first {shown} are listed, all are in the journal")
            } else {
                String::new()
            }
        ));
        self.table(&holds[..shown], report.duration_s);
        self.text.push_str("</details>\n");
    }

    fn table(&mut self, decisions: &[&DecisionRow], duration_s: f64) {
        self.text.push_str(
            "<div class=\"scroll\"><table><thead><tr><th class=\"n\">No.</th>\
             <th class=\"n\">At</th><th class=\"n\">Replicas</th><th>Why</th>\
             <th>Binding constraint</th></tr></thead><tbody>\n",
        );
        for decision in decisions {
            let class = match decision.direction {
                Direction::Hold => "hold",
                Direction::In => "in",
                Direction::Out => "out",
            };
            self.push(format_args!(
                "<tr id=\"decision-{id}\"><td class=\"n\">{id}</td><td class=\"n\">{at}</td>\
                 <td class=\"n\"><span class=\"change {class}\">{change}</span></td><td>{why}",
                id = decision.id,
                at = escape(&format_time(decision.at_s, duration_s)),
                change = escape(&decision.change()),
                why = escape(&decision.why),
            ));
            self.derivation(&decision.derivation);
            self.push(format_args!("</td><td>{}</td></tr>\n", escape(&decision.binding)));
        }
        self.text.push_str("</tbody></table></div>\n");
    }

    fn derivation(&mut self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.text.push_str("<details class=\"derivation\"><summary>Derivation</summary><ol>");
        for line in lines {
            self.push(format_args!("<li>{}</li>", escape(line)));
        }
        self.text.push_str("</ol></details>");
    }

    fn settings(&mut self, report: &RunReport) {
        self.text.push_str("<h2>Settings</h2>\n");
        if report.settings.is_empty() {
            self.text.push_str("<p class=\"empty\">Nothing was set: all defaults.</p>\n");
            return;
        }
        self.text.push_str("<dl class=\"settings\">");
        for (name, value) in &report.settings {
            self.push(format_args!(
                "<div><dt>{}</dt><dd>{}</dd></div>",
                escape(name),
                escape(value)
            ));
        }
        self.text.push_str("</dl>\n");
    }

    /// What went wrong around the planner; nothing when nothing did.
    fn faults(&mut self, report: &RunReport) {
        if report.faults.is_empty() {
            return;
        }
        self.text.push_str("<h2>What went wrong around it</h2>\n<ul class=\"faults\">");
        for fault in report.faults.iter().take(FAULTS_SHOWN) {
            self.push(format_args!("<li>{}</li>", escape(fault)));
        }
        let more = report.faults.len().saturating_sub(FAULTS_SHOWN);
        if more > 0 {
            self.push(format_args!("<li>and {more} more</li>"));
        }
        self.text.push_str("</ul>\n");
    }

    fn replay(&mut self, report: &RunReport) {
        let example = report
            .decisions
            .iter()
            .find(|decision| decision.direction != Direction::Hold)
            .map_or_else(|| "ID".to_owned(), |decision| decision.id.to_string());
        let journal = escape(&report.journal);
        self.push(format_args!(
            "<h2>Replay it</h2>\n<div class=\"replay\">\
             <p>Every decision again, from the journal: <code>replay {journal}</code></p>\
             <p>One decision, line by line: <code>why {journal} {example}</code></p>\
             <p>Every request: <code>{}</code>; sent {} late at worst.</p></div>\n",
            escape(&report.requests_log),
            format_ms(report.max_sent_late_ms),
        ));
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _a_string_takes_everything = self.text.write_fmt(arguments);
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
