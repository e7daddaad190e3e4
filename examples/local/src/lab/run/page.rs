//! The page of a run: what each policy cost, and what happened second by second.

use planner_lab::evaluate::TrailPoint;

use super::simulate::Order;
use super::{Ran, cost_ratio, optimum_hours, table};
use crate::lab::chart::{Chart, PLACES_MAX, Place, format_time, percent, time_axis};
use crate::lab::optimum::{load_chart, places};
use crate::lab::page::{Key, Page, counted};
use crate::lab::service::{DECIDE_EVERY_S, ServiceArgs};
use crate::lab::table::Table;
use crate::report::axis::{Scale, format_number};

/// Orders that are listed, at most; the JSON has all.
const ORDERS_SHOWN: usize = 300;
/// Waits below a millisecond are drawn as one.
const WAIT_S_MIN: f64 = 1e-3;

pub(super) fn page(ran: &[Ran], service: &ServiceArgs) -> String {
    let loads = ran.chunk_by(|one, next| std::ptr::eq(one.load, next.load));
    let headline = match ran {
        [one] => format!("{} on {}", one.policy.name(), one.load.label),
        more => format!(
            "{} on {}",
            counted(more.len(), "run", "runs"),
            counted(loads.clone().count(), "load", "loads")
        ),
    };
    let fluid = service.plant.fluid();
    let lead = format!(
        "Replicas of {} requests/s that start in {}, {} to {} of them, on {}. A request violates \
         when it waits longer than {} s. The least possible knows the whole load in advance and \
         violates as much as the policy did.",
        format_number(service.rate),
        service.startup,
        service.min,
        service.max,
        service.plant,
        fluid.slo_wait_s,
    );
    let mut page = Page::new("planner lab run", &headline, &lead);
    for of_load in loads {
        page.heading(&of_load[0].load.label);
        for note in of_load[0].load.trace.provenance() {
            page.paragraph(note);
        }
        page.table(&table(of_load));
        let key = [Key::line("arrivals", "requests per second, the highest of each stretch")];
        page.chart("Load", &key, &load_chart(of_load[0].load));
        for ran in of_load {
            section(&mut page, ran, service);
        }
    }
    page.finish()
}

fn section(page: &mut Page, ran: &Ran, service: &ServiceArgs) {
    page.heading(&ran.policy.to_string());
    let score = ran.course.score;
    let remark = match (&ran.optimum, optimum_hours(ran)) {
        (Some(Err(error)), _) => error.to_string(),
        (_, Some((lower, upper))) => {
            format!("at least {}, at most {}", format_number(lower), format_number(upper))
        }
        _ => "not computed".to_owned(),
    };
    let unknown = || "–".to_owned();
    page.figures(&[
        (
            "Violations",
            percent(score.violation_share),
            format!("of {} requests", format_number(score.requests)),
        ),
        ("Replica-hours", format_number(score.replica_hours), "starting ones included".to_owned()),
        (
            "Of the least possible",
            cost_ratio(ran).map_or_else(unknown, |ratio| format!("{ratio:.2}×")),
            remark,
        ),
        (
            "Recovers in",
            format!("{} s", format_number(score.recover_s_p95)),
            "95 of 100 times, or sooner".to_owned(),
        ),
    ]);
    let points = thin(&ran.course.points);
    let duration_s = ran.load.trace.duration_s() as f64;
    replicas(page, ran, &points, duration_s);
    waiting(page, &points, duration_s, service.plant.fluid().slo_wait_s);
    violations(page, ran.course.point_s, &points, duration_s);
    events(page, &ran.course.orders, duration_s);
}

fn replicas(page: &mut Page, ran: &Ran, points: &[TrailPoint], duration_s: f64) {
    let of = |count: fn(&TrailPoint) -> u32| -> Vec<Place> {
        points.iter().map(|point| (point.at_s as f64, f64::from(count(point)))).collect()
    };
    let (ready, ordered) = (of(|point| point.ready), of(|point| point.ordered));
    let bracket = ran.optimum.as_ref().and_then(|it| it.as_ref().ok());
    let best = bracket.map(|it| places(&it.plan.targets, DECIDE_EVERY_S));
    let best = best.unwrap_or_default();
    let all = ordered.iter().chain(&best).map(|(_, count)| *count);
    let mut chart =
        Chart::over_time("replicas over time", 220.0, duration_s, Scale::from_zero(all));
    chart.grid(&time_axis(duration_s), format_number);
    chart.steps_area("ready-area", &ready);
    chart.steps("ordered", &ordered);
    chart.steps("ready", &ready);
    chart.steps("best", &best);
    chart.tooltips(points.iter().map(|point| {
        let TrailPoint { at_s, ready, ordered, .. } = *point;
        let at = format_time(at_s as f64, duration_s);
        (at_s as f64, format!("{at}: {ready} ready, {ordered} ordered"))
    }));
    let mut keys = vec![Key::line("ready", "ready"), Key::line("ordered", "ready or starting")];
    if !best.is_empty() {
        keys.push(Key::dash("best", "least possible at the same violations"));
    }
    page.chart("Replicas", &keys, &chart.finish());
}

fn waiting(page: &mut Page, points: &[TrailPoint], duration_s: f64, slo_wait_s: f64) {
    let waits: Vec<Option<Place>> = points
        .iter()
        .map(|point| Some((point.at_s as f64, point.wait_s.max(WAIT_S_MIN))))
        .collect();
    let values = waits.iter().flatten().map(|(_, wait_s)| *wait_s).chain([slo_wait_s]);
    let scale = Scale::for_latency(values);
    let mut chart = Chart::over_time("waiting time", 180.0, duration_s, scale);
    chart.grid(&time_axis(duration_s), seconds);
    chart.line("wait", &waits);
    chart.level("slo", slo_wait_s, &format!("objective {}", seconds(slo_wait_s)));
    chart.tooltips(points.iter().map(|point| {
        let at = format_time(point.at_s as f64, duration_s);
        (point.at_s as f64, format!("{at}: longest wait {}", seconds(point.wait_s)))
    }));
    let keys = [Key::line("wait", "longest wait"), Key::dash("slo", "objective")];
    page.chart("Waiting", &keys, &chart.finish());
}

fn violations(page: &mut Page, point_s: u32, points: &[TrailPoint], duration_s: f64) {
    let per_minute = 60.0 / f64::from(point_s);
    let places: Vec<Place> =
        points.iter().map(|point| (point.at_s as f64, point.violating * per_minute)).collect();
    let scale = Scale::from_zero(places.iter().map(|(_, count)| *count));
    let mut chart = Chart::over_time("violations per minute", 120.0, duration_s, scale);
    chart.grid(&time_axis(duration_s), format_number);
    chart.steps("bad", &places);
    chart.tooltips(places.iter().map(|(at_s, count)| {
        let at = format_time(*at_s, duration_s);
        (*at_s, format!("{at}: {} a minute", format_number(*count)))
    }));
    let key = [Key::line("bad", "requests that waited too long, per minute")];
    page.chart("Violations", &key, &chart.finish());
}

fn events(page: &mut Page, orders: &[Order], duration_s: f64) {
    if orders.is_empty() {
        page.paragraph("The number of replicas never changed.");
        return;
    }
    let mut table = Table::new(["at", "from", "to"]);
    for Order { at_s, from, to } in orders.iter().take(ORDERS_SHOWN) {
        let at = format_time(*at_s as f64, duration_s);
        table.row([at, from.to_string(), to.to_string()]);
    }
    let all = orders.len();
    let shown = if all > ORDERS_SHOWN {
        format!(", the first {ORDERS_SHOWN} are listed, all are in run.json")
    } else {
        String::new()
    };
    page.folded(&format!("Orders: {all}{shown}"), &table);
}

/// The points themselves when they fit; else each is the worst of several in a row.
fn thin(points: &[TrailPoint]) -> Vec<TrailPoint> {
    let per_place = points.len().div_ceil(PLACES_MAX).max(1);
    let worst = points.chunks(per_place).filter_map(|chunk| {
        let mut worst = *chunk.last()?;
        for point in chunk {
            worst.load_per_s = worst.load_per_s.max(point.load_per_s);
            worst.ready = worst.ready.max(point.ready);
            worst.ordered = worst.ordered.max(point.ordered);
            worst.wait_s = worst.wait_s.max(point.wait_s);
            worst.violating = worst.violating.max(point.violating);
        }
        Some(worst)
    });
    worst.collect()
}

/// `250 ms`, `1.2 s`.
fn seconds(seconds: f64) -> String {
    crate::report::axis::format_ms(1_000.0 * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_a_long_run_survives_its_thinning() {
        let trail = || {
            let mut trail = planner_lab::evaluate::Trail::every(1);
            let setup = planner_lab::evaluate::Setup {
                fluid: planner_lab::fluid::FluidSpec::default(),
                initial: 1,
            };
            let mut arrivals = vec![10; 5_000];
            arrivals[3_001] = 400;
            let mut fixed = planner_lab::autoscaler::Fixed::new(1);
            let score =
                planner_lab::evaluate::evaluate(&arrivals, &setup, &mut fixed, Some(&mut trail));
            score.expect("a run");
            trail.points().to_vec()
        };
        let points = trail();
        let thinned = thin(&points);
        assert!(thinned.len() <= PLACES_MAX);
        let worst = |points: &[TrailPoint]| points.iter().map(|it| it.wait_s).fold(0.0, f64::max);
        assert!(worst(&points) > 1.0);
        assert_eq!(worst(&thinned), worst(&points));
        assert!(thin(&[]).is_empty());
    }
}
