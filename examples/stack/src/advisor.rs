//! The advisor of the settings, which tells every call in the log.

use std::sync::Mutex;

use async_trait::async_trait;
use planner_core::Consultation;
use planner_examples_local::settings::Settings;
use planner_llm::{ApiKey, Call, LlmAdvisor, LlmSettings, Location, Provider, is_retired};
use planner_ports::{Advised, Advisor};
use serde_json::{Map, Value};

use crate::program::Failure;

/// The settings of the model that is asked; `None` where there is no advisor.
pub(crate) fn llm_settings(settings: &Settings) -> Result<Option<LlmSettings>, Failure> {
    if !settings.has_advisor() {
        return Ok(None);
    }
    let location = settings.text("LLM_URL").map(Location::of);
    let named: Option<Provider> =
        settings.parsed("LLM_PROVIDER", "gemini, openai, anthropic or ollama")?;
    let Some(provider) = named.or_else(|| location.as_ref().map(|location| location.provider))
    else {
        return Ok(None);
    };
    let in_url = location.as_ref().and_then(|location| location.model.clone());
    let Some(model) = settings.text("LLM_MODEL").map(str::to_owned).or(in_url) else {
        let rule = "absent; name the provider's model, for Gemini gemini-3.5-flash-lite say";
        return Err(format!("LLM_MODEL: {rule}").into());
    };
    if is_retired(&model) {
        tracing::warn!(model, "known to be retired, or about to be: name another in LLM_MODEL");
    }
    let mut llm = LlmSettings::new(provider, model, settings.config()?.thresholds());
    if let Some(location) = location {
        llm.url = location.base;
    }
    llm.key = settings.text("LLM_API_KEY").map(ApiKey::new);
    llm.deadline = settings.span("LLM_TIMEOUT_SEC")?;
    llm.wait_max = settings.span("LLM_BACKOFF_MAX_SEC")?;
    llm.output_tokens_max = settings.count("LLM_MAX_OUTPUT_TOKENS")?;
    llm.thinking = settings.text("LLM_THINKING").map(str::to_owned);
    llm.asks_thresholds = settings.flag("LLM_DYNAMIC_THRESHOLDS")?;
    llm.allow_private = settings.flag("LLM_PRIVATE")?;
    llm.extra_body = match settings.text("LLM_EXTRA_BODY") {
        None => Map::new(),
        Some(text) => match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => fields,
            _ => return Err("LLM_EXTRA_BODY: not a JSON object; write one, or leave it out".into()),
        },
    };
    Ok(Some(llm))
}

/// The advisor of the settings; `None` where there is none.
pub(crate) fn advisor(settings: &Settings) -> Result<Option<Logged>, Failure> {
    let Some(llm) = llm_settings(settings)? else { return Ok(None) };
    tracing::info!(provider = %llm.provider, model = llm.model, "an advisor is asked");
    Ok(Some(Logged { advisor: LlmAdvisor::new(llm)?, answering: Mutex::default() }))
}

/// An advisor whose every call is told.
#[derive(Debug)]
pub(crate) struct Logged {
    advisor: LlmAdvisor,
    /// The model that answered last: a provider may change it without a word.
    answering: Mutex<Option<String>>,
}

impl Logged {
    fn tell(&self, call: &Call) {
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
        let Some(model) = &call.model else { return };
        // Whoever panicked left a whole name.
        let mut answering =
            self.answering.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if answering.as_ref().is_some_and(|before| before != model) {
            let before = answering.as_deref();
            tracing::warn!(before, model, "another model answers from now on");
        }
        *answering = Some(model.clone());
    }
}

#[async_trait]
impl Advisor for Logged {
    async fn advise(&self, consultation: &Consultation) -> Advised {
        let call = self.advisor.ask(consultation).await;
        self.tell(&call);
        call.advised(consultation)
    }
}
