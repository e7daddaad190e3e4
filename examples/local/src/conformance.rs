//! Vectors of other systems: inputs and expected outputs, one JSON object a line.
//!
//! Runs the families that planner implements so far. A family it does not know is reported, never
//! passed over in silence. Not for making vectors.

mod hpa;
mod keda;
mod kpa;
mod nomad;
mod poc;
mod vector;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

pub use self::vector::Vector;

/// Differences that are kept for each kind.
const DIFFERENCES_KEPT: usize = 5;
/// Relative difference up to which two floats are the same.
const FLOAT_TOLERANCE: f64 = 1e-9;

/// How the vectors of one kind went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Vectors that came out as expected.
    pub passed: u64,
    /// All of them.
    pub total: u64,
    /// The first that did not.
    pub differences: Vec<String>,
    /// Nobody here implements this kind.
    pub unknown: bool,
}

impl Tally {
    /// Whether all came out as expected.
    pub fn is_clean(&self) -> bool {
        self.passed == self.total && !self.unknown
    }
}

/// How all of them went, by `family/kind`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results(pub BTreeMap<String, Tally>);

impl Results {
    /// Whether there were vectors and all came out as expected.
    pub fn is_clean(&self) -> bool {
        !self.0.is_empty() && self.0.values().all(Tally::is_clean)
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, tally) in &self.0 {
            write!(f, "{kind} {}/{}", tally.passed, tally.total)?;
            writeln!(f, "{}", if tally.unknown { " (not implemented)" } else { "" })?;
            for difference in &tally.differences {
                writeln!(f, "  {difference}")?;
            }
        }
        Ok(())
    }
}

/// Runs every vector of these files and folders (their `.jsonl` files).
///
/// # Errors
///
/// [`VectorError`] when a file cannot be read or a line is no vector.
pub fn run(paths: &[PathBuf]) -> Result<Results, VectorError> {
    let mut results = Results::default();
    for path in files(paths)? {
        let file = File::open(&path).map_err(|cause| VectorError::read(&path, &cause))?;
        for (index, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|cause| VectorError::read(&path, &cause))?;
            if line.trim().is_empty() {
                continue;
            }
            let vector: Vector = serde_json::from_str(&line).map_err(|cause| {
                let (path, line) = (path.clone(), index + 1);
                VectorError::Line { path, line, cause: cause.to_string() }
            })?;
            check(&vector, &mut results);
        }
    }
    Ok(results)
}

/// Runs one vector.
fn check(vector: &Vector, results: &mut Results) {
    let tally = results.0.entry(format!("{}/{}", vector.family, vector.kind)).or_default();
    tally.total += 1;
    let got = match vector.family.as_str() {
        "hpa" => hpa::run(vector),
        "keda" => keda::run(vector),
        "kpa" => kpa::run(vector),
        "nomad" => nomad::run(vector),
        "poc" => poc::run(vector),
        _ => None,
    };
    let difference = match got {
        None => {
            tally.unknown = true;
            return;
        }
        Some(Ok(got)) => difference("", &vector.expected, &got),
        Some(Err(error)) => Some(format!("input: {error}")),
    };
    match difference {
        None => tally.passed += 1,
        Some(difference) if tally.differences.len() < DIFFERENCES_KEPT => {
            tally.differences.push(format!("{}: {difference}", vector.id));
        }
        Some(_) => {}
    }
}

/// Where `got` differs from `expected`, if it does. Integers have to be equal, floats nearly.
fn difference(at: &str, expected: &Value, got: &Value) -> Option<String> {
    let same = match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            return expected.iter().find_map(|(key, value)| {
                difference(&format!("{at}.{key}"), value, got.get(key).unwrap_or(&Value::Null))
            });
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            return expected.iter().zip(got).enumerate().find_map(|(index, (expected, got))| {
                difference(&format!("{at}[{index}]"), expected, got)
            });
        }
        (Value::Number(expected), Value::Number(got)) => {
            match (expected.as_i64(), got.as_i64(), expected.as_f64(), got.as_f64()) {
                (Some(expected), Some(got), ..) => expected == got,
                (_, _, Some(expected), Some(got)) => {
                    (expected - got).abs() <= FLOAT_TOLERANCE * expected.abs().max(1e-300)
                }
                _ => false,
            }
        }
        (expected, got) => expected == got,
    };
    (!same).then(|| format!("{at} expected {expected}, got {got}"))
}

/// The files named, and the `.jsonl` files of folders, in order of name.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, VectorError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        let entries = path.read_dir().map_err(|cause| VectorError::read(path, &cause))?;
        for entry in entries {
            let file = entry.map_err(|cause| VectorError::read(path, &cause))?.path();
            if file.extension().is_some_and(|extension| extension == "jsonl") {
                inside.push(file);
            }
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

/// Why vectors cannot be run.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum VectorError {
    /// A line is no vector.
    #[error("{}, line {line}: {cause}; each line is one JSON object with id, family, kind, input and expected", path.display())]
    Line {
        /// Where.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        cause: String,
    },
    /// A file cannot be read.
    #[error("{}: {cause}; name .jsonl files, or folders that hold some", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
}

impl VectorError {
    fn read(path: &Path, cause: &std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), cause: cause.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_vectors() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/conformance/poc")
    }

    #[test]
    fn the_projects_own_selection_passes() {
        let results = run(&[own_vectors()]).expect("readable");
        assert!(results.is_clean(), "{results}");
        assert_eq!(results.0.len(), 5, "{results}");
    }

    #[test]
    fn a_wrong_expectation_is_told_with_place_and_value() {
        let vector = r#"{"id":"x-1","family":"poc","kind":"robust_stats","input":{"samples_ms":[1,2,3]},"expected":{"baseline_ms":2.5,"sigma_ms":1.4826}}"#;
        let mut results = Results::default();
        check(&serde_json::from_str(vector).expect("a vector"), &mut results);
        assert!(!results.is_clean());
        assert_eq!(
            results.to_string(),
            "poc/robust_stats 0/1\n  x-1: .baseline_ms expected 2.5, got 2.0\n"
        );
    }

    #[test]
    fn a_kind_that_is_not_implemented_is_no_success() {
        let vector = r#"{"id":"x-1","family":"abacus","kind":"sum","input":{},"expected":{}}"#;
        let mut results = Results::default();
        check(&serde_json::from_str(vector).expect("a vector"), &mut results);
        assert!(!results.is_clean());
        assert_eq!(results.to_string(), "abacus/sum 0/1 (not implemented)\n");
    }

    #[test]
    fn no_vectors_are_no_success() {
        assert!(!Results::default().is_clean());
    }

    #[test]
    fn a_line_that_is_no_vector_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "{}\n").expect("written");
        let error = run(&[file.path().to_owned()]).expect_err("no vector").to_string();
        assert!(error.contains(", line 1: missing field `id`"), "{error}");
    }
}
