//! Where windows come from.

use async_trait::async_trait;
use planner_core::Window;

/// A source of telemetry windows, at its own pace.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TelemetrySource: Send {
    /// The next window, when it is complete. Window numbers rise. Times are those of
    /// the [`Timeline`](crate::Timeline) that the source was built with, the runtime's. Dropping
    /// the future between windows loses at most the window under way.
    async fn next_window(&mut self) -> Result<Window, TelemetryError>;
}

/// Why there is no window. Missing telemetry is never a window of zeros.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// What was measured makes no valid window.
    #[error("telemetry makes no window: {0}")]
    Invalid(#[from] planner_core::WindowError),
    /// The source has ended; there will be no more windows.
    #[error("the telemetry source has ended")]
    Ended,
    /// The source could not be read this time.
    #[error("{origin} gave no telemetry: {cause}; it is asked again")]
    Unavailable {
        /// What was asked.
        origin: &'static str,
        /// What went wrong.
        cause: String,
    },
}
