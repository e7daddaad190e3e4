//! What came of a check.

use std::fmt;

use serde::Serialize;

use crate::Law;

/// How a law fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It was broken.
    Broken {
        /// What was seen.
        why: String,
        /// The smallest case found, as JSON: [`Case`](crate::Case) reads it.
        case: String,
    },
    /// It held wherever it was at stake.
    Holds,
    /// It was at stake too seldom to prove anything.
    Unexercised {
        /// How often it must be.
        least: u64,
    },
}

/// One law's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Which law.
    pub law: Law,
    /// Steps that were taken.
    pub steps: u64,
    /// How often what it guards was at stake.
    pub exercised: u64,
    /// How often a guard kept it against what the policy wanted; counted where a policy is judged
    /// alone.
    pub guarded: u64,
    /// How it fared.
    pub verdict: Verdict,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, steps, exercised, guarded: _, verdict } = self;
        let name = law.to_string();
        match verdict {
            Verdict::Holds => {
                write!(f, "{name:<32} holds: {steps} steps, exercised {exercised} times")
            }
            Verdict::Unexercised { least } => write!(
                f,
                "{name:<32} UNEXERCISED: {exercised} times in {steps} steps, at least {least} \
                 needed; a law that its inputs never exercise proves nothing"
            ),
            Verdict::Broken { why, case } => {
                write!(f, "{name:<32} BROKEN: {why}\nsmallest case: {case}")
            }
        }
    }
}

/// The results of a check, law by law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// One for each law that was checked.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether every law held and was exercised.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict == Verdict::Holds)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}
