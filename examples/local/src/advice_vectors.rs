//! Vectors of advice: a model's text with what has to be made of it, and replies of providers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use planner_core::{ConfigError, ReplicaBounds, Thresholds};
use planner_llm::{Asked, Class, Heard, Provider, RawReply, read, sort};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

/// Differences that are kept.
const DIFFERENCES_KEPT: usize = 5;
/// The longest wait that is one, where no setting says so: that of `LLM_BACKOFF_MAX_SEC`.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// One vector.
#[derive(Clone, Debug, Deserialize)]
pub struct Vector {
    /// Its name.
    pub name: String,
    /// What the model wrote.
    pub text: String,
    /// What it was asked about.
    pub state: State,
    /// What has to come out.
    pub expect: Value,
}

/// What a model was asked about.
#[derive(Clone, Debug, Deserialize)]
pub struct State {
    service: String,
    current: u32,
    min: u32,
    max: u32,
    max_step: u32,
    active: Thresholds,
    operator: Thresholds,
    finish: String,
}

impl Default for State {
    /// Four of two to ten replicas, the default thresholds, and a model that ended by itself.
    fn default() -> Self {
        let thresholds = Thresholds { up_ratio: 8.0, down_ratio: 1.1, up_z: 6.0 };
        Self {
            service: String::from("app"),
            current: 4,
            min: 2,
            max: 10,
            max_step: 2,
            active: thresholds,
            operator: thresholds,
            finish: String::from("stop"),
        }
    }
}

impl State {
    fn asked(&self) -> Result<Asked, ConfigError> {
        Ok(Asked {
            service: self.service.clone(),
            current: self.current,
            bounds: ReplicaBounds::new(self.min, self.max)?,
            max_step: self.max_step,
            active: self.active,
            operator: self.operator,
        })
    }
}

/// How the vectors went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Vectors that came out as expected.
    pub passed: usize,
    /// All of them.
    pub total: usize,
    /// The first that did not.
    pub differences: Vec<String>,
}

/// Runs every vector of these files.
///
/// # Errors
///
/// [`AdviceVectorError`] when a file cannot be read, is no list of vectors, or is empty.
pub fn run(paths: &[PathBuf]) -> Result<Tally, AdviceVectorError> {
    let mut tally = Tally::default();
    for path in paths {
        let text = read_file(path)?;
        let vectors: Vec<Vector> = serde_json::from_slice(&text)
            .map_err(|cause| AdviceVectorError::format(path, &cause.to_string()))?;
        for vector in vectors {
            let asked = vector.state.asked();
            let asked =
                asked.map_err(|cause| AdviceVectorError::format(path, &cause.to_string()))?;
            tally.total += 1;
            let got = verdict(&vector.text, &vector.state.finish, &asked);
            if is_same(&got, &vector.expect) {
                tally.passed += 1;
            } else if tally.differences.len() < DIFFERENCES_KEPT {
                let Vector { name, expect, .. } = &vector;
                tally.differences.push(format!("{name}: {got}, expected {expect}"));
            }
        }
    }
    if tally.total == 0 {
        return Err(AdviceVectorError::None);
    }
    Ok(tally)
}

/// What is made of a text, in the form of the vectors.
fn verdict(text: &str, finish: &str, asked: &Asked) -> Value {
    match read(text, finish, asked) {
        Ok(answer) => {
            let notes: Vec<&str> = answer.notes.iter().map(|note| note.as_str()).collect();
            json!({"accept": answer.to_json(), "notes": notes})
        }
        Err(refused) => json!({"reject": refused.to_string()}),
    }
}

/// Whether two verdicts are the same: notes are a set, and numbers are numbers.
fn is_same(got: &Value, expected: &Value) -> bool {
    let notes = |verdict: &Value| {
        let notes = verdict.get("notes").and_then(Value::as_array);
        let words = notes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        words.collect::<BTreeSet<_>>()
    };
    let same = |field: &str| match (got.get(field), expected.get(field)) {
        (Some(one), Some(other)) => is_equal(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    same("accept") && same("reject") && notes(got) == notes(expected)
}

fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs().max(1.0),
            _ => false,
        },
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| {
                    other.get(name).is_some_and(|other| is_equal(value, other))
                })
        }
        _ => one == other,
    }
}

/// A provider's reply in a file, as `{class, wait_s, verdict}`.
///
/// # Errors
///
/// [`AdviceVectorError`] when the file cannot be read.
pub fn reply(
    provider: Provider,
    status: u16,
    headers: &[(String, String)],
    path: &Path,
) -> Result<Value, AdviceVectorError> {
    let body = read_file(path)?;
    let raw = RawReply { status, headers, body: &body, at: SystemTime::now() };
    Ok(match sort(provider, &raw, WAIT_MAX) {
        Heard::Text(text) => {
            let asked = State::default()
                .asked()
                .map_err(|cause| AdviceVectorError::format(path, &cause.to_string()))?;
            let verdict = verdict(&text.text, &text.finish, &asked);
            let is_refused = verdict.get("reject").is_some();
            let class = if is_refused { Class::Rejected } else { Class::Answer };
            json!({"class": class.to_string(), "wait_s": null, "verdict": verdict})
        }
        Heard::Fault(fault) => {
            let wait_s = fault.wait.map(|wait| wait.as_secs_f64());
            let verdict = json!({"reject": fault.code});
            json!({"class": fault.class.to_string(), "wait_s": wait_s, "verdict": verdict})
        }
        _ => Value::Null,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, AdviceVectorError> {
    std::fs::read(path).map_err(|cause| AdviceVectorError::Read {
        path: path.to_owned(),
        cause: cause.to_string(),
    })
}

/// Why vectors cannot be run.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AdviceVectorError {
    /// Not what such a file holds.
    #[error("{path}: {cause}; name a file of vectors: a list of name, text, state and expect", path = path.display())]
    Format {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// There was nothing to run.
    #[error("no vector in these files; name a file that holds some")]
    None,
    /// It cannot be read.
    #[error("{path}: cannot be read: {cause}; check path and permissions", path = path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
}

impl AdviceVectorError {
    fn format(path: &Path, cause: &str) -> Self {
        Self::Format { path: path.to_owned(), cause: cause.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../adapters/llm/tests/data").join(name)
    }

    #[test]
    fn every_vector_comes_out_as_it_has_to() {
        let tally = run(&[data("vectors.json")]).expect("vectors");
        assert_eq!(tally.differences, Vec::<String>::new());
        assert_eq!((tally.passed, tally.total), (29, 29));
    }

    #[test]
    fn every_reply_of_a_provider_is_of_its_class() {
        #[derive(Deserialize)]
        struct Expected {
            provider: String,
            status: u16,
            class: String,
            wait_s: Option<f64>,
            answer: Option<Value>,
        }
        let text = std::fs::read(data("fixtures/expected.json")).expect("there");
        let all: std::collections::BTreeMap<String, Expected> =
            serde_json::from_slice(&text).expect("fixtures");
        assert_eq!(all.len(), 15);
        for (name, expected) in all {
            let provider = expected.provider.parse().expect("known");
            let path = data("fixtures").join(&name);
            let got = reply(provider, expected.status, &[], &path).expect("read");
            assert_eq!(got["class"], expected.class.as_str(), "{name}: {got}");
            if let Some(wait_s) = expected.wait_s {
                assert_eq!(got["wait_s"].as_f64(), Some(wait_s), "{name}: {got}");
            }
            if let Some(answer) = expected.answer {
                assert_eq!(got["verdict"]["accept"], answer, "{name}: {got}");
            }
        }
    }

    #[test]
    fn a_vector_that_comes_out_otherwise_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("vectors.json");
        let text = std::fs::read_to_string(data("vectors.json")).expect("there");
        std::fs::write(&file, text.replace("\"reject\": \"not_json\"", "\"reject\": \"fine\""))
            .expect("written");
        let tally = run(std::slice::from_ref(&file)).expect("vectors");
        assert_eq!((tally.passed, tally.total), (27, 29));
        assert_eq!(
            tally.differences,
            [
                r#"prose: {"reject":"not_json"}, expected {"reject":"fine"}"#,
                r#"trailing: {"reject":"not_json"}, expected {"reject":"fine"}"#
            ]
        );
        std::fs::write(&file, "[]").expect("written");
        assert_eq!(run(&[file]), Err(AdviceVectorError::None));
    }
}
