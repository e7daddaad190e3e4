//! The proof of concept: its pure functions, its planner and its executor.

mod executor;
mod stream;
mod value;

use planner_core::policy::{PocInput, PocSettings};
use planner_core::stats::{SIGMA_PER_MAD, mad, median, percentile};
use planner_core::{ReplicaBounds, Thresholds};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Vector;

/// What comes out; `None` for a kind that is not implemented.
pub(super) fn run(vector: &Vector) -> Option<Result<Value, serde_json::Error>> {
    match vector.kind.as_str() {
        "alert_stream" => Some(stream::run(vector)),
        "executor_results" => Some(executor::run(vector)),
        "heuristic" => Some(heuristic(vector)),
        "percentile95" => Some(percentile95(vector)),
        "robust_stats" => Some(robust_stats(vector)),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Samples {
    samples_ms: Vec<f64>,
}

fn robust_stats(vector: &Vector) -> Result<Value, serde_json::Error> {
    let Samples { samples_ms } = Samples::deserialize(&vector.input)?;
    let baseline_ms = median(&samples_ms).unwrap_or(0.0);
    let sigma_ms = SIGMA_PER_MAD * mad(&samples_ms, baseline_ms).unwrap_or(0.0);
    Ok(json!({ "baseline_ms": baseline_ms, "sigma_ms": sigma_ms }))
}

#[derive(Deserialize)]
struct Measured {
    latencies_ms: Vec<f64>,
}

fn percentile95(vector: &Vector) -> Result<Value, serde_json::Error> {
    let Measured { mut latencies_ms } = Measured::deserialize(&vector.input)?;
    latencies_ms.sort_unstable_by(f64::total_cmp);
    Ok(json!({ "p95_ms": percentile(&latencies_ms, 0.95).unwrap_or(0.0) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Params {
    alpha_up: f64,
    beta_down: f64,
    min_replicas: i64,
    max_replicas: i64,
    low_need_n: usize,
}

#[derive(Deserialize)]
struct Input {
    p95_ms: f64,
    baseline_ms: f64,
    sigma_ms: f64,
    replicas: i64,
    have_baseline: bool,
    low_windows: Vec<bool>,
}

fn heuristic(vector: &Vector) -> Result<Value, serde_json::Error> {
    let params = Params::deserialize(&vector.params)?;
    let input = Input::deserialize(&vector.input)?;
    let thresholds =
        Thresholds { up_ratio: params.alpha_up, down_ratio: params.beta_down, up_z: 6.0 };
    let any = ReplicaBounds::new(0, 1).map_err(serde::de::Error::custom)?;
    let mut settings = PocSettings::new(thresholds, any, params.low_need_n);
    // Its own settings were never checked: vectors may hold bounds that ours refuse.
    settings.min_replicas = params.min_replicas;
    settings.max_replicas = params.max_replicas;
    let input = PocInput {
        p95_ms: input.p95_ms,
        baseline_ms: input.baseline_ms,
        sigma_ms: input.sigma_ms,
        replicas: input.replicas,
        have_baseline: input.have_baseline,
        low_windows: &input.low_windows,
    };
    let (band, verdict) = (PocSettings::band(&input), settings.decide(&input));
    let mut state_key = vec![json!(band), json!(input.replicas)];
    if band != "init" {
        state_key.push(json!(input.low_windows));
    }
    Ok(json!({
        "near_baseline": settings.is_near(&input),
        "state_key": state_key,
        "decision": {
            "action": verdict.action.as_str(),
            "target": "app",
            "reason": verdict.reason,
        },
    }))
}
