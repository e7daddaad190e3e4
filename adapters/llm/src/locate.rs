//! What an address says of itself: whose dialect, and maybe which model.

use crate::Provider;

/// An address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// Whose dialect is spoken there.
    pub provider: Provider,
    /// The base address, to which the dialect's path is added.
    pub base: String,
    /// The model, where the address names one.
    pub model: Option<String>,
}

impl Location {
    /// Takes apart a base address, or one with a dialect's whole path, as the proof of concept has
    /// it: `https://.../v1beta/models/MODEL:generateContent`. Whoever is not known speaks as
    /// `OpenAI` does.
    ///
    /// ```
    /// use planner_llm::{Location, Provider};
    ///
    /// let location = Location::of(
    ///     "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.5-flash-lite:generateContent",
    /// );
    /// assert_eq!(location.provider, Provider::Gemini);
    /// assert_eq!(location.base, "https://generativelanguage.googleapis.com/v1beta");
    /// assert_eq!(location.model.as_deref(), Some("gemini-3.5-flash-lite"));
    /// ```
    pub fn of(url: &str) -> Self {
        let url = url.trim().trim_end_matches('/');
        if let Some((base, rest)) = url.split_once("/models/")
            && let Some((model, _)) = rest.split_once(':')
        {
            let (base, model) = (base.to_owned(), Some(model.to_owned()));
            return Self { provider: Provider::Gemini, base, model };
        }
        for (path, provider) in [
            ("/chat/completions", Provider::OpenAi),
            ("/v1/messages", Provider::Anthropic),
            ("/api/chat", Provider::Ollama),
        ] {
            if let Some(base) = url.strip_suffix(path) {
                return Self { provider, base: base.to_owned(), model: None };
            }
        }
        let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (host, path) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
        let provider = match host {
            "generativelanguage.googleapis.com" if path.contains("openai") => Provider::OpenAi,
            "generativelanguage.googleapis.com" => Provider::Gemini,
            "api.anthropic.com" => Provider::Anthropic,
            _ if host.ends_with(":11434") && !path.starts_with("v1") => Provider::Ollama,
            _ => Provider::OpenAi,
        };
        Self { provider, base: url.to_owned(), model: None }
    }
}

/// Whether a model is known to be gone, or to go within weeks. What is not known to be gone may be
/// gone nevertheless: the provider says so then.
pub fn is_retired(model: &str) -> bool {
    let gone = ["gemini-1", "gemini-2.0-", "gemini-2.5-flash", "gemini-pro"];
    gone.iter().any(|gone| model.starts_with(gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_whose_dialect_it_is() {
        for (url, provider, base) in [
            ("https://api.openai.com/v1/", Provider::OpenAi, "https://api.openai.com/v1"),
            (
                "http://127.0.0.1:8080/v1/chat/completions",
                Provider::OpenAi,
                "http://127.0.0.1:8080/v1",
            ),
            ("http://localhost:11434", Provider::Ollama, "http://localhost:11434"),
            ("http://localhost:11434/v1", Provider::OpenAi, "http://localhost:11434/v1"),
            ("http://10.0.0.1:11434/api/chat", Provider::Ollama, "http://10.0.0.1:11434"),
            ("https://api.anthropic.com", Provider::Anthropic, "https://api.anthropic.com"),
            (
                "https://api.anthropic.com/v1/messages",
                Provider::Anthropic,
                "https://api.anthropic.com",
            ),
            (
                "https://generativelanguage.googleapis.com/v1beta",
                Provider::Gemini,
                "https://generativelanguage.googleapis.com/v1beta",
            ),
            (
                "https://generativelanguage.googleapis.com/v1beta/openai",
                Provider::OpenAi,
                "https://generativelanguage.googleapis.com/v1beta/openai",
            ),
        ] {
            let base = String::from(base);
            assert_eq!(Location::of(url), Location { provider, base, model: None }, "{url}");
        }
    }

    #[test]
    fn a_model_that_is_gone_is_known_and_others_are_not_blamed() {
        for (model, gone) in [
            ("gemini-2.5-flash", true),
            ("gemini-2.0-flash-lite", true),
            ("gemini-3.5-flash-lite", false),
            ("gpt-5-mini", false),
        ] {
            assert_eq!(is_retired(model), gone, "{model}");
        }
    }
}
