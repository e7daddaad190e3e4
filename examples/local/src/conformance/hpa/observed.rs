//! Pods, metrics and settings as vectors write them.

use std::time::Duration;

use planner_core::Timestamp;
use planner_peers::hpa::Settings;
use planner_peers::hpa::behavior::{
    Behavior, Change, LegacyLimit, ScalingPolicy, ScalingRules, SelectPolicy,
};
use planner_peers::hpa::calculator::Tolerance;
use planner_peers::hpa::pods::{
    Container, ContainerUsage, Phase, Pod, PodMetric, Readiness, ReadinessDelays, Resource, Usage,
};
use serde::Deserialize;

/// When vectors take place: late enough for every age in them but "long ago".
pub(super) const NOW: Timestamp = Timestamp::from_origin(Duration::from_secs(1_000_000));

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `age_s` seconds before the vectors take place.
pub(super) fn ago(age_s: u64) -> Timestamp {
    NOW.saturating_sub(seconds(age_s))
}

#[derive(Deserialize)]
pub(super) struct ContainerJson {
    pub(super) name: String,
    pub(super) request_milli: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct PodJson {
    pub(super) name: String,
    phase: String,
    deleting: bool,
    start_age_s: Option<u64>,
    ready: Option<String>,
    ready_transition_age_s: Option<u64>,
    containers: Vec<ContainerJson>,
}

/// The resource of that name; `None` for none.
pub(super) fn resource(name: &str) -> Option<Resource> {
    match name {
        "cpu" => Some(Resource::Cpu),
        "memory" => Some(Resource::Memory),
        _ => None,
    }
}

impl PodJson {
    /// The pod; its requests are of every resource, because vectors name only one.
    pub(super) fn pod(&self) -> Pod {
        let readiness = self.ready.as_deref().map(|ready| match ready {
            "True" => Readiness::Ready,
            "False" => Readiness::Unready,
            _ => Readiness::Unknown,
        });
        let containers = self.containers.iter().map(|it| Container {
            name: it.name.clone(),
            cpu_request_milli: it.request_milli,
            memory_request_milli: it.request_milli,
        });
        Pod {
            name: self.name.clone(),
            phase: match self.phase.as_str() {
                "Failed" => Phase::Failed,
                "Pending" => Phase::Pending,
                "Running" => Phase::Running,
                "Succeeded" => Phase::Succeeded,
                _ => Phase::Unknown,
            },
            deleting: self.deleting,
            start_age: self.start_age_s.map(seconds),
            ready: readiness.zip(self.ready_transition_age_s.map(seconds)),
            containers: containers.collect(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct UsageJson {
    name: String,
    usage_milli: i64,
}

#[derive(Deserialize)]
pub(super) struct MetricJson {
    pod: String,
    timestamp_age_s: u64,
    window_s: u64,
    value_milli: Option<i64>,
    #[serde(default)]
    containers: Vec<UsageJson>,
}

impl MetricJson {
    pub(super) fn metric(&self) -> PodMetric {
        let containers = self
            .containers
            .iter()
            .map(|it| ContainerUsage { name: it.name.clone(), milli: it.usage_milli });
        PodMetric {
            pod: self.pod.clone(),
            age: seconds(self.timestamp_age_s),
            window: seconds(self.window_s),
            usage: match self.value_milli {
                Some(milli) => Usage::Total(milli),
                None => Usage::Containers(containers.collect()),
            },
        }
    }
}

/// Settings of the controller; each kind has its own choice of them.
#[derive(Deserialize)]
pub(super) struct ParamsJson {
    cpu_initialization_period_s: Option<u64>,
    initial_readiness_delay_s: Option<u64>,
    downscale_stabilization_s: Option<u64>,
    scale_up_limit_factor: Option<u32>,
    scale_up_limit_minimum: Option<u32>,
    tolerance: Option<f64>,
    tolerance_scale_up: Option<f64>,
    tolerance_scale_down: Option<f64>,
}

impl ParamsJson {
    /// The settings, defaults for those that are not named.
    pub(super) fn settings(&self) -> Settings {
        let default = Settings::default();
        let (delays, limit) = (default.delays, default.scale_up_limit);
        let or = |named: Option<u64>, default| named.map_or(default, seconds);
        Settings {
            tolerance: match (self.tolerance, self.tolerance_scale_up, self.tolerance_scale_down) {
                (Some(share), ..) => Tolerance::Symmetric(share),
                (None, Some(up), Some(down)) => Tolerance::PerDirection { up, down },
                _ => default.tolerance,
            },
            delays: ReadinessDelays {
                cpu_initialization_period: or(
                    self.cpu_initialization_period_s,
                    delays.cpu_initialization_period,
                ),
                initial_readiness_delay: or(
                    self.initial_readiness_delay_s,
                    delays.initial_readiness_delay,
                ),
            },
            downscale_stabilization: or(
                self.downscale_stabilization_s,
                default.downscale_stabilization,
            ),
            scale_up_limit: LegacyLimit {
                factor: self.scale_up_limit_factor.unwrap_or(limit.factor),
                minimum: self.scale_up_limit_minimum.unwrap_or(limit.minimum),
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyJson {
    #[serde(rename = "type")]
    unit: String,
    value: u32,
    period_seconds: u64,
}

impl PolicyJson {
    pub(super) fn policy(&self) -> ScalingPolicy {
        let change = if self.unit == "Pods" {
            Change::Pods(self.value)
        } else {
            Change::Percent(self.value)
        };
        ScalingPolicy { change, period: seconds(self.period_seconds) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RulesJson {
    policies: Option<Vec<PolicyJson>>,
    select_policy: Option<String>,
    stabilization_window_seconds: Option<u64>,
}

impl RulesJson {
    /// The rules; what is left out, or empty, is that of `default`.
    fn rules(rules: Option<&Self>, default: ScalingRules) -> ScalingRules {
        let Some(rules) = rules else { return default };
        let policies = rules.policies.iter().flatten().map(PolicyJson::policy).collect::<Vec<_>>();
        ScalingRules {
            stabilization: rules.stabilization_window_seconds.map(seconds),
            policies: if policies.is_empty() { default.policies } else { policies },
            select: match rules.select_policy.as_deref() {
                Some("Disabled") => SelectPolicy::Disabled,
                Some("Min") => SelectPolicy::Min,
                _ => SelectPolicy::Max,
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BehaviorJson {
    scale_up: Option<RulesJson>,
    scale_down: Option<RulesJson>,
}

impl BehaviorJson {
    pub(super) fn behavior(&self) -> Behavior {
        Behavior {
            scale_up: RulesJson::rules(self.scale_up.as_ref(), ScalingRules::up()),
            scale_down: RulesJson::rules(self.scale_down.as_ref(), ScalingRules::down()),
        }
    }
}
