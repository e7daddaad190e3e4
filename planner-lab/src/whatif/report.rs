//! The answer, as data and in short.

use std::fmt;

use planner_core::journal::Header;
use serde::Serialize;

use super::branch::{Branch, Continuation};
use super::change::Changed;
use super::compare::{Compared, Counts, Difference, Kind};
use super::fidelity::Errors;
use super::model::NoPlant;

/// Differences that the text shows.
const SHOWN_MAX: usize = 5;

/// What would have been otherwise. `Display` tells it in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The service.
    pub service: String,
    /// The policy of the journal.
    pub policy: String,
    /// The policy that was tried.
    pub tried: String,
    /// Settings that are otherwise, by name.
    pub changes: Vec<Changed>,
    /// Decisions in the journal.
    pub decisions: u64,
    /// How many differ up to and with the divergence: exact.
    pub exact: Counts,
    /// How many differ behind it, on windows that the recorded decisions shaped: an opinion.
    pub hindsight: Counts,
    /// Questions to an advisor up to the divergence that nobody answered because they were not
    /// asked then.
    pub unanswered: u64,
    /// The first decision whose carried-out target differs. Up to it everything is exact.
    pub divergence: Option<Difference>,
    /// The first hundred differences.
    pub differences: Vec<Difference>,
    /// What follows from there.
    pub beyond: Beyond,
}

/// What follows the first divergence.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Beyond {
    /// No plant can take over.
    Impossible(NoPlant),
    /// The runs on the model.
    Simulated(Box<Continuation>),
    /// Nothing that was carried out differs: the record is what would have happened.
    Unneeded,
}

impl Report {
    pub(super) fn new<S, B>(
        header: &Header<S, B>,
        tried: String,
        changes: Vec<Changed>,
        compared: Compared,
        beyond: Beyond,
    ) -> Self {
        Self {
            service: header.service.to_string(),
            policy: header.policy.clone(),
            tried,
            changes,
            decisions: compared.decisions,
            exact: compared.exact,
            hindsight: compared.hindsight,
            unanswered: compared.unanswered,
            divergence: compared.divergence,
            differences: compared.kept,
            beyond,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} decisions of {}", self.service, self.decisions, self.policy)?;
        if self.tried != self.policy {
            write!(f, ", tried {}", self.tried)?;
        }
        writeln!(f)?;
        for Changed { setting, from, to } in &self.changes {
            writeln!(f, "  {setting} {from} -> {to}")?;
        }
        match &self.divergence {
            None => writeln!(f, "no target that was carried out differs")?,
            Some(first) => {
                let Difference { record, at_s, recorded, changed, .. } = first;
                writeln!(f, "first divergence at record {record}, {at_s:.3}s; exact up to here")?;
                writeln!(f, "  recorded  {recorded}\n  changed   {changed}")?;
            }
        }
        self.fmt_counts(f)?;
        match &self.beyond {
            Beyond::Unneeded => write!(f, "the record is what would have happened"),
            Beyond::Impossible(reason) => write!(f, "{reason}"),
            Beyond::Simulated(continuation) => write!(f, "{continuation}"),
        }
    }
}

impl Report {
    fn fmt_counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { replicas, argument } = self.exact;
        writeln!(
            f,
            "exact: {replicas} decisions for other replicas, {argument} for another reason"
        )?;
        if self.divergence.is_some() {
            let Counts { replicas, argument } = self.hindsight;
            writeln!(
                f,
                "then, on windows that the recorded decisions shaped: {replicas} and {argument}"
            )?;
        }
        if self.unanswered > 0 {
            writeln!(f, "{} questions to an advisor that were not asked then", self.unanswered)?;
        }
        let later = self.differences.iter().filter(|it| it.kind == Kind::Replicas);
        let later = later.filter(|it| self.divergence.as_ref() != Some(*it));
        for Difference { record, at_s, recorded, changed, .. } in later.take(SHOWN_MAX) {
            writeln!(f, "  record {record}, {at_s:.3}s: {recorded}; changed {changed}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from there on a model, for {} windows ({:.0} s)", self.windows, self.seconds)?;
        writeln!(f, "{}", self.model)?;
        for (part, errors) in
            [("fitted", self.fidelity.before), ("not fitted", self.fidelity.behind)]
        {
            match errors {
                None => writeln!(f, "  repeats    {part} windows: nothing to compare")?,
                Some(errors) => writeln!(f, "  repeats    {part} windows: {errors}")?,
            }
        }
        writeln!(f, "             recorded     changed")?;
        let rows: [(&str, fn(&Branch) -> f64, usize); 6] = [
            ("replica-s", |branch| branch.replica_s, 0),
            ("windows above, %", |branch| 100.0 * branch.windows_above_share, 2),
            ("requests above, %", |branch| 100.0 * branch.requests_above_share, 2),
            ("breach windows", |branch| branch.breach_windows as f64, 0),
            ("actions", |branch| branch.actions() as f64, 0),
            ("most replicas", |branch| f64::from(branch.replicas_most), 0),
        ];
        for (index, (name, value, digits)) in rows.into_iter().enumerate() {
            let end = if index == 5 { "" } else { "\n" };
            let (recorded, changed) = (value(&self.recorded), value(&self.changed));
            write!(f, "  {name:<18} {recorded:>10.digits$}  {changed:>10.digits$}{end}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.p95_error, self.p95_bias) {
            (Some(error), Some(bias)) => {
                write!(f, "p95 off by {:.0} % ({:+.0} %)", 100.0 * error, 100.0 * bias)?;
            }
            _ => f.write_str("no p95")?,
        }
        write!(
            f,
            ", ready by {:.2} replicas, exact in {:.0} %, over {}",
            self.ready_error,
            100.0 * self.ready_exact_share,
            self.windows
        )
    }
}
