//! Why a program does not start with its settings.

use std::path::PathBuf;

use planner_core::ConfigError;
use thiserror::Error;

use super::Source;
use super::table::Setting;

/// Why a program does not start with its settings. Each message names setting, value, rule and
/// remedy; the value of a secret is never among them.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The core refuses a value, or two that contradict each other.
    #[error("{}{cause}", program_name(cause))]
    Config {
        /// Its words, which name the setting as the core does.
        #[from]
        cause: ConfigError,
    },
    /// The file is no TOML.
    #[error("{}: line {line} is no TOML: {cause}; write NAME = VALUE, one a line", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What the parser says.
        cause: String,
    },
    /// It would be ignored.
    #[error(
        "{name}: set {source_}, and has no effect without {without}; set that too, or leave it out"
    )]
    NoEffect {
        /// Which setting.
        name: &'static str,
        /// Where it was set.
        source_: Source,
        /// What it would take.
        without: &'static str,
    },
    /// A value that cannot be read.
    #[error("{name}: {value}, set {source_}, is not {rule}; write it as one")]
    Unreadable {
        /// Which setting.
        name: &'static str,
        /// What was given.
        value: String,
        /// Where it was set.
        source_: Source,
        /// What it has to be.
        rule: &'static str,
    },
    /// There is no such setting.
    #[error("{}: {key:?} is no setting; --help lists them all", path.display())]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// What it says.
        key: String,
    },
    /// The file cannot be read.
    #[error("{}: not readable: {cause}; name a file of settings", path.display())]
    Unopened {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
}

/// The name under which people set what the core complains about, where it differs.
fn program_name(cause: &ConfigError) -> String {
    let known = Setting::of_core(cause.setting()).filter(|it| it.key() != cause.setting());
    known.map_or_else(String::new, |setting| format!("{}: ", setting.name))
}
