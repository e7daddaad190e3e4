//! Settings that cannot work.

/// A setting of the advisor that cannot work. None repeats a key or an address, which may hold one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// The HTTP client cannot be made.
    #[error("client: {cause}; check the system's certificates")]
    Client {
        /// What is wrong.
        cause: String,
    },
    /// The key cannot stand in a header.
    #[error("key: has letters that no header may carry; write it again")]
    Key,
    /// No model, or a name that is none.
    #[error(
        "model: {name:?} is not 1 to 128 of A-Z, a-z, 0-9, '.', '_', ':', '/', '@' and '-'; name the provider's model"
    )]
    Model {
        /// What was named.
        name: String,
    },
    /// No such provider.
    #[error("provider: {name:?} is none of gemini, openai, anthropic and ollama; name one of them")]
    Provider {
        /// What was named.
        name: String,
    },
    /// The address is not one that may be asked.
    #[error("url: not {rule}; name the provider's base address")]
    Url {
        /// What it has to be.
        rule: &'static str,
    },
}
