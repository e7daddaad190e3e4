//! What the baseline made of a window: the evidence in the derivation.

use core::fmt;

use super::Quarantine;

/// What the baseline made of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Lesson {
    /// The reference is fixed.
    Ignore,
    /// It entered the reference.
    Learn,
    /// It has too few successes for a percentile, and was whole: it waits for others like it, with
    /// which it makes one entry.
    Pool,
    /// It did not enter.
    Quarantine(Quarantine),
    /// It completed the evidence for a lasting change of level: the reference began anew.
    Relearn(LevelChange),
}

impl fmt::Display for Lesson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignore => f.write_str("the reference is fixed"),
            Self::Learn => f.write_str("entered the reference"),
            Self::Pool => f.write_str("kept out of it: too few successes, pooled"),
            Self::Quarantine(quarantine) => write!(f, "kept out of it: {quarantine}"),
            Self::Relearn(change) => {
                let [earlier, later] = change.levels;
                write!(f, "a new normal, held through {earlier} and {later}")
            }
        }
    }
}

/// Why a new level is the normal one: it held at two replica counts, in one run without breach or
/// errors. The new reference holds each level's mean as often as it had windows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LevelChange {
    /// The level at the earlier replica count and at the later one.
    pub levels: [Level; 2],
}

/// Windows of a run at one replica count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Level {
    /// The replicas that served them.
    pub replicas: u32,
    /// How many windows there were.
    pub windows: u32,
    /// The sum of their p95 in milliseconds.
    pub total_ms: f64,
}

impl Level {
    /// Mean p95 in milliseconds; zero without windows.
    pub fn mean_ms(&self) -> f64 {
        if self.windows == 0 { 0.0 } else { self.total_ms / f64::from(self.windows) }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mean_ms, windows, replicas) = (self.mean_ms(), self.windows, self.replicas);
        write!(f, "{windows} windows of {mean_ms:.1} ms at {replicas} replicas")
    }
}
