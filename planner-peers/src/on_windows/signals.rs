//! What each policy observes in a window.

use core::time::Duration;

use planner_core::policy::View;
use planner_core::{Timestamp, Window};

use super::{FromWindow, arrivals_per_s};
use crate::hpa::pods::{Phase, Pod, PodMetric, Readiness, Resource};
use crate::hpa::spec::measured_milli;
use crate::hpa::{self, Hpa, Reading, ResourceTarget, Snapshot};
use crate::keda::{Keda, KedaSignal};
use crate::kpa::{self, Kpa, Sample};
use crate::nomad::{self, Answer, Nomad, NomadSignal};

/// Age of ready replicas, which no window tells: old enough to be past their start.
const SETTLED: Duration = Duration::from_secs(86_400);
/// The one container of a replica.
const CONTAINER: &str = "replica";
/// What it requests: one core, so that a share of the CPU is a number of cores.
const CORE_MILLI: i64 = 1_000;

impl FromWindow for Hpa {
    const NAME: &'static str = "hpa-on-windows";

    fn signals(&self, view: &View<'_>) -> Vec<(Timestamp, Snapshot)> {
        let metrics = &self.spec().metrics;
        let needs_pods = metrics.iter().any(|metric| match metric {
            hpa::Metric::External(target) | hpa::Metric::Object(target) => {
                matches!(target, hpa::ValueTarget::Value(_))
            }
            hpa::Metric::Invalid { .. } => false,
            hpa::Metric::Pods(_) | hpa::Metric::Resource { .. } => true,
        });
        let pods = if needs_pods { pods(view) } else { Vec::new() };
        let readings: Vec<_> =
            metrics.iter().map(|metric| reading(metric, view.window, &pods)).collect();
        if readings.iter().all(|reading| *reading == Reading::Failed) {
            return Vec::new();
        }
        vec![(view.window.end(), Snapshot { pods, readings, status_replicas: None })]
    }
}

/// The replicas of a view as pods, no more than there may be: beyond that no metric is asked.
fn pods(view: &View<'_>) -> Vec<Pod> {
    let most = view.config.bounds().max();
    let ready = view.ready.min(most);
    let pod = |number: u32| {
        let pod = Pod::running(&format!("{CONTAINER}-{number}"), SETTLED);
        let pod = pod.requesting_cpu(CONTAINER, CORE_MILLI);
        if number < ready {
            return pod;
        }
        let ready = Some((Readiness::Unready, Duration::ZERO));
        Pod { phase: Phase::Pending, start_age: None, ready, ..pod }
    };
    (0..view.current.clamp(ready, most)).map(pod).collect()
}

/// What a window knows of one metric.
fn reading(metric: &hpa::Metric, window: &Window, pods: &[Pod]) -> Reading {
    let serving = || pods.iter().filter(|pod| pod.serves());
    let of_each = |value: Option<f64>| {
        let metric = |milli| serving().map(move |pod| PodMetric::now(&pod.name, milli)).collect();
        value.and_then(measured_milli).map_or(Reading::Failed, |milli| Reading::Pods(metric(milli)))
    };
    match metric {
        hpa::Metric::External(_) | hpa::Metric::Object(_) => arrivals_per_s(window)
            .and_then(measured_milli)
            .map_or(Reading::Failed, |milli| Reading::Values(vec![milli])),
        hpa::Metric::Pods(_) => {
            of_each(arrivals_per_s(window).map(|total| total / serving().count().max(1) as f64))
        }
        hpa::Metric::Resource {
            resource: Resource::Cpu,
            container: None,
            target: ResourceTarget::Utilization(_),
        } => of_each(window.cpu_share()),
        hpa::Metric::Invalid { .. } | hpa::Metric::Resource { .. } => Reading::Failed,
    }
}

impl FromWindow for Kpa {
    const NAME: &'static str = "kpa-on-windows";

    fn signals(&self, view: &View<'_>) -> Vec<(Timestamp, Sample)> {
        let traffic = view.window.traffic();
        let value = match self.spec().metric {
            kpa::Metric::Concurrency => {
                traffic.and_then(|traffic| traffic.in_flight()).map(f64::from)
            }
            kpa::Metric::RequestsPerSecond => arrivals_per_s(view.window),
        };
        let Some(sample) = value.and_then(Sample::new) else { return Vec::new() };
        let most = self.spec().stable_window.as_secs();
        seconds(view.window, most).map(|at| (at, sample)).collect()
    }
}

/// The whole seconds that ended within a window, the newest `most` of them. So windows of any
/// length that follow each other cover every second once.
fn seconds(window: &Window, most: u64) -> impl Iterator<Item = Timestamp> {
    const SECOND: u64 = 1_000_000_000;
    let last = window.end().as_nanos() / SECOND;
    let first = (window.start().as_nanos() / SECOND + 1).max((last + 1).saturating_sub(most));
    (first..=last).map(|second| Timestamp::from_nanos(second.saturating_mul(SECOND)))
}

impl FromWindow for Keda {
    const NAME: &'static str = "keda-on-windows";

    fn signals(&self, view: &View<'_>) -> Vec<(Timestamp, KedaSignal)> {
        let signal = |arrivals| KedaSignal(vec![Some(arrivals); self.triggers().len()]);
        let arrivals = arrivals_per_s(view.window);
        arrivals.map(|arrivals| (view.window.end(), signal(arrivals))).into_iter().collect()
    }
}

impl FromWindow for Nomad {
    const NAME: &'static str = "nomad-on-windows";

    fn signals(&self, view: &View<'_>) -> Vec<(Timestamp, NomadSignal)> {
        let Some(arrivals) = arrivals_per_s(view.window) else { return Vec::new() };
        let at = view.window.end();
        let signal = |check: &nomad::Check| {
            let value = match check.metric {
                nomad::Metric::PerReplica => arrivals,
                nomad::Metric::AsIs => arrivals / f64::from(view.ready.max(1)),
            };
            let answer = Answer::Values(vec![value]);
            (at, NomadSignal { check: check.name.clone(), at, answer })
        };
        let asks = |check: &&nomad::Check| check.strategy.needs_metrics();
        self.checks().iter().filter(asks).map(signal).collect()
    }
}
