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
    async fn advise(&self, consultation: &Consultation) -> Result<Advice, AdvisorFault>;

    /// The same with a receipt for the journal; without one by default.
    async fn consult(
        &self,
        consultation: &Consultation,
    ) -> (Result<Advice, AdvisorFault>, Option<Receipt>) {
        (self.advise(consultation).await, None)
    }
}
