//! Why something could not be said or heard.

use std::path::PathBuf;
use std::time::Duration;

/// Why the bus did not do what it was asked. Passwords are never part of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// Old actions cannot be told from forged ones where messages carry a seal.
    #[error("accept_old_actions: true together with a key; drop one of the two")]
    OldActionsWithKey,
    /// The prefix could be more than a name.
    #[error("prefix: not 1 to 63 of a-z, A-Z, 0-9, '_', '.' and '-'; rename it")]
    Prefix,
    /// A number of entries outside its range.
    #[error("{setting}: {value} is not from {least} to {most}; choose a number between")]
    Range {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A span outside its range.
    #[error("{setting}: {value:?} is not from {least:?} to {most:?}; choose a time between")]
    Span {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: Duration,
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// The file with the certificate authority cannot be read.
    #[error("ca_file: {}: {cause}; name a PEM file that can be read", file.display())]
    CaFile {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// A message that readers would refuse.
    #[error("message: {bytes} bytes is longer than {most}; say less")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// The most there may be.
        most: usize,
    },
    /// Redis could not be reached, did not answer in time, or refused. Whether a command that was
    /// under way had its effect is not known.
    #[error("redis: {what} failed: {cause}; it is tried again")]
    Unavailable {
        /// What was asked for.
        what: &'static str,
        /// What went wrong.
        cause: String,
    },
    /// The address is no address. It is not repeated: it may hold a password.
    #[error("url: not an address of Redis; use redis://host:port/ or unix:///path")]
    Url,
    /// The task behind a reader has ended.
    #[error("redis: the reader has ended; open another one")]
    Ended,
}

impl BusError {
    /// Redis failed at `what`, for this reason.
    pub(crate) fn unavailable(what: &'static str, cause: impl Into<String>) -> Self {
        Self::Unavailable { what, cause: cause.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_names_what_value_rule_and_what_to_do() {
        let second = Duration::from_secs(1);
        let range = BusError::Range { setting: "count", value: 0, least: 1, most: 9 };
        let span =
            BusError::Span { setting: "ttl", value: 9 * second, least: second, most: 2 * second };
        for (error, text) in [
            (
                BusError::OldActionsWithKey,
                "accept_old_actions: true together with a key; drop one of the two",
            ),
            (BusError::Prefix, "prefix: not 1 to 63 of a-z, A-Z, 0-9, '_', '.' and '-'; rename it"),
            (range, "count: 0 is not from 1 to 9; choose a number between"),
            (span, "ttl: 9s is not from 1s to 2s; choose a time between"),
            (
                BusError::TooLong { bytes: 70_000, most: 65_536 },
                "message: 70000 bytes is longer than 65536; say less",
            ),
            (
                BusError::unavailable("XADD", "timed out"),
                "redis: XADD failed: timed out; it is tried again",
            ),
            (BusError::Url, "url: not an address of Redis; use redis://host:port/ or unix:///path"),
            (
                BusError::CaFile {
                    file: PathBuf::from("/ca.pem"),
                    cause: String::from("No such file"),
                },
                "ca_file: /ca.pem: No such file; name a PEM file that can be read",
            ),
            (BusError::Ended, "redis: the reader has ended; open another one"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
