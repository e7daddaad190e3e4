//! Many rounds of the controller in a row.

use planner_peers::hpa::pods::{Container, Phase, Pod, PodMetric, Readiness, Usage};
use planner_peers::hpa::{Memory, Metric, Reading, Scale, Snapshot, Spec, reconcile};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::Vector;
use super::controller::{cpu_utilization, metric, status};
use super::observed::{BehaviorJson, NOW, ParamsJson, seconds};

#[derive(Deserialize)]
struct Input {
    behavior: Option<BehaviorJson>,
    metrics: Vec<Value>,
    min_replicas: u32,
    max_replicas: u32,
    metric_window_s: u64,
    pod_cpu_request_milli: i64,
    steps: Vec<Step>,
}

/// Start age, readiness, age of the readiness, CPU, age of the sample.
type PodJson = (u64, u8, u64, Option<i64>, Option<u64>);

#[derive(Deserialize)]
struct Step {
    t_s: u64,
    spec_replicas: u32,
    status_replicas: u32,
    pods: Vec<PodJson>,
    pod_metrics_available: bool,
    external_values_milli: Option<Vec<i64>>,
}

impl Step {
    fn snapshot(&self, input: &Input, metrics: &[Metric]) -> Snapshot {
        let pods = self.pods.iter().enumerate();
        let pod = |(index, &(start, ready, changed, ..)): (usize, &PodJson)| {
            let readiness = if ready == 1 { Readiness::Ready } else { Readiness::Unready };
            Pod {
                name: format!("pod-{index}"),
                phase: Phase::Running,
                deleting: false,
                start_age: Some(seconds(start)),
                ready: Some((readiness, seconds(changed))),
                containers: vec![Container {
                    name: "app".to_owned(),
                    cpu_request_milli: Some(input.pod_cpu_request_milli),
                    memory_request_milli: None,
                }],
            }
        };
        let sample = |(index, &(_, _, _, cpu, age)): (usize, &PodJson)| {
            Some(PodMetric {
                pod: format!("pod-{index}"),
                age: seconds(age.unwrap_or(0)),
                window: seconds(input.metric_window_s),
                usage: Usage::Total(cpu?),
            })
        };
        let reading = |metric: &Metric| match metric {
            Metric::External(_) => {
                self.external_values_milli.clone().map_or(Reading::Failed, Reading::Values)
            }
            _ if !self.pod_metrics_available => Reading::Failed,
            _ => Reading::Pods(self.pods.iter().enumerate().filter_map(sample).collect()),
        };
        Snapshot {
            pods: pods.map(pod).collect(),
            readings: metrics.iter().map(reading).collect(),
            status_replicas: Some(self.status_replicas),
        }
    }

    fn run(&self, input: &Input, spec: &Spec, memory: &mut Memory) -> Value {
        let now = NOW.saturating_add(seconds(self.t_s));
        let (min, max) = (input.min_replicas, input.max_replicas);
        let scale = Scale { current: self.spec_replicas, min, max };
        let snapshot = self.snapshot(input, &spec.metrics);
        let outcome = reconcile(spec, scale, &snapshot, memory, now);
        memory.commit(spec, &outcome, now, (scale.current, outcome.replicas));
        let conditions: Map<String, Value> = memory
            .conditions
            .judged()
            .map(|(kind, it)| (kind.to_owned(), json!([status(it), it.reason.as_str()])))
            .collect();
        let error = outcome.error().is_some();
        json!({
            "conditions": conditions,
            // The vectors leave it out of rounds with a failure.
            "current_cpu_utilization_percent": cpu_utilization(&outcome).filter(|_| !error),
            "error": error,
            "replicas": outcome.replicas,
            "rescaled": outcome.replicas != self.spec_replicas,
        })
    }
}

pub(super) fn run(vector: &Vector) -> Result<Value, serde_json::Error> {
    let input = Input::deserialize(&vector.input)?;
    let spec = Spec {
        metrics: input.metrics.iter().map(|it| metric(it).1).collect(),
        behavior: input.behavior.as_ref().map(BehaviorJson::behavior),
        settings: ParamsJson::deserialize(&vector.params)?.settings(),
    };
    let mut memory = Memory::default();
    let steps: Vec<_> = input.steps.iter().map(|it| it.run(&input, &spec, &mut memory)).collect();
    Ok(json!({ "steps": steps }))
}
