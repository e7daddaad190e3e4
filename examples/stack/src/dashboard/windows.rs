//! The last windows, each with what was normal at its time.

use std::collections::VecDeque;

use planner_redis::wire::{Alert, Detail, Observed};
use serde_json::{Value, json};

use super::json::without_absent;
use crate::text;

/// Windows that are remembered.
pub(super) const WINDOWS_MAX: usize = 120;
/// Views of what is normal that are remembered; there is about one a window.
const NORMALS_MAX: usize = 2 * WINDOWS_MAX;
/// Longest address that is shown.
const ADDRESS_MAX: usize = 120;

/// What a planner took for normal.
#[derive(Clone, Copy, Debug)]
struct Normal {
    ts: f64,
    baseline_ms: Option<f64>,
    sigma_ms: Option<f64>,
}

/// The last windows, oldest first.
#[derive(Debug, Default)]
pub(super) struct Windows {
    alerts: VecDeque<Alert>,
    normals: VecDeque<Normal>,
}

impl Windows {
    /// Takes a window. Channels are read one by one, so an older one may come later.
    pub(super) fn push(&mut self, alert: Alert) {
        let place = self.alerts.partition_point(|before| before.ts <= alert.ts);
        self.alerts.insert(place, alert);
        if self.alerts.len() > WINDOWS_MAX {
            self.alerts.pop_front();
        }
    }

    /// Takes what a planner tells of its view at `ts`.
    pub(super) fn normal(&mut self, ts: f64, view: &Observed) {
        let normal = Normal { ts, baseline_ms: view.baseline_ms, sigma_ms: view.sigma_ms };
        let place = self.normals.partition_point(|before| before.ts <= ts);
        self.normals.insert(place, normal);
        if self.normals.len() > NORMALS_MAX {
            self.normals.pop_front();
        }
    }

    /// When the newest window ended, seconds since 1970.
    pub(super) fn last_ts(&self) -> Option<f64> {
        self.alerts.back().map(|alert| alert.ts)
    }

    /// The newest window, as it was told.
    pub(super) fn latest(&self) -> Option<Value> {
        self.alerts.back().map(latest)
    }

    /// Baseline and sigma as a planner last told them.
    pub(super) fn baseline(&self) -> (Option<f64>, Option<f64>) {
        self.normals.back().map_or((None, None), |normal| (normal.baseline_ms, normal.sigma_ms))
    }

    /// All windows for a chart.
    pub(super) fn points(&self) -> Vec<Value> {
        self.alerts.iter().map(|alert| self.point(alert)).collect()
    }

    fn point(&self, alert: &Alert) -> Value {
        // A decision about a window comes before the next window does.
        let end = alert.ts + alert.window_s.max(0.5);
        let known = self.normals.partition_point(|normal| normal.ts < end);
        let normal = known.checked_sub(1).and_then(|last| self.normals.get(last));
        without_absent(json!({
            "ts": alert.ts,
            "window_sec": alert.window_s,
            "p95_ms": latency(alert, alert.p95_ms),
            "p95_includes_failures": includes_failures(alert),
            "success_rate": success_rate(alert),
            "replicas": replicas(alert),
            "baseline_ms": normal.and_then(|normal| normal.baseline_ms),
            "sigma_ms": normal.and_then(|normal| normal.sigma_ms),
        }))
    }
}

/// A latency of a window, where it is one: without any, a number stands there for old planners.
fn latency(alert: &Alert, ms: Option<f64>) -> Option<f64> {
    let is_measured = match &alert.detail {
        Some(detail) => detail.latencies.is_some(),
        None => alert.requests > 0,
    };
    ms.filter(|_| is_measured)
}

/// Of no requests nothing is known.
fn success_rate(alert: &Alert) -> Option<f64> {
    (alert.requests > 0).then_some(alert.success_rate)
}

/// The proof of concept's monitor mixes the time of failures into the latencies.
fn includes_failures(alert: &Alert) -> Option<bool> {
    (alert.detail.is_none() && alert.success_rate < 1.0).then_some(true)
}

/// Replicas that serve; for old planners, none are one.
fn replicas(alert: &Alert) -> Option<u32> {
    alert.detail.as_ref().map_or(alert.replicas, |detail| detail.ready)
}

fn latest(alert: &Alert) -> Value {
    let detail = alert.detail.as_ref();
    let latencies = detail.and_then(|detail| detail.latencies);
    let traffic = detail.and_then(|detail| detail.traffic);
    let of = |field: fn(&Detail) -> u32| detail.map(field);
    without_absent(json!({
        "kind": "latency_metrics",
        "endpoint": text::address(&alert.endpoint, ADDRESS_MAX),
        "window_sec": alert.window_s,
        "requests": alert.requests,
        "success_rate": success_rate(alert),
        "avg_ms": latency(alert, alert.avg_ms),
        "p95_ms": latency(alert, alert.p95_ms),
        "p95_includes_failures": includes_failures(alert),
        "replicas": replicas(alert),
        "ts": alert.ts,
        "seq": detail.map(|detail| detail.seq),
        "samples": of(|detail| detail.samples),
        "timeouts": of(|detail| detail.timeouts),
        "failures": of(|detail| detail.failures),
        "p50_ms": latencies.and_then(|all| all.p50_ms),
        "p95_low_ms": latencies.and_then(|all| all.p95_low_ms),
        "p95_high_ms": latencies.and_then(|all| all.p95_high_ms),
        "ready": detail.and_then(|detail| detail.ready),
        "starting": detail.and_then(|detail| detail.starting),
        "rps": traffic.map(|traffic| traffic.rps),
        "in_flight": traffic.and_then(|traffic| traffic.in_flight),
    }))
}

#[cfg(test)]
mod tests {
    use planner_redis::wire::Heard;

    use super::*;

    fn old(ts: f64, requests: u32, success: f64) -> Alert {
        let text = format!(
            r#"{{"kind":"latency_metrics","endpoint":"http://lb/","window_sec":3.0,
            "requests":{requests},"success_rate":{success},"avg_ms":2.0,"p95_ms":7.0,
            "replicas":2,"ts":{ts}}}"#
        );
        Alert::parse(text.as_bytes()).ok().and_then(Heard::message).expect("an alert")
    }

    fn view(baseline: f64) -> Observed {
        let mut view = Observed::default();
        view.baseline_ms = Some(baseline);
        view
    }

    #[test]
    fn no_more_windows_are_kept_than_the_chart_shows() {
        let mut windows = Windows::default();
        for n in 0_u32..1_000 {
            windows.push(old(f64::from(n), 40, 1.0));
            windows.normal(f64::from(n), &view(5.0));
        }
        assert_eq!(windows.points().len(), WINDOWS_MAX);
        assert_eq!(windows.normals.len(), NORMALS_MAX);
        assert_eq!(windows.last_ts(), Some(999.0));
    }

    #[test]
    fn a_window_that_comes_late_stands_in_its_place() {
        let mut windows = Windows::default();
        windows.push(old(20.0, 40, 1.0));
        windows.push(old(10.0, 40, 1.0));
        assert_eq!(windows.last_ts(), Some(20.0));
        assert_eq!(windows.points()[0]["ts"], 10.0);
    }

    #[test]
    fn each_window_shows_what_was_normal_at_its_time() {
        let mut windows = Windows::default();
        windows.push(old(10.0, 40, 1.0));
        windows.push(old(13.0, 40, 1.0));
        windows.push(old(16.0, 40, 1.0));
        windows.normal(13.1, &view(5.0));
        windows.normal(16.1, &view(6.0));
        let baselines: Vec<Value> =
            windows.points().iter().map(|point| point["baseline_ms"].clone()).collect();
        assert_eq!(baselines, [Value::Null, json!(5.0), json!(6.0)]);
        assert_eq!(windows.baseline(), (Some(6.0), None));
    }

    #[test]
    fn what_was_not_measured_is_absent_and_not_zero() {
        let mut windows = Windows::default();
        windows.push(old(10.0, 0, 1.0));
        let latest = windows.latest().expect("a window");
        for field in ["p95_ms", "avg_ms", "success_rate", "seq", "p50_ms"] {
            assert!(latest.get(field).is_none(), "{field}");
        }
    }

    #[test]
    fn latencies_of_an_old_window_with_failures_are_marked() {
        let mut windows = Windows::default();
        windows.push(old(10.0, 40, 0.9));
        let latest = windows.latest().expect("a window");
        assert_eq!(latest["p95_includes_failures"], true);
        assert_eq!(latest["p95_ms"], 7.0);
    }
}
