//! A load that was found, with its figures, as it is kept in a file.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::{AdversaryError, Figures, Genome, Judge, Measured, Objective};

/// What figures may differ by between platforms, as a share: requests are drawn with the platform's
/// logarithms.
const TOLERANCE: f64 = 0.01;
/// And shares of violations, changes of direction per hour and regrets, at least.
const TOLERANCE_LEAST: f64 = 0.002;

/// A load that our own policy is bad at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who keep one")]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// What it was searched for.
    pub objective: Objective,
    /// The seed of the search that found it.
    pub seed: u64,
    /// What the load does, in words.
    pub load: String,
    /// What the planner does wrong, and why, in words.
    pub wrong: String,
    /// The load.
    pub genome: Genome,
    /// What was measured on it.
    pub measured: Measured,
}

/// A figure that is not what its scenario says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// Of which scenario.
    pub scenario: String,
    /// Which figure.
    pub figure: &'static str,
    /// What the scenario says.
    pub committed: f64,
    /// What it is.
    pub found: f64,
    /// Whether the policy got worse by what the load is bad by.
    pub is_worse: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, figure, committed, found, is_worse } = self;
        let verdict = if *is_worse { ", which is worse" } else { "" };
        write!(f, "{scenario}: {figure} is {found:.4}, was {committed:.4}{verdict}")
    }
}

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`AdversaryError::Scenario`] when the text is none, [`AdversaryError::Genome`] when its load
    /// is none.
    pub fn from_json(text: &str) -> Result<Self, AdversaryError> {
        let scenario: Self = serde_json::from_str(text)?;
        scenario.genome.check()?;
        Ok(scenario)
    }

    /// As it is kept.
    ///
    /// # Errors
    ///
    /// [`AdversaryError::Scenario`] when it cannot be written.
    pub fn to_json(&self) -> Result<String, AdversaryError> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// What the load is bad by.
    pub fn badness(&self) -> f64 {
        self.objective.of(&self.measured)
    }

    /// The same with what is measured now.
    ///
    /// # Errors
    ///
    /// Those of [`Judge::measure`].
    pub fn replayed(&self, judge: &Judge) -> Result<Self, AdversaryError> {
        Ok(Self { measured: judge.measure(&self.genome)?, ..self.clone() })
    }

    /// Where a replay is not what this says, within what platforms differ by.
    pub fn differences(&self, replayed: &Self) -> Vec<Difference> {
        let (committed, found) = (&self.measured, &replayed.measured);
        let policies = [
            ("planner", &committed.planner, &found.planner),
            ("hpa", &committed.hpa, &found.hpa),
            ("kpa", &committed.kpa, &found.kpa),
        ];
        let figures = policies.into_iter().flat_map(|(name, before, after)| {
            figures(name, before).into_iter().zip(figures(name, after).map(|it| it.1))
        });
        let best = ("cost of the best", committed.best.cost_hours);
        let bad = (self.objective.as_str(), self.badness());
        let figures = figures.chain([(best, found.best.cost_hours), (bad, replayed.badness())]);
        let different = figures.filter(|((_, before), after)| {
            (after - before).abs() > TOLERANCE_LEAST.max(TOLERANCE * before.abs())
        });
        let difference = |((figure, committed), found)| Difference {
            scenario: self.name.clone(),
            figure,
            committed,
            found,
            is_worse: figure == self.objective.as_str() && found > committed,
        };
        different.map(difference).collect()
    }
}

/// The figures of a policy that are held against a scenario, by their names.
fn figures(policy: &str, figures: &Figures) -> [(&'static str, f64); 3] {
    let names = match policy {
        "planner" => ["planner's replica-hours", "planner's violations", "planner's directions"],
        "hpa" => ["hpa's replica-hours", "hpa's violations", "hpa's directions"],
        _ => ["kpa's replica-hours", "kpa's violations", "kpa's directions"],
    };
    let Figures { replica_hours, violation_share, direction_changes_per_hour, .. } = *figures;
    let [hours, violations, directions] = names;
    [
        (hours, replica_hours),
        (violations, violation_share),
        (directions, direction_changes_per_hour),
    ]
}

/// Scenarios as a page: a table of their figures, and each in words.
pub fn table(scenarios: &[Scenario]) -> String {
    let mut text = String::from(
        "\n| case | found by | regret | planner | best | HPA 0.6 | KPA 0.7 | turns/h |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for Scenario { name, objective, measured, .. } in scenarios {
        let Measured { planner, hpa, kpa, best, regret, .. } = measured;
        let bill = |cost_hours: f64, hours: f64, share: f64| {
            format!("{cost_hours:.1} ({hours:.1} h, {:.2} %)", 100.0 * share)
        };
        let of = |it: &Figures| bill(it.cost_hours, it.replica_hours, it.violation_share);
        let cheapest = bill(best.cost_hours, best.replica_hours, best.violation_share);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| [{name}](#{name}) | {objective} | {:.0} % | {} | {cheapest} | {} | {} | {:.1} |",
            100.0 * regret,
            of(planner),
            of(hpa),
            of(kpa),
            planner.direction_changes_per_hour,
        );
    }
    for scenario in scenarios {
        let Scenario { name, load, wrong, .. } = scenario;
        let verdict = standing(&scenario.measured);
        let _ = writeln!(
            text,
            "\n## {name}\n\n- **Load**: {load}\n- **What goes wrong**: {wrong}\n\
             - **{} of it**: {}\n- **Others**: {verdict}",
            scenario.objective.title(),
            scenario.objective.told(&scenario.measured),
        );
    }
    text
}

impl Objective {
    const fn title(self) -> &'static str {
        match self {
            Self::Cost | Self::Peers => "Cost",
            Self::Violations => "Violations",
            Self::Hours => "Hours",
            Self::Restless => "Turns",
        }
    }

    /// What a load is bad by, in words.
    fn told(self, measured: &Measured) -> String {
        let badness = self.of(measured);
        let percent = 100.0 * badness;
        match self {
            Self::Cost => format!("{percent:.0} % beyond the best."),
            Self::Violations => {
                format!("{percent:.2} % of all requests more than need be with its hours.")
            }
            Self::Hours => format!("{percent:.0} % more than need be with its violations."),
            Self::Restless => format!("{badness:.1} changes of direction an hour."),
            Self::Peers => format!("{percent:.0} % beyond the cheaper of HPA and KPA."),
        }
    }
}

/// Whether others pay less for the same load.
fn standing(measured: &Measured) -> String {
    let Measured { planner, hpa, kpa, .. } = measured;
    let of = |name: &str, cost_hours: f64| {
        let ratio = cost_hours / planner.cost_hours;
        if ratio < 0.98 {
            format!("{name} pays {:.0} % less", 100.0 * (1.0 - ratio))
        } else if ratio > 1.02 {
            format!("{name} pays {:.0} % more", 100.0 * (ratio - 1.0))
        } else {
            format!("{name} pays the same")
        }
    };
    format!("{}; {}.", of("HPA", hpa.cost_hours), of("KPA", kpa.cost_hours))
}
