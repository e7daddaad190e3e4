//! Why there is no router.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why there is no router. Each message names what, its value, the rule and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NginxError {
    /// The include file has no name.
    #[error("file: {} names no file; give the path of the include file", file.display())]
    File {
        /// What was given.
        file: PathBuf,
    },
    /// No port for the access log.
    #[error("log: no loopback port to listen on: {cause}; free some")]
    Log {
        /// What the system says.
        cause: String,
    },
    /// The upstream's name could be more than a name.
    #[error("upstream: not 1 to 63 of a-z, 0-9 and '_', a letter first; rename it")]
    Name,
    /// A command without a program.
    #[error("{setting}: names no program; give the program and its arguments")]
    Program {
        /// Which setting.
        setting: &'static str,
    },
    /// A span that is too long.
    #[error("{setting}: {value:?} is longer than {max:?}; choose a shorter time")]
    Span {
        /// Which setting.
        setting: &'static str,
        /// What was given.
        value: std::time::Duration,
        /// The longest one.
        max: std::time::Duration,
    },
    /// The include file cannot be read or written.
    #[error("file: {} cannot be kept: {cause}; give a folder that is ours to write", file.display())]
    Unwritable {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// The window is too short or too long.
    #[error("window: {window:?} is not from 10 ms to 1 h; choose a few seconds")]
    Window {
        /// What was given.
        window: std::time::Duration,
    },
    /// The status address, or that of the log, is not for this machine only.
    #[error("status: {status} is not a loopback address; use 127.0.0.1 with a free port")]
    Status {
        /// What was given.
        status: SocketAddr,
    },
}
