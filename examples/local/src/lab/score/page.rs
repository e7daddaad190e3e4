//! The page of a comparison: curves of cost over violations, and the tables.

use planner_lab::compare::{Comparison, Measured, PolicyOnTrace, SHARE_FLOOR, TraceTable};

use super::tables;
use crate::lab::chart::{Chart, Place, percent, share_axis};
use crate::lab::page::{Key, Page, SERIES};
use crate::lab::service::ServiceArgs;
use crate::report::axis::{Scale, format_number};

pub(super) fn page(comparison: &Comparison, service: &ServiceArgs) -> String {
    let loads = comparison.traces.len();
    let headline = format!(
        "{} on {}",
        counted(comparison.leaderboard.len(), "policy", "policies"),
        counted(loads, "load", "loads")
    );
    let lead = format!(
        "Replicas of {} requests/s that start in {}, {} to {} of them, on {}; {}. A request \
         violates when it waits too long. Each curve is a policy with its own knob swept: to the \
         left fewer violations, below fewer replicas. The least possible knows the load in advance.",
        format_number(service.rate),
        service.startup,
        service.min,
        service.max,
        service.plant,
        counted(comparison.seeds.len(), "seed", "seeds"),
    );
    let mut page = Page::new("planner lab score", &headline, &lead);
    page.heading("All loads");
    page.paragraph(tables::LEADERBOARD);
    page.table(&tables::leaderboard(comparison));
    for (title, table) in tables::against(comparison) {
        page.paragraph(&title);
        page.table(&table);
    }
    for table in &comparison.traces {
        page.heading(&tables::title(table));
        let (keys, svg) = curves(table);
        page.chart("Replica-hours over violations", &keys, &svg);
        page.table(&tables::on_trace(table));
    }
    page.finish()
}

fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// One curve for each policy, and the least possible.
fn curves(table: &TraceTable) -> (Vec<Key>, String) {
    let measured = || table.policies.iter().flat_map(|it| it.curve.iter().chain([&it.given]));
    let most = measured().map(|it| it.replica_hours_interval.1.max(it.replica_hours));
    let mut chart = Chart::new(
        "replica-hours over violations",
        320.0,
        Scale::Log { low: SHARE_FLOOR, high: 1.0 },
        Scale::from_zero(most),
    );
    let axis = share_axis(Scale::Log { low: SHARE_FLOOR, high: 1.0 });
    chart.grid(&axis, |hours| format!("{} h", format_number(hours)));
    let mut keys = Vec::new();
    if !table.optimum.is_empty() {
        let best: Vec<Option<Place>> =
            table.optimum.iter().map(|at| Some((at.share, at.replica_hours))).collect();
        chart.line("best", &best);
        for at in &table.optimum {
            let hours = format_number(at.replica_hours);
            let tooltip = format!("least possible within {}: {hours} h", percent(at.share));
            chart.dot("best spot", (at.share, at.replica_hours), &tooltip);
        }
        keys.push(Key::dash("best", "least possible"));
    }
    for (index, policy) in table.policies.iter().enumerate() {
        let series = format!("s{}", index % SERIES);
        curve(&mut chart, &series, policy);
        let what = match policy.knob {
            Some(knob) => format!("{}, {knob} swept", policy.policy),
            None => policy.policy.clone(),
        };
        keys.push(Key::line(&series, &what));
    }
    (keys, chart.finish())
}

fn curve(chart: &mut Chart, series: &str, policy: &PolicyOnTrace) {
    let place = |it: &Measured| (it.violation_share.max(SHARE_FLOOR), it.replica_hours);
    let places: Vec<Option<Place>> = policy.curve.iter().map(|it| Some(place(it))).collect();
    chart.line(&format!("curve {series}"), &places);
    let spots = policy.curve.iter().chain(policy.curve.is_empty().then_some(&policy.given));
    for measured in spots {
        let (low, high) = measured.replica_hours_interval;
        chart.whisker(&format!("whisker {series}"), place(measured).0, low, high);
        let at = measured.knob_value.map(|value| format!(" at {value}")).unwrap_or_default();
        let tooltip = format!(
            "{}{at}: {} violations, {} h",
            policy.policy,
            percent(measured.violation_share),
            format_number(measured.replica_hours)
        );
        chart.dot(&format!("spot {series}"), place(measured), &tooltip);
    }
}
