//! The five streams that every statistic is measured on, all seeded.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A stream of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the five streams of the comparison")]
pub enum Stream {
    /// Lognormal with a shift of level now and then: what latencies look like.
    Lognormal,
    /// Few different values.
    Ties,
    /// Every value above the one before.
    Ascending,
    /// Every value below the one before.
    Descending,
    /// One value.
    Constant,
}

impl Stream {
    /// All streams.
    pub const ALL: [Self; 5] =
        [Self::Lognormal, Self::Ties, Self::Ascending, Self::Descending, Self::Constant];

    /// Its name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lognormal => "lognormal",
            Self::Ties => "ties",
            Self::Ascending => "ascending",
            Self::Descending => "descending",
            Self::Constant => "constant",
        }
    }

    /// The first `len` values, in milliseconds.
    pub fn values(self, len: usize) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut level_ms = 40.0;
        let mut value = |index: usize| match self {
            Self::Lognormal => {
                if index.is_multiple_of(5_000) {
                    level_ms = random.random_range(20.0..200.0);
                }
                // Box and Muller: two uniform numbers make a normal one.
                let radius = (-2.0 * random.random_range(f64::MIN_POSITIVE..1.0_f64).ln()).sqrt();
                let angle = core::f64::consts::TAU * random.random_range(0.0..1.0_f64);
                level_ms * (0.5 * radius * angle.cos()).exp()
            }
            Self::Ties => f64::from(random.random_range(20..40_u32)),
            Self::Ascending => 1.0 + index as f64 * 1e-3,
            Self::Descending => 1.0 + (len - index) as f64 * 1e-3,
            Self::Constant => 40.0,
        };
        (0..len).map(&mut value).collect()
    }
}
