//! The page of a comparison: curves of cost over violations, and the tables.

use planner_lab::compare::{Comparison, Measured, PolicyOnTrace, SHARE_FLOOR, TraceTable};

use super::tables;
use crate::lab::chart::{Chart, Place, percent, share_axis};
use crate::lab::page::{Key, Page, SERIES, counted};
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
         left fewer violations, below fewer replicas. The larger dot is the policy as given; \
         shares below 0.05 % are drawn there. The least possible knows the load in advance.",
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

/// One curve for each policy, and the least possible.
fn curves(table: &TraceTable) -> (Vec<Key>, String) {
    let measured = || table.policies.iter().flat_map(|it| it.curve.iter().chain([&it.given]));
    let hours = || measured().map(|it| it.replica_hours);
    let best = table.optimum.iter().map(|at| at.replica_hours);
    let least = hours().chain(best).filter(|it| *it > 0.0).fold(f64::INFINITY, f64::min);
    let most = hours().fold(0.0, f64::max);
    // A little room on both sides; without any cost at all, any axis will do.
    let (low, high) = if most > 0.0 { (least / 1.15, most * 1.15) } else { (1.0, 10.0) };
    let shares = Scale::Log { low: SHARE_FLOOR, high: 1.0 };
    let mut chart =
        Chart::new("replica-hours over violations", 360.0, shares, Scale::Log { low, high });
    let axis = share_axis(shares);
    chart.grid(&axis, |hours| format!("{} h", format_number(hours)));
    let mut keys = Vec::new();
    if !table.optimum.is_empty() {
        let best: Vec<Option<Place>> =
            table.optimum.iter().map(|at| Some((at.share, at.replica_hours))).collect();
        chart.line("best", &best);
        for at in &table.optimum {
            let hours = format_number(at.replica_hours);
            let tooltip = format!("least possible within {}: {hours} h", percent(at.share));
            chart.dot("best spot", (at.share, at.replica_hours), 6.0, &tooltip);
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
    let spots =
        policy.curve.iter().map(|it| (it, 6.0, "")).chain([(&policy.given, 10.0, ", as given")]);
    for (measured, size, given) in spots {
        let (low, high) = measured.replica_hours_interval;
        chart.whisker(&format!("whisker {series}"), place(measured).0, low, high);
        let at = measured.knob_value.map(|value| format!(" at {value}")).unwrap_or_default();
        let tooltip = format!(
            "{}{at}{given}: {} violations, {} h",
            policy.policy,
            percent(measured.violation_share),
            format_number(measured.replica_hours)
        );
        chart.dot(&format!("spot {series}"), place(measured), size, &tooltip);
    }
}
