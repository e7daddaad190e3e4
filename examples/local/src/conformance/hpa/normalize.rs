//! Stabilisation, rates and the log of scalings, one at a time.

use planner_peers::hpa::behavior::Recent;
use planner_peers::hpa::events::{ScaleEvent, ScaleEvents};
use planner_peers::hpa::stabilization::{Recommendation, Stabilization};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Vector;
use super::observed::{BehaviorJson, NOW, ParamsJson, PolicyJson, ago, seconds};
use super::unless_unchecked;

#[derive(Deserialize)]
pub(super) struct RecommendationJson {
    age_s: u64,
    replicas: u32,
}

/// The log as of [`NOW`].
pub(super) fn recommendations(log: &[RecommendationJson]) -> Vec<Recommendation> {
    log.iter().map(|it| Recommendation { at: ago(it.age_s), replicas: it.replicas }).collect()
}

fn recommendations_json(log: &[Recommendation]) -> Value {
    let one = |it: &Recommendation| {
        let age_s = NOW.saturating_since(it.at).as_secs();
        json!({ "age_s": age_s, "replicas": it.replicas })
    };
    log.iter().map(one).collect()
}

#[derive(Deserialize)]
struct Stabilize {
    #[serde(default)]
    current_replicas: u32,
    prenormalized_desired_replicas: u32,
    recommendations: Vec<RecommendationJson>,
}

impl Stabilize {
    fn run(&self, vector: &Vector, stabilization: Stabilization) -> Value {
        let (current, desired) = (self.current_replicas, self.prenormalized_desired_replicas);
        let mut log = recommendations(&self.recommendations);
        let replicas = stabilization.stabilize(NOW, &log, current, desired);
        stabilization.record(NOW, &mut log, desired);
        let reason = stabilization.reason(current, desired);
        json!({
            "replicas": replicas,
            "reason_if_changed": reason.as_str(),
            "recommendation_count": log.len(),
            "recommendations":
                unless_unchecked(vector, "recommendations", recommendations_json(&log)),
        })
    }
}

pub(super) fn stabilize_legacy(vector: &Vector) -> Result<Value, serde_json::Error> {
    let settings = ParamsJson::deserialize(&vector.params)?.settings();
    let legacy = Stabilization::Legacy { down: settings.downscale_stabilization };
    Ok(Stabilize::deserialize(&vector.input)?.run(vector, legacy))
}

#[derive(Deserialize)]
struct Windows {
    scale_up_stabilization_s: u64,
    scale_down_stabilization_s: u64,
}

pub(super) fn stabilize_with_behavior(vector: &Vector) -> Result<Value, serde_json::Error> {
    let windows = Windows::deserialize(&vector.params)?;
    let rules = Stabilization::Rules {
        up: seconds(windows.scale_up_stabilization_s),
        down: seconds(windows.scale_down_stabilization_s),
    };
    Ok(Stabilize::deserialize(&vector.input)?.run(vector, rules))
}

#[derive(Deserialize)]
struct EventJson {
    age_s: u64,
    replica_change: u32,
    outdated: bool,
}

fn events(log: &[EventJson]) -> ScaleEvents {
    let event = |it: &EventJson| ScaleEvent {
        at: ago(it.age_s),
        replica_change: it.replica_change,
        outdated: it.outdated,
    };
    ScaleEvents::new(log.iter().map(event).collect())
}

#[derive(Deserialize)]
struct Limit {
    current_replicas: u32,
    desired_replicas: u32,
    min_replicas: u32,
    max_replicas: u32,
    behavior: Option<BehaviorJson>,
    #[serde(default)]
    scale_up_events: Vec<EventJson>,
    #[serde(default)]
    scale_down_events: Vec<EventJson>,
}

pub(super) fn convert_legacy_rules(vector: &Vector) -> Result<Value, serde_json::Error> {
    let settings = ParamsJson::deserialize(&vector.params)?.settings();
    let it = Limit::deserialize(&vector.input)?;
    let bounds = (it.min_replicas, it.max_replicas);
    let limited = settings.scale_up_limit.limit(it.current_replicas, it.desired_replicas, bounds);
    Ok(json!({
        "replicas": limited.replicas,
        "condition_reason": limited.reason.as_str(),
    }))
}

pub(super) fn behavior_rate_limit(vector: &Vector) -> Result<Value, serde_json::Error> {
    let it = Limit::deserialize(&vector.input)?;
    let behavior = it.behavior.as_ref().map(BehaviorJson::behavior).unwrap_or_default();
    let (up, down) = (events(&it.scale_up_events), events(&it.scale_down_events));
    let recent = Recent { now: NOW, up: &up, down: &down };
    let bounds = (it.min_replicas, it.max_replicas);
    let limited = behavior.limit(it.current_replicas, it.desired_replicas, bounds, recent);
    Ok(json!({
        "replicas": limited.replicas,
        "condition_reason": limited.reason.as_str(),
        "scale_up_limit": behavior.scale_up_limit(it.current_replicas, recent),
        "scale_down_limit": behavior.scale_down_limit(it.current_replicas, recent),
    }))
}

#[derive(Deserialize)]
struct Store {
    policies: Vec<PolicyJson>,
    previous_events: Vec<EventJson>,
    replica_change: u32,
}

pub(super) fn store_scale_event(vector: &Vector) -> Result<Value, serde_json::Error> {
    let it = Store::deserialize(&vector.input)?;
    let longest = it.policies.iter().map(|it| it.policy().period).max().unwrap_or_default();
    let mut log = events(&it.previous_events);
    let before = log.change_within(NOW, seconds(60));
    log.store(NOW, longest, it.replica_change);
    let event = |it: &ScaleEvent| {
        json!({
            "age_s": NOW.saturating_since(it.at).as_secs(),
            "replica_change": it.replica_change,
            "outdated": it.outdated,
        })
    };
    Ok(json!({
        "events": log.slots().iter().map(event).collect::<Value>(),
        "replicas_changed_in_last_60s_before": before,
    }))
}
