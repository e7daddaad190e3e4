//! A comparison as tables, for a terminal and for the page.

use planner_lab::compare::{Comparison, OptimumAt, PolicyOnTrace, SHARES, Standing, TraceTable};

use crate::lab::chart::percent;
use crate::lab::load::Loads;
use crate::lab::span;
use crate::lab::table::Table;
use crate::report::axis::format_number;

/// Everything, for a terminal.
pub(super) fn text(comparison: &Comparison, loads: &Loads) -> String {
    let part = |title: &str, table: &Table| format!("{title}\n{}\n", table.text());
    let mut text: String =
        comparison.traces.iter().map(|table| part(&title(table), &on_trace(table))).collect();
    text.push_str(&part(LEADERBOARD, &leaderboard(comparison)));
    text.extend(against(comparison).iter().map(|(title, table)| part(title, table)));
    let grids = comparison.grids.iter().filter(|(_, grid)| !grid.is_empty());
    text.extend(grids.map(|(policy, grid)| {
        let values: Vec<String> = grid.iter().map(ToString::to_string).collect();
        format!("knob of {policy}: {}\n", values.join(" "))
    }));
    let short = loads.short.iter();
    text.extend(
        short.map(|(label, seconds)| format!("left out: {label}, {}\n", span::told(*seconds))),
    );
    text
}

/// What a trace is.
pub(super) fn title(table: &TraceTable) -> String {
    let length = span::told(table.seconds);
    format!("{}: {length}, {} requests", table.trace, format_number(table.requests))
}

/// Replica-hours of each policy within each share, and with the settings that were given.
pub(super) fn on_trace(table: &TraceTable) -> Table {
    let mut headings = vec!["replica-hours (× least possible)".to_owned()];
    headings.extend(SHARES.iter().map(|share| format!("≤ {}", whole_percent(*share))));
    headings.extend(["as given", "violations", "actions/h", "recovers in"].map(str::to_owned));
    let mut rows = Table::new(headings);
    for policy in &table.policies {
        rows.row(policy_row(policy));
    }
    if !table.optimum.is_empty() {
        let mut row = vec!["least possible".to_owned()];
        row.extend(SHARES.iter().map(|share| optimum_cell(&table.optimum, *share)));
        rows.row(row);
    }
    rows
}

fn policy_row(policy: &PolicyOnTrace) -> Vec<String> {
    let mut row = vec![policy.policy.clone()];
    row.extend(SHARES.iter().map(|share| match policy.best_at(*share) {
        None => "–".to_owned(),
        Some(best) => {
            let hours = format_number(best.measured.replica_hours);
            best.cost_ratio.map_or_else(|| hours.clone(), |ratio| format!("{hours} ({ratio:.2})"))
        }
    }));
    let given = &policy.given;
    row.push(format_number(given.replica_hours));
    row.push(percent(given.violation_share));
    row.push(format_number(given.actions_per_hour));
    row.push(format!("{} s", format_number(given.recover_s_p95)));
    row
}

fn optimum_cell(optimum: &[OptimumAt], share: f64) -> String {
    let at = optimum.iter().find(|at| at.share == share);
    at.map_or_else(|| "–".to_owned(), |at| format_number(at.replica_hours))
}

/// What the leaderboard says.
pub(super) const LEADERBOARD: &str =
    "All loads: cost as a multiple of the least possible, geometric mean (loads that reach it)";

/// All policies over all loads.
pub(super) fn leaderboard(comparison: &Comparison) -> Table {
    let mut headings = vec!["policy".to_owned()];
    headings.extend(SHARES.iter().map(|share| format!("≤ {}", whole_percent(*share))));
    headings.extend(["as given: hours", "violations", "actions/h", "turns/h"].map(str::to_owned));
    let mut rows = Table::new(headings);
    for Standing {
        policy,
        shares,
        given_violation_share,
        given_replica_hours,
        given_actions_per_hour,
        given_direction_changes_per_hour,
        ..
    } in &comparison.leaderboard
    {
        let mut row = vec![policy.clone()];
        row.extend(shares.iter().map(|at| {
            let ratio = at.cost_ratio.map_or_else(|| "–".to_owned(), |it| format!("{it:.2}"));
            format!("{ratio} ({})", at.traces)
        }));
        row.push(format_number(*given_replica_hours));
        row.push(percent(*given_violation_share));
        row.push(format_number(*given_actions_per_hour));
        row.push(format_number(*given_direction_changes_per_hour));
        rows.row(row);
    }
    rows
}

/// The first policy against each of the others, with what the table says.
pub(super) fn against(comparison: &Comparison) -> Vec<(String, Table)> {
    let tables = comparison.against.iter().map(|against| {
        let mut rows = Table::new([
            "load",
            "both reach",
            "hours",
            "its hours",
            "(a) ratio at best",
            "(b) hours as given",
            "(b) violations as given",
        ]);
        let unknown = || "–".to_owned();
        let ratio = |ratio: f64| format!("{ratio:.3}");
        for on in &against.traces {
            rows.row([
                on.trace.clone(),
                on.share.map_or_else(unknown, |share| format!("≤ {}", whole_percent(share))),
                on.replica_hours.map_or_else(unknown, format_number),
                on.other_replica_hours.map_or_else(unknown, format_number),
                on.hours_ratio.map_or_else(unknown, ratio),
                ratio(on.given_hours_ratio),
                ratio(on.given_violation_ratio),
            ]);
        }
        rows.row([
            format!("geometric mean; dearer on {}", against.dearer),
            String::new(),
            String::new(),
            String::new(),
            against.hours_ratio.map_or_else(unknown, ratio),
            ratio(against.given_hours_ratio),
            ratio(against.given_violation_ratio),
        ]);
        let title = format!(
            "{} against {}: (a) each at its best within the smallest share that both reach, (b) as \
             given",
            against.policy, against.other
        );
        (title, rows)
    });
    tables.collect()
}

/// `1 %` of a share that is a whole number of per cent.
fn whole_percent(share: f64) -> String {
    format!("{} %", format_number(100.0 * share))
}
