//! Its executor over a few containers.

use planner_peers::poc::{Executor, Value as Its};
use serde::Deserialize;
use serde_json::{Value, json};

use super::value;
use crate::conformance::Vector;

/// The image of every container of the vectors.
const IMAGE: &str = "agentic/cpu-app:latest";
/// The clock when the first message comes; it goes on by a second for each.
const FIRST_S: f64 = 1_700_000_001.25;
/// The number of the first replica beside the base container.
const FIRST_REPLICA: u64 = 1_699_999_000;

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "MAX_REPLICAS")]
    max_replicas: usize,
    /// The base container and its replicas.
    containers: u64,
    target_labelled: bool,
    actions_messages: Vec<String>,
}

/// What it publishes, and the containers that are left.
pub(super) fn run(vector: &Vector) -> Result<Value, serde_json::Error> {
    let input = Input::deserialize(&vector.input)?;
    let mut executor = Executor::new(input.max_replicas, IMAGE);
    if input.containers > 0 {
        executor = executor.with_container("app", input.target_labelled);
    }
    for replica in 1..input.containers {
        let name = format!("app-dup-{}", FIRST_REPLICA + replica - 1);
        executor = executor.with_container(name, false);
    }
    let mut published = Vec::new();
    for (index, action) in input.actions_messages.iter().enumerate() {
        if let Some(outcome) = executor.take(FIRST_S + index as f64, action) {
            let message = value::message(&Its::from(&outcome));
            published.push(json!({ "channel": "results", "message": message }));
        }
    }
    let containers_after: Vec<&str> = executor.containers().collect();
    Ok(json!({ "published": published, "containers_after": containers_after }))
}
