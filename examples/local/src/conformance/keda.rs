//! KEDA.
//!
//! Several steps in a row are `input.steps`, what comes out of each is `expected.steps`.

use std::collections::BTreeMap;
use std::time::Duration;

use planner_core::Timestamp;
use planner_peers::keda::activation::{self, Activation, Hold, Poll};
use planner_peers::keda::fallback::{self, Behavior, Fallback, Reading, Replicas};
use planner_peers::keda::formula::{EvaluationError, Formula};
use planner_peers::keda::{KedaError, Target, quantity};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Error, Value, json};

use super::Vector;

/// Seconds since the origin at which every poll is: 126 years, older than any cooldown.
const NOW_S: u64 = 4_000_000_000;

/// What comes out; `None` for a kind that is not implemented.
pub(super) fn run(vector: &Vector) -> Option<Result<Value, Error>> {
    match vector.kind.as_str() {
        "activation" => Some(activate(vector)),
        "activation_threshold" => Some(activation_threshold(vector)),
        "fallback_sequence" => Some(fallback_sequence(vector)),
        "metric_to_quantity" => Some(metric_to_quantity(vector)),
        "scaling_modifiers_formula" => Some(formula(vector)),
        "scaling_modifiers_trigger_value" => Some(trigger_value(vector)),
        _ => None,
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FallbackSpec {
    failure_threshold: i64,
    replicas: i64,
    #[serde(default)]
    behavior: BehaviorSpec,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum BehaviorSpec {
    CurrentReplicas,
    CurrentReplicasIfHigher,
    CurrentReplicasIfLower,
    ScalingModifiers,
    Static,
    #[default]
    #[serde(rename = "")]
    Unset,
}

impl FallbackSpec {
    /// The fallback; one with a negative number never counts.
    fn fallback(self) -> Option<Fallback> {
        let behavior = match self.behavior {
            BehaviorSpec::CurrentReplicas => Behavior::CurrentReplicas,
            BehaviorSpec::CurrentReplicasIfHigher => Behavior::CurrentReplicasIfHigher,
            BehaviorSpec::CurrentReplicasIfLower => Behavior::CurrentReplicasIfLower,
            BehaviorSpec::ScalingModifiers => Behavior::ScalingModifiers,
            BehaviorSpec::Static | BehaviorSpec::Unset => Behavior::Static,
        };
        let failure_threshold = u32::try_from(self.failure_threshold).ok()?;
        Some(Fallback { failure_threshold, replicas: u32::try_from(self.replicas).ok()?, behavior })
    }
}

#[derive(Clone, Copy, Deserialize)]
enum MetricType {
    AverageValue,
    Value,
}

impl MetricType {
    fn target(self, value: f64) -> Result<Target, Error> {
        let target = match self {
            Self::AverageValue => Target::average_value(value),
            Self::Value => Target::total_value(value),
        };
        target.map_err(|refused: KedaError| Error::custom(refused))
    }
}

#[derive(Deserialize)]
struct SequenceParams {
    fallback: Option<FallbackSpec>,
    target_type: MetricType,
    target_value_milli: i64,
    scaling_modifiers: Option<ModifiersSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModifiersSpec {
    metric_type: MetricType,
    target: String,
}

impl SequenceParams {
    /// The fallback with its target; `None` where KEDA finds them not valid and tracks nothing:
    /// with modifiers only a whole target above zero is.
    fn tracked(&self) -> Result<Option<(Fallback, Target)>, Error> {
        let Some(fallback) = self.fallback.and_then(FallbackSpec::fallback) else {
            return Ok(None);
        };
        let target = match &self.scaling_modifiers {
            None => self.target_type.target(self.target_value_milli as f64 / 1_000.0)?,
            Some(modifiers) => match modifiers.target.parse::<i32>() {
                Ok(whole @ 1..) => modifiers.metric_type.target(f64::from(whole))?,
                _ => return Ok(None),
            },
        };
        Ok(Some((fallback, target)))
    }
}

#[derive(Deserialize)]
struct SequenceInput {
    #[serde(default)]
    initial_number_of_failures: Option<u32>,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Deserialize)]
struct Step {
    trigger_failed: bool,
    #[serde(default)]
    metric_value_milli: Option<i64>,
    current_replicas: u32,
    ready_replicas: u32,
}

fn fallback_sequence(vector: &Vector) -> Result<Value, Error> {
    let params = SequenceParams::deserialize(&vector.params)?;
    let input = SequenceInput::deserialize(&vector.input)?;
    let tracked = params.tracked()?;
    let mut failures = input.initial_number_of_failures.unwrap_or(0);
    let mut steps = Vec::new();
    for step in input.steps {
        let measured = step.metric_value_milli.filter(|_| !step.trigger_failed);
        let Some((fallback, target)) = tracked else {
            let reading = measured.map_or(Reading::Failed, Reading::Measured);
            steps.push(told(reading, false, None, ""));
            continue;
        };
        failures = fallback::failures_after(failures, step.trigger_failed);
        let replicas = Replicas { current: step.current_replicas, ready: step.ready_replicas };
        let reading = fallback.reading(target, replicas, measured, failures);
        let condition = if fallback.is_exceeded(failures) { "True" } else { "False" };
        let is_composite = params.scaling_modifiers.is_some();
        steps.push(told(reading, is_composite, Some(failures), condition));
    }
    Ok(json!({ "steps": steps }))
}

fn told(reading: Reading, is_composite: bool, failures: Option<u32>, condition: &str) -> Value {
    let (is_active, value_milli) = match reading {
        Reading::Measured(milli) => (false, Some(milli)),
        Reading::Substitute(milli) => (true, Some(milli)),
        // Nil and whatever else has no value.
        _ => (false, None),
    };
    json!({
        "fallback_active": is_active,
        "fallback_condition": condition,
        "error": reading == Reading::Failed,
        "metric_is_composite": is_composite && is_active,
        "metric_value_milli": value_milli,
        "number_of_failures": failures,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActivationParams {
    min_replica_count: Option<u32>,
    idle_replica_count: Option<u32>,
    cooldown_period: Option<u64>,
    initial_cooldown_period: Option<u64>,
    fallback: Option<FallbackSpec>,
    annotations: Annotations,
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "as the vectors have it")]
struct Annotations {
    force_activation: bool,
    paused: bool,
    paused_scale_in: bool,
    paused_scale_out: bool,
}

#[derive(Deserialize)]
struct ActivationInput {
    current_replicas: u32,
    is_active: bool,
    is_error: bool,
    last_active_age_s: Option<f64>,
    creation_age_s: f64,
}

fn activate(vector: &Vector) -> Result<Value, Error> {
    let params = ActivationParams::deserialize(&vector.params)?;
    let input = ActivationInput::deserialize(&vector.input)?;
    let now = Timestamp::from_origin(Duration::from_secs(NOW_S));
    let ago = |age_s: f64| {
        Duration::try_from_secs_f64(age_s).map(|age| now.saturating_sub(age)).map_err(Error::custom)
    };
    let default = Activation::default();
    let seconds = |given: Option<u64>, default| given.map_or(default, Duration::from_secs);
    let rule = Activation {
        min_replicas: params.min_replica_count.unwrap_or(0),
        idle_replicas: params.idle_replica_count,
        cooldown: seconds(params.cooldown_period, default.cooldown),
        initial_cooldown: seconds(params.initial_cooldown_period, default.initial_cooldown),
        // Here any number but zero counts, a negative one too.
        fallback_replicas: params.fallback.map(|spec| u32::from(spec.replicas != 0)),
        hold: Hold {
            force_activation: params.annotations.force_activation,
            paused: params.annotations.paused,
            paused_scale_in: params.annotations.paused_scale_in,
            paused_scale_out: params.annotations.paused_scale_out,
        },
    };
    let verdict = rule.judge(&Poll {
        now,
        created: ago(input.creation_age_s)?,
        last_active: input.last_active_age_s.map(ago).transpose()?,
        current: input.current_replicas,
        is_active: input.is_active,
        is_error: input.is_error,
    });
    Ok(json!({
        "set_replicas": verdict.replicas,
        "last_active_time_updated": verdict.marks_activity,
        "active_condition": verdict.active.map(activation::Active::condition),
        "ready_status": verdict.ready.status(),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThresholdParams {
    activation_threshold: f64,
}

#[derive(Deserialize)]
struct ThresholdInput {
    metric_value: f64,
}

fn activation_threshold(vector: &Vector) -> Result<Value, Error> {
    let ThresholdParams { activation_threshold } = ThresholdParams::deserialize(&vector.params)?;
    let ThresholdInput { metric_value } = ThresholdInput::deserialize(&vector.input)?;
    Ok(json!({ "is_active": activation::is_active(metric_value, activation_threshold) }))
}

#[derive(Deserialize)]
struct QuantityInput {
    value: f64,
}

fn metric_to_quantity(vector: &Vector) -> Result<Value, Error> {
    let QuantityInput { value } = QuantityInput::deserialize(&vector.input)?;
    Ok(json!({ "quantity_decimal": quantity::decimal(value) }))
}

#[derive(Deserialize)]
struct TriggerParams {
    fallback: Option<FallbackSpec>,
}

#[derive(Deserialize)]
struct TriggerInput {
    metric_value_milli: i64,
    number_of_failures: Option<u32>,
}

fn trigger_value(vector: &Vector) -> Result<Value, Error> {
    let TriggerParams { fallback } = TriggerParams::deserialize(&vector.params)?;
    let input = TriggerInput::deserialize(&vector.input)?;
    let is_nil = fallback.and_then(FallbackSpec::fallback).is_some_and(|fallback| {
        fallback.behavior == Behavior::ScalingModifiers
            && input.number_of_failures.is_some_and(|failures| fallback.is_exceeded(failures))
    });
    let value = (!is_nil).then_some(input.metric_value_milli as f64 / 1_000.0);
    Ok(json!({ "trigger_value": value }))
}

#[derive(Deserialize)]
struct FormulaParams {
    formula: String,
    #[serde(default)]
    fallback_replicas: Option<f64>,
    #[serde(default)]
    target: Option<String>,
}

#[derive(Deserialize)]
struct FormulaInput {
    trigger_values: BTreeMap<String, Option<f64>>,
}

fn formula(vector: &Vector) -> Result<Value, Error> {
    let params = FormulaParams::deserialize(&vector.params)?;
    let FormulaInput { trigger_values } = FormulaInput::deserialize(&vector.input)?;
    let formula = Formula::parse(&params.formula).map_err(Error::custom)?;
    let value = formula.evaluate(|name| trigger_values.get(name).copied().flatten());
    let milli = match value {
        Ok(Some(value)) => quantity::milli_truncated(value).unwrap_or(i64::MIN),
        Ok(None) => {
            let target = params.target.as_deref().unwrap_or("").parse::<f64>();
            let aim = target.map_err(Error::custom)? * params.fallback_replicas.unwrap_or(0.0);
            quantity::milli_truncated(aim).unwrap_or(i64::MIN)
        }
        // What no integer can hold its processors turn into the least one; ours is an error.
        Err(EvaluationError::NotFinite { .. }) => i64::MIN,
        Err(error) => return Err(Error::custom(error)),
    };
    Ok(json!({ "composite_metric_milli": milli }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::run;

    #[test]
    fn the_projects_own_selection_passes() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/conformance/keda");
        let results = run(&[own]).expect("readable");
        assert!(results.is_clean(), "{results}");
        let kinds: Vec<&str> = results.0.keys().map(String::as_str).collect();
        assert_eq!(
            kinds,
            [
                "keda/activation",
                "keda/fallback_sequence",
                "keda/metric_to_quantity",
                "keda/scaling_modifiers_formula",
            ],
        );
    }
}
