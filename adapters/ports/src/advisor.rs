//! A second opinion.

use async_trait::async_trait;
use planner_core::{Advice, AdvisorFault, Consultation, Receipt};

/// Gives advice on a consultation.
///
/// An advisor can be absent, slow, wrong or hostile: the planner stays safe, so an implementation
/// only has to be honest about faults. It must not sleep or retry on its own; budget and back-off
/// are the planner's gateway's.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Advisor: Send + Sync {
    /// Answers the question, or says why there is no answer. The future is dropped at the
    /// consultation's deadline.
    async fn advise(&self, consultation: &Consultation) -> Advised;
}

/// What came of a question. Made of a plain result where there is nothing for the record.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made by every advisor")]
pub struct Advised {
    /// The answer, or why there is none.
    pub outcome: Result<Advice, AdvisorFault>,
    /// What the call was, for the journal.
    pub receipt: Option<Receipt>,
}

impl From<Result<Advice, AdvisorFault>> for Advised {
    fn from(outcome: Result<Advice, AdvisorFault>) -> Self {
        Self { outcome, receipt: None }
    }
}
