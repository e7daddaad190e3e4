//! How long a request takes to serve: distributions by their mean, and how they are drawn.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, Gamma, LogNormal};
use serde::{Deserialize, Serialize};
use statrs::distribution::ContinuousCDF;

use super::QueueError;
use super::error::within;
use super::units::{nanos, whole};

/// A distribution of service times. Every variant has the mean that it is given, up to the
/// rounding to whole nanoseconds; a single service never takes more than 1e6 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ServiceTime {
    /// Always the same.
    Deterministic {
        /// Mean in seconds: 1e-6 to 3600.
        mean_s: f64,
    },
    /// Exponential.
    Exponential {
        /// Mean in seconds: 1e-6 to 3600.
        mean_s: f64,
    },
    /// Gamma; with a whole shape k it is Erlang's, a sum of k exponential phases.
    Gamma {
        /// Mean in seconds: 1e-6 to 3600.
        mean_s: f64,
        /// Shape: 0.05 to 10000. The squared coefficient of variation is its inverse.
        shape: f64,
    },
    /// Lognormal.
    LogNormal {
        /// Mean in seconds: 1e-6 to 3600.
        mean_s: f64,
        /// Coefficient of variation, the standard deviation as a share of the mean: 0.01 to 10.
        cv: f64,
    },
    /// Pareto, cut off above: a heavy tail with an end.
    Pareto {
        /// Mean in seconds: 1e-6 to 3600.
        mean_s: f64,
        /// Shape, the exponent of the tail: 0.5 to 10. Below 2 the tail is most of the variance.
        shape: f64,
        /// The longest service time as a multiple of the shortest: 1.01 to 1e6.
        max_over_min: f64,
    },
}

impl ServiceTime {
    /// Mean in seconds.
    pub const fn mean_s(&self) -> f64 {
        match self {
            Self::Deterministic { mean_s }
            | Self::Exponential { mean_s }
            | Self::Gamma { mean_s, .. }
            | Self::LogNormal { mean_s, .. }
            | Self::Pareto { mean_s, .. } => *mean_s,
        }
    }

    /// The squared coefficient of variation: variance ÷ mean².
    pub fn scv(&self) -> f64 {
        match *self {
            Self::Deterministic { .. } => 0.0,
            Self::Exponential { .. } => 1.0,
            Self::Gamma { shape, .. } => 1.0 / shape,
            Self::LogNormal { cv, .. } => cv * cv,
            Self::Pareto { shape, max_over_min, .. } => {
                let mean = pareto_moment(1.0, shape, max_over_min);
                pareto_moment(2.0, shape, max_over_min) / (mean * mean) - 1.0
            }
        }
    }

    /// The service time in seconds that a share of `share` does not exceed; `None` unless the
    /// share is in 0 to 1, 1 excluded, and the distribution is within its ranges.
    pub fn quantile_s(&self, share: f64) -> Option<f64> {
        self.check().ok()?;
        if !(0.0..1.0).contains(&share) {
            return None;
        }
        match *self {
            Self::Deterministic { mean_s } => Some(mean_s),
            Self::Exponential { mean_s } => {
                Some(statrs::distribution::Exp::new(1.0 / mean_s).ok()?.inverse_cdf(share))
            }
            Self::Gamma { mean_s, shape } => {
                // At a rate of one, so that the search of the inverse works on numbers of size one.
                let unit = statrs::distribution::Gamma::new(shape, shape).ok()?;
                Some(mean_s * unit.inverse_cdf(share))
            }
            Self::LogNormal { mean_s, cv } => {
                let (location, scale) = lognormal_parameters(mean_s, cv);
                let exact = statrs::distribution::LogNormal::new(location, scale).ok()?;
                Some(exact.inverse_cdf(share))
            }
            Self::Pareto { mean_s, shape, max_over_min } => {
                Some(ParetoSampler::new(mean_s, shape, max_over_min).at(share))
            }
        }
    }

    pub(super) fn check(&self) -> Result<(), QueueError> {
        let rule = "a time from 1e-6 to 3600 seconds";
        within("service.mean_s", self.mean_s(), 1e-6..=3_600.0, rule)?;
        match *self {
            Self::Deterministic { .. } | Self::Exponential { .. } => Ok(()),
            Self::Gamma { shape, .. } => {
                within("service.shape", shape, 0.05..=1e4, "a number from 0.05 to 10000")
            }
            Self::LogNormal { cv, .. } => {
                within("service.cv", cv, 0.01..=10.0, "a number from 0.01 to 10")
            }
            Self::Pareto { shape, max_over_min, .. } => {
                within("service.shape", shape, 0.5..=10.0, "a number from 0.5 to 10")?;
                let rule = "a number from 1.01 to 1e6";
                within("service.max_over_min", max_over_min, 1.01..=1e6, rule)
            }
        }
    }
}

/// Location and scale of the logarithm.
fn lognormal_parameters(mean_s: f64, cv: f64) -> (f64, f64) {
    let variance = (cv * cv).ln_1p();
    (mean_s.ln() - variance / 2.0, variance.sqrt())
}

/// The moment of that order of a bounded Pareto distribution whose least value is one:
/// `a / (k - a) * (r^(k - a) - 1) / (1 - r^-a)`, by continuity where `k = a`.
fn pareto_moment(order: f64, shape: f64, max_over_min: f64) -> f64 {
    let log = max_over_min.ln();
    let over = order - shape;
    let grown = if over.abs() < 1e-12 { log } else { (over * log).exp_m1() / over };
    shape * grown / -(-shape * log).exp_m1()
}

/// A service time made ready to be drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sampler {
    Deterministic { nanos: u64 },
    Exponential { mean_ns: f64 },
    Gamma(Gamma<f64>),
    LogNormal(LogNormal<f64>),
    Pareto(ParetoSampler),
}

impl Sampler {
    /// The longest service: 1e6 seconds.
    const MAX_NS: u64 = 1_000_000_000_000_000;

    /// Readies a distribution, which is checked first.
    pub(super) fn new(service: &ServiceTime) -> Result<Self, QueueError> {
        service.check()?;
        let refused = |setting: &str, value| QueueError::OutOfRange {
            setting: setting.to_owned(),
            value,
            rule: "a parameter that the distribution takes",
        };
        Ok(match *service {
            ServiceTime::Deterministic { mean_s } => Self::Deterministic { nanos: nanos(mean_s) },
            ServiceTime::Exponential { mean_s } => Self::Exponential { mean_ns: mean_s * 1e9 },
            ServiceTime::Gamma { mean_s, shape } => Self::Gamma(
                Gamma::new(shape, mean_s * 1e9 / shape)
                    .map_err(|_| refused("service.shape", shape))?,
            ),
            ServiceTime::LogNormal { mean_s, cv } => {
                let (location, scale) = lognormal_parameters(mean_s * 1e9, cv);
                Self::LogNormal(
                    LogNormal::new(location, scale).map_err(|_| refused("service.cv", cv))?,
                )
            }
            ServiceTime::Pareto { mean_s, shape, max_over_min } => {
                Self::Pareto(ParetoSampler::new(mean_s * 1e9, shape, max_over_min))
            }
        })
    }

    /// Draws a service time in nanoseconds.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> u64 {
        let drawn_ns = match self {
            Self::Deterministic { nanos } => return *nanos,
            Self::Exponential { mean_ns } => {
                let unit: f64 = Exp1.sample(rng);
                unit * mean_ns
            }
            Self::Gamma(gamma) => gamma.sample(rng),
            Self::LogNormal(lognormal) => lognormal.sample(rng),
            Self::Pareto(pareto) => pareto.at(rng.random()),
        };
        whole(drawn_ns).min(Self::MAX_NS)
    }
}

/// A bounded Pareto distribution by the inverse of its distribution function.
#[derive(Clone, Copy, Debug)]
pub(super) struct ParetoSampler {
    min: f64,
    max: f64,
    /// The share of the unbounded distribution that lies below the maximum.
    kept: f64,
    exponent: f64,
}

impl ParetoSampler {
    fn new(mean: f64, shape: f64, max_over_min: f64) -> Self {
        let min = mean / pareto_moment(1.0, shape, max_over_min);
        let kept = -(-shape * max_over_min.ln()).exp_m1();
        Self { min, max: min * max_over_min, kept, exponent: -1.0 / shape }
    }

    /// The value that a share of `share` does not exceed.
    fn at(&self, share: f64) -> f64 {
        (self.min * (1.0 - share * self.kept).powf(self.exponent)).clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    use super::*;

    const ALL: [ServiceTime; 8] = [
        ServiceTime::Deterministic { mean_s: 0.02 },
        ServiceTime::Exponential { mean_s: 0.02 },
        ServiceTime::Gamma { mean_s: 0.02, shape: 0.5 },
        ServiceTime::Gamma { mean_s: 0.02, shape: 4.0 },
        ServiceTime::LogNormal { mean_s: 0.02, cv: 1.5 },
        ServiceTime::Pareto { mean_s: 0.02, shape: 1.0, max_over_min: 100.0 },
        ServiceTime::Pareto { mean_s: 0.02, shape: 2.0, max_over_min: 50.0 },
        ServiceTime::Pareto { mean_s: 0.02, shape: 2.5, max_over_min: 100.0 },
    ];

    #[test]
    fn a_parameter_out_of_range_is_refused_by_name() {
        let refusals = [
            (ServiceTime::Exponential { mean_s: 0.0 }, "service.mean_s: 0 is not a time from 1e-6"),
            (ServiceTime::Gamma { mean_s: 1.0, shape: -1.0 }, "service.shape: -1 is not a number"),
            (ServiceTime::LogNormal { mean_s: 1.0, cv: f64::NAN }, "service.cv: NaN is not"),
            (
                ServiceTime::Pareto { mean_s: 1.0, shape: 1.0, max_over_min: 1.0 },
                "service.max_over_min: 1 is not a number from 1.01 to 1e6; change it",
            ),
        ];
        for (service, text) in refusals {
            let refusal = Sampler::new(&service).expect_err("out of range").to_string();
            assert!(refusal.starts_with(text), "{refusal}");
            assert_eq!(service.quantile_s(0.5), None);
        }
        assert_eq!(ServiceTime::Exponential { mean_s: 1.0 }.quantile_s(1.0), None);
    }

    #[test]
    fn draws_have_the_mean_the_variance_and_the_quantiles_of_their_definition() {
        const DRAWS: usize = 200_000;
        for service in ALL {
            let sampler = Sampler::new(&service).expect("within the ranges");
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
            let mut drawn: Vec<f64> =
                (0..DRAWS).map(|_| sampler.draw(&mut rng) as f64 / 1e9).collect();
            let mean = drawn.iter().sum::<f64>() / DRAWS as f64;
            let error = (service.scv() / DRAWS as f64).sqrt();
            let off = mean / service.mean_s() - 1.0;
            assert!(off.abs() <= 4.0 * error + 1e-7, "{service:?}: mean off by {off}");
            // The second moment, four of its own standard errors wide: a tail is mostly in there.
            let square = drawn.iter().map(|it| it * it).sum::<f64>() / DRAWS as f64;
            let fourth = drawn.iter().map(|it| it * it * it * it).sum::<f64>() / DRAWS as f64;
            let wide = 4.0 * ((fourth - square * square).max(0.0) / DRAWS as f64).sqrt();
            let exact = (1.0 + service.scv()) * service.mean_s() * service.mean_s();
            assert!((square - exact).abs() <= wide + 1e-9, "{service:?}: {square} for {exact}");
            drawn.sort_unstable_by(f64::total_cmp);
            for share in [0.1, 0.5, 0.95] {
                let exact = service.quantile_s(share).expect("a share");
                // Four standard errors of the share of draws at or below the exact quantile.
                let below = drawn.partition_point(|it| *it <= exact + 1e-9) as f64 / DRAWS as f64;
                let wide = 4.0 * (share * (1.0 - share) / DRAWS as f64).sqrt();
                let constant = service.scv() == 0.0;
                assert!(constant || (below - share).abs() < wide, "{service:?} {share}: {below}");
            }
        }
    }

    #[test]
    fn a_bounded_tail_ends_where_it_says() {
        let service = ServiceTime::Pareto { mean_s: 1.0, shape: 0.5, max_over_min: 1e6 };
        let (least, most) = (service.quantile_s(0.0), service.quantile_s(1.0 - 1e-16));
        let (least, most) = (least.expect("a share"), most.expect("a share"));
        assert!((most / least / 1e6 - 1.0).abs() < 1e-6, "{least} {most}");
    }
}
