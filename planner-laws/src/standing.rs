//! How policies stand before the laws, side by side.

use std::fmt;

use serde::Serialize;

use crate::case::Case;
use crate::kit::BEFORE;
use crate::{Finding, Law, Report, Verdict};

/// Most characters of what is told of a case that broke a law.
const TOLD_CHARS_MAX: usize = 240;

/// One policy under every law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Standing {
    /// The policy's name.
    pub policy: String,
    /// The settings that it was made with, in words.
    pub settings: String,
    /// What came of it.
    pub report: Report,
}

impl Standing {
    /// What came of one law; `None` when it was not checked.
    pub fn finding(&self, law: Law) -> Option<&Finding> {
        self.report.findings.iter().find(|finding| finding.law == law)
    }
}

/// Several policies under every law. Its text is Markdown: a table, then the shortest
/// counterexample of every law that is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Standings {
    /// One for each policy.
    pub standings: Vec<Standing>,
}

impl FromIterator<Standing> for Standings {
    fn from_iter<I: IntoIterator<Item = Standing>>(standings: I) -> Self {
        Self { standings: standings.into_iter().collect() }
    }
}

impl fmt::Display for Standings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| law |")?;
        for standing in &self.standings {
            write!(f, " {} |", standing.policy)?;
        }
        writeln!(f, "\n|---|{}", "---|".repeat(self.standings.len()))?;
        for law in Law::ALL {
            write!(f, "| {} {} |", law.number(), law.title())?;
            for standing in &self.standings {
                write!(f, " {} |", standing.finding(law).map_or("", Finding::in_a_word))?;
            }
            writeln!(f)?;
        }
        for standing in &self.standings {
            fmt_broken(f, standing)?;
        }
        Ok(())
    }
}

/// The laws that a policy breaks, each with its counterexample.
fn fmt_broken(f: &mut fmt::Formatter<'_>, standing: &Standing) -> fmt::Result {
    let Standing { policy, settings, report } = standing;
    writeln!(f, "\n## {policy}\n\nSettings: {settings}.")?;
    for (index, finding) in report.findings.iter().enumerate() {
        if let Some(told) = finding.counterexample() {
            let first = report.findings[..index].iter().all(|it| it.counterexample().is_none());
            let gap = if first { "\n" } else { "" };
            writeln!(f, "{gap}- **{}**: {}", finding.law, told.replace('\n', "\n  "))?;
        }
    }
    Ok(())
}

impl Finding {
    /// How it fared, in a word or two.
    pub const fn in_a_word(&self) -> &'static str {
        match self.verdict {
            Verdict::Broken { .. } => "**broken**",
            Verdict::Holds if self.guarded > 0 => "by a guard",
            Verdict::Holds => "kept",
            Verdict::Unexercised { .. } => "not exercised",
        }
    }

    /// The case that broke it in words, in two lines or three: what was done, after which
    /// scalings, and in which windows. `None` unless it is broken.
    pub fn counterexample(&self) -> Option<String> {
        let Verdict::Broken { why, case } = &self.verdict else { return None };
        let mut told: String = why.lines().next()?.chars().take(TOLD_CHARS_MAX).collect();
        if let Some(scalings) = why.lines().find_map(|line| line.strip_prefix(BEFORE)) {
            told = format!("{told}\nBefore: {scalings}.");
        }
        let case: Case = serde_json::from_str(case).ok()?;
        Some(format!("{told}\n{}", in_words(&case)))
    }
}

/// A case for people.
fn in_words(case: &Case) -> String {
    if case.phases.is_empty() {
        return String::from("In a simulated service that follows its decisions.");
    }
    let windows: Vec<_> = case
        .phases
        .iter()
        .map(|phase| format!("{} {:?}", phase.windows, phase.kind).to_lowercase())
        .collect();
    let (bounds, length_s) = (case.config.bounds(), case.window_s);
    let (min, max) = (bounds.min(), bounds.max());
    format!("Windows of {length_s} s, {min} to {max} replicas: {}.", windows.join(", "))
}

#[cfg(test)]
mod tests {
    use planner_core::{GuardSet, Poc};

    use super::*;
    use crate::Laws;

    fn rate() -> Report {
        let laws = Laws::of(|| Poc).steps(500).exercised_min(1).guard_set(GuardSet::Peer);
        laws.check_one(Law::Rate)
    }

    fn finding(verdict: Verdict) -> Finding {
        Finding { law: Law::Doubt, steps: 10, exercised: 3, guarded: 2, verdict }
    }

    #[test]
    fn a_broken_law_is_told_with_what_was_done_when_and_in_which_windows() {
        let told = rate().findings[0].counterexample().expect("it is broken");
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines.len() <= 3, "{told}");
        assert!(lines[0].starts_with("scaled in too soon after a scaling: #"), "{told}");
        assert_eq!(lines[1], "Before: 2 -> 1.");
        assert!(lines[2].starts_with("Windows of 3 s, 1 to 2 replicas: "), "{told}");
    }

    #[test]
    fn a_law_that_holds_has_no_counterexample() {
        assert_eq!(finding(Verdict::Holds).counterexample(), None);
    }

    #[test]
    fn a_law_that_only_a_guard_kept_is_not_called_kept() {
        let kept = Finding { guarded: 0, ..finding(Verdict::Holds) };
        let words = [finding(Verdict::Holds).in_a_word(), kept.in_a_word()];
        assert_eq!(words, ["by a guard", "kept"]);
        let unexercised = finding(Verdict::Unexercised { least: 20 });
        assert_eq!(unexercised.in_a_word(), "not exercised");
    }

    #[test]
    fn a_law_that_was_not_checked_has_an_empty_cell() {
        let standing = Standing { policy: "poc".into(), settings: "any".into(), report: rate() };
        let text = Standings::from_iter([standing]).to_string();
        assert!(
            text.starts_with("| law | poc |\n|---|---|\n| 1 bounds |  |\n| 2 rate | **broken** |")
        );
    }

    #[test]
    fn programs_read_it_as_data() {
        let standing = Standing { policy: "poc".into(), settings: "any".into(), report: rate() };
        let value = serde_json::to_value(Standings::from_iter([standing])).expect("data");
        let finding = &value["standings"][0]["report"]["findings"][0];
        assert_eq!(finding["law"], "rate");
        assert!(finding["verdict"]["broken"]["why"].is_string(), "{finding}");
    }
}
