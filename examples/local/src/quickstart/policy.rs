//! Policies by name: the one place where a program turns a name into a policy.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A policy that a run can use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PolicyName {
    /// The default policy.
    Heuristic,
    /// The proof of concept's.
    Poc,
}

impl FromStr for PolicyName {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        match name {
            "heuristic" => Ok(Self::Heuristic),
            "poc" => Ok(Self::Poc),
            _ => Err(UnknownPolicy { name: name.to_owned() }),
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Heuristic => "heuristic",
            Self::Poc => "poc",
        })
    }
}

/// There is no policy of that name.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("--policy: {name:?} is not heuristic or poc; choose one of them")]
pub struct UnknownPolicy {
    name: String,
}
