//! The four charts of the report, over one common time axis.
//!
//! Not for deciding what is said about them: [`super::page`] has the texts.

use super::axis::{Scale, format_ms, format_number, format_percent, format_time, time_ticks};
use super::svg::{Point, Svg};
use super::{DecisionRow, Direction, RunReport, WindowRow};

const WIDTH: f64 = 1_060.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 24.0;

/// Latency against its baseline and its objective.
pub(super) fn latency(report: &RunReport, windows: &[WindowRow]) -> String {
    let values = windows
        .iter()
        .flat_map(|window| [window.p95_ms, window.p50_ms, window.baseline_ms, window.band_high_ms])
        .flatten()
        .chain([report.slo_ms]);
    let scale = Scale::for_latency(values);
    let mut chart = Chart::new(report, 260.0, scale, "p95 latency over time");
    chart.grid(format_ms);
    let band = windows.iter().map(|window| {
        Some((
            chart.at(window.t_s, window.band_high_ms)?,
            chart.at(window.t_s, window.baseline_ms)?,
        ))
    });
    let band: Vec<_> = band.collect();
    chart.svg.area("band", &band);
    chart.line("baseline", windows, |window| window.baseline_ms);
    chart.level("slo", report.slo_ms, &format!("SLO {}", format_ms(report.slo_ms)));
    chart.marks(&report.decisions);
    chart.line("p50", windows, |window| window.p50_ms);
    chart.line("p95", windows, |window| window.p95_ms);
    chart.tooltips(windows, |window| {
        let ms = |value: Option<f64>| value.map_or_else(|| "not known".to_owned(), format_ms);
        format!(
            "p95 {}, p50 {}, baseline {}, near it up to {}",
            ms(window.p95_ms),
            ms(window.p50_ms),
            ms(window.baseline_ms),
            ms(window.band_high_ms)
        )
    });
    chart.handles(&report.decisions);
    chart.svg.finish()
}

/// Requests that arrived, per second.
pub(super) fn arrivals(report: &RunReport, windows: &[WindowRow]) -> String {
    let scale = Scale::from_zero(windows.iter().filter_map(|window| window.arrivals_per_s));
    let mut chart = Chart::new(report, 150.0, scale, "arrival rate over time");
    chart.grid(|rate| format!("{}/s", format_number(rate)));
    chart.fill("arrivals-area", windows, |window| window.arrivals_per_s);
    chart.marks(&report.decisions);
    chart.line("arrivals", windows, |window| window.arrivals_per_s);
    chart.tooltips(windows, |window| {
        let rate = window.arrivals_per_s.map_or_else(|| "not known".to_owned(), format_number);
        let in_flight = window.in_flight.map_or_else(|| "not known".to_owned(), |n| n.to_string());
        format!("{rate} requests/s arrived; under way {in_flight}")
    });
    chart.svg.finish()
}

/// Replicas that serve, and on top of them those that start.
pub(super) fn replicas(report: &RunReport, windows: &[WindowRow]) -> String {
    let ready = |window: &WindowRow| window.ready.map(f64::from);
    let all = |window: &WindowRow| {
        Some(f64::from(window.ready?) + f64::from(window.starting.unwrap_or(0)))
    };
    let scale = Scale::from_zero(windows.iter().filter_map(all).chain([3.0]));
    let mut chart = Chart::new(report, 180.0, scale, "replicas over time");
    chart.grid(|count| if count.fract() == 0.0 { format_number(count) } else { String::new() });
    let upper = chart.steps(windows, all);
    let lower = chart.steps(windows, ready);
    let starting: Vec<_> = upper.iter().zip(&lower).map(|(u, l)| Some(((*u)?, (*l)?))).collect();
    let floor = chart.bottom();
    let serving: Vec<_> = lower.iter().map(|l| l.map(|(x, y)| ((x, y), (x, floor)))).collect();
    chart.svg.area("ready-area", &serving);
    chart.svg.area("starting", &starting);
    chart.marks(&report.decisions);
    chart.svg.polyline("ready", &lower);
    chart.tooltips(windows, |window| {
        let count = |n: Option<u32>| n.map_or_else(|| "not known".to_owned(), |n| n.to_string());
        format!("{} ready, {} starting", count(window.ready), count(window.starting))
    });
    chart.handles(&report.decisions);
    chart.svg.finish()
}

/// The share of requests answered well.
pub(super) fn success(report: &RunReport, windows: &[WindowRow]) -> String {
    let worst = windows
        .iter()
        .filter_map(|window| window.success_share)
        .filter(|share| share.is_finite())
        .fold(1.0, f64::min);
    let low = [0.99, 0.9, 0.5].into_iter().find(|low| worst >= *low).unwrap_or(0.0);
    let scale = Scale::Linear { low, high: 1.0 };
    let mut chart = Chart::new(report, 90.0, scale, "success rate over time");
    chart.grid_at(&[low, f64::midpoint(low, 1.0), 1.0], format_percent);
    chart.marks(&report.decisions);
    chart.line("success", windows, |window| window.success_share);
    chart.tooltips(windows, |window| {
        let share =
            window.success_share.map_or_else(|| "share not known".to_owned(), format_percent);
        format!("{share} answered well")
    });
    chart.svg.finish()
}

/// One chart being drawn; all have the same width, margins and time axis.
struct Chart {
    svg: Svg,
    height: f64,
    duration_s: f64,
    scale: Scale,
}

impl Chart {
    fn new(report: &RunReport, height: f64, scale: Scale, label: &str) -> Self {
        let measured_s = report.windows.iter().map(|window| window.t_s);
        let duration_s = measured_s
            .chain([report.duration_s, 1.0])
            .filter(|t_s| t_s.is_finite())
            .fold(0.0, f64::max);
        Self { svg: Svg::new(WIDTH, height, label), height, duration_s, scale }
    }

    fn bottom(&self) -> f64 {
        self.height - BOTTOM
    }

    fn x(&self, t_s: f64) -> f64 {
        let share = if t_s.is_nan() { 0.0 } else { (t_s / self.duration_s).clamp(0.0, 1.0) };
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - self.scale.share(value) * (self.bottom() - TOP)
    }

    fn at(&self, t_s: f64, value: Option<f64>) -> Option<Point> {
        let value = value.filter(|value| value.is_finite() && t_s.is_finite())?;
        Some((self.x(t_s), self.y(value)))
    }

    fn grid(&mut self, label: impl Fn(f64) -> String) {
        self.grid_at(&self.scale.ticks(), label);
    }

    fn grid_at(&mut self, ticks: &[f64], label: impl Fn(f64) -> String) {
        for tick in ticks {
            let text = label(*tick);
            if text.is_empty() {
                continue;
            }
            let y = self.y(*tick);
            self.svg.line("grid", (LEFT, y), (WIDTH - RIGHT, y));
            self.svg.text("tick", (LEFT - 8.0, y + 4.0), "end", &text);
        }
        for t_s in time_ticks(self.duration_s) {
            let x = self.x(t_s);
            let bottom = self.bottom();
            self.svg.line("axis", (x, bottom), (x, bottom + 4.0));
            self.svg.text(
                "tick",
                (x, self.height - 6.0),
                "middle",
                &format_time(t_s, self.duration_s),
            );
        }
        self.svg.line("axis", (LEFT, self.bottom()), (WIDTH - RIGHT, self.bottom()));
    }

    fn level(&mut self, class: &str, value: f64, label: &str) {
        if !value.is_finite() {
            return;
        }
        let y = self.y(value);
        self.svg.line(class, (LEFT, y), (WIDTH - RIGHT, y));
        let text_class = format!("tick {class}-label");
        self.svg.text(&text_class, (WIDTH - RIGHT - 4.0, y - 5.0), "end", label);
    }

    fn line(&mut self, class: &str, windows: &[WindowRow], value: fn(&WindowRow) -> Option<f64>) {
        let points: Vec<_> = windows.iter().map(|w| self.at(w.t_s, value(w))).collect();
        self.svg.polyline(class, &points);
    }

    fn fill(&mut self, class: &str, windows: &[WindowRow], value: fn(&WindowRow) -> Option<f64>) {
        let floor = self.bottom();
        let edges: Vec<_> = windows
            .iter()
            .map(|window| self.at(window.t_s, value(window)).map(|(x, y)| ((x, y), (x, floor))))
            .collect();
        self.svg.area(class, &edges);
    }

    /// Each value held from the end of the window before to the end of its own.
    fn steps(
        &self,
        windows: &[WindowRow],
        value: impl Fn(&WindowRow) -> Option<f64>,
    ) -> Vec<Option<Point>> {
        let mut points = Vec::with_capacity(windows.len() * 2);
        let mut from_s = 0.0;
        for window in windows {
            points.push(self.at(from_s, value(window)));
            points.push(self.at(window.t_s, value(window)));
            from_s = window.t_s;
        }
        points
    }

    /// A thin line over the whole height for each scaling decision.
    fn marks(&mut self, decisions: &[DecisionRow]) {
        for decision in decisions.iter().filter(|d| d.direction != Direction::Hold) {
            let x = self.x(decision.at_s);
            let bottom = self.bottom();
            self.svg.line(mark_class(decision.direction), (x, TOP - 6.0), (x, bottom));
        }
    }

    /// The triangles on top of the marks, with the reason; drawn last, to be within reach.
    fn handles(&mut self, decisions: &[DecisionRow]) {
        for decision in decisions.iter().filter(|d| d.direction != Direction::Hold) {
            let tip_y = if decision.direction == Direction::In { 13.0 } else { 3.0 };
            let class = match decision.direction {
                Direction::In => "handle in",
                Direction::Hold | Direction::Out => "handle out",
            };
            let tooltip = format!(
                "#{} at {}: {} replicas. {}",
                decision.id,
                format_time(decision.at_s, self.duration_s),
                decision.change(),
                decision.why
            );
            let link = format!("decision-{}", decision.id);
            self.svg.triangle(class, (self.x(decision.at_s), tip_y), &link, &tooltip);
        }
    }

    /// An invisible column per window that says what was measured in it.
    fn tooltips(&mut self, windows: &[WindowRow], text: impl Fn(&WindowRow) -> String) {
        let mut left = LEFT;
        for window in windows {
            let right = self.x(window.t_s);
            let size = ((right - left).max(0.0), self.bottom() - TOP);
            let tooltip = format!("{}: {}", format_time(window.t_s, self.duration_s), text(window));
            self.svg.rect("hover", (left, TOP), size, &tooltip);
            left = left.max(right);
        }
    }
}

fn mark_class(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "mark in",
        Direction::Hold | Direction::Out => "mark out",
    }
}
