//! The big red button: a file. While it is there nothing is scaled, whatever everybody else says.

use std::path::PathBuf;
use std::time::Duration;

use planner_examples_local::settings::Settings;

/// How often it is looked for.
pub(crate) const LOOK: Duration = Duration::from_millis(250);

/// The file, where one is named.
#[derive(Clone, Debug)]
pub(crate) struct Pause(Option<PathBuf>);

impl Pause {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self(settings.text("PAUSE_FILE").map(PathBuf::from))
    }

    /// Whether it is there. What cannot be looked at counts as there.
    pub(crate) fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(|file| file.try_exists().unwrap_or(true))
    }
}
