//! What a scale-out was to cure, and what counts as a cure.

use core::fmt;

use crate::decision::DecisionId;
use crate::policy::View;

/// Share by which latency must fall, or throughput or load must rise, to count as an effect.
const EFFECT_SHARE: f32 = 0.10;
/// Factor by which latency must rise to be another ailment, which deserves attempts of its own.
const WORSE_FACTOR: f32 = 1.5;
/// Error share that must be added to be another ailment.
const WORSE_ERROR_SHARE: f32 = 0.10;

/// How things stood at the last scale-out under a breach. What comes after is held against it: a
/// latency or an error share a tenth lower, or a load or throughput a tenth higher, is an effect
/// or new evidence; so is a latency half as high again or a tenth of the requests more that fail.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Effect {
    /// The scale-out that was to cure it.
    pub of: DecisionId,
    /// Scale-outs in a row that were found to be without effect.
    pub attempts: u32,
    /// Its p95 in milliseconds, when there was one.
    pub p95_ms: Option<f32>,
    /// Its share of timeouts and failures, when there were samples.
    pub error_share: Option<f32>,
    /// Requests that arrived per second, where known.
    pub arrivals_per_s: Option<f32>,
    /// Requests that were answered per second, where known.
    pub completions_per_s: Option<f32>,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watched since {}:", self.of)?;
        if let Some(p95_ms) = self.p95_ms {
            write!(f, " p95 was {p95_ms:.1} ms,")?;
        }
        if let Some(share) = self.error_share {
            write!(f, " {:.1} % failed,", share * 100.0)?;
        }
        if let Some(answered) = self.completions_per_s {
            write!(f, " {answered:.1}/s were answered,")?;
        }
        write!(f, " {} scale-outs without effect", self.attempts)
    }
}

/// The same as it is remembered, in half the space.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Ailment {
    pub(super) of: DecisionId,
    p95_ms: Known,
    error_share: Known,
    arrivals_per_s: Known,
    completions_per_s: Known,
    /// The scale-out was found to be without effect.
    pub(super) judged: bool,
}

/// A number that may be absent, in four bytes. Single precision is plenty for a tenth of itself.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Option<f32>", into = "Option<f32>"))]
struct Known(f32);

impl From<Option<f32>> for Known {
    fn from(value: Option<f32>) -> Self {
        Self(value.unwrap_or(f32::NAN))
    }
}

impl From<Option<f64>> for Known {
    #[expect(clippy::cast_possible_truncation, reason = "rounded to single precision")]
    fn from(value: Option<f64>) -> Self {
        Self(value.map_or(f32::NAN, |value| value as f32))
    }
}

impl From<Known> for Option<f32> {
    fn from(known: Known) -> Self {
        (!known.0.is_nan()).then_some(known.0)
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        Option::from(*self) == Option::<f32>::from(*other)
    }
}

impl Known {
    /// Both known, and fallen by more than noise since `then`.
    fn fell_since(self, then: Self) -> bool {
        self.0 < then.0 * (1.0 - EFFECT_SHARE)
    }

    /// Both known, and risen by more than noise since `then`.
    fn rose_since(self, then: Self) -> bool {
        self.0 > then.0 * (1.0 + EFFECT_SHARE)
    }
}

impl Ailment {
    pub(super) fn of(view: &View<'_>, scaling: DecisionId) -> Self {
        let traffic = view.window.traffic;
        let p95_ms = view.window.latencies.map(|latencies| latencies.p95.as_millis());
        Self {
            of: scaling,
            p95_ms: p95_ms.into(),
            error_share: view.window.error_share().into(),
            arrivals_per_s: traffic.map(|traffic| traffic.arrivals_per_s).into(),
            completions_per_s: traffic.and_then(|traffic| traffic.completions_per_s).into(),
            judged: false,
        }
    }

    /// The same, to be shown.
    pub(super) fn effect(&self, attempts: u32) -> Effect {
        Effect {
            of: self.of,
            attempts,
            p95_ms: self.p95_ms.into(),
            error_share: self.error_share.into(),
            arrivals_per_s: self.arrivals_per_s.into(),
            completions_per_s: self.completions_per_s.into(),
        }
    }

    /// Whether something is better, much worse, or the load is another, than `before`.
    pub(super) fn differs_from(&self, before: &Self) -> bool {
        let much_worse = self.p95_ms.0 > before.p95_ms.0 * WORSE_FACTOR
            || self.error_share.0 > before.error_share.0 + WORSE_ERROR_SHARE;
        if much_worse {
            return true;
        }
        self.p95_ms.fell_since(before.p95_ms)
            || self.error_share.fell_since(before.error_share)
            || self.arrivals_per_s.rose_since(before.arrivals_per_s)
            || self.completions_per_s.rose_since(before.completions_per_s)
            || before.p95_ms.0.is_nan() && !self.p95_ms.0.is_nan()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;
    use crate::testing::Scene;

    fn ailment(p95_ms: f64) -> Ailment {
        let mut scene = Scene::breach(10, 2);
        scene.window = crate::testing::window(10, p95_ms, 2);
        Ailment::of(&scene.view(), DecisionId(3))
    }

    #[test]
    fn half_as_much_again_is_not_yet_much_worse() {
        assert!(!ailment(600.0).differs_from(&ailment(400.0)));
        assert!(ailment(601.0).differs_from(&ailment(400.0)));
    }

    #[test]
    fn what_is_unknown_equals_what_is_unknown_and_nothing_else() {
        let (unknown, known) = (Known::from(None::<f64>), Known::from(Some(1.0)));
        assert_eq!(unknown, Known::from(None::<f32>));
        assert_ne!(unknown, known);
        assert_ne!(known, Known::from(Some(2.0)));
    }

    #[test]
    fn an_effect_is_told_with_what_is_known_of_it() {
        let scene = Scene::breach(10, 2).with_traffic(120.0, 50.0, 70);
        let of = DecisionId(3);
        let told = Ailment::of(&scene.view(), of).effect(2).to_string();
        assert_eq!(
            told,
            "watched since #3: p95 was 400.0 ms, 0.0 % failed, 50.0/s were answered, 2 scale-outs \
             without effect"
        );
        let mut blind = Scene::breach(10, 2);
        (blind.window.latencies, blind.window.samples) = (None, 0);
        let told = Ailment::of(&blind.view(), of).effect(0).to_string();
        assert_eq!(told, "watched since #3: 0 scale-outs without effect");
    }
}
