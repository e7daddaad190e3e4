//! The laws by name and number.

use std::fmt;

use serde::Serialize;

/// A law. The numbers are those of the laws' text, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a new law is a new promise, and a breaking change")]
pub enum Law {
    /// Every target is within the bounds; a count outside is corrected within the removal limit.
    Bounds = 1,
    /// Never more than the configured change per period; cooldowns are per direction.
    Rate,
    /// A window that cannot be trusted never scales in.
    Doubt,
    /// With too many errors nothing is scaled in, however low the latency.
    Failure,
    /// Under a breach an advisor never makes the target lower or later.
    OneSidedAdvice,
    /// The same events give the same steps, byte for byte.
    Determinism,
    /// Snapshot and restore at any point changes no later step.
    RestartEquivalence,
    /// Every trusted window leads to a decision by its deadline; late advice is stale.
    Deadline,
    /// Overload of any length never becomes normal.
    NoPoisoning,
    /// A steady load that needs its replicas keeps them; trials are bounded.
    NoRatchet,
    /// Changes of direction stay within the budget of every hour.
    NoFlapping,
    /// A repeated or older window changes nothing.
    Idempotence,
    /// More latency, errors or traffic never lower the target.
    Monotone,
    /// Shifting all times, or scaling all latencies by a power of two, changes no target.
    Invariance,
    /// Scale-outs that do not help stop, and resume on new evidence.
    Efficacy,
    /// Calls of the advisor stay within their budget in any rolling minute.
    Budget,
    /// Every stage recomputes from the record; the constraint that bound is named.
    Explained,
    /// No input panics.
    Total,
}

impl Law {
    /// All laws in order.
    pub const ALL: [Self; 18] = [
        Self::Bounds,
        Self::Rate,
        Self::Doubt,
        Self::Failure,
        Self::OneSidedAdvice,
        Self::Determinism,
        Self::RestartEquivalence,
        Self::Deadline,
        Self::NoPoisoning,
        Self::NoRatchet,
        Self::NoFlapping,
        Self::Idempotence,
        Self::Monotone,
        Self::Invariance,
        Self::Efficacy,
        Self::Budget,
        Self::Explained,
        Self::Total,
    ];

    /// Its number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Bounds => "bounds",
            Self::Rate => "rate",
            Self::Doubt => "doubt never scales in",
            Self::Failure => "failure is not idleness",
            Self::OneSidedAdvice => "one-sided advice",
            Self::Determinism => "determinism",
            Self::RestartEquivalence => "restart equivalence",
            Self::Deadline => "deadline",
            Self::NoPoisoning => "no poisoning",
            Self::NoRatchet => "no ratchet",
            Self::NoFlapping => "no flapping",
            Self::Idempotence => "idempotence",
            Self::Monotone => "monotone",
            Self::Invariance => "invariance",
            Self::Efficacy => "efficacy",
            Self::Budget => "budget",
            Self::Explained => "explained",
            Self::Total => "total",
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law {} {}", self.number(), self.title())
    }
}
