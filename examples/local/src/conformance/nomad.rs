//! The Nomad Autoscaler.

use std::collections::BTreeMap;

use planner_peers::nomad::{Action, Direction, NomadError, Vote, check, strategy, winner};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Vector;

/// What comes out; `None` for a kind that is not implemented.
pub(super) fn run(vector: &Vector) -> Option<Result<Value, serde_json::Error>> {
    match vector.kind.as_str() {
        "policy_evaluation" => Some(policy_evaluation(vector)),
        "strategy_run" => Some(strategy_run(vector)),
        _ => None,
    }
}

/// A strategy with what it is given.
#[derive(Deserialize)]
struct Question {
    strategy: String,
    config: BTreeMap<String, String>,
    /// Oldest first.
    metric_values: Vec<f64>,
}

impl Question {
    fn run(&self, count: i64) -> Result<Option<Action>, NomadError> {
        let config: Vec<_> = self.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        strategy::run(&self.strategy, &config, &self.metric_values, count)
    }
}

#[derive(Deserialize)]
struct StrategyRun {
    #[serde(flatten)]
    question: Question,
    current_count: i64,
}

fn strategy_run(vector: &Vector) -> Result<Value, serde_json::Error> {
    let StrategyRun { question, current_count } = StrategyRun::deserialize(&vector.input)?;
    Ok(match question.run(current_count) {
        Err(error) => json!({ "error": coded(&error) }),
        Ok(None) => json!({ "error": null, "evaluation": null }),
        Ok(Some(action)) => {
            let mut evaluation = outcome(&action);
            evaluation["reason"] = json!(action.to_string());
            json!({ "error": null, "evaluation": evaluation })
        }
    })
}

#[derive(Deserialize)]
struct Policy {
    checks: Vec<Member>,
    current_count: i64,
    min: i64,
    max: i64,
}

/// A check with what it has to vote for.
#[derive(Deserialize)]
struct Member {
    #[serde(flatten)]
    question: Question,
    group: String,
    expected: Value,
}

/// The winner; with it the actions of the single checks, which the vector expects inside its input.
fn policy_evaluation(vector: &Vector) -> Result<Value, serde_json::Error> {
    let Policy { checks, current_count, min, max } = Policy::deserialize(&vector.input)?;
    let mut votes = Vec::new();
    for (index, member) in checks.iter().enumerate() {
        let action = check::ballot(member.question.run(current_count), min, max);
        let got = json!({
            "count_after_cap": action.count,
            "direction": action.direction.as_str(),
            "reason": action.to_string(),
        });
        if let Some(difference) = super::difference("", &member.expected, &got) {
            let told = format!("check {index}: {difference}");
            return Err(serde::de::Error::custom(told));
        }
        votes.push(Vote { group: &member.group, action });
    }
    Ok(json!({ "winner": winner(&votes).as_ref().map(outcome) }))
}

/// Direction, and count where there is one.
fn outcome(action: &Action) -> Value {
    match action.direction {
        Direction::None => json!({ "direction": "none" }),
        direction => json!({ "direction": direction.as_str(), "count": action.count }),
    }
}

/// The vectors' code of an error; `field` where it is about one.
fn coded(error: &NomadError) -> Value {
    match error {
        NomadError::ConflictingFields { .. } => json!({ "code": "conflicting_fields" }),
        NomadError::InvalidValue { field, .. } => {
            json!({ "code": "invalid_value", "field": field })
        }
        NomadError::MissingRequiredField { .. } => json!({ "code": "missing_required_field" }),
        NomadError::NegativeValue { field, .. } => {
            json!({ "code": "negative_value", "field": field })
        }
        other => json!({ "code": other.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Results, check, run};

    #[test]
    fn the_projects_own_selection_passes() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/conformance/nomad");
        let results = run(&[own]).expect("readable");
        assert!(results.is_clean(), "{results}");
        let kinds: Vec<&str> = results.0.keys().map(String::as_str).collect();
        assert_eq!(kinds, ["nomad/policy_evaluation", "nomad/strategy_run"]);
    }

    #[test]
    fn a_wrong_action_of_a_single_check_is_told() {
        let vector = r#"{"id":"x-1","family":"nomad","kind":"policy_evaluation",
            "input":{"current_count":1,"max":9,"min":1,"checks":[
                {"strategy":"fixed-value","config":{"value":"3"},"group":"","metric_values":[],
                 "expected":{"count_after_cap":4,"direction":"up"}}]},
            "expected":{"winner":{"count":3,"direction":"up"}}}"#;
        let mut results = Results::default();
        check(&serde_json::from_str(vector).expect("a vector"), &mut results);
        assert!(!results.is_clean());
        let told = "input: check 0: .count_after_cap expected 4, got 3";
        assert_eq!(results.to_string(), format!("nomad/policy_evaluation 0/1\n  x-1: {told}\n"));
    }
}
