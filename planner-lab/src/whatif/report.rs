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
/// What both runs on the model are compared by.
const ROWS: [&str; 5] =
    ["replica-s", "windows above, %", "requests above, %", "breach windows", "actions"];

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
    /// How many differ behind it, on windows that the recorded decisions shaped, where both
    /// planners only watch: an opinion.
    pub hindsight: Counts,
    /// Questions to an advisor up to the divergence that nobody answered because they were not
    /// asked then.
    pub unanswered: u64,
    /// The first decision whose carried-out target differs. Up to it everything is exact.
    pub divergence: Option<Difference>,
    /// The first differences, up to fifty of each kind, exact ones and others apart.
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
        writeln!(f, "exact: {replicas} for other replicas, {argument} for another reason")?;
        self.fmt_differences(f, true)?;
        if self.divergence.is_some() {
            let Counts { replicas, argument } = self.hindsight;
            writeln!(
                f,
                "behind it, both only watching the recorded windows: {replicas} and {argument}"
            )?;
            self.fmt_differences(f, false)?;
        }
        if self.unanswered > 0 {
            writeln!(f, "{} questions to an advisor that were not asked then", self.unanswered)?;
        }
        Ok(())
    }

    /// The first that differ in replicas, the divergence left out.
    fn fmt_differences(&self, f: &mut fmt::Formatter<'_>, exact: bool) -> fmt::Result {
        let shown = self.differences.iter().filter(|it| {
            it.kind == Kind::Replicas && it.exact == exact && self.divergence.as_ref() != Some(*it)
        });
        for Difference { record, at_s, recorded, changed, .. } in shown.take(SHOWN_MAX) {
            writeln!(f, "  {record}, {at_s:.3}s: {recorded}; changed {changed}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from there on a model, for {} windows ({:.0} s)", self.windows, self.seconds)?;
        writeln!(f, "{}", self.model)?;
        for (part, errors) in [("before", self.fidelity.before), ("behind", self.fidelity.behind)] {
            match errors {
                None => writeln!(f, "  {part} it  nothing to compare the model with")?,
                Some(errors) => writeln!(f, "  {part} it  the model has the {errors}")?,
            }
        }
        writeln!(f, "             recorded     changed")?;
        let told = |branch: &Branch| {
            [
                format!("{:.0}", branch.replica_s),
                format!("{:.2}", 100.0 * branch.windows_above_share),
                format!("{:.2}", 100.0 * branch.requests_above_share),
                branch.breach_windows.to_string(),
                branch.actions().to_string(),
            ]
        };
        let values = told(&self.recorded).into_iter().zip(told(&self.changed));
        for (name, (recorded, changed)) in ROWS.iter().zip(values) {
            writeln!(f, "  {name:<18} {recorded:>10}  {changed:>10}")?;
        }
        let (recorded, changed) = (self.recorded.replicas_most, self.changed.replicas_most);
        write!(f, "  most replicas      {recorded:>10}  {changed:>10}")
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
            ", ready replicas by {:.2}, exact in {:.0} % of {} windows",
            self.ready_error,
            100.0 * self.ready_exact_share,
            self.windows
        )
    }
}
