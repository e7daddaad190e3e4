//! What an advisor was worth in a run: its answers, what came after them, and what they cost.
//!
//! Each decision that advice moved is compared with the one that the policy would have made alone
//! at that moment, which the consultation carries. What would have happened next with that one
//! nobody knows without a model of the service, so no requests are claimed to be saved: told are
//! the replica-seconds until both would have been the same again, and the breaches meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use planner_core::journal::Record;
use planner_core::track::{Agreement, HORIZON_WINDOWS};
use planner_core::{
    Config, Consultation, Decision, Event, Heuristic, NoSignal, Planner, Poc, Policy, Receipt,
    Step, Thresholds, Timestamp, Verdict,
};
use planner_llm::prompt_sha256;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::quickstart::PolicyName;
use crate::repeat::{RepeatError, open, policy_of};

/// What an advisor was worth.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AdviceReport {
    /// Questions that were asked.
    pub questions: u64,
    /// What became of them, by verdict.
    pub verdicts: BTreeMap<String, u64>,
    /// Models that answered, with how often.
    pub models: BTreeMap<String, u64>,
    /// Tokens that were told.
    pub tokens: u64,
    /// The longest call, milliseconds.
    pub took_ms_max: u64,
    /// Prompts that this version would write otherwise.
    pub prompts_changed: u64,
    /// Answers before a breach, and how many were right.
    pub overload: Share,
    /// Answers to a question about fewer replicas that calm followed, and how many were right.
    pub idle: Share,
    /// Decisions in which advice asked for more replicas than the policy alone.
    pub more: Moved,
    /// Decisions in which it asked for fewer, or would have.
    pub fewer: Moved,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// All of them.
    pub cases: u32,
    /// Those that were right.
    pub right: u32,
}

impl From<Agreement> for Share {
    fn from(agreement: Agreement) -> Self {
        Self { cases: agreement.cases, right: agreement.right }
    }
}

/// Decisions that advice moved in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Moved {
    /// How many.
    pub decisions: u64,
    /// How many of them a breach followed within ten windows.
    pub before_a_breach: u64,
    /// What they cost, or spared where negative, until the count was what the policy alone would
    /// have made it; in shadow, had they been applied for one window.
    pub replica_seconds: f64,
}

/// A decision that was moved, as long as it makes a difference.
struct Trace {
    at: Timestamp,
    is_more: bool,
    /// What the policy alone would have ordered.
    alone: u32,
    /// Windows since.
    windows: u8,
    /// A breach has followed.
    is_counted: bool,
    /// What there would have been, where it was not applied.
    shadowed_to: Option<u32>,
    /// The count is no longer another one than without the advice.
    is_over: bool,
}

/// Looks at the journal at `path`.
///
/// # Errors
///
/// [`RepeatError`] when it cannot be read here.
pub fn report(path: &Path) -> Result<AdviceReport, RepeatError> {
    match policy_of(path)? {
        PolicyName::Heuristic => report_with(path, Heuristic),
        PolicyName::Poc => report_with(path, Poc),
    }
}

fn report_with<P>(path: &Path, policy: P) -> Result<AdviceReport, RepeatError>
where
    P: Policy<Signal = NoSignal>,
    P::State: DeserializeOwned,
{
    let (mut planner, reader): (Planner<P>, _) = open(path, policy)?;
    let mut looking = Looking {
        found: AdviceReport::default(),
        prompts: Prompts::of(planner.config()),
        question: None,
        traces: Vec::new(),
    };
    for record in reader {
        let record = record?;
        looking.take(&record);
        let _as_recorded = planner.step(record.at, record.event);
    }
    let mut found = looking.found;
    found.prompts_changed = looking.prompts.changed;
    found.overload = planner.track_record().overload.into();
    found.idle = planner.track_record().idle.into();
    Ok(found)
}

/// A journal half read.
struct Looking {
    found: AdviceReport,
    prompts: Prompts,
    question: Option<Consultation>,
    traces: Vec<Trace>,
}

impl Looking {
    fn take(&mut self, record: &Record) {
        self.prompts.take(record);
        if let Event::Attest(_, receipt) = &record.event {
            self.take_receipt(receipt);
        }
        match &record.step {
            Step::Consult(consultation) => {
                self.found.questions += 1;
                self.question = Some(consultation.clone());
            }
            Step::Decide(decision) => {
                self.follow(decision);
                self.take_decision(decision);
            }
            _ => {}
        }
    }

    fn take_receipt(&mut self, receipt: &Receipt) {
        let found = &mut self.found;
        let model = receipt.model.clone().unwrap_or_else(|| receipt.provider.clone());
        *found.models.entry(model).or_default() += 1;
        found.tokens = found.tokens.saturating_add(receipt.tokens.unwrap_or(0));
        found.took_ms_max = found.took_ms_max.max(receipt.took_ms);
    }

    /// Starts to follow a decision that advice moved, or would have.
    fn take_decision(&mut self, decision: &Decision) {
        let Some(verdict) = &decision.derivation.advice else { return };
        *self.found.verdicts.entry(word(verdict).to_owned()).or_default() += 1;
        let Some(question) = self.question.take() else { return };
        let shadowed_to = match verdict {
            Verdict::Shadowed { would, .. } => Some(*would),
            _ => None,
        };
        let (advised, alone) = match (shadowed_to, decision.replicas()) {
            (Some(would), Some(alone)) => (would, alone),
            (None, Some(advised)) => (advised, question.fallback.replicas().unwrap_or(advised)),
            (_, None) => return,
        };
        if advised == alone {
            return;
        }
        let is_more = advised > alone;
        self.moved(is_more).decisions += 1;
        // One that still makes a difference goes on in this one.
        let mut alone = alone;
        for before in self.traces.iter_mut().filter(|it| it.is_more == is_more && !it.is_over) {
            alone = if is_more { alone.min(before.alone) } else { alone.max(before.alone) };
            before.is_over = true;
        }
        let at = decision.at;
        let (windows, is_counted, is_over) = (0, false, false);
        let trace = Trace { at, is_more, alone, windows, is_counted, shadowed_to, is_over };
        self.traces.push(trace);
    }

    /// What a decision says of those that were moved before it.
    fn follow(&mut self, decision: &Decision) {
        let Some(current) = decision.derivation.current else { return };
        let in_breach = decision.derivation.signal.breach.is_some();
        let mut traces = std::mem::take(&mut self.traces);
        for trace in &mut traces {
            let seconds = decision.at.saturating_since(trace.at).as_secs_f64();
            let moved = self.moved(trace.is_more);
            if !trace.is_over {
                let counted = trace.shadowed_to.unwrap_or(current);
                moved.replica_seconds += (f64::from(counted) - f64::from(trace.alone)) * seconds;
                let is_there =
                    if trace.is_more { current <= trace.alone } else { current >= trace.alone };
                trace.is_over = is_there || trace.shadowed_to.is_some();
            }
            trace.at = decision.at;
            trace.windows = trace.windows.saturating_add(1);
            if in_breach && !trace.is_counted && trace.windows <= HORIZON_WINDOWS {
                moved.before_a_breach += 1;
                trace.is_counted = true;
            }
        }
        traces.retain(|trace| !trace.is_over || trace.windows < HORIZON_WINDOWS);
        self.traces = traces;
    }

    const fn moved(&mut self, is_more: bool) -> &mut Moved {
        if is_more { &mut self.found.more } else { &mut self.found.fewer }
    }
}

/// Counts the prompts of a journal that this version would write otherwise.
pub(crate) struct Prompts {
    operator: Thresholds,
    question: Option<Consultation>,
    pub(crate) changed: u64,
}

impl Prompts {
    /// For the journal of a planner of this configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self { operator: config.thresholds(), question: None, changed: 0 }
    }

    /// Takes the next record in.
    pub(crate) fn take(&mut self, record: &Record) {
        if let Step::Consult(consultation) = &record.step {
            self.question = Some(consultation.clone());
        }
        let Event::Attest(id, receipt) = &record.event else { return };
        let asked = self.question.as_ref().filter(|question| question.id == *id);
        let Some(question) = asked.filter(|_| !receipt.prompt_sha256.is_empty()) else { return };
        let as_now = [true, false]
            .map(|asks_thresholds| prompt_sha256(question, self.operator, asks_thresholds));
        self.changed += u64::from(!as_now.contains(&receipt.prompt_sha256));
    }
}

/// A verdict in one word.
const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Clamped { .. } => "clamped",
        Verdict::Missed(_) => "missed",
        Verdict::Outdated => "outdated",
        Verdict::Overtaken => "overtaken",
        Verdict::Rejected { .. } => "rejected",
        Verdict::Shadowed { .. } => "shadowed",
        Verdict::Suspended { .. } => "suspended",
        Verdict::Taken { .. } => "taken",
        _ => "other",
    }
}
