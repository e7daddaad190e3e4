//! Pods, their metrics, and which of them count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::calculator::MetricError;

/// A resource that pods request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Resource {
    /// CPU: the only one whose samples are distrusted while a pod starts.
    Cpu,
    /// Memory.
    Memory,
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "the phases of another system")]
pub enum Phase {
    /// It ended with a failure.
    Failed,
    /// It has not started yet.
    Pending,
    /// It runs.
    Running,
    /// It ended without a failure. v1.28 counts it like a running one.
    Succeeded,
    /// Nobody knows.
    Unknown,
}

/// What a pod's readiness condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "the states of another system")]
pub enum Readiness {
    /// It serves.
    Ready,
    /// It does not.
    Unready,
    /// Nobody knows.
    Unknown,
}

/// A container and what it requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who observe pods")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Thousandths of a core; `None` without a request.
    pub cpu_request_milli: Option<i64>,
    /// Thousandths of a byte; `None` without a request.
    pub memory_request_milli: Option<i64>,
}

impl Container {
    const fn request_milli(&self, resource: Resource) -> Option<i64> {
        match resource {
            Resource::Cpu => self.cpu_request_milli,
            Resource::Memory => self.memory_request_milli,
        }
    }
}

/// A pod as observed. Ages are counted back from the time of evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who observe pods")]
pub struct Pod {
    /// Its name, unique among the pods.
    pub name: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// How long ago it started; `None` if it has not.
    pub start_age: Option<Duration>,
    /// Its readiness and how long ago that changed; `None` without such a condition.
    pub ready: Option<(Readiness, Duration)>,
    /// Its containers.
    pub containers: Vec<Container>,
}

impl Pod {
    /// A running pod that has been ready since `age` ago, when it started; without containers.
    ///
    /// ```
    /// use std::time::Duration;
    /// use planner_peers::hpa::pods::Pod;
    ///
    /// assert!(Pod::running("web-0", Duration::from_secs(600)).serves());
    /// ```
    pub fn running(name: &str, age: Duration) -> Self {
        Self {
            name: name.to_owned(),
            phase: Phase::Running,
            deleting: false,
            start_age: Some(age),
            ready: Some((Readiness::Ready, age)),
            containers: Vec::new(),
        }
    }

    /// The same pod with a container more that requests this much CPU.
    #[must_use]
    pub fn requesting_cpu(mut self, container: &str, milli: i64) -> Self {
        self.containers.push(Container {
            name: container.to_owned(),
            cpu_request_milli: Some(milli),
            memory_request_milli: None,
        });
        self
    }

    /// Whether it runs and is ready.
    pub fn serves(&self) -> bool {
        let ready = matches!(self.ready, Some((Readiness::Ready, _)));
        self.phase == Phase::Running && ready
    }

    /// Its request of a resource, of one container or of all.
    ///
    /// # Errors
    ///
    /// [`MetricError::MissingRequest`] when a container that counts has none.
    pub(super) fn request_milli(
        &self,
        resource: Resource,
        container: Option<&str>,
    ) -> Result<i64, MetricError> {
        let counted =
            self.containers.iter().filter(|it| container.is_none_or(|name| it.name == name));
        counted.map(|it| it.request_milli(resource)).try_fold(0_i64, |sum, request| {
            request.map(|it| sum.saturating_add(it)).ok_or(MetricError::MissingRequest)
        })
    }

    /// Whether a CPU sample of it says nothing about its load.
    fn is_warming(&self, sample: &PodMetric, delays: ReadinessDelays) -> bool {
        let (Some((readiness, changed)), Some(started)) = (self.ready, self.start_age) else {
            return true;
        };
        let unready = readiness == Readiness::Unready;
        if started < delays.cpu_initialization_period {
            // One whole window has to lie after the change of readiness.
            return unready || changed < sample.age.saturating_add(sample.window);
        }
        // Unready since shortly after its start: it never was ready.
        unready && started < changed.saturating_add(delays.initial_readiness_delay)
    }

    /// The same pod, observed `by` ago.
    pub(super) fn aged(mut self, by: Duration) -> Self {
        self.start_age = self.start_age.map(|age| age.saturating_add(by));
        self.ready = self.ready.map(|(readiness, age)| (readiness, age.saturating_add(by)));
        self
    }
}

/// How much of something a container used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who measure")]
pub struct ContainerUsage {
    /// The container.
    pub name: String,
    /// How much, in thousandths.
    pub milli: i64,
}

/// What was measured of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "summed up or not: there is no third")]
pub enum Usage {
    /// Of each container.
    Containers(Vec<ContainerUsage>),
    /// Of the pod, or of the container in question, in thousandths.
    Total(i64),
}

/// A sample of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "written out by those who measure")]
pub struct PodMetric {
    /// The pod's name.
    pub pod: String,
    /// How long ago it was taken.
    pub age: Duration,
    /// The span that it covers.
    pub window: Duration,
    /// What was measured.
    pub usage: Usage,
}

impl PodMetric {
    /// A sample taken now over one minute.
    pub fn now(pod: &str, milli: i64) -> Self {
        let (age, window) = (Duration::ZERO, Duration::from_secs(60));
        Self { pod: pod.to_owned(), age, window, usage: Usage::Total(milli) }
    }

    /// Its value, of one container or of all; `None` when that container was not measured.
    fn milli(&self, container: Option<&str>) -> Option<i64> {
        match (&self.usage, container) {
            (Usage::Total(milli), _) => Some(*milli),
            (Usage::Containers(usages), Some(name)) => {
                usages.iter().find(|it| it.name == name).map(|it| it.milli)
            }
            (Usage::Containers(usages), None) => {
                Some(usages.iter().fold(0, |sum, it| sum.saturating_add(it.milli)))
            }
        }
    }

    /// The same sample, delivered `by` ago.
    pub(super) fn aged(mut self, by: Duration) -> Self {
        self.age = self.age.saturating_add(by);
        self
    }
}

/// How long a starting pod's CPU samples are distrusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "two flags of another system")]
pub struct ReadinessDelays {
    /// Up to this age a sample counts only if all of it was taken while ready.
    pub cpu_initialization_period: Duration,
    /// A pod that became unready within this time after its start never was ready.
    pub initial_readiness_delay: Duration,
}

impl Default for ReadinessDelays {
    /// 5 minutes and 30 seconds.
    fn default() -> Self {
        Self {
            cpu_initialization_period: Duration::from_secs(300),
            initial_readiness_delay: Duration::from_secs(30),
        }
    }
}

/// Pods by how they count, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Groups<'a> {
    /// How many are ready and measured.
    pub ready: usize,
    /// Pending, or too young for their sample to mean anything.
    pub unready: BTreeSet<&'a str>,
    /// Not measured.
    pub missing: BTreeSet<&'a str>,
    /// Failed, or being deleted.
    pub ignored: BTreeSet<&'a str>,
}

/// Samples by pod; of several of one pod the last counts.
pub(super) type Samples<'a> = BTreeMap<&'a str, (i64, &'a PodMetric)>;

/// Samples by pod, of one container or of all.
///
/// # Errors
///
/// [`MetricError::ContainerMetricMissing`] when a pod's sample lacks the container.
pub(super) fn samples<'a>(
    metrics: &'a [PodMetric],
    container: Option<&str>,
) -> Result<Samples<'a>, MetricError> {
    let valued = metrics.iter().map(|it| {
        let milli = it.milli(container).ok_or(MetricError::ContainerMetricMissing)?;
        Ok((it.pod.as_str(), (milli, it)))
    });
    valued.collect()
}

/// Tells pods apart: who counts, and how. Only for CPU (`resource`) does youth matter.
///
/// ```
/// use std::time::Duration;
/// use planner_peers::hpa::pods::{Pod, PodMetric, ReadinessDelays, Resource, group};
///
/// let pods = [
///     Pod::running("old", Duration::from_secs(600)),
///     Pod::running("young", Duration::from_secs(20)),
///     Pod::running("silent", Duration::from_secs(600)),
/// ];
/// let metrics = [PodMetric::now("old", 250), PodMetric::now("young", 900)];
/// let groups = group(&pods, &metrics, Some(Resource::Cpu), ReadinessDelays::default());
/// assert_eq!(groups.ready, 1);
/// assert!(groups.unready.contains("young") && groups.missing.contains("silent"));
/// ```
pub fn group<'a>(
    pods: &'a [Pod],
    metrics: &[PodMetric],
    resource: Option<Resource>,
    delays: ReadinessDelays,
) -> Groups<'a> {
    let samples = metrics.iter().map(|it| (it.pod.as_str(), (0, it))).collect();
    group_samples(pods, &samples, resource, delays)
}

/// The same, of samples that are sorted already.
pub(super) fn group_samples<'a>(
    pods: &'a [Pod],
    samples: &Samples<'_>,
    resource: Option<Resource>,
    delays: ReadinessDelays,
) -> Groups<'a> {
    let mut groups = Groups::default();
    for pod in pods {
        let name = pod.name.as_str();
        let sample = samples.get(name).map(|(_, sample)| *sample);
        match sample {
            _ if pod.deleting || pod.phase == Phase::Failed => _ = groups.ignored.insert(name),
            _ if pod.phase == Phase::Pending => _ = groups.unready.insert(name),
            None => _ = groups.missing.insert(name),
            Some(sample) if resource == Some(Resource::Cpu) && pod.is_warming(sample, delays) => {
                _ = groups.unready.insert(name);
            }
            Some(_) => groups.ready += 1,
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn delays() -> ReadinessDelays {
        ReadinessDelays {
            cpu_initialization_period: 120 * SECOND,
            initial_readiness_delay: 10 * SECOND,
        }
    }

    fn is_unready(pod: &Pod, age_s: u32) -> bool {
        let metric = PodMetric { age: age_s * SECOND, ..PodMetric::now(&pod.name, 1) };
        group(std::slice::from_ref(pod), &[metric], Some(Resource::Cpu), delays()).unready.len()
            == 1
    }

    #[test]
    fn a_pod_without_start_or_readiness_is_unready_for_cpu_and_ready_for_the_rest() {
        let pod = Pod { start_age: None, ..Pod::running("p", 600 * SECOND) };
        assert!(is_unready(&pod, 0));
        let pod = Pod { ready: None, ..Pod::running("p", 600 * SECOND) };
        assert!(is_unready(&pod, 0));
        let memory = Some(Resource::Memory);
        let groups = group(std::slice::from_ref(&pod), &[PodMetric::now("p", 1)], memory, delays());
        assert_eq!(groups.ready, 1);
    }

    #[test]
    fn a_young_pods_sample_counts_once_a_whole_window_lies_after_it_became_ready() {
        let pod = |changed_s| Pod {
            ready: Some((Readiness::Ready, changed_s * SECOND)),
            ..Pod::running("p", 119 * SECOND)
        };
        assert!(is_unready(&pod(64), 5));
        assert!(!is_unready(&pod(65), 5));
    }

    #[test]
    fn at_the_end_of_the_initialization_period_readiness_alone_decides() {
        let pod =
            Pod { ready: Some((Readiness::Ready, SECOND)), ..Pod::running("p", 120 * SECOND) };
        assert!(!is_unready(&pod, 0));
    }

    #[test]
    fn an_old_pod_that_never_was_ready_is_unready_and_one_that_was_counts() {
        let pod = |changed_s| Pod {
            ready: Some((Readiness::Unready, changed_s * SECOND)),
            ..Pod::running("p", 600 * SECOND)
        };
        assert!(is_unready(&pod(591), 0));
        assert!(!is_unready(&pod(590), 0));
    }

    #[test]
    fn deletion_and_failure_outrank_all_else() {
        let metrics = [PodMetric::now("p", 1)];
        for pod in [
            Pod { deleting: true, phase: Phase::Pending, ..Pod::running("p", SECOND) },
            Pod { phase: Phase::Failed, ..Pod::running("p", SECOND) },
        ] {
            let groups = group(std::slice::from_ref(&pod), &metrics, None, delays());
            assert!(groups.ignored.contains("p"));
        }
    }
}
