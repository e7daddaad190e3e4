//! What is normal: a robust baseline that overload cannot poison.
//!
//! The reference holds only windows that were trusted, free of breach and errors, and within the
//! band of the *anchor*, the lowest estimate since learning began; everything else is quarantined.
//! A reference judged by itself could be led anywhere in small steps. A lasting change of level
//! moves the anchor only with evidence that replicas cannot help: the new level held, in an
//! unbroken run free of breach and errors, at more than one replica count.
//!
//! [`Baseline`] is a trait with two implementations: [`QuarantinedBaseline`] learns,
//! [`FixedReference`] is for services whose normal latency is known.

mod fixed;

use alloc::vec::Vec;
use core::fmt;

pub use fixed::FixedReference;

use crate::Timestamp;
use crate::config::{Config, Thresholds};
use crate::signal::Signal;
use crate::stats::{RollingMedian, SIGMA_PER_MAD, median};
use crate::telemetry::{Latency, Quality, Window};

/// Median and σ of the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Estimate {
    /// Median p95 of the reference.
    pub median: Latency,
    /// 1.4826 times the MAD, not below the configured floors.
    pub sigma: Latency,
    /// Windows in the reference.
    pub windows: u32,
    /// End of the newest window in the reference; absent for a fixed one.
    pub newest: Option<Timestamp>,
}

impl Estimate {
    /// The largest ratio and z: text cannot hold infinity.
    const COMPARISON_MAX: f64 = 1e12;

    /// An estimate with the σ floors of `config` applied. `None` unless both are latencies.
    pub fn new(median_ms: f64, sigma_ms: f64, config: &Config) -> Option<Self> {
        let floor = config.sigma_floor_ms().max(median_ms * config.sigma_floor_share());
        Some(Self {
            median: Latency::from_millis(median_ms)?,
            sigma: Latency::from_millis(sigma_ms.max(floor).min(Latency::MAX_MS))?,
            windows: 0,
            newest: None,
        })
    }

    /// `millis` in baselines, at most 1e12. A median of zero counts as one σ.
    pub fn ratio(&self, millis: f64) -> f64 {
        let median = self.median.as_millis();
        let unit = if median > 0.0 { median } else { self.sigma.as_millis() };
        (millis / unit).min(Self::COMPARISON_MAX)
    }

    /// `millis` in σ above the median.
    pub fn z(&self, millis: f64) -> f64 {
        let z = (millis - self.median.as_millis()) / self.sigma.as_millis();
        z.clamp(-Self::COMPARISON_MAX, Self::COMPARISON_MAX)
    }

    /// Upper end of the near-baseline band in milliseconds: the larger of `down_ratio` medians and
    /// `band_sigmas` σ above the median.
    pub fn band_high_ms(&self, config: &Config, thresholds: Thresholds) -> f64 {
        let median = self.median.as_millis();
        let sigmas = median + config.band_sigmas() * self.sigma.as_millis();
        sigmas.max(median * thresholds.down_ratio)
    }
}

/// Why a window did not enter the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Quarantine {
    /// Above the near-baseline band.
    AboveBand,
    /// In breach.
    Breach,
    /// Not to be taken at its word.
    Doubtful,
    /// The error share was above its limit.
    Failing,
    /// Too few successes for a percentile.
    Thin,
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AboveBand => "above the band",
            Self::Breach => "in breach",
            Self::Doubtful => "doubtful",
            Self::Failing => "failing",
            Self::Thin => "too few successes",
        })
    }
}

/// A judged window, offered to the baseline *after* its own decision was made.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Evidence<'a> {
    /// The window.
    pub window: &'a Window,
    /// How far it can be trusted.
    pub quality: Quality,
    /// How it compares with normal.
    pub signal: Signal,
}

impl<'a> Evidence<'a> {
    /// Puts the parts together.
    pub const fn new(window: &'a Window, quality: Quality, signal: Signal) -> Self {
        Self { window, quality, signal }
    }

    /// Why this window may not teach what is normal; `None` when it may. `above_band` is the
    /// baseline's own finding.
    pub fn quarantine(&self, config: &Config, above_band: bool) -> Option<Quarantine> {
        if !self.quality.is_trusted() {
            Some(Quarantine::Doubtful)
        } else if self.signal.failing {
            Some(Quarantine::Failing)
        } else if self.signal.breach.is_some() || self.signal.suspect {
            Some(Quarantine::Breach)
        } else if self.window.latencies.is_none() || self.window.successes() < config.samples_min()
        {
            Some(Quarantine::Thin)
        } else if above_band {
            Some(Quarantine::AboveBand)
        } else {
            None
        }
    }
}

/// Where "normal" comes from. Pure: no clock, no I/O; the value is its own state.
pub trait Baseline: Clone + fmt::Debug + PartialEq {
    /// Median and σ; `None` while warming up.
    fn estimate(&self, config: &Config) -> Option<Estimate>;

    /// Takes a judged window. Returns why it was quarantined, if it was.
    fn observe(&mut self, config: &Config, evidence: &Evidence<'_>) -> Option<Quarantine>;

    /// Goes on under another configuration, after a restart.
    fn reconfigure(&mut self, _config: &Config) {}
}

/// The default baseline: rolling median and MAD over the reference, with quarantine.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "RawQuarantined", into = "RawQuarantined"))]
pub struct QuarantinedBaseline {
    reference: RollingMedian,
    newest: Option<Timestamp>,
    /// Highest p95 that is admitted: the band of the lowest estimate since learning began.
    anchor_ms: Option<f64>,
    /// Successes and highest p95 of thin windows that were whole, until they make one entry.
    pool: (u32, f64),
    /// Windows in a row above the band, with the replicas that served them.
    shift: Vec<(u32, f64)>,
}

impl QuarantinedBaseline {
    /// Windows of an unbroken run above the band from which it may be a change of level.
    const SHIFT_WINDOWS_MIN: usize = 30;
    /// Longest run that is remembered.
    const SHIFT_WINDOWS_MAX: usize = 120;
    /// Windows that each replica count must have held the level for.
    const SHIFT_WINDOWS_PER_COUNT: usize = 8;
    /// Share by which the level may differ between replica counts.
    const SHIFT_LEVEL_SHARE: f64 = 0.15;

    /// A baseline that has seen nothing.
    pub fn new(config: &Config) -> Self {
        Self {
            reference: RollingMedian::new(config.baseline_windows() as usize),
            newest: None,
            anchor_ms: None,
            pool: (0, 0.0),
            shift: Vec::new(),
        }
    }

    /// Makes one entry of several thin windows in which every request was measured. Their highest
    /// p95 stands for all: of so few samples the p95 is about the maximum.
    fn pool_thin(&mut self, config: &Config, window: &Window) {
        let (true, Some(latencies)) = (window.is_census(), window.latencies) else { return };
        let (samples, highest_ms) = self.pool;
        let pooled = samples.saturating_add(window.successes());
        let highest_ms = highest_ms.max(latencies.p95.as_millis());
        self.pool = (pooled, highest_ms);
        if pooled >= config.samples_min() {
            self.pool = (0, 0.0);
            self.reference.push(highest_ms);
            self.newest = Some(window.end);
            self.lower_anchor(config);
        }
    }

    /// Takes the band of the present estimate for the anchor's when it is lower.
    fn lower_anchor(&mut self, config: &Config) {
        if let Some(estimate) = self.estimate(config) {
            let band_ms = estimate.band_high_ms(config, config.thresholds()).min(Latency::MAX_MS);
            self.anchor_ms = Some(self.anchor_ms.map_or(band_ms, |anchor| anchor.min(band_ms)));
        }
    }

    /// Whether the run above the band proves a change of level that replicas do not cure: it held
    /// at two replica counts or more.
    fn is_level_change(&self) -> bool {
        if self.shift.len() < Self::SHIFT_WINDOWS_MIN {
            return false;
        }
        let mut counts: Vec<u32> = self.shift.iter().map(|(replicas, _)| *replicas).collect();
        counts.sort_unstable();
        counts.dedup();
        let mut levels = Vec::with_capacity(counts.len());
        for count in counts {
            let at_count = self.shift.iter().filter(|(replicas, _)| *replicas == count);
            let level: Vec<f64> = at_count.map(|(_, p95_ms)| *p95_ms).collect();
            if level.len() >= Self::SHIFT_WINDOWS_PER_COUNT {
                levels.extend(median(&level));
            }
        }
        let lowest = levels.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = levels.iter().copied().fold(0.0, f64::max);
        levels.len() >= 2 && highest <= lowest * (1.0 + Self::SHIFT_LEVEL_SHARE)
    }

    /// Follows a run of windows above the band; starts the reference anew on a change of level.
    fn follow_shift(&mut self, window: &Window) {
        let (Some(latencies), Some(ready)) = (window.latencies, window.ready) else {
            self.shift.clear();
            return;
        };
        while self.shift.len() >= Self::SHIFT_WINDOWS_MAX {
            self.shift.remove(0);
        }
        self.shift.push((ready, latencies.p95.as_millis()));
        if self.is_level_change() {
            self.reference.clear();
            self.anchor_ms = None;
            for (_, p95_ms) in self.shift.drain(..) {
                self.reference.push(p95_ms);
            }
            self.newest = Some(window.end);
        }
    }
}

impl Baseline for QuarantinedBaseline {
    fn estimate(&self, config: &Config) -> Option<Estimate> {
        let windows = u32::try_from(self.reference.len()).unwrap_or(u32::MAX);
        if windows < config.warmup_windows() {
            return None;
        }
        let sigma_ms = SIGMA_PER_MAD * self.reference.mad()?;
        let estimate = Estimate::new(self.reference.median()?, sigma_ms, config)?;
        Some(Estimate { windows, newest: self.newest, ..estimate })
    }

    fn observe(&mut self, config: &Config, evidence: &Evidence<'_>) -> Option<Quarantine> {
        let p95_ms = evidence.window.latencies.map(|latencies| latencies.p95.as_millis());
        let above = matches!((p95_ms, self.anchor_ms), (Some(p95), Some(anchor)) if p95 > anchor);
        let quarantine = evidence.quarantine(config, above);
        match quarantine {
            None => {
                self.shift.clear();
                if let Some(latencies) = evidence.window.latencies {
                    self.reference.push(latencies.p95.as_millis());
                    self.newest = Some(evidence.window.end);
                }
                self.lower_anchor(config);
            }
            Some(Quarantine::Thin) if !above => self.pool_thin(config, evidence.window),
            Some(Quarantine::AboveBand) => self.follow_shift(evidence.window),
            // A run is broken by what hurts; what says nothing neither breaks nor feeds it.
            Some(Quarantine::Breach | Quarantine::Failing) => self.shift.clear(),
            Some(_) => {}
        }
        quarantine
    }

    fn reconfigure(&mut self, config: &Config) {
        let capacity = config.baseline_windows() as usize;
        if self.reference.capacity() != capacity {
            let mut reference = RollingMedian::new(capacity);
            for p95_ms in self.reference.iter() {
                reference.push(p95_ms);
            }
            self.reference = reference;
        }
    }
}

/// The learned state as it is stored.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct RawQuarantined {
    capacity: u32,
    reference_ms: Vec<Latency>,
    newest: Option<Timestamp>,
    anchor_ms: Option<Latency>,
    pool: (u32, Latency),
    shift: Vec<(u32, Latency)>,
}

#[cfg(feature = "serde")]
impl From<QuarantinedBaseline> for RawQuarantined {
    fn from(baseline: QuarantinedBaseline) -> Self {
        let latency = |millis| Latency::from_millis(millis);
        Self {
            capacity: u32::try_from(baseline.reference.capacity()).unwrap_or(u32::MAX),
            reference_ms: baseline.reference.iter().filter_map(latency).collect(),
            newest: baseline.newest,
            anchor_ms: baseline.anchor_ms.and_then(latency),
            pool: (baseline.pool.0, latency(baseline.pool.1).unwrap_or(Latency::ZERO)),
            shift: baseline
                .shift
                .iter()
                .filter_map(|(replicas, millis)| Some((*replicas, latency(*millis)?)))
                .collect(),
        }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<RawQuarantined> for QuarantinedBaseline {
    type Error = BaselineError;

    fn try_from(raw: RawQuarantined) -> Result<Self, BaselineError> {
        let capacity = raw.capacity as usize;
        if !(3..=100_000).contains(&capacity) || raw.reference_ms.len() > capacity {
            return Err(BaselineError { windows: raw.reference_ms.len(), capacity });
        }
        let mut reference = RollingMedian::new(capacity);
        for latency in raw.reference_ms {
            reference.push(latency.as_millis());
        }
        let shift = raw.shift.into_iter().take(Self::SHIFT_WINDOWS_MAX);
        Ok(Self {
            reference,
            newest: raw.newest,
            anchor_ms: raw.anchor_ms.map(Latency::as_millis),
            pool: (raw.pool.0, raw.pool.1.as_millis()),
            shift: shift.map(|(replicas, latency)| (replicas, latency.as_millis())).collect(),
        })
    }
}

/// A stored reference that cannot be one.
#[cfg(feature = "serde")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "baseline: {windows} windows do not fit a reference of {capacity}; start without the snapshot"
)]
#[non_exhaustive]
pub struct BaselineError {
    /// Windows stored.
    pub windows: usize,
    /// Windows that the reference holds.
    pub capacity: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Yardstick;
    use crate::testing::{config, window};

    /// Feeds windows of these p95 as a planner would.
    fn feed(baseline: &mut QuarantinedBaseline, p95_ms: f64, replicas: u32) -> Option<Quarantine> {
        let config = config();
        let window = window(1, p95_ms, replicas);
        let yardstick = Yardstick {
            config: &config,
            active: config.thresholds(),
            estimate: baseline.estimate(&config),
            suspects_before: 0,
            queued_before: 0,
        };
        let signal = Signal::assess(&window, &yardstick);
        baseline.observe(&config, &Evidence::new(&window, Quality::Trusted, signal))
    }

    fn warm() -> QuarantinedBaseline {
        let mut baseline = QuarantinedBaseline::new(&config());
        for _ in 0..20 {
            feed(&mut baseline, 40.0, 2);
        }
        baseline
    }

    #[test]
    fn overload_of_any_length_never_enters_the_reference() {
        let mut baseline = warm();
        let before = baseline.estimate(&config()).map(|estimate| estimate.median);
        for _ in 0..10_000 {
            assert_eq!(feed(&mut baseline, 400.0, 2), Some(Quarantine::Breach));
        }
        assert_eq!(baseline.estimate(&config()).map(|estimate| estimate.median), before);
    }

    #[test]
    fn a_creeping_latency_does_not_drag_the_reference_along_beyond_the_anchors_band() {
        let mut baseline = warm();
        let mut p95_ms = 40.0;
        for _ in 0..5_000 {
            p95_ms *= 1.002;
            feed(&mut baseline, p95_ms, 2);
        }
        let median = baseline.estimate(&config()).expect("warm").median;
        assert!(median.as_millis() <= 50.0, "{median}"); // 2.5 sigma of 4 ms above 40 ms
    }

    #[test]
    fn a_plateau_under_a_breach_is_never_a_new_level() {
        let mut baseline = warm();
        for replicas in [2, 3, 4, 3, 2] {
            for _ in 0..30 {
                assert_eq!(feed(&mut baseline, 350.0, replicas), Some(Quarantine::Breach));
            }
        }
        assert_eq!(baseline.estimate(&config()).expect("warm").median.as_millis(), 40.0);
    }

    #[test]
    fn a_breach_breaks_the_run_of_a_new_level() {
        let mut baseline = warm();
        for _ in 0..20 {
            feed(&mut baseline, 70.0, 2);
        }
        feed(&mut baseline, 900.0, 2);
        for _ in 0..20 {
            feed(&mut baseline, 71.0, 4);
        }
        assert_eq!(baseline.estimate(&config()).expect("warm").median.as_millis(), 40.0);
    }

    #[test]
    fn a_level_that_held_at_two_replica_counts_becomes_the_new_normal() {
        let mut baseline = warm();
        for _ in 0..20 {
            feed(&mut baseline, 70.0, 2);
        }
        for _ in 0..20 {
            feed(&mut baseline, 71.0, 4);
        }
        let median = baseline.estimate(&config()).expect("warm").median;
        assert_eq!(median.as_millis(), 70.5);
    }

    #[test]
    fn a_level_that_more_replicas_improve_is_no_new_normal() {
        let mut baseline = warm();
        for _ in 0..20 {
            feed(&mut baseline, 90.0, 2);
        }
        for _ in 0..20 {
            feed(&mut baseline, 60.0, 4);
        }
        let median = baseline.estimate(&config()).expect("warm").median;
        assert_eq!(median.as_millis(), 40.0);
    }

    #[test]
    fn a_baseline_is_unknown_until_it_is_warm() {
        let mut baseline = QuarantinedBaseline::new(&config());
        for _ in 1..config().warmup_windows() {
            feed(&mut baseline, 40.0, 2);
            assert_eq!(baseline.estimate(&config()), None);
        }
        feed(&mut baseline, 40.0, 2);
        assert!(baseline.estimate(&config()).is_some());
    }

    #[test]
    fn a_quiet_reference_has_the_floor_as_sigma() {
        assert_eq!(warm().estimate(&config()).expect("warm").sigma.as_millis(), 4.0);
    }

    #[test]
    fn thin_windows_of_a_whole_census_are_pooled_into_one_entry() {
        let config = config();
        let mut baseline = QuarantinedBaseline::new(&config);
        let thin = |p95_ms| {
            let mut thin = window(1, p95_ms, 1);
            thin.samples = 2;
            thin.coverage = Some(1.0);
            thin.traffic = crate::Traffic::arriving(2.0).ok();
            thin
        };
        let trusted = (Quality::Trusted, Signal::default());
        for p95_ms in [21.0, 24.0, 22.0, 20.0].iter().cycle().take(4 * 12) {
            let window = thin(*p95_ms);
            let evidence = Evidence::new(&window, trusted.0, trusted.1);
            assert_eq!(baseline.observe(&config, &evidence), Some(Quarantine::Thin));
        }
        let estimate = baseline.estimate(&config).expect("eight samples make an entry");
        assert_eq!((estimate.median.as_millis(), estimate.windows), (24.0, 12));
    }
}
