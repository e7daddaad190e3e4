//! The advisor of the settings, which tells every call in the log.

use std::sync::Arc;

use async_trait::async_trait;
use planner_core::Consultation;
use planner_examples_local::advisor::{Chosen, chosen, warning};
use planner_examples_local::settings::Settings;
use planner_llm::{Call, LlmAdvisor};
use planner_ports::{Advised, Advisor};

use crate::program::Failure;

/// The advisor of the settings; `None` where there is none.
pub(crate) fn advisor(settings: &Settings) -> Result<Option<Arc<dyn Advisor>>, Failure> {
    Ok(match chosen(settings)? {
        None => None,
        Some(Chosen::Record(advisor)) => {
            tracing::info!("advice is taken from a recording");
            Some(Arc::new(advisor))
        }
        Some(Chosen::Model(advisor)) => {
            let llm = advisor.settings();
            if let Some(warning) = warning(llm) {
                tracing::warn!("{warning}");
            }
            tracing::info!(provider = %llm.provider, model = llm.model, "an advisor is asked");
            Some(Arc::new(Logged(*advisor)))
        }
    })
}

/// An advisor whose every call is told.
#[derive(Debug)]
pub(crate) struct Logged(LlmAdvisor);

impl Logged {
    fn tell(call: &Call) {
        let took_ms = u64::try_from(call.took.as_millis()).unwrap_or(u64::MAX);
        let (status, tokens, request) = (call.status, call.tokens, &call.request_sha256);
        match &call.outcome {
            Ok(answer) => {
                let answer = answer.to_json().to_string();
                tracing::info!(answer, status, tokens, took_ms, request, "advised");
            }
            Err(fault) => {
                let (class, code) = (fault.class.to_string(), &fault.code);
                let wait_s = fault.wait.map(|wait| wait.as_secs());
                tracing::warn!(class, code, wait_s, status, tokens, took_ms, request, "no advice");
            }
        }
        if let (Some(before), Some(model)) = (&call.model_before, &call.model) {
            tracing::warn!(before, model, "another model answers from now on");
        }
    }
}

#[async_trait]
impl Advisor for Logged {
    async fn advise(&self, consultation: &Consultation) -> Advised {
        let call = self.0.ask(consultation).await;
        Self::tell(&call);
        call.advised(consultation)
    }
}
