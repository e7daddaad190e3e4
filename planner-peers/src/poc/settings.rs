//! Its settings, by their names.

use planner_core::policy::PocSettings;
use planner_core::{ReplicaBounds, Thresholds};

/// The environment variables that it read, in lower case, with their defaults. It checked none.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "SCREAMING_SNAKE_CASE"))]
#[expect(clippy::exhaustive_structs, reason = "the settings of a fixed program")]
pub struct Settings {
    /// A p95 of this many baselines scales out: 8.
    pub alpha_up: f64,
    /// A p95 of at most this many baselines, and 5 ms, is near: 1.1.
    pub beta_down: f64,
    /// Seconds between two actions: 20.
    pub cooldown_sec: f64,
    /// p95s that the baseline is the median of: 60.
    pub hist_windows: usize,
    /// Milliseconds that stand in for a baseline of 0 until it is warm; 0, the default, for none.
    pub idle_hint_ms: f64,
    /// Sent to the model and used nowhere: 2.5.
    pub k_sigma: f64,
    /// The first wait after a status 429, in seconds: 10.
    pub llm_backoff_base_sec: f64,
    /// The longest wait after one, in seconds: 300.
    pub llm_backoff_max_sec: f64,
    /// Whether it has a key (`LLM_API_KEY`), and asks a model at all: no.
    #[cfg_attr(feature = "serde", serde(rename = "llm_enabled"))]
    pub llm_enabled: bool,
    /// Seconds after which it asks although nothing changed: 300.
    pub llm_heartbeat_sec: f64,
    /// Calls per minute, and the most at once: 2.
    pub llm_rpm: f64,
    /// Near windows that it remembers, and scales in after: 3.
    pub low_need_n: usize,
    /// Replicas from which it scales out no further: 10.
    pub max_replicas: i64,
    /// Replicas from which it scales in no further: 2.
    pub min_replicas: i64,
    /// p95s that make a baseline: 12.
    pub warmup_windows: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alpha_up: 8.0,
            beta_down: 1.1,
            cooldown_sec: 20.0,
            hist_windows: 60,
            idle_hint_ms: 0.0,
            k_sigma: 2.5,
            llm_backoff_base_sec: 10.0,
            llm_backoff_max_sec: 300.0,
            llm_enabled: false,
            llm_heartbeat_sec: 300.0,
            llm_rpm: 2.0,
            low_need_n: 3,
            max_replicas: 10,
            min_replicas: 2,
            warmup_windows: 12,
        }
    }
}

/// Bounds that a call needs and [`Settings::rules`] replaces: ours refuse what its never checked.
const REPLACED: ReplicaBounds = match ReplicaBounds::new(0, 1) {
    Ok(bounds) => bounds,
    Err(_) => panic!("0 to 1 are bounds"),
};

impl Settings {
    /// Its heuristic with these settings.
    pub(super) fn rules(&self) -> PocSettings {
        let thresholds =
            Thresholds { up_ratio: self.alpha_up, down_ratio: self.beta_down, up_z: 6.0 };
        let mut rules = PocSettings::new(thresholds, REPLACED, self.low_need_n);
        rules.min_replicas = self.min_replicas;
        rules.max_replicas = self.max_replicas;
        rules
    }
}
