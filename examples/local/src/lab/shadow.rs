//! `lab shadow`: other policies beside the real one, on a journal that may still be written.

mod page;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use planner_lab::policy_spec::{PolicySpec, PolicySpecError};
use planner_lab::shadow::{Ledger, Shadow, ShadowSettings, Totals};
use serde_json::json;
use thiserror::Error;

use super::chart::percent;
use super::interrupt::Writing;
use super::journals::{Head, Journals, JournalsError, Next};
use super::out::{OutArgs, OutError, Results};
use super::run::policies_help;
use super::span::Span;
use super::table::Table;
use crate::program;
use crate::report::axis::format_number;

/// Decisions that are kept for the page and the JSON; totals are over all of them.
const KEEP: usize = 5_000;
/// Seconds in an hour.
const HOUR_S: f64 = 3_600.0;

/// Let policies watch a recorded or a running planner, and keep a ledger of what each would have
/// been worth.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = help())]
pub struct Args {
    /// The journal of a run, or the folder of a planner's journals
    journal: PathBuf,

    /// Who watches, with settings: such as poc, or hpa:target=0.6
    #[arg(long = "policy", value_name = "NAME[:KEY=VALUE,...]", required = true)]
    policies: Vec<PolicySpec>,

    /// Requests per second that one replica answers [default: the capacity hint of the journal;
    /// without one, what its windows show]
    #[arg(long, value_name = "PER_S")]
    rate: Option<f64>,

    /// Windows whose arrivals a decision has to carry
    #[arg(
        long,
        value_name = "WINDOWS",
        default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=1_000)
    )]
    look_ahead: u32,

    /// Go on as the journal grows, until Ctrl-C, and tell the ledger whenever it has more; with
    /// --json a line with its totals
    #[arg(long)]
    follow: bool,

    /// How often to look for more
    #[arg(long, value_name = "TIME", default_value = "10s", requires = "follow")]
    every: Span,

    #[command(flatten)]
    out: OutArgs,
}

const EXAMPLES: &str = "\
Nothing of what they decide is carried out. They see the windows that the real planner's decisions
shaped, and start from the real count at each of them: the ledger says what each would have done
next, and what that was worth; it does not say where each would be by now. For that see lab whatif
and lab run.

Examples:
  lab shadow out/run/journal.jsonl --policy planner:slow_price=20 --policy poc
  lab shadow /var/lib/planner/journals --follow --policy hpa:target=0.6 --rate 50 --out shadow";

fn help() -> String {
    format!("Policies:\n{}{EXAMPLES}", policies_help())
}

/// Why there is no ledger.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShadowError {
    /// A journal.
    #[error(transparent)]
    Journals(#[from] JournalsError),
    /// Results that cannot be written.
    #[error(transparent)]
    Out(#[from] OutError),
    /// A policy that cannot watch.
    #[error("--policy: {0}")]
    Policy(#[from] PolicySpecError),
    /// A rate that is none.
    #[error("--rate: {rate} is not above 0 and finite; give requests per second of one replica")]
    Rate {
        /// What was given.
        rate: f64,
    },
    /// Looking all the time.
    #[error("--every: 0s would look without a rest; give 1s or more")]
    Restless,
}

impl Args {
    pub(super) fn out(&self) -> &OutArgs {
        &self.out
    }

    /// Prints the ledger, and writes its files; whether to go on.
    ///
    /// # Errors
    ///
    /// [`OutError`] when a file cannot be written.
    pub(super) fn give(&self, results: &Results, writing: &Writing) -> Result<bool, OutError> {
        if !self.follow {
            self.out.give(results, writing)?;
            return Ok(false);
        }
        self.out.write(results, writing)?;
        let could_be_read = if self.out.json {
            let mut totals = results.json.clone();
            if let Some(ledger) = totals["ledger"].as_object_mut() {
                ledger.remove("entries");
            }
            program::say(&totals.to_string())
        } else {
            program::say(&results.tables)
        };
        // Files may have other readers.
        Ok(could_be_read || self.out.out.is_some())
    }

    /// Follows the journal to its end, and beyond where that was asked for; `tell` gets the ledger
    /// whenever it has more, and says whether to go on.
    ///
    /// # Errors
    ///
    /// [`ShadowError`] for journals that cannot be read and policies that cannot watch, and what
    /// `tell` says.
    pub(super) fn run(
        &self,
        mut tell: impl FnMut(&Results) -> Result<bool, OutError>,
    ) -> Result<(), ShadowError> {
        if let Some(rate) = self.rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
            return Err(ShadowError::Rate { rate });
        }
        if self.every.seconds == 0 {
            return Err(ShadowError::Restless);
        }
        let mut journals = Journals::open(&self.journal)?;
        let mut watch = Watch::new(self, journals.head().clone())?;
        let mut told = None;
        loop {
            while let Some(next) = journals.next()? {
                match next {
                    Next::Record(record) => {
                        watch.shadow.follow(record.at, &record.event, &record.step);
                    }
                    Next::Other => {
                        program::complain(
                            "lab: the next journal is of another service, policy or configuration; \
                             the ledger begins again with it",
                        );
                        (watch, told) = (Watch::new(self, journals.head().clone())?, None);
                    }
                }
            }
            let count = booked(watch.shadow.ledger().real());
            if told != Some(count) {
                told = Some(count);
                if !tell(&watch.results(self.out.out.is_some()))? {
                    break;
                }
            }
            if !self.follow {
                break;
            }
            std::thread::sleep(Duration::from_secs(self.every.seconds));
        }
        if journals.is_torn() && !self.follow {
            program::complain("lab: the journal ends within a record; taken up to there");
        }
        Ok(())
    }
}

/// Who watches whom.
struct Watch {
    head: Head,
    settings: ShadowSettings,
    shadow: Shadow,
}

impl Watch {
    fn new(args: &Args, head: Head) -> Result<Self, ShadowError> {
        let rate_per_s = args.rate.or_else(|| head.config.capacity_hint_per_s());
        let settings = ShadowSettings {
            capacity_per_s: rate_per_s,
            target_utilisation: head.config.target_utilisation(),
            look_ahead: args.look_ahead,
            replicas_min: head.config.bounds().min(),
            keep: KEEP,
        };
        let mut shadow = Shadow::new(settings);
        for policy in &args.policies {
            shadow.add(policy.candidate(&head.config, rate_per_s)?);
        }
        Ok(Self { head, settings, shadow })
    }

    /// The ledger, with its page where one is to be written.
    fn results(&self, with_page: bool) -> Results {
        let ledger = self.shadow.ledger();
        let lead = self.lead();
        let tables = format!("{lead}\n{}", totals(ledger).text());
        let json = json!({
            "service": self.head.service.as_str(),
            "policy": self.head.policy,
            "capacity_per_s": self.capacity_per_s(),
            "target_utilisation": self.settings.target_utilisation,
            "look_ahead_windows": self.settings.look_ahead,
            "ledger": ledger,
        });
        let page = with_page.then(|| page::page(&self.head, ledger, &lead));
        Results { name: "shadow", tables, json, page }
    }

    /// What a replica is taken to answer: told, or learned from the windows so far.
    fn capacity_per_s(&self) -> Option<f64> {
        let learned = || {
            let verdict = self.shadow.ledger().entries().rev().find_map(|entry| entry.verdict)?;
            Some(verdict.capacity_per_s)
        };
        self.settings.capacity_per_s.or_else(learned)
    }

    /// What is in the ledger, in a sentence or two.
    fn lead(&self) -> String {
        let Head { service, policy, .. } = &self.head;
        let ShadowSettings { target_utilisation, look_ahead, .. } = self.settings;
        let windows = super::page::counted(look_ahead as usize, "window", "windows");
        let needed = match self.capacity_per_s() {
            None => "It is not known yet what a replica answers; --rate says it.".to_owned(),
            Some(capacity_per_s) => format!(
                "Needed is what the busiest of the {windows} behind a decision took, at {} of {} \
                 requests/s a replica{}.",
                percent(target_utilisation),
                format_number(capacity_per_s),
                if self.settings.capacity_per_s.is_some() { "" } else { ", as far as was seen" }
            ),
        };
        let count = format_number(booked(self.shadow.ledger().real()) as f64);
        format!("{service}: {count} decisions of {policy}. {needed}")
    }
}

/// Decisions that are in the ledger.
const fn booked(totals: &Totals) -> u64 {
    totals.judged + totals.unjudged
}

/// A row for what was done and for every policy that watches.
fn totals(ledger: &Ledger) -> Table {
    let mut table = Table::new([
        "",
        "wanted more",
        "wanted fewer",
        "replica-hours too many",
        "requests short",
        "not judged",
    ]);
    let rest = |totals: &Totals| {
        [
            format_number(totals.excess_replica_s / HOUR_S),
            format_number(totals.short_requests),
            totals.unjudged.to_string(),
        ]
    };
    let row = |name: &str, differs: [String; 2], totals: &Totals| {
        [name.to_owned()].into_iter().chain(differs).chain(rest(totals)).collect::<Vec<_>>()
    };
    table.row(row("what was done", ["–", "–"].map(String::from), ledger.real()));
    for totals in ledger.candidates() {
        let differs = [totals.more, totals.fewer].map(|count| count.to_string());
        table.row(row(&totals.name, differs, totals));
    }
    table
}
