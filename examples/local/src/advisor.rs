//! The advisor of the settings: a recording, or a model where this build has a client for one.

use std::path::PathBuf;

#[cfg(feature = "model")]
use planner_llm::{ApiKey, LlmAdvisor, LlmError, LlmSettings, Location, Provider, is_retired};
use planner_llm::{RecordedAdvisor, Recording, RecordingError};
use thiserror::Error;

use crate::settings::{Settings, SettingsError};

/// What stands in `LLM_URL` before the name of a recording.
const RECORD: &str = "record:";

/// Who is asked.
#[derive(Debug)]
pub enum Chosen {
    /// A recording.
    Record(RecordedAdvisor),
    /// A model.
    #[cfg(feature = "model")]
    Model(Box<LlmAdvisor>),
}

/// Why there is no advisor although one is set.
#[derive(Debug, Error)]
pub enum AdvisorError {
    /// This program was built without a client.
    #[error(
        "LLM_URL: this build asks no model; build it with --features model, or name a recording as \
         record:FILE"
    )]
    Clientless,
    /// The additional fields of a request are none.
    #[error("LLM_EXTRA_BODY: not a JSON object; write one, or leave it out")]
    ExtraBody,
    /// The key cannot be read.
    #[error("LLM_API_KEY_FILE: {} cannot be read: {cause}; name a file that holds the key", path.display())]
    Keyless {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A setting of the model cannot work.
    #[cfg(feature = "model")]
    #[error("LLM_{0}")]
    Model(#[from] LlmError),
    /// No model is named.
    #[error("LLM_MODEL: absent; name the provider's model, for Gemini gemini-3.5-flash-lite say")]
    Nameless,
    /// The recording is none.
    #[error("LLM_URL: {} {cause}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: RecordingError,
    },
    /// A setting cannot be read.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The recording cannot be read.
    #[error("LLM_URL: {} cannot be read: {cause}; name a file of recorded advice", path.display())]
    Unopened {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// The advisor of the settings; `None` where there is none, or it is turned off.
///
/// # Errors
///
/// [`AdvisorError`] names the setting that cannot work.
pub fn chosen(settings: &Settings) -> Result<Option<Chosen>, AdvisorError> {
    if !settings.has_advisor() {
        return Ok(None);
    }
    if let Some(path) = settings.text("LLM_URL").and_then(|url| url.strip_prefix(RECORD)) {
        return Ok(Some(Chosen::Record(recorded(settings, path.into())?)));
    }
    #[cfg(feature = "model")]
    return Ok(Some(Chosen::Model(Box::new(LlmAdvisor::new(model(settings)?)?))));
    #[cfg(not(feature = "model"))]
    Err(AdvisorError::Clientless)
}

fn recorded(settings: &Settings, path: PathBuf) -> Result<RecordedAdvisor, AdvisorError> {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) => return Err(AdvisorError::Unopened { path, cause }),
    };
    match Recording::parse(&text) {
        Ok(recording) => Ok(RecordedAdvisor::new(recording, settings.config()?.thresholds())),
        Err(cause) => Err(AdvisorError::Record { path, cause }),
    }
}

/// What is known to be wrong with a model's name, for a log; `None` for most.
#[cfg(feature = "model")]
pub fn warning(settings: &LlmSettings) -> Option<String> {
    let model = &settings.model;
    let retired = "is known to be retired, or about to be: name another in LLM_MODEL";
    is_retired(model).then(|| format!("{model} {retired}"))
}

/// The settings of the model that is asked.
///
/// # Errors
///
/// [`AdvisorError`] names the setting that cannot work.
#[cfg(feature = "model")]
pub fn model(settings: &Settings) -> Result<LlmSettings, AdvisorError> {
    let location = settings.text("LLM_URL").map(Location::of);
    let named: Option<Provider> =
        settings.parsed("LLM_PROVIDER", "gemini, openai, anthropic or ollama")?;
    // Where neither is set nobody is asked: `has_advisor` says so.
    let provider = named.or_else(|| location.as_ref().map(|location| location.provider));
    let provider = provider.unwrap_or(Provider::Gemini);
    let in_url = location.as_ref().and_then(|location| location.model.clone());
    let model = settings.text("LLM_MODEL").map(str::to_owned).or(in_url);
    let thresholds = settings.config()?.thresholds();
    let mut llm = LlmSettings::new(provider, model.ok_or(AdvisorError::Nameless)?, thresholds);
    if let Some(location) = location {
        llm.url = location.base;
    }
    llm.key = key(settings)?;
    llm.deadline = settings.span("LLM_TIMEOUT_SEC")?;
    llm.wait_max = settings.span("LLM_BACKOFF_MAX_SEC")?;
    llm.output_tokens_max = settings.count("LLM_MAX_OUTPUT_TOKENS")?;
    llm.thinking = settings.text("LLM_THINKING").map(str::to_owned);
    llm.asks_thresholds = settings.flag("LLM_DYNAMIC_THRESHOLDS")?;
    llm.allow_private = settings.flag("LLM_PRIVATE")?;
    if let Some(text) = settings.text("LLM_EXTRA_BODY") {
        llm.extra_body = serde_json::from_str(text).map_err(|_| AdvisorError::ExtraBody)?;
    }
    Ok(llm)
}

#[cfg(feature = "model")]
fn key(settings: &Settings) -> Result<Option<ApiKey>, AdvisorError> {
    if let Some(key) = settings.text("LLM_API_KEY") {
        return Ok(Some(ApiKey::new(key)));
    }
    let Some(path) = settings.text("LLM_API_KEY_FILE").map(PathBuf::from) else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(key) => Ok(Some(ApiKey::new(&key))),
        Err(cause) => Err(AdvisorError::Keyless { path, cause }),
    }
}
