//! Requests drawn from a trace, second by second.
//!
//! The same trace, seed and build give the same counts. Sampling takes logarithms and powers of the
//! platform's library, so that single counts may differ between platforms.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, Gamma, Poisson};

use super::{Trace, TraceError};

/// Highest index of dispersion.
pub const DISPERSION_MAX: f64 = 1e6;

/// Counts of arrivals, one for each second of a trace.
///
/// Two traces of different names draw from different streams of one seed, so that their noise is
/// independent.
///
/// ```
/// use planner_lab::trace::{Arrivals, Trace};
///
/// let trace = Trace::new("shop", 60, vec![100.0; 60])?;
/// let counts: Vec<u64> = Arrivals::poisson(&trace, 7).collect();
/// assert_eq!(counts.len(), 3_600);
/// assert_eq!(counts, Arrivals::poisson(&trace, 7).collect::<Vec<_>>());
///
/// // Four times the variance of Poisson arrivals with the same mean.
/// let bursty = Arrivals::bursty(&trace, 4.0, 7)?;
/// assert!(bursty.max() > counts.iter().copied().max());
/// # Ok::<(), planner_lab::trace::TraceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Arrivals<'a> {
    rates_per_s: std::slice::Iter<'a, f64>,
    step_s: u32,
    /// Seconds of the current step that are still to come.
    left_s: u32,
    process: Process,
    /// Above 1 for what is burstier than Poisson.
    dispersion: f64,
    random: ChaCha8Rng,
}

/// How the counts of one step are drawn.
#[derive(Clone, Copy, Debug)]
enum Process {
    /// The rate itself varies from second to second.
    Mixed(Gamma<f64>),
    /// No request comes.
    None,
    /// Requests come independently.
    Poisson(Poisson<f64>),
}

impl Process {
    fn of(rate_per_s: f64, dispersion: f64) -> Self {
        if rate_per_s > 0.0 && dispersion > 1.0 {
            // Mean rate, variance rate · (dispersion - 1), to which Poisson adds its own.
            let scale = dispersion - 1.0;
            Gamma::new(rate_per_s / scale, scale).map_or(Self::None, Self::Mixed)
        } else {
            Poisson::new(rate_per_s).map_or(Self::None, Self::Poisson)
        }
    }

    fn draw(&self, random: &mut ChaCha8Rng) -> u64 {
        let count = match self {
            Self::Mixed(gamma) => {
                let rate_per_s = gamma.sample(random);
                Poisson::new(rate_per_s).map_or(0.0, |poisson| poisson.sample(random))
            }
            Self::None => 0.0,
            Self::Poisson(poisson) => poisson.sample(random),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number from 0 on, far below 2^64 for rates up to 1e9"
        )]
        let count = count as u64;
        count
    }
}

impl<'a> Arrivals<'a> {
    /// Independent arrivals: in every second a Poisson count of its rate.
    pub fn poisson(trace: &'a Trace, seed: u64) -> Self {
        Self::with_dispersion(trace, 1.0, seed)
    }

    /// Arrivals in bursts: in every second a Poisson count of a gamma-distributed rate, which is a
    /// negative binomial count. Its mean is the rate of the trace, and its variance `dispersion`
    /// times the mean; seconds are independent of each other. A dispersion of 1 is Poisson.
    ///
    /// # Errors
    ///
    /// [`TraceError::Argument`] when the index of dispersion is not from 1 to 1e6.
    pub fn bursty(trace: &'a Trace, dispersion: f64, seed: u64) -> Result<Self, TraceError> {
        if (1.0..=DISPERSION_MAX).contains(&dispersion) {
            return Ok(Self::with_dispersion(trace, dispersion, seed));
        }
        Err(TraceError::Argument {
            what: "index of dispersion",
            value: dispersion.to_string(),
            rule: "from 1 to 1e6",
            remedy: "take 1 for Poisson arrivals, or more for bursts",
        })
    }

    fn with_dispersion(trace: &'a Trace, dispersion: f64, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream(trace.name()));
        Self {
            rates_per_s: trace.rates_per_s().iter(),
            step_s: trace.step_s(),
            left_s: 0,
            process: Process::None,
            dispersion,
            random,
        }
    }
}

impl Iterator for Arrivals<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.left_s == 0 {
            self.process = Process::of(*self.rates_per_s.next()?, self.dispersion);
            self.left_s = self.step_s;
        }
        self.left_s -= 1;
        Some(self.process.draw(&mut self.random))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rates_per_s.len().checked_mul(self.step_s as usize);
        let left = left.and_then(|it| it.checked_add(self.left_s as usize));
        (left.unwrap_or(usize::MAX), left)
    }
}

/// A stream for a name: FNV-1a, which is the same everywhere and for ever.
fn stream(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and index of dispersion of so many seconds at a rate.
    fn moments(rate_per_s: f64, dispersion: f64) -> (f64, f64) {
        let trace = Trace::new("t", 100, vec![rate_per_s; 2_000]).expect("a trace");
        let arrivals = Arrivals::bursty(&trace, dispersion, 3).expect("arrivals");
        let counts: Vec<f64> = arrivals.map(|count| count as f64).collect();
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        let squares: f64 = counts.iter().map(|count| (count - mean) * (count - mean)).sum();
        (mean, squares / counts.len() as f64 / mean)
    }

    #[test]
    fn a_dispersion_below_that_of_poisson_is_refused() {
        let trace = Trace::new("t", 1, vec![1.0]).expect("a trace");
        for (dispersion, shown) in [(0.5, "0.5"), (f64::NAN, "NaN"), (1e7, "10000000")] {
            assert_eq!(
                Arrivals::bursty(&trace, dispersion, 1).expect_err("refused").to_string(),
                format!(
                    "index of dispersion: {shown} is not from 1 to 1e6; take 1 for Poisson \
                     arrivals, or more for bursts"
                )
            );
        }
    }

    #[test]
    fn no_rate_gives_no_arrivals_and_an_extreme_one_gives_finite_ones() {
        for rate in [0.0, 5e-324, 1e-12] {
            let trace = Trace::new("t", 1, vec![rate; 100]).expect("a trace");
            assert_eq!(Arrivals::poisson(&trace, 1).sum::<u64>(), 0);
            assert_eq!(Arrivals::bursty(&trace, 1e6, 1).expect("arrivals").sum::<u64>(), 0);
        }
        let trace = Trace::new("t", 1, vec![1e9; 100]).expect("a trace");
        assert!(Arrivals::poisson(&trace, 1).all(|count| count.abs_diff(1_000_000_000) < 400_000));
    }

    #[test]
    fn mean_and_variance_are_as_stated() {
        for rate in [0.2, 5.0, 11.9, 40.0, 3_000.0] {
            for dispersion in [1.0, 1.5, 8.0] {
                let (mean, found) = moments(rate, dispersion);
                assert!((mean / rate - 1.0).abs() < 0.04, "{rate} {dispersion}: {mean}");
                assert!((found / dispersion - 1.0).abs() < 0.06, "{rate} {dispersion}: {found}");
            }
        }
    }

    #[test]
    fn seeds_and_names_draw_different_counts_and_the_same_ones_do_not() {
        let one = Trace::new("one", 10, vec![50.0; 10]).expect("a trace");
        let other = one.clone().with_name("other");
        let draw = |trace, seed| Arrivals::poisson(trace, seed).collect::<Vec<u64>>();
        assert_eq!(draw(&one, 1), draw(&one, 1));
        assert_ne!(draw(&one, 1), draw(&one, 2));
        assert_ne!(draw(&one, 1), draw(&other, 1));
    }

    #[test]
    fn there_is_a_count_for_every_second() {
        let trace = Trace::new("t", 7, vec![1.0; 3]).expect("a trace");
        let mut arrivals = Arrivals::poisson(&trace, 1);
        assert_eq!(arrivals.size_hint(), (21, Some(21)));
        arrivals.next();
        assert_eq!(arrivals.size_hint(), (20, Some(20)));
        assert_eq!(arrivals.count(), 20);
    }
}
