//! The replica calculator, and who counts.

use planner_peers::hpa::calculator::{Calculator, Desired, MetricError, ResourceOf};
use planner_peers::hpa::pods::{Pod, PodMetric, group};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Vector;
use super::observed::{MetricJson, ParamsJson, PodJson, resource};
use super::unless_unchecked;

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    current_replicas: u32,
    #[serde(default)]
    pods: Vec<PodJson>,
    #[serde(default)]
    pod_metrics: Vec<MetricJson>,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    container: String,
    #[serde(default)]
    metric_value_milli: i64,
    #[serde(default)]
    metric_values_milli: Vec<i64>,
    #[serde(default)]
    target_utilization_percent: u32,
    #[serde(default)]
    target_average_value_milli: i64,
    #[serde(default)]
    target_value_milli: i64,
}

/// An error by its code.
pub(super) fn code(error: MetricError) -> &'static str {
    match error {
        MetricError::ContainerMetricMissing => "container_metric_missing",
        MetricError::MetricsUnavailable => "metrics_unavailable",
        MetricError::MissingRequest => "missing_request",
        MetricError::NoMetricsForReadyPods => "no_metrics_for_ready_pods",
        MetricError::NoMetricsMatchedKnownPods => "no_metrics_matched_known_pods",
        MetricError::NoPods => "no_pods",
        _ => "other",
    }
}

impl Input {
    fn desired(
        &self,
        method: &str,
        calculator: Calculator,
        pods: &[Pod],
        metrics: &[PodMetric],
    ) -> Result<Desired, MetricError> {
        let current = self.current_replicas;
        let container = Some(self.container.as_str()).filter(|name| !name.is_empty());
        let of = resource(&self.resource).map(|resource| ResourceOf { resource, container });
        let (average, value) = (self.target_average_value_milli, self.target_value_milli);
        let (one, several) = (self.metric_value_milli, &self.metric_values_milli);
        match (method, of) {
            ("resource_utilization", Some(of)) => {
                let percent = self.target_utilization_percent;
                calculator.resource_utilization(current, percent, of, pods, metrics)
            }
            ("resource_average_value", Some(of)) => {
                calculator.resource_average_value(current, average, of, pods, metrics)
            }
            ("pods_average_value", _) => {
                calculator.pods_average_value(current, average, pods, metrics)
            }
            ("object_value", _) => calculator.object_value(current, value, one, pods),
            ("object_average_value", _) => {
                Ok(calculator.object_average_value(current, average, one))
            }
            ("external_value", _) => calculator.external_value(current, value, several, pods),
            ("external_average_value", _) => {
                Ok(calculator.external_average_value(current, average, several))
            }
            _ => Err(MetricError::UnknownSource),
        }
    }
}

pub(super) fn replica_calculator(vector: &Vector) -> Result<Value, serde_json::Error> {
    let input = Input::deserialize(&vector.input)?;
    let settings = ParamsJson::deserialize(&vector.params)?.settings();
    let text = |key| vector.input[key].as_str().unwrap_or_default();
    let pods: Vec<_> = input.pods.iter().map(PodJson::pod).collect();
    let metrics: Vec<_> = input.pod_metrics.iter().map(MetricJson::metric).collect();
    // Their own tests deliver metrics through a client that refuses empty lists.
    let refused = text("origin") == "published_table"
        && vector.input["pod_metrics"].as_array().is_some_and(Vec::is_empty);
    let desired = if refused {
        Err(MetricError::MetricsUnavailable)
    } else {
        input.desired(text("method"), settings.calculator(), &pods, &metrics)
    };
    Ok(match desired {
        Err(error) => json!({ "error": code(error) }),
        Ok(desired) => json!({
            "error": null,
            "replicas": desired.replicas,
            "utilization_percent": desired.utilization_percent,
            "average_value_milli": desired.usage_milli,
            "usage_milli": unless_unchecked(vector, "usage_milli", json!(desired.usage_milli)),
        }),
    })
}

pub(super) fn group_pods(vector: &Vector) -> Result<Value, serde_json::Error> {
    let input = Input::deserialize(&vector.input)?;
    let settings = ParamsJson::deserialize(&vector.params)?.settings();
    let pods: Vec<_> = input.pods.iter().map(PodJson::pod).collect();
    let metrics: Vec<_> = input.pod_metrics.iter().map(MetricJson::metric).collect();
    let groups = group(&pods, &metrics, resource(&input.resource), settings.delays);
    Ok(json!({
        "ready_pod_count": groups.ready,
        "unready_pods": groups.unready,
        "missing_pods": groups.missing,
        "ignored_pods": groups.ignored,
    }))
}
