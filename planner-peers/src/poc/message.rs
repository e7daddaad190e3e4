//! What it publishes.

use std::fmt;

use planner_core::policy::PocAction;

use super::value::Value;

/// What it wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the fixed answers of a fixed program")]
pub enum Action {
    /// Nothing.
    Noop,
    /// The target is to start again; only a model says so.
    Restart,
    /// One replica fewer.
    ScaleDown,
    /// One replica more.
    ScaleUp,
}

impl Action {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Restart => "restart",
            Self::ScaleDown => "scale_down",
            Self::ScaleUp => "scale_up",
        }
    }

    /// The action of this name; what it does not know is [`Action::Noop`].
    pub(super) fn named(name: &str) -> Self {
        match name {
            "restart" => Self::Restart,
            "scale_down" => Self::ScaleDown,
            "scale_up" => Self::ScaleUp,
            _ => Self::Noop,
        }
    }
}

impl From<PocAction> for Action {
    fn from(action: PocAction) -> Self {
        match action {
            PocAction::Noop => Self::Noop,
            PocAction::ScaleDown => Self::ScaleDown,
            PocAction::ScaleUp => Self::ScaleUp,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What it wants done with the container `app`, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed answer of a fixed program")]
pub struct Decision {
    /// What it wants done.
    pub action: Action,
    /// Why, in its own words or the model's.
    pub reason: String,
}

/// The container that every decision is about.
const TARGET: &str = "app";

/// The numbers that a plan was made from.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed fields of a fixed message")]
pub struct Telemetry {
    /// Baseline in milliseconds.
    pub baseline_ms: f64,
    /// Whether each recent window was near, oldest first.
    pub low_windows: Vec<bool>,
    /// p95 in milliseconds.
    pub p95_ms: f64,
    /// Replicas.
    pub replicas: i64,
    /// σ in milliseconds.
    pub sigma_ms: f64,
}

/// A decision as it is published.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed fields of a fixed message")]
pub struct Plan {
    /// When, in Unix seconds.
    pub ts: f64,
    /// What it wants done.
    pub decision: Decision,
    /// What it was made from.
    pub telemetry: Telemetry,
}

/// What goes out on its channel of actions.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the fixed messages of a fixed program")]
pub enum Message {
    /// An alert that it could not read.
    Error {
        /// Why; the text is ours.
        error: String,
        /// The alert.
        raw: Value,
    },
    /// A decision.
    Plan(Plan),
}

impl From<&Message> for Value {
    /// The message as it is on the wire.
    fn from(message: &Message) -> Self {
        match message {
            Message::Error { error, raw } => Self::map([
                ("kind", "error".into()),
                ("error", error.as_str().into()),
                ("raw", raw.clone()),
            ]),
            Message::Plan(Plan { ts, decision, telemetry }) => Self::map([
                ("ts", Self::Float(*ts)),
                ("kind", "plan".into()),
                ("container", TARGET.into()),
                (
                    "decision",
                    Self::map([
                        ("action", decision.action.as_str().into()),
                        ("target", TARGET.into()),
                        ("reason", decision.reason.as_str().into()),
                    ]),
                ),
                (
                    "telemetry",
                    Self::map([
                        ("p95_ms", Self::Float(telemetry.p95_ms)),
                        ("baseline_ms", Self::Float(telemetry.baseline_ms)),
                        ("sigma_ms", Self::Float(telemetry.sigma_ms)),
                        ("low_windows", telemetry.low_windows.as_slice().into()),
                        ("replicas", Self::Int(telemetry.replicas)),
                    ]),
                ),
            ]),
        }
    }
}
