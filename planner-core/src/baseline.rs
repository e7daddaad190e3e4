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
mod lesson;
#[cfg(feature = "serde")]
mod stored;

use core::fmt;
use core::time::Duration;

pub use fixed::FixedReference;
pub use lesson::{Lesson, Level, LevelChange};
#[cfg(feature = "serde")]
pub use stored::BaselineError;
#[cfg(feature = "serde")]
use stored::RawQuarantined;

use crate::Timestamp;
use crate::config::{Config, Thresholds};
use crate::signal::{Breach, Signal};
use crate::stats::{RollingMedian, SIGMA_PER_MAD};
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
    /// It is only what the operator expects
    /// ([`Config::baseline_hint_ms`](crate::Config::baseline_hint_ms)): the reference is not warm.
    #[cfg_attr(feature = "serde", serde(default))]
    pub hinted: bool,
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
            hinted: false,
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
    /// What was normal before it, as the baseline said.
    pub estimate: Option<Estimate>,
}

impl<'a> Evidence<'a> {
    /// Puts the parts together.
    pub const fn new(
        window: &'a Window,
        quality: Quality,
        signal: Signal,
        estimate: Option<Estimate>,
    ) -> Self {
        Self { window, quality, signal, estimate }
    }

    /// Whether it is in breach, or nearly. What is one by a hint alone is none: a hint that is too
    /// low would keep out what is normal for ever.
    fn hurts(&self) -> bool {
        let hinted = self.estimate.is_some_and(|estimate| estimate.hinted);
        match self.signal.breach {
            Some(Breach::Ratio { .. } | Breach::Deviation { .. }) => !hinted,
            Some(_) => true,
            None => self.signal.suspect && !hinted,
        }
    }

    /// Why this window may not teach what is normal; `None` when it may. `above_band` is the
    /// baseline's own finding.
    pub fn quarantine(&self, config: &Config, above_band: bool) -> Option<Quarantine> {
        if !self.quality.is_trusted() {
            Some(Quarantine::Doubtful)
        } else if self.signal.failing {
            Some(Quarantine::Failing)
        } else if self.hurts() {
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
    /// Median and σ; `None` while warming up without a hint.
    fn estimate(&self, config: &Config) -> Option<Estimate>;

    /// Takes a judged window. Returns what was made of it.
    fn observe(&mut self, config: &Config, evidence: &Evidence<'_>) -> Lesson;

    /// Goes on under another configuration, after a restart.
    fn reconfigure(&mut self, _config: &Config) {}

    /// Goes on after the clock was set back by `behind`: every remembered time moves with it.
    fn rebase(&mut self, _behind: Duration) {}
}

/// The default baseline: rolling median and MAD over the reference, with quarantine.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "RawQuarantined", into = "RawQuarantined"))]
pub struct QuarantinedBaseline {
    reference: RollingMedian,
    /// End of the newest window in the reference, once there is one.
    newest: Timestamp,
    /// Highest p95 that is admitted: the band of the lowest estimate since learning began; infinite
    /// before there is one.
    anchor_ms: f64,
    /// Successes and highest p95 of thin windows that were whole, until they make one entry.
    pool: (u32, f64),
    /// The run of windows above the band at its last two replica counts, the later one last.
    run: [Level; 2],
}

impl QuarantinedBaseline {
    /// Windows of an unbroken run above the band from which it may be a change of level.
    const RUN_WINDOWS_MIN: u32 = 30;
    /// Windows that each replica count must have held the level for.
    const LEVEL_WINDOWS_MIN: u32 = 8;
    /// Share by which the level may differ between replica counts.
    const LEVEL_SHARE: f64 = 0.15;

    /// A baseline that has seen nothing.
    pub fn new(config: &Config) -> Self {
        Self {
            reference: RollingMedian::new(config.baseline_windows() as usize),
            newest: Timestamp::ORIGIN,
            anchor_ms: f64::INFINITY,
            pool: (0, 0.0),
            run: [Level::default(); 2],
        }
    }

    /// Makes one entry of several thin windows in which every request was measured. Their highest
    /// p95 stands for all: of so few samples the p95 is about the maximum.
    fn pool_thin(&mut self, config: &Config, window: &Window) -> bool {
        let (true, Some(latencies)) = (window.is_census(), window.latencies) else {
            return false;
        };
        let (samples, highest_ms) = self.pool;
        let pooled = samples.saturating_add(window.successes());
        let highest_ms = highest_ms.max(latencies.p95.as_millis());
        self.pool = (pooled, highest_ms);
        if pooled >= config.samples_min() {
            self.pool = (0, 0.0);
            self.reference.push(highest_ms);
            self.newest = window.end;
        }
        true
    }

    /// Takes the band of an estimate for the anchor's when it is lower. A hint that is too low must
    /// not keep what is normal out for ever.
    fn lower_anchor(&mut self, config: &Config, estimate: Option<Estimate>) {
        if let Some(estimate) = estimate.filter(|estimate| !estimate.hinted) {
            let band_ms = estimate.band_high_ms(config, config.thresholds()).min(Latency::MAX_MS);
            self.anchor_ms = self.anchor_ms.min(band_ms);
        }
    }

    /// Follows a run of windows above the band; starts the reference anew when it proves a change
    /// of level that replicas do not cure.
    fn follow_run(&mut self, window: &Window) -> Option<LevelChange> {
        let (latencies, ready) = (window.latencies?, window.ready?);
        let [earlier, later] = self.run;
        if earlier.replicas == ready && earlier.windows > 0 {
            self.run = [later, earlier];
        } else if later.replicas != ready || later.windows == 0 {
            self.run = [later, Level { replicas: ready, ..Level::default() }];
        }
        let [earlier, later] = &mut self.run;
        later.windows = later.windows.saturating_add(1);
        later.total_ms += latencies.p95.as_millis();

        let long = earlier.windows.saturating_add(later.windows) >= Self::RUN_WINDOWS_MIN;
        let both = earlier.windows.min(later.windows) >= Self::LEVEL_WINDOWS_MIN;
        let (one, other) = (earlier.mean_ms(), later.mean_ms());
        let held = one.max(other) <= one.min(other) * (1.0 + Self::LEVEL_SHARE);
        if !(long && both && held) {
            return None;
        }
        let change = LevelChange { levels: self.run };
        self.run = [Level::default(); 2];
        self.anchor_ms = f64::INFINITY;
        self.reference.clear();
        for level in change.levels {
            for _ in 0..level.windows.min(u32::try_from(self.reference.capacity()).unwrap_or(0)) {
                self.reference.push(level.mean_ms());
            }
        }
        self.newest = window.end;
        Some(change)
    }
}

impl Baseline for QuarantinedBaseline {
    fn estimate(&self, config: &Config) -> Option<Estimate> {
        let windows = u32::try_from(self.reference.len()).unwrap_or(u32::MAX);
        if windows < config.warmup_windows() {
            let hint = Estimate::new(config.baseline_hint_ms()?, 0.0, config)?;
            return Some(Estimate { windows, hinted: true, ..hint });
        }
        let (median_ms, mad_ms) = self.reference.median_and_mad()?;
        let estimate = Estimate::new(median_ms, SIGMA_PER_MAD * mad_ms, config)?;
        Some(Estimate { windows, newest: Some(self.newest), ..estimate })
    }

    fn observe(&mut self, config: &Config, evidence: &Evidence<'_>) -> Lesson {
        let p95_ms = evidence.window.latencies.map(|latencies| latencies.p95.as_millis());
        self.lower_anchor(config, evidence.estimate);
        let above = p95_ms.is_some_and(|p95_ms| p95_ms > self.anchor_ms);
        match (evidence.quarantine(config, above), p95_ms) {
            (None, Some(p95_ms)) => {
                self.run = [Level::default(); 2];
                self.reference.push(p95_ms);
                self.newest = evidence.window.end;
                Lesson::Learn
            }
            (None | Some(Quarantine::Thin), _) => {
                if !above && self.pool_thin(config, evidence.window) {
                    return Lesson::Pool;
                }
                Lesson::Quarantine(Quarantine::Thin)
            }
            (Some(Quarantine::AboveBand), _) => match self.follow_run(evidence.window) {
                Some(change) => Lesson::Relearn(change),
                None => Lesson::Quarantine(Quarantine::AboveBand),
            },
            // A run is broken by what hurts; what says nothing neither breaks nor feeds it.
            (Some(hurts @ (Quarantine::Breach | Quarantine::Failing)), _) => {
                self.run = [Level::default(); 2];
                Lesson::Quarantine(hurts)
            }
            (Some(other), _) => Lesson::Quarantine(other),
        }
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

    fn rebase(&mut self, behind: Duration) {
        self.newest = self.newest.saturating_sub(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Yardstick;
    use crate::testing::{config, window};

    /// Feeds windows of these p95 as a planner would.
    fn feed(baseline: &mut QuarantinedBaseline, p95_ms: f64, replicas: u32) -> Lesson {
        let config = config();
        let window = window(1, p95_ms, replicas);
        let yardstick = Yardstick {
            config: &config,
            active: config.thresholds(),
            estimate: baseline.estimate(&config),
            suspects_before: 0,
            queued_before: 0,
        };
        let (signal, estimate) = (Signal::assess(&window, &yardstick), yardstick.estimate);
        let evidence = Evidence::new(&window, Quality::Trusted, signal, estimate);
        baseline.observe(&config, &evidence)
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
            assert_eq!(feed(&mut baseline, 400.0, 2), Lesson::Quarantine(Quarantine::Breach));
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
                assert_eq!(
                    feed(&mut baseline, 350.0, replicas),
                    Lesson::Quarantine(Quarantine::Breach)
                );
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
            let estimate = baseline.estimate(&config);
            let evidence = Evidence::new(&window, trusted.0, trusted.1, estimate);
            assert_eq!(baseline.observe(&config, &evidence), Lesson::Pool);
        }
        let estimate = baseline.estimate(&config).expect("eight samples make an entry");
        assert_eq!((estimate.median.as_millis(), estimate.windows), (24.0, 12));
    }

    #[test]
    fn a_median_of_zero_is_compared_in_sigmas() {
        let estimate = Estimate::new(0.0, 0.0, &config()).expect("an estimate");
        assert_eq!((estimate.ratio(4.0), estimate.z(4.0)), (2.0, 2.0));
    }

    #[test]
    fn the_band_ends_at_the_larger_of_its_two_ends() {
        let bounds = crate::ReplicaBounds::new(1, 8).expect("bounds");
        let narrow = Config::builder(bounds).band_sigmas(0.0).build().expect("settings");
        let estimate = Estimate::new(100.0, 0.0, &narrow).expect("an estimate");
        let end_ms = estimate.band_high_ms(&narrow, narrow.thresholds());
        assert!((end_ms - 110.0).abs() < 1e-9, "{end_ms}");
        let end_ms = estimate.band_high_ms(&config(), config().thresholds());
        assert!((end_ms - 125.0).abs() < 1e-9, "{end_ms}");
    }

    #[test]
    fn what_stands_at_the_end_of_the_anchors_band_is_admitted() {
        let mut baseline = warm();
        feed(&mut baseline, 40.0, 2);
        assert_eq!(feed(&mut baseline, 50.0, 2), Lesson::Learn);
        assert_eq!(feed(&mut baseline, 50.1, 2), Lesson::Quarantine(Quarantine::AboveBand));
    }

    #[test]
    fn as_many_successes_as_a_trusted_window_needs_are_enough() {
        let config = config();
        let lesson = |samples| {
            let mut window = window(1, 40.0, 2);
            window.samples = samples;
            let evidence = Evidence::new(&window, Quality::Trusted, Signal::default(), None);
            QuarantinedBaseline::new(&config).observe(&config, &evidence)
        };
        assert_eq!(lesson(8), Lesson::Learn);
        assert_eq!(lesson(7), Lesson::Quarantine(Quarantine::Thin));
    }

    #[test]
    fn lessons_say_what_was_made_of_a_window() {
        use alloc::string::ToString as _;

        let level = |replicas| Level { replicas, windows: 15, total_ms: 1_050.0 };
        let told = [
            (Lesson::Ignore, "the reference is fixed"),
            (Lesson::Learn, "entered the reference"),
            (Lesson::Pool, "kept out of it: too few successes, pooled"),
            (Lesson::Quarantine(Quarantine::AboveBand), "kept out of it: above the band"),
            (Lesson::Quarantine(Quarantine::Breach), "kept out of it: in breach"),
            (Lesson::Quarantine(Quarantine::Doubtful), "kept out of it: doubtful"),
            (Lesson::Quarantine(Quarantine::Failing), "kept out of it: failing"),
            (Lesson::Quarantine(Quarantine::Thin), "kept out of it: too few successes"),
            (
                Lesson::Relearn(LevelChange { levels: [level(2), level(3)] }),
                "a new normal, held through 15 windows of 70.0 ms at 2 replicas and 15 windows of \
                 70.0 ms at 3 replicas",
            ),
        ];
        for (lesson, text) in told {
            assert_eq!(lesson.to_string(), text);
        }
    }

    #[test]
    fn a_replica_count_that_comes_back_goes_on_where_it_was() {
        let mut baseline = warm();
        let mut lesson = Lesson::Ignore;
        for replicas in [2, 3, 2] {
            for _ in 0..10 {
                lesson = feed(&mut baseline, 70.0, replicas);
            }
        }
        let level = |replicas, windows| {
            let total_ms = 70.0 * f64::from(windows);
            Level { replicas, windows, total_ms }
        };
        let levels = [level(3, 10), level(2, 20)];
        assert_eq!(lesson, Lesson::Relearn(LevelChange { levels }));
    }
}
