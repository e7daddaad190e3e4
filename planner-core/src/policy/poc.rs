//! The proof of concept's heuristic, as it was: the second policy, and the one to beat.
//!
//! Its arithmetic is kept to the bit, its defects included:
//! one step at a time, deviation without a floor, "near" taken for "idle". It runs behind the same
//! guards as every policy, which is what makes it safe to run at all.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;

use super::{NoSignal, Policy, Proposal, Reason, View};
use crate::config::{Config, ReplicaBounds, Thresholds};

/// Rule 1 of this policy: the ratio or the deviation asks for one more.
const RULE_UP: u32 = 1;
/// Rule 2 of this policy: windows near the baseline ask for one fewer.
const RULE_DOWN: u32 = 2;

/// z-score from which it scales up.
const UP_Z: f64 = 6.0;
/// Ratio from which its band is called very high, whatever `ALPHA_UP` is.
const VERY_HIGH_RATIO: f64 = 8.0;
/// Milliseconds that the near-baseline band adds to the baseline at least.
const NEAR_MS: f64 = 5.0;
/// Share of σ that the near-baseline band adds to the baseline at least.
const NEAR_SIGMA_SHARE: f64 = 0.25;

/// Its settings, by their names there.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PocSettings {
    /// `ALPHA_UP`.
    pub alpha_up: f64,
    /// `BETA_DOWN`.
    pub beta_down: f64,
    /// `MIN_REPLICAS`, negative values included.
    pub min_replicas: i64,
    /// `MAX_REPLICAS`.
    pub max_replicas: i64,
    /// `LOW_NEED_N`.
    pub low_need_n: usize,
}

impl PocSettings {
    /// Settings with these thresholds and bounds.
    pub fn new(thresholds: Thresholds, bounds: ReplicaBounds, low_need_n: usize) -> Self {
        Self {
            alpha_up: thresholds.up_ratio,
            beta_down: thresholds.down_ratio,
            min_replicas: i64::from(bounds.min()),
            max_replicas: i64::from(bounds.max()),
            low_need_n,
        }
    }

    fn of(config: &Config) -> Self {
        Self::new(config.thresholds(), config.bounds(), config.low_windows() as usize)
    }
}

/// What it looks at. Numbers are as they came: it never validated them.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed input of a fixed program")]
pub struct PocInput<'a> {
    /// p95 of the window in milliseconds.
    pub p95_ms: f64,
    /// Baseline in milliseconds.
    pub baseline_ms: f64,
    /// σ in milliseconds.
    pub sigma_ms: f64,
    /// Replicas.
    pub replicas: i64,
    /// Whether it has a baseline.
    pub have_baseline: bool,
    /// Whether each recent window was near, oldest first.
    pub low_windows: &'a [bool],
}

/// What it wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the fixed answers of a fixed program")]
pub enum PocAction {
    /// Nothing.
    Noop,
    /// One replica fewer.
    ScaleDown,
    /// One replica more.
    ScaleUp,
}

impl PocAction {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::ScaleDown => "scale_down",
            Self::ScaleUp => "scale_up",
        }
    }
}

/// Its decision with the reason in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fixed answer of a fixed program")]
pub struct PocVerdict {
    /// What it wants done.
    pub action: PocAction,
    /// Why, in its own words.
    pub reason: String,
}

impl PocSettings {
    /// Whether a p95 is near the baseline: at most `BETA_DOWN` baselines and 5 ms, or a quarter σ
    /// if that is more.
    pub fn is_near(&self, input: &PocInput<'_>) -> bool {
        let allowance = NEAR_MS.max(NEAR_SIGMA_SHARE * input.sigma_ms);
        input.baseline_ms > 0.0 && input.p95_ms <= input.baseline_ms * self.beta_down + allowance
    }

    /// The name of the band that decides whether the LLM is asked again.
    pub fn band(input: &PocInput<'_>) -> &'static str {
        if input.baseline_ms <= 0.0 {
            return "init";
        }
        let ratio = input.p95_ms / input.baseline_ms;
        if ratio < 0.9 {
            "low"
        } else if ratio < 1.5 {
            "near"
        } else if ratio < 3.0 {
            "mid"
        } else if ratio < VERY_HIGH_RATIO {
            "high"
        } else {
            "very_high"
        }
    }

    /// Its heuristic.
    pub fn decide(&self, input: &PocInput<'_>) -> PocVerdict {
        let verdict = |action, reason| PocVerdict { action, reason };
        if !input.have_baseline {
            return verdict(PocAction::Noop, String::from("warming"));
        }
        let ratio = if input.baseline_ms > 0.0 { input.p95_ms / input.baseline_ms } else { 0.0 };
        let sigma_ms = if input.sigma_ms == 0.0 { 1.0 } else { input.sigma_ms };
        let z = (input.p95_ms - input.baseline_ms) / sigma_ms;
        if input.replicas < self.max_replicas && (ratio >= self.alpha_up || z >= UP_Z) {
            return verdict(PocAction::ScaleUp, format!("{ratio:.1}x baseline"));
        }
        // The last N entries; with N = 0 that is all of them in its language.
        let from = match self.low_need_n {
            0 => 0,
            n => input.low_windows.len().saturating_sub(n),
        };
        let low = input.low_windows.iter().skip(from).all(|low| *low);
        if input.replicas > self.min_replicas && low {
            return verdict(PocAction::ScaleDown, String::from("near baseline for 3w"));
        }
        verdict(PocAction::Noop, String::from("heuristic"))
    }
}

/// The proof of concept's heuristic as a [`Policy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings: all are in `Config`")]
pub struct Poc;

/// Whether each recent window was near, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PocState {
    low_windows: VecDeque<bool>,
}

impl Poc {
    /// Whether this window is near, and what the heuristic says of it.
    fn verdict(view: &View<'_>, state: &PocState) -> Option<(bool, PocVerdict)> {
        let settings = PocSettings::of(view.config);
        let (estimate, latencies) = (view.estimate?, view.window.latencies?);
        let mut input = PocInput {
            p95_ms: latencies.p95.as_millis(),
            baseline_ms: estimate.median.as_millis(),
            sigma_ms: estimate.sigma.as_millis(),
            replicas: i64::from(view.current),
            have_baseline: true,
            low_windows: &[],
        };
        let near = settings.is_near(&input);
        let mut low_windows = state.low_windows.clone();
        low_windows.push_back(near);
        // It looked only once it had as many windows as it needs.
        while low_windows.len() < settings.low_need_n {
            low_windows.push_front(false);
        }
        input.low_windows = low_windows.make_contiguous();
        Some((near, settings.decide(&input)))
    }
}

impl Policy for Poc {
    type Signal = NoSignal;
    type State = PocState;

    fn name(&self) -> &'static str {
        "poc"
    }

    fn version(&self) -> u32 {
        1
    }

    fn initial_state(&self) -> PocState {
        PocState::default()
    }

    fn propose(&self, view: &View<'_>, state: &PocState) -> Proposal {
        let current = view.current;
        match Self::verdict(view, state).map(|(_, verdict)| verdict.action) {
            None => Proposal::exactly(current).because(Reason::Warmup),
            Some(PocAction::Noop) => Proposal::exactly(current).because(Reason::Calm),
            Some(PocAction::ScaleUp) => {
                Proposal::band(current, current.saturating_add(1), current.saturating_add(1))
                    .because(Reason::Rule(RULE_UP))
                    .consulting()
            }
            Some(PocAction::ScaleDown) => {
                Proposal::band(current.saturating_sub(1), current.saturating_sub(1), current)
                    .because(Reason::Rule(RULE_DOWN))
                    .consulting()
            }
        }
    }

    fn learn(&self, view: &View<'_>, _target: u32, state: &mut PocState) {
        let keep = view.config.low_windows().max(1) as usize;
        if let Some((near, _)) = Self::verdict(view, state) {
            state.low_windows.push_back(near);
        }
        while state.low_windows.len() > keep {
            state.low_windows.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> PocSettings {
        let thresholds = Thresholds { up_ratio: 8.0, down_ratio: 1.1, up_z: 6.0 };
        PocSettings::new(thresholds, ReplicaBounds::new(2, 10).expect("valid"), 3)
    }

    fn input(p95_ms: f64, low_windows: &[bool]) -> PocInput<'_> {
        let (baseline_ms, sigma_ms, replicas) = (40.0, 0.0, 4);
        PocInput { p95_ms, baseline_ms, sigma_ms, replicas, have_baseline: true, low_windows }
    }

    #[test]
    fn without_a_baseline_it_only_warms() {
        let cold = PocInput { have_baseline: false, ..input(900.0, &[]) };
        assert_eq!(settings().decide(&cold).reason, "warming");
    }

    #[test]
    fn with_sigma_zero_six_milliseconds_scale_it_up() {
        let verdict = settings().decide(&input(46.0, &[]));
        assert_eq!(
            (verdict.action, verdict.reason.as_str()),
            (PocAction::ScaleUp, "1.1x baseline")
        );
    }

    #[test]
    fn three_near_windows_scale_it_down_and_two_of_three_do_not() {
        assert_eq!(settings().decide(&input(40.0, &[true; 3])).action, PocAction::ScaleDown);
        let mixed = [true, false, true];
        assert_eq!(settings().decide(&input(40.0, &mixed)).action, PocAction::Noop);
    }
}
