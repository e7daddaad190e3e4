//! From metrics to a count of replicas: the replica calculator.
//!
//! Pods without a sample are assumed idle when the others ask for more, and at their target when
//! the others ask for fewer; pods that are not ready are assumed idle when the others ask for more.
//! When these assumptions turn the direction around, nothing is changed.

mod usage;

use std::collections::BTreeMap;

use thiserror::Error;

use self::usage::{Used, assume, mean, sum, to_i64, to_replicas};
use super::pods::{
    Groups, Pod, PodMetric, ReadinessDelays, Resource, Samples, group_samples, samples,
};

/// How far usage may be from its target without a change, as a share of the target.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "the rules of two versions of another system")]
pub enum Tolerance {
    /// v1.33 on: a share for each direction, both ends included.
    PerDirection {
        /// Above the target.
        up: f64,
        /// Below it.
        down: f64,
    },
    /// Up to v1.32: one share. It differs by a rounding error: a ratio of 1.1 is outside 0.1.
    Symmetric(f64),
}

impl Default for Tolerance {
    /// 0.1 either way, by the rule of v1.28.
    fn default() -> Self {
        Self::Symmetric(0.1)
    }
}

impl Tolerance {
    /// Whether `ratio`, usage ÷ target, is no reason for a change.
    ///
    /// ```
    /// use planner_peers::hpa::calculator::Tolerance;
    ///
    /// assert!(!Tolerance::Symmetric(0.1).allows(1.1));
    /// assert!(Tolerance::PerDirection { up: 0.1, down: 0.1 }.allows(1.1));
    /// ```
    pub fn allows(self, ratio: f64) -> bool {
        match self {
            Self::PerDirection { up, down } => 1.0 - down <= ratio && ratio <= 1.0 + up,
            Self::Symmetric(share) => (1.0 - ratio).abs() <= share,
        }
    }
}

/// Why a metric gives no count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MetricError {
    /// A pod's sample lacks the container that counts.
    #[error("a pod's sample lacks the container; measure it in every pod")]
    ContainerMetricMissing,
    /// The source of the metric failed, or had nothing.
    #[error("the metric's source failed; see to the source")]
    MetricsUnavailable,
    /// A container that counts requests none of the resource.
    #[error("a container requests none of the resource; utilisation needs a request in each")]
    MissingRequest,
    /// No sample is of a pod that is ready.
    #[error("no sample is of a ready pod; wait until one is")]
    NoMetricsForReadyPods,
    /// The pods that were measured request nothing, or are others.
    #[error("no sample matches a pod that requests the resource; compare their names")]
    NoMetricsMatchedKnownPods,
    /// There are no pods.
    #[error("there are no pods to compare with; observe the pods of the target")]
    NoPods,
    /// The metric names no target.
    #[error("the metric has no target; give it a value or a utilisation")]
    NoTarget,
    /// The metric is of a kind that does not exist.
    #[error("the kind of metric is unknown; use Resource, Pods, Object or External")]
    UnknownSource,
}

/// What a metric asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Desired {
    /// Replicas.
    pub replicas: u32,
    /// Usage in percent of the requests, cut off to whole ones; for targets of utilisation only.
    pub utilization_percent: Option<i64>,
    /// Usage in thousandths: per pod for targets of averages, whole for targets of values. `None`
    /// for an average over no replicas.
    pub usage_milli: Option<i64>,
}

impl Desired {
    const fn new(replicas: u32, usage_milli: i64) -> Self {
        Self { replicas, utilization_percent: None, usage_milli: Some(usage_milli) }
    }
}

/// A resource, of one container or of whole pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who ask")]
pub struct ResourceOf<'a> {
    /// The resource.
    pub resource: Resource,
    /// The container; `None` sums up all of a pod.
    pub container: Option<&'a str>,
}

/// The replica calculator.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who configure it")]
pub struct Calculator {
    /// What is no reason for a change.
    pub tolerance: Tolerance,
    /// How long starting pods are distrusted.
    pub delays: ReadinessDelays,
}

impl Calculator {
    /// The count at which pods use `target_percent` of what they request.
    ///
    /// ```
    /// use std::time::Duration;
    /// use planner_peers::hpa::calculator::{Calculator, ResourceOf};
    /// use planner_peers::hpa::pods::{Pod, PodMetric, Resource};
    ///
    /// let pod = |name| Pod::running(name, Duration::from_secs(900)).requesting_cpu("app", 1_000);
    /// let pods = [pod("a"), pod("b")];
    /// let metrics = [PodMetric::now("a", 900), PodMetric::now("b", 700)];
    /// let cpu = ResourceOf { resource: Resource::Cpu, container: None };
    /// let desired = Calculator::default().resource_utilization(2, 50, cpu, &pods, &metrics)?;
    /// assert_eq!((desired.replicas, desired.utilization_percent), (4, Some(80)));
    /// # Ok::<(), planner_peers::hpa::calculator::MetricError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`MetricError`] when pods, samples or requests are missing.
    pub fn resource_utilization(
        &self,
        current: u32,
        target_percent: u32,
        of: ResourceOf<'_>,
        pods: &[Pod],
        metrics: &[PodMetric],
    ) -> Result<Desired, MetricError> {
        let samples = samples(metrics, of.container)?;
        let (groups, mut values) = self.ready(pods, &samples, Some(of.resource))?;
        let requests: BTreeMap<&str, i64> = pods
            .iter()
            .map(|pod| Ok((pod.name.as_str(), pod.request_milli(of.resource, of.container)?)))
            .collect::<Result<_, _>>()?;
        let used = Used::of(&values, &requests)?;
        let target = f64::from(target_percent);
        let ratio = used.percent as f64 / target;
        let fallback_percent = i128::from(target_percent.max(100));
        assume(&mut values, &groups, ratio, |pod| {
            let requested = i128::from(requests.get(pod).copied().unwrap_or(0));
            to_i64(requested * fallback_percent / 100)
        });
        let replicas = self.settle(current, ratio, &groups, &mut values, |values| {
            Ok(Used::of(values, &requests)?.percent as f64 / target)
        })?;
        let (utilization_percent, usage_milli) = (Some(used.percent), Some(used.average_milli));
        Ok(Desired { replicas, utilization_percent, usage_milli })
    }

    /// The count at which pods use `target_milli` of a resource on average.
    ///
    /// # Errors
    ///
    /// [`MetricError`] when pods or samples are missing.
    pub fn resource_average_value(
        &self,
        current: u32,
        target_milli: i64,
        of: ResourceOf<'_>,
        pods: &[Pod],
        metrics: &[PodMetric],
    ) -> Result<Desired, MetricError> {
        let samples = samples(metrics, of.container)?;
        self.average(current, target_milli, Some(of.resource), pods, &samples)
    }

    /// The count at which a metric of pods is `target_milli` on average.
    ///
    /// # Errors
    ///
    /// [`MetricError`] when pods or samples are missing.
    pub fn pods_average_value(
        &self,
        current: u32,
        target_milli: i64,
        pods: &[Pod],
        metrics: &[PodMetric],
    ) -> Result<Desired, MetricError> {
        self.average(current, target_milli, None, pods, &samples(metrics, None)?)
    }

    /// The count at which the metric of an object is `target_milli`, if it falls as replicas rise.
    ///
    /// # Errors
    ///
    /// [`MetricError::NoPods`] from one replica on, when there are none to compare with.
    pub fn object_value(
        &self,
        current: u32,
        target_milli: i64,
        value_milli: i64,
        pods: &[Pod],
    ) -> Result<Desired, MetricError> {
        let ratio = value_milli as f64 / target_milli as f64;
        let replicas = if current == 0 {
            to_replicas(ratio)
        } else if self.tolerance.allows(ratio) {
            current
        } else if pods.is_empty() {
            return Err(MetricError::NoPods);
        } else {
            to_replicas(ratio * pods.iter().filter(|pod| pod.serves()).count() as f64)
        };
        Ok(Desired::new(replicas, value_milli))
    }

    /// The count at which each replica has `target_milli` of the metric of an object. `status` is
    /// the count that exists. Needs no pods.
    pub fn object_average_value(
        &self,
        status: u32,
        target_milli: i64,
        value_milli: i64,
    ) -> Desired {
        let (value, target) = (value_milli as f64, target_milli as f64);
        let ratio = value / (target * f64::from(status));
        let replicas =
            if self.tolerance.allows(ratio) { status } else { to_replicas(value / target) };
        #[expect(clippy::cast_possible_truncation, reason = "an average of what fits does too")]
        let usage_milli = (status > 0).then(|| (value / f64::from(status)).ceil() as i64);
        Desired { replicas, utilization_percent: None, usage_milli }
    }

    /// Like [`Calculator::object_value`], for the sum of an external metric's values.
    ///
    /// # Errors
    ///
    /// [`MetricError::NoPods`] from one replica on, when there are none to compare with.
    pub fn external_value(
        &self,
        current: u32,
        target_milli: i64,
        values_milli: &[i64],
        pods: &[Pod],
    ) -> Result<Desired, MetricError> {
        self.object_value(current, target_milli, sum(values_milli), pods)
    }

    /// Like [`Calculator::object_average_value`], for the sum of an external metric's values.
    ///
    /// ```
    /// use planner_peers::hpa::calculator::Calculator;
    ///
    /// // 350 requests per second over three replicas that should have 50 each.
    /// let desired = Calculator::default().external_average_value(3, 50_000, &[350_000]);
    /// assert_eq!(desired.replicas, 7);
    /// ```
    pub fn external_average_value(
        &self,
        status: u32,
        target_milli: i64,
        values_milli: &[i64],
    ) -> Desired {
        self.object_average_value(status, target_milli, sum(values_milli))
    }

    /// Who counts, and the samples of those that do; strangers among them.
    fn ready<'a>(
        &self,
        pods: &'a [Pod],
        samples: &Samples<'a>,
        resource: Option<Resource>,
    ) -> Result<(Groups<'a>, BTreeMap<&'a str, i64>), MetricError> {
        if pods.is_empty() {
            return Err(MetricError::NoPods);
        }
        let groups = group_samples(pods, samples, resource, self.delays);
        let counts = |pod: &str| !groups.ignored.contains(pod) && !groups.unready.contains(pod);
        let values: BTreeMap<_, _> = samples
            .iter()
            .filter(|(pod, _)| counts(pod))
            .map(|(pod, (milli, _))| (*pod, *milli))
            .collect();
        if values.is_empty() {
            return Err(MetricError::NoMetricsForReadyPods);
        }
        Ok((groups, values))
    }

    /// The count for an average of plain values.
    fn average<'a>(
        &self,
        current: u32,
        target_milli: i64,
        resource: Option<Resource>,
        pods: &'a [Pod],
        samples: &Samples<'a>,
    ) -> Result<Desired, MetricError> {
        let (groups, mut values) = self.ready(pods, samples, resource)?;
        let usage_milli = mean(&values);
        let ratio = usage_milli as f64 / target_milli as f64;
        assume(&mut values, &groups, ratio, |_| target_milli);
        let replicas = self.settle(current, ratio, &groups, &mut values, |values| {
            Ok(mean(values) as f64 / target_milli as f64)
        })?;
        Ok(Desired::new(replicas, usage_milli))
    }

    /// From the ratio of ready pods to a count. `values` holds what was assumed of missing pods.
    fn settle<'a>(
        &self,
        current: u32,
        ratio: f64,
        groups: &Groups<'a>,
        values: &mut BTreeMap<&'a str, i64>,
        ratio_of: impl Fn(&BTreeMap<&'a str, i64>) -> Result<f64, MetricError>,
    ) -> Result<u32, MetricError> {
        let idle_too = !groups.unready.is_empty() && ratio > 1.0;
        if !idle_too && groups.missing.is_empty() {
            let unchanged = self.tolerance.allows(ratio);
            let wanted = to_replicas(ratio * groups.ready as f64);
            return Ok(if unchanged { current } else { wanted });
        }
        if idle_too {
            values.extend(groups.unready.iter().map(|pod| (*pod, 0)));
        }
        let assumed = ratio_of(values)?;
        let turned = (ratio < 1.0 && assumed > 1.0) || (ratio > 1.0 && assumed < 1.0);
        let wanted = to_replicas(assumed * values.len() as f64);
        let contradicts =
            (assumed < 1.0 && wanted > current) || (assumed > 1.0 && wanted < current);
        let unchanged = self.tolerance.allows(assumed) || turned || contradicts;
        Ok(if unchanged { current } else { wanted })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::pods::{ContainerUsage, Usage};
    use super::*;

    const CPU: ResourceOf<'static> = ResourceOf { resource: Resource::Cpu, container: None };

    fn pod(name: &str) -> Pod {
        Pod::running(name, Duration::from_secs(900)).requesting_cpu("app", 1_000)
    }

    fn utilization(current: u32, values: &[(&str, i64)]) -> Result<Desired, MetricError> {
        let pods = [pod("a"), pod("b"), pod("c"), pod("d")];
        let metrics: Vec<_> = values.iter().map(|(pod, it)| PodMetric::now(pod, *it)).collect();
        Calculator::default().resource_utilization(current, 50, CPU, &pods, &metrics)
    }

    #[test]
    fn nothing_measured_of_ready_pods_is_an_error() {
        assert_eq!(utilization(4, &[]), Err(MetricError::NoMetricsForReadyPods));
        let stranger = utilization(4, &[("stranger", 5)]);
        assert_eq!(stranger, Err(MetricError::NoMetricsMatchedKnownPods));
        let none = Calculator::default().resource_utilization(4, 50, CPU, &[], &[]);
        assert_eq!(none, Err(MetricError::NoPods));
    }

    #[test]
    fn a_container_without_a_request_or_a_sample_is_an_error() {
        let pods = [Pod::running("a", Duration::from_secs(900)).requesting_cpu("app", 100)];
        let calculator = Calculator::default();
        let metrics = [PodMetric::now("a", 100)];
        let memory = ResourceOf { resource: Resource::Memory, container: None };
        let without = calculator.resource_utilization(1, 50, memory, &pods, &metrics);
        assert_eq!(without, Err(MetricError::MissingRequest));
        let usage = Usage::Containers(vec![ContainerUsage { name: "app".into(), milli: 5 }]);
        let metrics = [PodMetric { usage, ..PodMetric::now("a", 0) }];
        let sidecar = ResourceOf { resource: Resource::Cpu, container: Some("sidecar") };
        let unmeasured = calculator.resource_utilization(1, 50, sidecar, &pods, &metrics);
        assert_eq!(unmeasured, Err(MetricError::ContainerMetricMissing));
    }

    #[test]
    fn missing_pods_count_as_busy_on_the_way_down() {
        // Measured pods alone would ask for one; a silent one at its full request forbids it.
        let desired = utilization(4, &[("a", 250), ("b", 250), ("c", 250)]).expect("measured");
        assert_eq!(desired.replicas, 4);
        assert_eq!(desired.utilization_percent, Some(25));
    }

    #[test]
    fn missing_pods_count_as_idle_on_the_way_up() {
        let desired = utilization(4, &[("a", 900), ("b", 900), ("c", 900)]).expect("measured");
        assert_eq!(desired.replicas, 6);
    }

    #[test]
    fn exactly_at_the_target_nothing_is_assumed_of_missing_pods() {
        assert_eq!(utilization(4, &[("a", 500)]).map(|it| it.replicas), Ok(4));
        let (pods, metrics) = ([pod("a"), pod("b")], [PodMetric::now("a", 1)]);
        let desired = Calculator::default().pods_average_value(2, 1, &pods, &metrics);
        assert_eq!(desired.map(|it| it.replicas), Ok(2));
    }

    #[test]
    fn unready_pods_count_as_idle_on_the_way_up_and_not_at_all_on_the_way_down() {
        let young = Pod::running("young", Duration::from_secs(5)).requesting_cpu("app", 1_000);
        let pods = [pod("a"), pod("b"), young];
        let run = |milli| {
            let metrics = ["a", "b", "young"].map(|pod| PodMetric::now(pod, milli));
            let desired = Calculator::default().resource_utilization(3, 50, CPU, &pods, &metrics);
            desired.map(|it| it.replicas)
        };
        assert_eq!(run(1_000), Ok(4));
        assert_eq!(run(250), Ok(1));
    }

    #[test]
    fn a_direction_that_assumptions_turn_around_changes_nothing() {
        // Four times the target, but three of four are silent: at least one would have to go.
        let desired = utilization(4, &[("a", 1_500)]);
        assert_eq!(desired.map(|it| it.replicas), Ok(4));
    }

    #[test]
    fn a_count_beyond_32_bits_is_the_largest_and_one_below_zero_is_zero() {
        let calculator = Calculator::default();
        let huge = calculator.external_average_value(1, 1, &[i64::MAX, i64::MAX]);
        assert_eq!(huge.replicas, 2_147_483_647);
        assert_eq!(calculator.external_average_value(1, 1, &[-5_000]).replicas, 0);
        assert_eq!(calculator.object_average_value(0, 0, 0).replicas, 0);
    }

    #[test]
    fn an_average_over_no_replicas_is_not_told() {
        let desired = Calculator::default().external_average_value(0, 10_000, &[25_000]);
        assert_eq!((desired.replicas, desired.usage_milli), (3, None));
    }

    #[test]
    fn from_zero_a_value_needs_no_pods() {
        let calculator = Calculator::default();
        assert_eq!(calculator.object_value(0, 15_000, 20_000, &[]).map(|it| it.replicas), Ok(2));
        assert_eq!(calculator.object_value(1, 15_000, 20_000, &[]), Err(MetricError::NoPods));
    }
}
