//! What an advisor may say, and how little of it can do harm.
//!
//! Advice is a value that was parsed elsewhere; here it is bounded: text is capped and cleaned,
//! thresholds may only tighten the operator's, and a target is moved into the policy's band. The
//! network is the adapter's business.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::Timestamp;
use crate::config::Thresholds;
use crate::policy::Proposal;

/// Longest reason that is kept, in characters.
const REASON_CHARS_MAX: usize = 160;
/// An advised `up_ratio` is at least this.
const UP_RATIO_MIN: f64 = 1.5;
/// An advised `up_z` is at least this.
const UP_Z_MIN: f64 = 3.0;
/// Advised thresholds keep at least this factor between `up_ratio` and `down_ratio`.
const RATIO_GAP_MIN: f64 = 1.25;

/// What the advisor wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(clippy::exhaustive_enums, reason = "the three actions of the advice schema")]
pub enum AdvisedAction {
    /// Leave it.
    Noop,
    /// Fewer replicas.
    ScaleDown,
    /// More replicas.
    ScaleUp,
}

/// One piece of advice.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "RawAdvice"))]
#[non_exhaustive]
pub struct Advice {
    /// What the advisor wants done.
    pub action: AdvisedAction,
    /// To how many replicas; one step in the action's direction when absent.
    pub replicas: Option<u32>,
    /// Thresholds that the advisor derives from the telemetry it was shown.
    pub thresholds: Option<Thresholds>,
    /// Its reason: untrusted text, at most 160 characters, without control characters.
    pub reason: String,
}

impl Advice {
    /// Advice with a reason that is made safe to show.
    ///
    /// ```
    /// use planner_core::{AdvisedAction, Advice};
    ///
    /// let advice = Advice::new(AdvisedAction::ScaleUp, "ratio\u{1b}[31m 9.1");
    /// assert_eq!(advice.reason, "ratio[31m 9.1");
    /// ```
    pub fn new(action: AdvisedAction, reason: &str) -> Self {
        let legible = |letter: &char| !letter.is_control() && !is_format_character(*letter);
        let reason = reason.chars().filter(legible).take(REASON_CHARS_MAX).collect();
        Self { action, replicas: None, thresholds: None, reason }
    }

    /// The same advice with an absolute target.
    #[must_use]
    pub const fn to_replicas(mut self, replicas: u32) -> Self {
        self.replicas = Some(replicas);
        self
    }

    /// The same advice with thresholds. Those that are not finite are left out: no text could
    /// hold them.
    #[must_use]
    pub fn with_thresholds(mut self, thresholds: Thresholds) -> Self {
        let Thresholds { up_ratio, down_ratio, up_z } = thresholds;
        let finite = [up_ratio, down_ratio, up_z].iter().all(|number| number.is_finite());
        self.thresholds = finite.then_some(thresholds);
        self
    }
}

/// Advice as it comes from a file: its reason may hold anything.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct RawAdvice {
    action: AdvisedAction,
    replicas: Option<u32>,
    thresholds: Option<Thresholds>,
    reason: String,
}

#[cfg(feature = "serde")]
impl From<RawAdvice> for Advice {
    fn from(raw: RawAdvice) -> Self {
        let RawAdvice { action, replicas, thresholds, reason } = raw;
        Self { replicas, thresholds, ..Self::new(action, &reason) }
    }
}

/// Invisible characters that reorder or hide text.
const fn is_format_character(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// What a call to an advisor was, for the record; of it only the tokens bound what is asked later.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "a row of the journal, filled by every adapter")]
pub struct Receipt {
    /// Who was asked, in the adapter's word.
    pub provider: String,
    /// The model that answered, as it calls itself.
    pub model: Option<String>,
    /// SHA-256 of what was sent, as hexadecimal digits: another prompt has another one.
    pub request_sha256: String,
    /// SHA-256 of what it was told, whatever the request around that: a changed prompt shows here.
    #[cfg_attr(feature = "serde", serde(default))]
    pub prompt_sha256: String,
    /// What it wrote: untrusted text, as it came.
    pub reply: Option<String>,
    /// What was made of that, in one word.
    pub verdict: String,
    /// Tokens that it cost, where that is told.
    pub tokens: Option<u64>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// Why there is no usable advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum AdvisorFault {
    /// A quota of a day or more is spent, or money: nothing before its end.
    Exhaust {
        /// How long that is, when it is known; an hour otherwise, and then one probe.
        retry_after: Option<Duration>,
    },
    /// The answer makes no sense. It is not a "do nothing".
    Garble,
    /// The settings are wrong: key, address or model. Nothing before somebody changes them; one
    /// probe an hour.
    Misconfigure,
    /// The advisor asks for a pause.
    Throttle {
        /// How long, when it says so.
        retry_after: Option<Duration>,
    },
    /// No answer by the deadline.
    Timeout,
    /// The advisor cannot be reached or failed.
    Unreachable,
}

impl fmt::Display for AdvisorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exhaust { .. } => "the advisor's quota is spent",
            Self::Garble => "the answer makes no sense",
            Self::Misconfigure => "the advisor's settings are wrong",
            Self::Throttle { .. } => "the advisor asks for a pause",
            Self::Timeout => "no answer by the deadline",
            Self::Unreachable => "the advisor is unreachable",
        })
    }
}

/// What became of the advice, for the derivation.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Verdict {
    /// The advisor wanted more than the band allows; the nearest legal target was taken.
    Clamped {
        /// What it wanted.
        wanted: u32,
        /// What was taken.
        taken: u32,
        /// Its words.
        reason: String,
    },
    /// There was no usable answer; the policy decided alone.
    Missed(AdvisorFault),
    /// The replicas changed while the advisor thought; the policy decided alone.
    Outdated,
    /// A breach came first; the consultation was closed without its answer.
    Overtaken,
    /// The target contradicts the action; the policy decided alone.
    Rejected {
        /// The action.
        action: AdvisedAction,
        /// The contradicting target.
        replicas: u32,
    },
    /// Advice is only put on record: the policy decided alone.
    Shadowed {
        /// The target that it would have led to.
        would: u32,
        /// Its words.
        reason: String,
    },
    /// The advisor missed too many overloads and is not asked; the policy decided alone.
    Suspended {
        /// Until when.
        until: Timestamp,
    },
    /// The advice was taken as it was.
    Taken {
        /// The target.
        taken: u32,
        /// Its words.
        reason: String,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clamped { wanted, taken, reason } => {
                write!(f, "wanted {wanted}, the band allows {taken}: \"{reason}\"")
            }
            Self::Missed(fault) => write!(f, "none: {fault}"),
            Self::Outdated => f.write_str("not used: the replicas changed meanwhile"),
            Self::Overtaken => f.write_str("not awaited: a breach came first"),
            Self::Rejected { action, replicas } => {
                write!(f, "rejected: {action:?} to {replicas} contradicts itself")
            }
            Self::Shadowed { would, reason } => {
                write!(f, "not applied, in shadow: would have been {would}: \"{reason}\"")
            }
            Self::Suspended { until } => {
                write!(f, "not asked until {until}: it missed most of the last overloads")
            }
            Self::Taken { taken, reason } => write!(f, "{taken}: \"{reason}\""),
        }
    }
}

/// Applies `advice` to a proposal made at `current` replicas: the target, and what became of the
/// advice.
///
/// Under a breach the result is never below what the policy prefers; in calm it stays within the
/// policy's band.
pub(crate) fn apply(
    advice: &Advice,
    proposal: &Proposal,
    current: u32,
    in_breach: bool,
) -> (u32, Verdict) {
    let wanted = match (advice.action, advice.replicas) {
        (AdvisedAction::Noop, _) => current,
        (AdvisedAction::ScaleUp, None) => proposal.preferred.max(current.saturating_add(1)),
        (AdvisedAction::ScaleDown, None) => current.saturating_sub(1),
        (AdvisedAction::ScaleUp, Some(replicas)) if replicas > current => replicas,
        (AdvisedAction::ScaleDown, Some(replicas)) if replicas < current => replicas,
        (action, Some(replicas)) => {
            return (proposal.preferred, Verdict::Rejected { action, replicas });
        }
    };
    let floor = if in_breach { proposal.preferred } else { proposal.floor };
    let taken = wanted.min(proposal.ceiling).max(floor);
    let reason = advice.reason.clone();
    if taken == wanted {
        (taken, Verdict::Taken { taken, reason })
    } else {
        (taken, Verdict::Clamped { wanted, taken, reason })
    }
}

/// The operator's thresholds, tightened by advised ones; `None` when these cannot be used.
///
/// Each advised value is moved into its envelope and never to the permissive side of the
/// operator's: scale-out may only come earlier, scale-in only harder.
pub(crate) fn tighten(operator: Thresholds, advised: Thresholds) -> Option<Thresholds> {
    let numbers = [advised.up_ratio, advised.down_ratio, advised.up_z];
    if numbers.iter().any(|number| !number.is_finite()) {
        return None;
    }
    let tightened = Thresholds {
        up_ratio: advised.up_ratio.max(UP_RATIO_MIN).min(operator.up_ratio),
        down_ratio: advised.down_ratio.max(1.0).min(operator.down_ratio),
        up_z: advised.up_z.max(UP_Z_MIN).min(operator.up_z),
    };
    (tightened.up_ratio >= RATIO_GAP_MIN * tightened.down_ratio).then_some(tightened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn band(floor: u32, preferred: u32, ceiling: u32) -> Proposal {
        Proposal::band(floor, preferred, ceiling)
    }

    #[test]
    fn under_a_breach_no_advice_lowers_the_target() {
        let proposal = band(3, 6, 8);
        for advice in [
            Advice::new(AdvisedAction::Noop, ""),
            Advice::new(AdvisedAction::ScaleDown, "").to_replicas(1),
            Advice::new(AdvisedAction::ScaleUp, "").to_replicas(4),
        ] {
            assert_eq!(apply(&advice, &proposal, 3, true).0, 6);
        }
    }

    #[test]
    fn in_calm_advice_stays_within_the_band() {
        let proposal = band(3, 4, 6);
        let greedy = Advice::new(AdvisedAction::ScaleUp, "").to_replicas(99);
        let stingy = Advice::new(AdvisedAction::ScaleDown, "").to_replicas(0);
        assert_eq!(apply(&greedy, &proposal, 4, false).0, 6);
        assert_eq!(apply(&stingy, &proposal, 4, false).0, 3);
    }

    #[test]
    fn advice_that_contradicts_itself_leaves_the_policy_alone() {
        let up = Advice::new(AdvisedAction::ScaleUp, "").to_replicas(2);
        let (target, verdict) = apply(&up, &band(3, 5, 6), 4, false);
        assert_eq!(target, 5);
        assert_eq!(verdict, Verdict::Rejected { action: AdvisedAction::ScaleUp, replicas: 2 });
    }

    #[test]
    fn noop_refuses_a_scale_in_that_the_policy_prefers() {
        assert_eq!(apply(&Advice::new(AdvisedAction::Noop, ""), &band(3, 3, 4), 4, false).0, 4);
    }

    #[test]
    fn advised_thresholds_only_tighten() {
        let operator = Thresholds { up_ratio: 8.0, down_ratio: 1.1, up_z: 6.0 };
        let loose = Thresholds { up_ratio: 1e15, down_ratio: 9.0, up_z: 99.0 };
        assert_eq!(tighten(operator, loose), Some(operator));
        let tight = Thresholds { up_ratio: 0.0, down_ratio: -3.0, up_z: 0.0 };
        let floor = Thresholds { up_ratio: 1.5, down_ratio: 1.0, up_z: 3.0 };
        assert_eq!(tighten(operator, tight), Some(floor));
        let nonsense = Thresholds { up_ratio: f64::NAN, ..operator };
        assert_eq!(tighten(operator, nonsense), None);
    }

    #[test]
    fn a_reason_loses_what_could_hurt_a_reader() {
        let advice = Advice::new(AdvisedAction::Noop, &"\u{202e}a\n".repeat(400));
        assert_eq!(advice.reason, "a".repeat(160));
    }
}
