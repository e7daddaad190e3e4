//! Loads as a few pieces, and how they change at random.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::trace::{Trace, TraceError};

/// Pieces of a load, at most.
pub const PIECES_MAX: usize = 6;

/// A step of the trace, in seconds; all times are multiples of it.
const STEP_S: u32 = 5;
/// How long a load lasts, in seconds.
const HORIZON_S: std::ops::RangeInclusive<u32> = 7_200..=21_600;
/// Most requests per second: nine tenths of what 100 replicas of 50 a second answer.
const RATE_MAX: u32 = 4_500;
/// Heights are multiples of this.
const HEIGHT_STEP: u32 = 10;

/// The rule of all times of a piece.
const TIME: &str = "a multiple of 5 within the horizon, 0 where the shape has no use";

/// What a piece does to the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// More from one time to another.
    Burst,
    /// More, all the time.
    Level,
    /// More and more from one time to another, and so much more from then on.
    Ramp,
    /// Nothing at all from one time to another, whatever the other pieces say.
    Silence,
    /// A wave from one time to another, from nothing to the height and back in each period.
    Sine,
    /// Short bursts from one time to another, one at the beginning of each period.
    Spikes,
    /// More from one time on.
    Step,
}

const SHAPES: [Shape; 7] = [
    Shape::Burst,
    Shape::Level,
    Shape::Ramp,
    Shape::Silence,
    Shape::Sine,
    Shape::Spikes,
    Shape::Step,
];

/// One piece. What its shape has no use for is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a load")]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// What it does.
    pub shape: Shape,
    /// When it begins, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub from_s: u32,
    /// How long it lasts, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub length_s: u32,
    /// Requests per second that it adds at most.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub height_per_s: u32,
    /// The period of waves and spikes, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub every_s: u32,
    /// How long one spike lasts, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub width_s: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// A load: the sum of its pieces, at most 4500 requests a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who describe a load")]
#[serde(deny_unknown_fields)]
pub struct Genome {
    /// How long it lasts, in seconds: 7200 to 21600.
    pub horizon_s: u32,
    /// Its pieces, 1 to [`PIECES_MAX`].
    pub pieces: Vec<Piece>,
}

/// Why a genome is no load.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum GenomeError {
    /// It has no pieces, or too many.
    #[error("genome has {pieces} pieces; give 1 to 6")]
    Pieces {
        /// How many.
        pieces: usize,
    },
    /// A number is out of its range, or not on its grid.
    #[error("genome: {name} is {value}; give {rule}")]
    Number {
        /// Which.
        name: &'static str,
        /// What was given.
        value: u32,
        /// What is possible.
        rule: &'static str,
    },
    /// The trace was refused.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

impl Piece {
    /// What it adds to the rate at a time; `None` where it silences everything.
    fn at(&self, second: u32) -> Option<f64> {
        let height = f64::from(self.height_per_s);
        let since_s = second.checked_sub(self.from_s);
        let within_s = since_s.filter(|since_s| *since_s < self.length_s);
        let phase_s = within_s.map(|since_s| since_s % self.every_s.max(STEP_S));
        let when = |holds| if holds { height } else { 0.0 };
        Some(match self.shape {
            Shape::Burst => when(within_s.is_some()),
            Shape::Level => height,
            Shape::Ramp => since_s.map_or(0.0, |since_s| {
                height * f64::from(since_s.min(self.length_s)) / f64::from(self.length_s.max(1))
            }),
            Shape::Silence if within_s.is_some() => return None,
            Shape::Silence => 0.0,
            Shape::Sine => phase_s.map_or(0.0, |phase_s| height * wave(phase_s, self.every_s)),
            Shape::Spikes => when(phase_s.is_some_and(|phase_s| phase_s < self.width_s)),
            Shape::Step => when(since_s.is_some()),
        })
    }

    /// The same with what its shape has no use for at 0, the rest within bounds and on the grid.
    fn normal(self, horizon_s: u32) -> Self {
        let on_grid = |value: u32, least: u32, most: u32| {
            (value / STEP_S * STEP_S).clamp(least, most / STEP_S * STEP_S)
        };
        let mut normal = Self { shape: self.shape, ..NOTHING };
        if self.shape != Shape::Silence {
            normal.height_per_s =
                (self.height_per_s / HEIGHT_STEP * HEIGHT_STEP).clamp(HEIGHT_STEP, RATE_MAX);
        }
        if self.shape == Shape::Level {
            return normal;
        }
        normal.from_s = on_grid(self.from_s, 0, horizon_s - STEP_S);
        if self.shape == Shape::Step {
            return normal;
        }
        normal.length_s = on_grid(self.length_s, STEP_S, horizon_s - normal.from_s);
        if matches!(self.shape, Shape::Sine | Shape::Spikes) {
            normal.every_s = on_grid(self.every_s, 4 * STEP_S, horizon_s);
        }
        if self.shape == Shape::Spikes {
            normal.width_s = on_grid(self.width_s, STEP_S, normal.every_s - STEP_S);
        }
        normal
    }

    fn random(random: &mut ChaCha8Rng, horizon_s: u32) -> Self {
        let piece = Self {
            shape: SHAPES[random.random_range(0..SHAPES.len())],
            from_s: random.random_range(0..horizon_s),
            length_s: log_uniform(random, STEP_S, horizon_s),
            height_per_s: log_uniform(random, 40, RATE_MAX),
            every_s: log_uniform(random, 20, 7_200),
            width_s: log_uniform(random, STEP_S, 600),
        };
        piece.normal(horizon_s)
    }

    /// The same with one number changed.
    fn moved(mut self, random: &mut ChaCha8Rng, horizon_s: u32) -> Self {
        let fresh = Self::random(random, horizon_s);
        match random.random_range(0..6_u32) {
            0 => self.from_s = varied(random, self.from_s),
            1 => self.length_s = varied(random, self.length_s),
            2 => self.height_per_s = varied(random, self.height_per_s),
            3 => self.every_s = varied(random, self.every_s),
            4 => self.width_s = varied(random, self.width_s),
            _ => self.from_s = fresh.from_s,
        }
        // A shape that had no use for a number before gets one by chance.
        for (own, other) in [
            (&mut self.length_s, fresh.length_s),
            (&mut self.height_per_s, fresh.height_per_s),
            (&mut self.every_s, fresh.every_s),
            (&mut self.width_s, fresh.width_s),
        ] {
            if *own == 0 {
                *own = other;
            }
        }
        self.normal(horizon_s)
    }
}

const NOTHING: Piece =
    Piece { shape: Shape::Level, from_s: 0, length_s: 0, height_per_s: 0, every_s: 0, width_s: 0 };

/// A wave from 0 over 1 and back. Two parabolas do for a cosine: the same bits everywhere.
fn wave(phase_s: u32, every_s: u32) -> f64 {
    let turn = f64::from(phase_s) / f64::from(every_s.max(1));
    let half = if turn < 0.5 { 2.0 * turn } else { 2.0 - 2.0 * turn };
    if half < 0.5 { 2.0 * half * half } else { 1.0 - 2.0 * (1.0 - half) * (1.0 - half) }
}

/// A number whose magnitude is equally likely anywhere between the two.
fn log_uniform(random: &mut ChaCha8Rng, least: u32, most: u32) -> u32 {
    let (mut low, mut high) = (f64::from(least), f64::from(most));
    // Halving at random: no logarithm, so the same bits everywhere.
    for _ in 0..12 {
        let middle = (low * high).sqrt();
        if random.random_bool(0.5) {
            low = middle;
        } else {
            high = middle;
        }
    }
    rounded(low)
}

/// The number, up to twice or down to half of it.
fn varied(random: &mut ChaCha8Rng, value: u32) -> u32 {
    let factor = random.random_range(0.5..2.0_f64);
    rounded((f64::from(value) * factor).max(f64::from(STEP_S)))
}

fn rounded(value: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within u32")]
    let rounded = value.clamp(0.0, 1e6).round() as u32;
    rounded
}

impl Genome {
    /// One at random.
    pub(super) fn random(random: &mut ChaCha8Rng) -> Self {
        let horizon_s = 1_800 * random.random_range(4..=12_u32);
        let pieces = random.random_range(1..=4);
        let pieces = (0..pieces).map(|_| Piece::random(random, horizon_s)).collect();
        Self { horizon_s, pieces }
    }

    /// The same with one or two changes.
    pub(super) fn mutated(&self, random: &mut ChaCha8Rng) -> Self {
        let mut mutated = self.clone();
        for _ in 0..random.random_range(1..=2) {
            mutated.mutate(random);
        }
        mutated
    }

    fn mutate(&mut self, random: &mut ChaCha8Rng) {
        let at = random.random_range(0..self.pieces.len());
        match random.random_range(0..10_u32) {
            0 if self.pieces.len() < PIECES_MAX => {
                self.pieces.push(Piece::random(random, self.horizon_s));
            }
            1 if self.pieces.len() > 1 => {
                self.pieces.remove(at);
            }
            2 => self.pieces[at] = Piece::random(random, self.horizon_s),
            3 => {
                self.horizon_s = 1_800 * random.random_range(4..=12_u32);
                let horizon_s = self.horizon_s;
                self.pieces.iter_mut().for_each(|piece| *piece = piece.normal(horizon_s));
            }
            _ => self.pieces[at] = self.pieces[at].moved(random, self.horizon_s),
        }
    }

    /// Whether there are at least so many requests per second in the mean.
    pub(super) fn is_busy(&self, mean_min_per_s: f64) -> bool {
        let steps = f64::from(self.horizon_s / STEP_S);
        self.rates_per_s().iter().sum::<f64>() / steps >= mean_min_per_s
    }

    fn rates_per_s(&self) -> Vec<f64> {
        let at = |second: u32| {
            let sum = self.pieces.iter().try_fold(0.0, |sum, piece| Some(sum + piece.at(second)?));
            sum.unwrap_or(0.0).min(f64::from(RATE_MAX))
        };
        (0..self.horizon_s / STEP_S).map(|step| at(step * STEP_S)).collect()
    }

    /// Checks what was written by hand.
    ///
    /// # Errors
    ///
    /// [`GenomeError`] for the first number that is not as the search would have it.
    pub fn check(&self) -> Result<(), GenomeError> {
        let refused = |name, value, rule| Err(GenomeError::Number { name, value, rule });
        if !HORIZON_S.contains(&self.horizon_s) || !self.horizon_s.is_multiple_of(STEP_S) {
            return refused("horizon_s", self.horizon_s, "a multiple of 5 from 7200 to 21600");
        }
        if !(1..=PIECES_MAX).contains(&self.pieces.len()) {
            return Err(GenomeError::Pieces { pieces: self.pieces.len() });
        }
        for piece in &self.pieces {
            let normal = piece.normal(self.horizon_s);
            for (name, value, is_so, rule) in [
                ("from_s", piece.from_s, piece.from_s == normal.from_s, TIME),
                ("length_s", piece.length_s, piece.length_s == normal.length_s, TIME),
                (
                    "height_per_s",
                    piece.height_per_s,
                    piece.height_per_s == normal.height_per_s,
                    "a multiple of 10 from 10 to 4500, 0 for a silence",
                ),
                ("every_s", piece.every_s, piece.every_s == normal.every_s, TIME),
                ("width_s", piece.width_s, piece.width_s == normal.width_s, TIME),
            ] {
                if !is_so {
                    return refused(name, value, rule);
                }
            }
        }
        Ok(())
    }

    /// The load as a trace.
    ///
    /// # Errors
    ///
    /// Those of [`Genome::check`].
    pub fn trace(&self) -> Result<Trace, GenomeError> {
        self.check()?;
        Ok(Trace::new("adversary", STEP_S, self.rates_per_s())?)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    fn piece(shape: Shape) -> Piece {
        let height_per_s = 100;
        Piece { shape, from_s: 20, length_s: 60, height_per_s, every_s: 40, width_s: 10 }
            .normal(7_200)
    }

    fn rates(shapes: &[Shape]) -> Vec<f64> {
        let pieces = shapes.iter().copied().map(piece).collect();
        let trace = Genome { horizon_s: 7_200, pieces }.trace().expect("a load");
        (0..20).map(|step| trace.rates_per_s()[step]).collect()
    }

    #[test]
    fn what_is_no_genome_is_refused_with_the_number_and_its_rule() {
        let refusal = |horizon_s, pieces| {
            Genome { horizon_s, pieces }.trace().expect_err("refused").to_string()
        };
        assert_eq!(refusal(7_200, vec![]), "genome has 0 pieces; give 1 to 6");
        assert_eq!(
            refusal(7_199, vec![piece(Shape::Step)]),
            "genome: horizon_s is 7199; give a multiple of 5 from 7200 to 21600"
        );
        assert_eq!(
            refusal(7_200, vec![Piece { height_per_s: 4_510, ..piece(Shape::Level) }]),
            "genome: height_per_s is 4510; give a multiple of 10 from 10 to 4500, 0 for a silence"
        );
        assert_eq!(
            refusal(7_200, vec![Piece { from_s: u32::MAX, ..piece(Shape::Burst) }]),
            "genome: from_s is 4294967295; give a multiple of 5 within the horizon, 0 where the \
             shape has no use"
        );
    }

    #[test]
    fn every_shape_is_as_it_says() {
        let of = |shape: Shape| rates(&[shape]);
        assert!(of(Shape::Level).iter().all(|rate| *rate == 100.0));
        assert_eq!(of(Shape::Burst)[3..5], [0.0, 100.0]);
        assert_eq!(of(Shape::Burst)[15..17], [100.0, 0.0]);
        assert_eq!(of(Shape::Step)[3..5], [0.0, 100.0]);
        assert_eq!(
            (of(Shape::Ramp)[4], of(Shape::Ramp)[10], of(Shape::Ramp)[19]),
            (0.0, 50.0, 100.0)
        );
        assert_eq!(
            (of(Shape::Sine)[4], of(Shape::Sine)[6], of(Shape::Sine)[8]),
            (0.0, 50.0, 100.0)
        );
        assert_eq!(of(Shape::Spikes)[4..8], [100.0, 100.0, 0.0, 0.0]);
        let silenced = rates(&[Shape::Level, Shape::Silence, Shape::Step]);
        assert_eq!((silenced[3], silenced[4], silenced[16]), (100.0, 0.0, 200.0));
    }

    #[test]
    fn whatever_chance_makes_is_a_load_that_can_be_carried() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut genome = Genome::random(&mut random);
        for _ in 0..2_000 {
            let trace = genome.trace().expect("a load");
            assert!(trace.rates_per_s().iter().all(|rate| (0.0..=4_500.0).contains(rate)));
            genome = genome.mutated(&mut random);
        }
    }

    #[test]
    fn it_reads_what_it_writes() {
        let genome = Genome::random(&mut ChaCha8Rng::seed_from_u64(1));
        let text = serde_json::to_string(&genome).expect("JSON");
        assert_eq!(serde_json::from_str::<Genome>(&text).expect("a genome"), genome);
    }
}
