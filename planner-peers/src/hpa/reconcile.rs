//! One round: all metrics, the largest count of them, limits, and what to say of it.

use std::time::Duration;

use planner_core::Timestamp;

use super::behavior::Recent;
use super::calculator::{Desired, MetricError, ResourceOf};
use super::conditions::{Condition, ConditionReason, Conditions};
use super::memory::Memory;
use super::pods::{Pod, PodMetric};
use super::spec::{Metric, ResourceTarget, Spec, ValueTarget, measured_milli};

/// What was read for a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "the answers of the sources of another system")]
pub enum Reading {
    /// Nothing: the source failed.
    Failed,
    /// Samples of pods, for [`Metric::Resource`] and [`Metric::Pods`]. None are a failure.
    Pods(Vec<PodMetric>),
    /// Values in thousandths. [`Metric::External`] is their sum, [`Metric::Object`] the first. None
    /// are a failure.
    Values(Vec<i64>),
}

impl Reading {
    fn pods(&self) -> Result<&[PodMetric], MetricError> {
        match self {
            Self::Pods(metrics) if !metrics.is_empty() => Ok(metrics),
            _ => Err(MetricError::MetricsUnavailable),
        }
    }

    fn values(&self) -> Result<&[i64], MetricError> {
        match self {
            Self::Values(values) if !values.is_empty() => Ok(values),
            _ => Err(MetricError::MetricsUnavailable),
        }
    }
}

/// What was observed for one round. Ages in it count from the round back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who observe")]
pub struct Snapshot {
    /// The pods of the target. Averages of objects and of external metrics need none.
    pub pods: Vec<Pod>,
    /// One reading for each metric, in their order. Those that are left out failed.
    pub readings: Vec<Reading>,
    /// How many replicas exist; `None` takes the count that is wanted now.
    pub status_replicas: Option<u32>,
}

impl Snapshot {
    /// The total of one external metric, such as requests per second. What is no number failed.
    ///
    /// ```
    /// use planner_peers::hpa::{Reading, Snapshot};
    ///
    /// assert_eq!(Snapshot::total(12.5).readings, [Reading::Values(vec![12_500])]);
    /// assert_eq!(Snapshot::total(f64::NAN).readings, [Reading::Failed]);
    /// ```
    pub fn total(total: f64) -> Self {
        let reading = measured_milli(total).map_or(Reading::Failed, |it| Reading::Values(vec![it]));
        Self { pods: Vec::new(), readings: vec![reading], status_replicas: None }
    }

    /// The same snapshot, taken `by` ago.
    pub(super) fn aged(self, by: Duration) -> Self {
        let readings = self.readings.into_iter().map(|reading| match reading {
            Reading::Pods(metrics) => {
                Reading::Pods(metrics.into_iter().map(|it| it.aged(by)).collect())
            }
            reading => reading,
        });
        Self {
            pods: self.pods.into_iter().map(|it| it.aged(by)).collect(),
            readings: readings.collect(),
            status_replicas: self.status_replicas,
        }
    }
}

/// The count to start from, and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who ask")]
pub struct Scale {
    /// Replicas that are wanted now.
    pub current: u32,
    /// Fewest; 0 allows that there are none.
    pub min: u32,
    /// Most.
    pub max: u32,
}

/// What a round came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Replicas that are wanted; as before when nothing changes.
    pub replicas: u32,
    /// What the metrics asked for before limits; `None` when they were not asked or failed.
    pub recommendation: Option<u32>,
    /// The conditions after it, before a scaling is carried out.
    pub conditions: Conditions,
    /// What each metric asked for; empty when they were not asked.
    pub metrics: Vec<Result<Desired, MetricError>>,
}

impl Outcome {
    /// The first failure of a metric. The count stands all the same, unless all failed or those
    /// that did not asked for fewer.
    pub fn error(&self) -> Option<MetricError> {
        self.metrics.iter().find_map(|metric| metric.err())
    }

    /// The outcome that keeps or sets a count without asking the metrics.
    const fn without_metrics(replicas: u32, conditions: Conditions) -> Self {
        Self { replicas, recommendation: None, conditions, metrics: Vec::new() }
    }
}

/// Runs one round; nothing is remembered of it until [`Memory::commit`].
///
/// ```
/// use planner_core::Timestamp;
/// use planner_peers::hpa::{Memory, Metric, Scale, Snapshot, Spec, ValueTarget, reconcile};
///
/// let spec = Spec::new(vec![Metric::External(ValueTarget::AverageValue(50_000))]);
/// let scale = Scale { current: 3, min: 1, max: 20 };
/// let now = Timestamp::ORIGIN;
/// let outcome = reconcile(&spec, scale, &Snapshot::total(260.0), &Memory::default(), now);
/// assert_eq!(outcome.replicas, 6);
/// ```
pub fn reconcile(
    spec: &Spec,
    scale: Scale,
    snapshot: &Snapshot,
    memory: &Memory,
    now: Timestamp,
) -> Outcome {
    let Scale { current, min, max } = scale;
    let mut conditions = memory.conditions;
    conditions.able_to_scale = Some(Condition::yes(ConditionReason::SucceededGetScale));
    if current == 0 && min != 0 {
        conditions.scaling_active = Some(Condition::no(ConditionReason::ScalingDisabled));
        return Outcome::without_metrics(current, conditions);
    }
    if current > max {
        return Outcome::without_metrics(max, conditions);
    }
    if current < min {
        return Outcome::without_metrics(min, conditions);
    }
    let metrics: Vec<_> = spec
        .metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            let reading = snapshot.readings.get(index).unwrap_or(&Reading::Failed);
            evaluate(spec, metric, reading, current, snapshot)
        })
        .collect();
    let highest = metrics.iter().flatten().map(|desired| desired.replicas).max();
    let failed = spec.metrics.iter().zip(&metrics).find(|(_, result)| result.is_err());
    // What failed might have asked for more: without it nothing is scaled in.
    let recommendation = highest.filter(|it| failed.is_none() || *it >= current);
    let Some(desired) = recommendation else {
        let reason = failed.map(|(metric, _)| metric.failure());
        conditions.scaling_active = reason.map(Condition::no).or(conditions.scaling_active);
        return Outcome { replicas: current, recommendation, conditions, metrics };
    };
    conditions.scaling_active = Some(Condition::yes(ConditionReason::ValidMetricFound));
    let replicas = normalize(spec, scale, desired, (memory, now), &mut conditions);
    Outcome { replicas, recommendation, conditions, metrics }
}

/// What one metric asks for.
fn evaluate(
    spec: &Spec,
    metric: &Metric,
    reading: &Reading,
    current: u32,
    snapshot: &Snapshot,
) -> Result<Desired, MetricError> {
    let calculator = spec.settings.calculator();
    let pods = snapshot.pods.as_slice();
    let status = snapshot.status_replicas.unwrap_or(current);
    match metric {
        Metric::External(ValueTarget::AverageValue(target)) => {
            Ok(calculator.external_average_value(status, *target, reading.values()?))
        }
        Metric::External(ValueTarget::Value(target)) => {
            calculator.external_value(current, *target, reading.values()?, pods)
        }
        Metric::Invalid { error, .. } => Err(*error),
        Metric::Object(target) => {
            let value = *reading.values()?.first().ok_or(MetricError::MetricsUnavailable)?;
            match target {
                ValueTarget::AverageValue(target) => {
                    Ok(calculator.object_average_value(status, *target, value))
                }
                ValueTarget::Value(target) => {
                    calculator.object_value(current, *target, value, pods)
                }
            }
        }
        Metric::Pods(target) => {
            calculator.pods_average_value(current, *target, pods, reading.pods()?)
        }
        Metric::Resource { resource, container, target } => {
            let of = ResourceOf { resource: *resource, container: container.as_deref() };
            let metrics = reading.pods()?;
            match target {
                ResourceTarget::AverageValue(target) => {
                    calculator.resource_average_value(current, *target, of, pods, metrics)
                }
                ResourceTarget::Utilization(percent) => {
                    calculator.resource_utilization(current, *percent, of, pods, metrics)
                }
            }
        }
    }
}

/// Takes a recommendation into what earlier ones, rates and bounds allow.
fn normalize(
    spec: &Spec,
    Scale { current, min, max }: Scale,
    desired: u32,
    (memory, now): (&Memory, Timestamp),
    conditions: &mut Conditions,
) -> u32 {
    let stabilization = spec.stabilization();
    let earlier = memory.recommendations_from(now, current);
    let stabilized = stabilization.stabilize(now, &earlier, current, desired);
    let held = stabilized != desired;
    conditions.able_to_scale = Some(Condition::yes(if held {
        stabilization.reason(current, desired)
    } else {
        ConditionReason::ReadyForNewScale
    }));
    let recent = Recent { now, up: &memory.scale_up, down: &memory.scale_down };
    let limited = match &spec.behavior {
        None => spec.settings.scale_up_limit.limit(current, stabilized, (min, max)),
        Some(behavior) => behavior.limit(current, stabilized, (min, max), recent),
    };
    let status = limited.replicas != stabilized;
    conditions.scaling_limited = Some(Condition { status, reason: limited.reason });
    limited.replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_origin(Duration::from_secs(1_000));

    fn two() -> Spec {
        let each = |target| Metric::External(ValueTarget::AverageValue(target));
        Spec::new(vec![each(10_000), each(10_000)])
    }

    fn run(current: u32, readings: Vec<Reading>) -> Outcome {
        let snapshot = Snapshot { readings, ..Snapshot::default() };
        let scale = Scale { current, min: 1, max: 20 };
        let memory = Memory { recommendations: Some(Vec::new()), ..Memory::default() };
        reconcile(&two(), scale, &snapshot, &memory, NOW)
    }

    fn values(milli: i64) -> Reading {
        Reading::Values(vec![milli])
    }

    #[test]
    fn a_failed_metric_forbids_scaling_in() {
        let outcome = run(5, vec![values(20_000), Reading::Failed]);
        assert_eq!((outcome.replicas, outcome.recommendation), (5, None));
        assert_eq!(outcome.error(), Some(MetricError::MetricsUnavailable));
        let active = Condition::no(ConditionReason::FailedGetExternalMetric);
        assert_eq!(outcome.conditions.scaling_active, Some(active));
    }

    #[test]
    fn a_failed_metric_does_not_forbid_scaling_out() {
        let outcome = run(5, vec![values(90_000), Reading::Failed]);
        assert_eq!((outcome.replicas, outcome.recommendation), (9, Some(9)));
        assert!(outcome.error().is_some());
    }

    #[test]
    fn without_any_metric_all_stays_as_it_is() {
        assert_eq!(run(5, Vec::new()).replicas, 5);
        assert_eq!(run(5, vec![Reading::Values(Vec::new()), Reading::Failed]).replicas, 5);
    }

    #[test]
    fn the_metric_that_asks_for_most_wins() {
        assert_eq!(run(5, vec![values(20_000), values(70_000)]).replicas, 7);
    }

    #[test]
    fn a_target_that_was_set_to_zero_stays_there_until_somebody_sets_it() {
        let outcome = run(0, vec![values(70_000), values(70_000)]);
        assert_eq!(outcome.replicas, 0);
        let active = Condition::no(ConditionReason::ScalingDisabled);
        assert_eq!(outcome.conditions.scaling_active, Some(active));
    }

    #[test]
    fn a_count_beyond_the_bounds_returns_to_them_without_metrics() {
        let outcome = run(30, Vec::new());
        assert_eq!((outcome.replicas, outcome.metrics.len()), (20, 0));
    }

    #[test]
    fn the_first_round_takes_the_current_count_for_a_recommendation() {
        let snapshot = Snapshot { readings: vec![values(20_000); 2], ..Snapshot::default() };
        let scale = Scale { current: 5, min: 1, max: 20 };
        let outcome = reconcile(&two(), scale, &snapshot, &Memory::default(), NOW);
        assert_eq!((outcome.replicas, outcome.recommendation), (5, Some(2)));
        let able = Condition::yes(ConditionReason::ScaleDownStabilized);
        assert_eq!(outcome.conditions.able_to_scale, Some(able));
    }
}
