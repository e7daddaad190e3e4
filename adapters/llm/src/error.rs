//! Settings that cannot work.

/// A setting of the advisor that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// No such provider.
    #[error("provider: {name:?} is none of gemini, openai, anthropic and ollama; name one of them")]
    Provider {
        /// What was named.
        name: String,
    },
}
