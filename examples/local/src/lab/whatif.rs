//! `lab whatif`: a recorded journal with other settings, or with another policy.

use std::path::PathBuf;

use planner_core::journal::{Header, Record};
use planner_core::{Heuristic, NoSignal, Poc, Policy};
use planner_lab::shadow::Candidate;
use planner_lab::whatif::{Beyond, ChangeError, Changed, Difference, Report, WhatIf, WhatIfError};
use planner_runtime::{JournalError, JournalReader};
use serde::de::DeserializeOwned;
use serde_json::json;
use thiserror::Error;

use super::chart::percent;
use super::out::{OutArgs, Results};
use super::page::Page;
use super::table::Table;
use crate::program;
use crate::quickstart::PolicyName;
use crate::repeat::{RepeatError, policy_of};
use crate::report::axis::format_number;

/// Change settings on a recorded journal: which decisions would have differed, and what then.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The journal of a run
    journal: PathBuf,

    /// A setting with its new value, named as in the journal; repeat it for more
    #[arg(long = "set", value_name = "NAME=VALUE")]
    changes: Vec<String>,

    /// Another policy, with an empty memory: heuristic or poc
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,

    /// The p95 in milliseconds by which both runs on the model are measured
    /// [default: where the recorded settings see a breach]
    #[arg(long, value_name = "MS")]
    objective_ms: Option<f64>,

    #[command(flatten)]
    out: OutArgs,
}

const HELP: &str = "\
Up to the first decision that differs the answer is exact: the recorded events once more. From
there on a model of the service goes on, fitted to the recorded windows; its assumptions and how
well it repeats the recorded run are told with the result.

Examples:
  lab whatif out/run/journal.jsonl --set cooldown_in=30s
  lab whatif out/run/journal.jsonl --set bounds.max=4 --set target_utilisation=0.6 --json
  lab whatif out/run/journal.jsonl --policy poc --objective-ms 200 --out whatif";

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WhatifError {
    /// A change that is none.
    #[error("--set: {0}")]
    Change(#[from] ChangeError),
    /// The file.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nothing was to be otherwise.
    #[error("nothing is to be otherwise; give --set NAME=VALUE or --policy NAME")]
    Nothing,
    /// An objective that is none.
    #[error("--objective-ms: {objective_ms} is not above 0 and finite; give a number of ms")]
    Objective {
        /// What was given.
        objective_ms: f64,
    },
    /// The journal is of no policy that is known here.
    #[error(transparent)]
    Repeat(#[from] RepeatError),
    /// The question has no answer.
    #[error(transparent)]
    WhatIf(#[from] WhatIfError),
}

impl Args {
    pub(super) fn out(&self) -> &OutArgs {
        &self.out
    }

    /// Answers.
    ///
    /// # Errors
    ///
    /// [`WhatifError`] for a journal that cannot be read, and for changes that are none.
    pub(super) fn run(&self) -> Result<Results, WhatifError> {
        if self.changes.is_empty() && self.policy.is_none() {
            return Err(WhatifError::Nothing);
        }
        let report = match policy_of(&self.journal)? {
            PolicyName::Heuristic => self.answer(Heuristic),
            PolicyName::Poc => self.answer(Poc),
        }?;
        Ok(Results {
            name: "whatif",
            tables: report.to_string(),
            json: json!(report),
            page: Some(page(&report)),
        })
    }

    fn answer<P>(&self, policy: P) -> Result<Report, WhatifError>
    where
        P: Policy<Signal = NoSignal> + Clone + Send + 'static,
        P::State: DeserializeOwned + Send,
    {
        let (header, mut reader): (Header<P::State>, _) =
            JournalReader::<NoSignal>::open(&self.journal)?;
        let records = reader.by_ref().collect::<Result<Vec<Record>, _>>()?;
        if reader.is_torn() {
            program::complain("lab: the journal ends within a record; taken up to there");
        }
        let mut question = WhatIf::new(policy, header, records).map_err(RepeatError::from)?;
        for change in &self.changes {
            question = question.change(change)?;
        }
        match self.policy {
            None => {}
            Some(PolicyName::Heuristic) => {
                question = question.instead(|config| Candidate::new(config.clone(), Heuristic));
            }
            Some(PolicyName::Poc) => {
                question = question.instead(|config| Candidate::new(config.clone(), Poc));
            }
        }
        if let Some(objective_ms) = self.objective_ms {
            if !(objective_ms > 0.0 && objective_ms.is_finite()) {
                return Err(WhatifError::Objective { objective_ms });
            }
            question = question.objective_ms(objective_ms);
        }
        Ok(question.run()?)
    }
}

fn page(report: &Report) -> String {
    let headline = match &report.divergence {
        None => "Nothing that was carried out would differ".to_owned(),
        Some(first) => format!("The first difference comes after {:.1} s", first.at_s),
    };
    let lead = format!(
        "{} decisions of {} for {}, tried with {}. Up to the first difference the answer is exact; \
         from there on a model goes on.",
        report.decisions, report.policy, report.service, report.tried
    );
    let mut page = Page::new("planner lab whatif", &headline, &lead);
    if !report.changes.is_empty() {
        page.heading("What was changed");
        let mut table = Table::new(["setting", "from", "to"]);
        for Changed { setting, from, to, .. } in &report.changes {
            table.row([setting, from, to]);
        }
        page.table(&table);
    }
    page.heading("What would have been decided otherwise");
    page.paragraph(&format!(
        "{} decisions for other replicas and {} for another reason up to there; behind it, on \
         windows that the recorded decisions shaped, {} and {}.",
        report.exact.replicas,
        report.exact.argument,
        report.hindsight.replicas,
        report.hindsight.argument
    ));
    if !report.differences.is_empty() {
        page.table(&differences(&report.differences));
    }
    page.heading("What would have followed");
    match &report.beyond {
        Beyond::Simulated(simulated) => {
            for line in simulated.model.to_string().lines() {
                page.paragraph(line.trim());
            }
            let mut table = Table::new(["on the model", "recorded", "changed"]);
            let (recorded, changed) = (&simulated.recorded, &simulated.changed);
            let mut row = |name: &str, value: [String; 2]| {
                let [recorded, changed] = value;
                table.row([name.to_owned(), recorded, changed]);
            };
            row("replica-seconds", [recorded, changed].map(|it| format_number(it.replica_s)));
            row("windows above", [recorded, changed].map(|it| percent(it.windows_above_share)));
            row("requests above", [recorded, changed].map(|it| percent(it.requests_above_share)));
            row("actions", [recorded, changed].map(|it| it.actions().to_string()));
            row("most replicas", [recorded, changed].map(|it| it.replicas_most.to_string()));
            page.table(&table);
        }
        Beyond::Impossible(reason) => page.paragraph(&reason.to_string()),
        _ => page.paragraph("The record is what would have happened."),
    }
    page.finish()
}

fn differences(differences: &[Difference]) -> Table {
    let mut table = Table::new(["at", "record", "recorded", "changed", ""]);
    for Difference { record, at_s, exact, recorded, changed, .. } in differences {
        table.row([
            format!("{at_s:.1} s"),
            record.to_string(),
            recorded.to_string(),
            changed.to_string(),
            if *exact { "exact" } else { "an opinion" }.to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests;
