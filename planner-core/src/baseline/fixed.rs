//! A normal that is known, and does not change.

use super::{Baseline, Estimate, Evidence, Lesson};
use crate::config::Config;
use crate::telemetry::Latency;

/// A baseline that is known and never learns, e.g. from an SLO or a load test.
///
/// ```
/// use planner_core::baseline::{Baseline, FixedReference};
/// use planner_core::{Config, Latency, ReplicaBounds};
///
/// let config = Config::builder(ReplicaBounds::new(1, 8)?).build()?;
/// let known = FixedReference::new(
///     Latency::from_millis(40.0).expect("a latency"),
///     Latency::from_millis(1.0).expect("a latency"),
/// );
/// let estimate = known.estimate(&config).expect("always warm");
/// assert_eq!(estimate.sigma.as_millis(), 4.0); // the floor: a tenth of the median
/// # Ok::<(), planner_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FixedReference {
    median: Latency,
    sigma: Latency,
}

impl FixedReference {
    /// A reference with this median and σ.
    pub const fn new(median: Latency, sigma: Latency) -> Self {
        Self { median, sigma }
    }
}

impl Baseline for FixedReference {
    fn estimate(&self, config: &Config) -> Option<Estimate> {
        Estimate::new(self.median.as_millis(), self.sigma.as_millis(), config)
    }

    fn observe(&mut self, config: &Config, evidence: &Evidence<'_>) -> Lesson {
        evidence
            .quarantine(config, !evidence.signal.near)
            .map_or(Lesson::Ignore, Lesson::Quarantine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Quarantine;
    use crate::signal::Signal;
    use crate::telemetry::Quality;
    use crate::testing::{config, window};

    #[test]
    fn a_fixed_reference_is_warm_from_the_start_and_learns_nothing() {
        let millis = |millis| Latency::from_millis(millis).expect("a latency");
        let mut known = FixedReference::new(millis(40.0), millis(8.0));
        let before = known;
        let estimate = known.estimate(&config()).expect("always warm");
        assert_eq!((estimate.median, estimate.sigma), (millis(40.0), millis(8.0)));
        let mut lesson = |near| {
            let window = window(1, 40.0, 2);
            let signal = Signal { near, ..Signal::default() };
            let evidence = Evidence::new(&window, Quality::Trusted, signal, Some(estimate));
            known.observe(&config(), &evidence)
        };
        assert_eq!(lesson(true), Lesson::Ignore);
        assert_eq!(lesson(false), Lesson::Quarantine(Quarantine::AboveBand));
        assert_eq!(known, before);
    }
}
