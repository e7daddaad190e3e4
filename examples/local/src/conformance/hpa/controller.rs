//! One whole round of the controller.

use planner_peers::hpa::calculator::MetricError;
use planner_peers::hpa::conditions::{Condition, ConditionReason};
use planner_peers::hpa::pods::{ContainerUsage, PodMetric, Usage};
use planner_peers::hpa::{
    Memory, Metric, Outcome, Reading, ResourceTarget, Scale, Snapshot, Spec, ValueTarget, reconcile,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::Vector;
use super::normalize::{RecommendationJson, recommendations};
use super::observed::{BehaviorJson, NOW, ParamsJson, PodJson, resource};
use super::unless_unchecked;

/// Thousandths of a decimal number, or of a number of thousandths with an `m`.
fn quantity_milli(text: &str) -> Option<i64> {
    match text.strip_suffix('m') {
        Some(milli) => milli.parse().ok(),
        None => text.parse::<i64>().ok()?.checked_mul(1_000),
    }
}

/// A metric as the API writes it, with its type.
pub(super) fn metric(json: &Value) -> (String, Metric) {
    let kind = json["type"].as_str().unwrap_or_default();
    let quantity = |target: &Value, key| target[key].as_str().and_then(quantity_milli);
    let value = |part| {
        let target = &json[part]["target"];
        let average = quantity(target, "averageValue").map(ValueTarget::AverageValue);
        quantity(target, "value").map(ValueTarget::Value).or(average)
    };
    let of_pods = |part: &str| {
        let (it, target) = (&json[part], &json[part]["target"]);
        let percent = target["averageUtilization"].as_u64();
        let percent = percent.and_then(|it| u32::try_from(it).ok());
        let average = quantity(target, "averageValue").map(ResourceTarget::AverageValue);
        Some(Metric::Resource {
            resource: resource(it["name"].as_str()?)?,
            container: it["container"].as_str().map(str::to_owned),
            target: average.or_else(|| percent.map(ResourceTarget::Utilization))?,
        })
    };
    let (known, condition) = match kind {
        "ContainerResource" => {
            (of_pods("containerResource"), ConditionReason::FailedGetContainerResourceMetric)
        }
        "External" => {
            (value("external").map(Metric::External), ConditionReason::FailedGetExternalMetric)
        }
        "Object" => (value("object").map(Metric::Object), ConditionReason::FailedGetObjectMetric),
        "Pods" => {
            let target = quantity(&json["pods"]["target"], "averageValue");
            (target.map(Metric::Pods), ConditionReason::FailedGetPodsMetric)
        }
        "Resource" => (of_pods("resource"), ConditionReason::FailedGetResourceMetric),
        _ => (None, ConditionReason::InvalidMetricSourceType),
    };
    let error = match condition {
        ConditionReason::InvalidMetricSourceType => MetricError::UnknownSource,
        _ => MetricError::NoTarget,
    };
    (kind.to_owned(), known.unwrap_or(Metric::Invalid { condition, error }))
}

/// Conditions as the vectors write their status.
pub(super) fn status(condition: Condition) -> &'static str {
    if condition.status { "True" } else { "False" }
}

/// Percent of the CPU requests that are used, where a metric has that for its target.
pub(super) fn cpu_utilization(outcome: &Outcome) -> Option<i64> {
    outcome.metrics.iter().flatten().find_map(|desired| desired.utilization_percent)
}

pub(super) fn direction(from: u32, to: u32) -> &'static str {
    match to.cmp(&from) {
        std::cmp::Ordering::Less => "scale_down",
        std::cmp::Ordering::Equal => "none",
        std::cmp::Ordering::Greater => "scale_up",
    }
}

#[derive(Deserialize)]
struct Input {
    behavior: Option<BehaviorJson>,
    metrics: Vec<Value>,
    min_replicas: u32,
    max_replicas: u32,
    spec_replicas: u32,
    status_replicas: u32,
    pods: Vec<PodJson>,
    reported_levels_milli: Vec<i64>,
    recommendations: Option<Vec<RecommendationJson>>,
}

impl Input {
    /// What the sources report for a metric: the levels are those of whatever is asked for.
    fn reading(&self, metric: &Metric) -> Reading {
        let levels = self.reported_levels_milli.iter().enumerate();
        // Levels beyond the pods are of pods that nobody knows.
        let name = |index: usize| match self.pods.get(index) {
            Some(pod) => pod.name.clone(),
            None => format!("test-pod-{index}"),
        };
        let halves = |milli: i64| {
            let half = |name: &str| ContainerUsage { name: name.to_owned(), milli: milli / 2 };
            Usage::Containers(vec![half("container1"), half("container2")])
        };
        match metric {
            Metric::Resource { .. } => {
                let sample = |(index, milli): (usize, &i64)| PodMetric {
                    usage: halves(*milli),
                    ..PodMetric::now(&name(index), 0)
                };
                Reading::Pods(levels.map(sample).collect())
            }
            Metric::Pods(_) => {
                let sample = |(index, milli): (usize, &i64)| PodMetric::now(&name(index), *milli);
                Reading::Pods(levels.map(sample).collect())
            }
            _ => Reading::Values(self.reported_levels_milli.clone()),
        }
    }
}

pub(super) fn run(vector: &Vector) -> Result<Value, serde_json::Error> {
    let input = Input::deserialize(&vector.input)?;
    let (kinds, metrics): (Vec<_>, Vec<_>) = input.metrics.iter().map(metric).unzip();
    let spec = Spec {
        metrics,
        behavior: input.behavior.as_ref().map(BehaviorJson::behavior),
        settings: ParamsJson::deserialize(&vector.params)?.settings(),
    };
    let snapshot = Snapshot {
        pods: input.pods.iter().map(PodJson::pod).collect(),
        readings: spec.metrics.iter().map(|metric| input.reading(metric)).collect(),
        status_replicas: Some(input.status_replicas),
    };
    let mut memory = Memory {
        recommendations: input.recommendations.as_deref().map(recommendations),
        ..Memory::default()
    };
    let (current, min, max) = (input.spec_replicas, input.min_replicas, input.max_replicas);
    let outcome = reconcile(&spec, Scale { current, min, max }, &snapshot, &memory, NOW);
    memory.commit(&spec, &outcome, NOW, (current, outcome.replicas));

    let (mut actions, mut errors) = (Map::new(), Map::new());
    for (kind, result) in kinds.iter().zip(&outcome.metrics) {
        let wanted = result.map_or(current, |desired| desired.replicas);
        let error = match result {
            Ok(_) => "none",
            Err(MetricError::UnknownSource) => "spec",
            Err(_) => "internal",
        };
        actions.insert(kind.clone(), json!(direction(current, wanted)));
        errors.insert(kind.clone(), json!(error));
    }
    let conditions = memory.conditions.judged().map(
        |(kind, it)| json!({ "type": kind, "status": status(it), "reason": it.reason.as_str() }),
    );
    let used = json!(cpu_utilization(&outcome));
    Ok(json!({
        "action": direction(current, outcome.replicas),
        "conditions": conditions.collect::<Value>(),
        "current_cpu_utilization_percent":
            unless_unchecked(vector, "current_cpu_utilization_percent", used),
        "desired_replicas": outcome.replicas,
        "error_class": if outcome.error().is_some() { "internal" } else { "none" },
        "metric_actions": actions,
        "metric_errors": errors,
    }))
}
