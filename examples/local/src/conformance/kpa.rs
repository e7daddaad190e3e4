//! The Knative Pod Autoscaler.
//!
//! All kinds are sequences: `input.steps` are taken one after the other, `expected.steps` holds
//! what each comes to.

use std::time::Duration;

use planner_core::Timestamp;
use planner_peers::kpa::{Aggregation, BucketWindow, DeciderState, Metric, Observed, Scale, Spec};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Value, json};

use super::Vector;

/// Relative difference up to which two averages are the same: what the vectors promise of theirs.
const AVERAGE_TOLERANCE: f64 = 1e-6;

/// What comes out; `None` for a kind that is not implemented.
pub(super) fn run(vector: &Vector) -> Option<Result<Value, serde_json::Error>> {
    match vector.kind.as_str() {
        "sampled_sequence" => Some(sampled_sequence(vector)),
        "scale_sequence" => Some(scale_sequence(vector)),
        "window_average" => Some(window_average(vector)),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Decider {
    scaling_metric: String,
    target_value: f64,
    total_value: f64,
    target_burst_capacity: f64,
    panic_threshold: f64,
    max_scale_up_rate: f64,
    max_scale_down_rate: f64,
    stable_window_s: u32,
    scale_down_delay_s: u32,
    reachable: bool,
    activation_scale: u32,
}

impl Decider {
    fn spec(&self) -> Result<Spec, serde_json::Error> {
        let metric = match self.scaling_metric.as_str() {
            "concurrency" => Metric::Concurrency,
            "rps" => Metric::RequestsPerSecond,
            other => return Err(unknown("scaling_metric", other)),
        };
        Ok(Spec {
            metric,
            target_per_replica: self.target_value,
            total_per_replica: self.total_value,
            target_burst_capacity: self.target_burst_capacity,
            panic_threshold: self.panic_threshold,
            max_scale_up_rate: self.max_scale_up_rate,
            max_scale_down_rate: self.max_scale_down_rate,
            stable_window: Duration::from_secs(self.stable_window_s.into()),
            scale_down_delay: Duration::from_secs(self.scale_down_delay_s.into()),
            reachable: self.reachable,
            activation_scale: self.activation_scale,
        })
    }
}

#[derive(Deserialize)]
struct Initial {
    panicking: bool,
    panic_age_s: Option<f64>,
    max_panic_pods: u32,
}

impl Initial {
    fn state(&self, origin: Timestamp) -> DeciderState {
        if self.panicking {
            let age = seconds(self.panic_age_s.unwrap_or(0.0));
            return DeciderState::panicking(origin.saturating_sub(age), self.max_panic_pods);
        }
        // More than one ready would start in panic, so this many start without.
        DeciderState::starting(origin, self.max_panic_pods.min(1))
    }
}

#[derive(Deserialize)]
struct ScaleInput {
    epoch_unix_s: u32,
    initial_state: Initial,
    /// Only published cases have one: the original's own tests allow it.
    #[serde(default)]
    expected_ebc_tolerance: f64,
    steps: Vec<ScaleStep>,
}

#[derive(Deserialize)]
struct ScaleStep {
    t_s: f64,
    ready_pods: Option<u32>,
    stable: Option<f64>,
    panic: Option<f64>,
    #[serde(default)]
    metrics_error: bool,
    /// Absent or false unless the ready pods could not be counted.
    #[serde(default)]
    ready_pods_error: Value,
    spec_update: Option<Decider>,
}

fn scale_sequence(vector: &Vector) -> Result<Value, serde_json::Error> {
    let input = ScaleInput::deserialize(&vector.input)?;
    let mut spec = Decider::deserialize(&vector.params)?.spec()?;
    let origin = unix(input.epoch_unix_s, 0.0);
    let mut state = input.initial_state.state(origin);
    let mut steps = Vec::new();
    for (index, step) in input.steps.iter().enumerate() {
        if let Some(update) = &step.spec_update {
            spec = update.spec()?;
        }
        let counted = matches!(step.ready_pods_error, Value::Null | Value::Bool(false));
        let observed = match (step.stable, step.panic) {
            (Some(stable), Some(panic)) if counted && !step.metrics_error => {
                Some(Observed { stable, panic })
            }
            _ => None,
        };
        let now = unix(input.epoch_unix_s, step.t_s);
        let scale = spec.scale(now, step.ready_pods.unwrap_or(0), observed, &mut state);
        let expected = &vector.expected["steps"][index]["excess_burst_capacity"];
        let excess = scale.map_or(0, |it| it.excess_burst_capacity);
        let allowed =
            |value: f64| (value - f64::from(excess)).abs() <= input.expected_ebc_tolerance;
        let excess =
            if expected.as_f64().is_some_and(allowed) { expected.clone() } else { json!(excess) };
        steps.push(outcome(scale, &excess, &state));
    }
    Ok(json!({ "steps": steps }))
}

/// What a step came to, by its names in the vectors.
fn outcome(scale: Option<Scale>, excess_burst_capacity: &Value, state: &DeciderState) -> Value {
    json!({
        "desired_pod_count": scale.map_or(0, |it| it.desired),
        "excess_burst_capacity": excess_burst_capacity,
        "scale_valid": scale.is_some(),
        "panicking": state.panicking_since().is_some(),
        "max_panic_pods": state.most_panic_replicas(),
    })
}

#[derive(Deserialize)]
struct Averaged {
    aggregation: String,
    granularity_s: f64,
    window_s: u32,
}

#[derive(Deserialize)]
struct Recorded {
    epoch_unix_s: u32,
    steps: Vec<RecordStep>,
}

#[derive(Deserialize)]
struct RecordStep {
    t_s: f64,
    value: f64,
    query_t_s: f64,
}

fn window_average(vector: &Vector) -> Result<Value, serde_json::Error> {
    let params = Averaged::deserialize(&vector.params)?;
    let input = Recorded::deserialize(&vector.input)?;
    if params.granularity_s != 1.0 {
        return Err(unknown("granularity_s", &params.granularity_s.to_string()));
    }
    let mut window = BucketWindow::new(params.window_s, aggregation(&params.aggregation)?);
    let mut steps = Vec::new();
    for (index, step) in input.steps.iter().enumerate() {
        window.record(unix(input.epoch_unix_s, step.t_s), step.value);
        let average = window.average(unix(input.epoch_unix_s, step.query_t_s));
        let expected = &vector.expected["steps"][index]["window_average"];
        steps.push(json!({
            "window_average": near(expected, average.unwrap_or(0.0)),
            "empty": average.is_none(),
        }));
    }
    Ok(json!({ "steps": steps }))
}

#[derive(Deserialize)]
struct Sampling {
    aggregation: String,
    panic_window_s: u32,
    sample_interval_s: f64,
}

#[derive(Deserialize)]
struct Sampled {
    epoch_unix_s: u32,
    initial_state: Initial,
    samples: Vec<f64>,
    steps: Vec<TickStep>,
}

#[derive(Deserialize)]
struct TickStep {
    t_s: f64,
    ready_pods: u32,
}

fn sampled_sequence(vector: &Vector) -> Result<Value, serde_json::Error> {
    let sampling = Sampling::deserialize(&vector.params)?;
    let decider = Decider::deserialize(&vector.params)?;
    let input = Sampled::deserialize(&vector.input)?;
    let (spec, aggregation) = (decider.spec()?, aggregation(&sampling.aggregation)?);
    let mut stable = BucketWindow::new(decider.stable_window_s, aggregation);
    let mut panic = BucketWindow::new(sampling.panic_window_s, aggregation);
    let mut state = input.initial_state.state(unix(input.epoch_unix_s, 0.0));
    let times = (0..).map(|index| f64::from(index) * sampling.sample_interval_s);
    let mut samples = times.zip(&input.samples).peekable();
    let mut steps = Vec::new();
    for (index, step) in input.steps.iter().enumerate() {
        while let Some((t_s, value)) = samples.next_if(|(t_s, _)| *t_s <= step.t_s) {
            stable.record(unix(input.epoch_unix_s, t_s), *value);
            panic.record(unix(input.epoch_unix_s, t_s), *value);
        }
        let now = unix(input.epoch_unix_s, step.t_s);
        let observed = stable
            .average(now)
            .map(|stable| Observed { stable, panic: panic.average(now).unwrap_or(0.0) });
        let scale = spec.scale(now, step.ready_pods, observed, &mut state);
        let excess = json!(scale.map_or(0, |it| it.excess_burst_capacity));
        let mut outcome = outcome(scale, &excess, &state);
        let expected = &vector.expected["steps"][index];
        outcome["empty"] = json!(observed.is_none());
        for (name, value) in [
            ("stable", observed.map_or(0.0, |it| it.stable)),
            ("panic", observed.map_or(0.0, |it| it.panic)),
        ] {
            outcome[name] = near(&expected[name], value);
        }
        steps.push(outcome);
    }
    Ok(json!({ "steps": steps }))
}

fn aggregation(name: &str) -> Result<Aggregation, serde_json::Error> {
    match name {
        "linear" => Ok(Aggregation::Linear),
        "weighted-exponential" => Ok(Aggregation::WeightedExponential),
        other => Err(unknown("aggregation", other)),
    }
}

/// The expected average where `got` is within what the vectors promise of it, else `got`.
fn near(expected: &Value, got: f64) -> Value {
    match expected.as_f64() {
        Some(value) if (value - got).abs() <= AVERAGE_TOLERANCE * value.abs() => expected.clone(),
        _ => json!(got),
    }
}

fn unknown(field: &str, value: &str) -> serde_json::Error {
    serde_json::Error::custom(format!("{field}: {value} is not known"))
}

/// `t_s` after the epoch of a vector, as Unix time: buckets are aligned to it.
fn unix(epoch_unix_s: u32, t_s: f64) -> Timestamp {
    Timestamp::from_origin(Duration::from_secs(epoch_unix_s.into())).saturating_add(seconds(t_s))
}

fn seconds(span_s: f64) -> Duration {
    Duration::try_from_secs_f64(span_s).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use planner_core::policy::Policy;
    use planner_peers::kpa::{Kpa, KpaState, Sample, StoredWindowError};

    use super::*;

    #[test]
    fn the_projects_own_selection_passes() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/conformance/kpa");
        let results = super::super::run(&[own]).expect("readable");
        assert!(results.is_clean(), "{results}");
        assert_eq!(results.0.len(), 3, "{results}");
    }

    #[test]
    fn a_wrong_expectation_fails_beyond_the_tolerance_of_averages() {
        assert_eq!(near(&json!(2), 2.000_001), json!(2));
        assert_eq!(near(&json!(2), 2.000_003), json!(2.000_003));
        assert_eq!(near(&json!(0), 1e-9), json!(1e-9));
    }

    #[test]
    fn what_the_policy_remembers_is_restored_to_the_bit() {
        let spec = Spec { scale_down_delay: Duration::from_secs(30), ..Spec::default() };
        let kpa = Kpa::new(spec).expect("valid").with_aggregation(Aggregation::WeightedExponential);
        let mut state = kpa.initial_state();
        for second in 0..100 {
            let sample = Sample::new(f64::from(second) * 0.1).expect("a sample");
            kpa.absorb(unix(second, 0.0), sample, &mut state);
        }
        let stored = serde_json::to_string(&state).expect("stored");
        assert_eq!(serde_json::from_str::<KpaState>(&stored).expect("restored"), state);
    }

    #[test]
    fn what_cannot_be_a_window_is_refused_when_it_is_read() {
        for aggregation in [Aggregation::Linear, Aggregation::WeightedExponential] {
            let window = serde_json::to_string(&BucketWindow::new(2, aggregation)).expect("stored");
            assert!(window.contains(r#""slots":[0.0,0.0],"head":0"#), "{window}");
            for broken in [r#""slots":[],"head":0"#, r#""slots":[0.0,0.0],"head":2"#] {
                let broken = window.replace(r#""slots":[0.0,0.0],"head":0"#, broken);
                let refused = serde_json::from_str::<BucketWindow>(&broken).expect_err("refused");
                assert_eq!(refused.to_string(), StoredWindowError::Buckets.to_string());
            }
        }
    }
}
