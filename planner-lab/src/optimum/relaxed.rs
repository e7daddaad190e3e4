//! The relaxed problem: what a schedule would cost at least if violations had a price.
//!
//! Time is cut into segments at the steps where removals (decisions) or arrivals of replicas
//! (decisions plus start-up) are possible; inside one the ready count is constant. The state
//! between segments is the ready count and the backlog, rounded down to a few levels. What a
//! segment does to each state is simulated once, step by step, and kept in a [`Table`]; a price
//! per violating request then costs one pass over it, see [`Table::descend`].

mod descent;
mod segments;
mod window;

pub(super) use descent::{Descent, Relaxed, Rounding};
pub(super) use window::max_over;

use self::segments::{Segment, cut, levels};
use super::OptimumError;
use super::instance::Instance;

/// Most entries of a table with its choices: 8 bytes each.
const ENTRIES_MAX: usize = 16_000_000;
/// Most backlog levels.
const LEVELS_MAX: usize = 16;

/// What every segment does to every state.
#[derive(Clone, Debug)]
pub(super) struct Table {
    segments: Vec<Segment>,
    /// Backlog levels, as seconds of the segment's load.
    levels_s: Vec<f64>,
    /// Violations by segment, row and level, rounded down.
    violating: Vec<f32>,
    /// Level at the end by segment, row and level, of the next segment's levels.
    end: Vec<End>,
}

/// A backlog between two levels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct End {
    /// The level that is not above it.
    below: u8,
    /// The level that is closest to it.
    nearest: u8,
}

impl Table {
    /// # Errors
    ///
    /// [`OptimumError::TooLarge`] when even without backlog levels the table would not fit.
    pub(super) fn new(instance: &Instance) -> Result<Self, OptimumError> {
        let segments = cut(instance);
        let cells = segments.iter().map(|it| it.width.max(it.rows)).sum::<usize>();
        let count = (ENTRIES_MAX / cells).min(LEVELS_MAX);
        if count == 0 {
            return Err(OptimumError::TooLarge { cells, most: ENTRIES_MAX });
        }
        let levels_s = levels(instance.rules(), count);
        let rows = segments.iter().map(|it| it.rows).sum::<usize>();
        let mut table = Self {
            violating: Vec::with_capacity(rows * levels_s.len()),
            end: Vec::with_capacity(rows * levels_s.len()),
            segments,
            levels_s,
        };
        table.fill(instance);
        Ok(table)
    }

    /// Simulates every segment from every state.
    fn fill(&mut self, instance: &Instance) {
        let rules = instance.rules();
        let mut backlogs = vec![0.0; self.levels_s.len()];
        let mut violating = backlogs.clone();
        for at in 0..self.segments.len() {
            let segment = &self.segments[at];
            let next_scale = self.segments.get(at + 1).map(|next| next.scale_per_s);
            for row in 1..=segment.rows {
                #[expect(clippy::cast_possible_truncation, reason = "rows of u32 counts")]
                let ready = match segment.rows - row {
                    0 => rules.replicas_max,
                    _ => rules.replicas_min + row as u32 - 1,
                };
                let capacity = rules.service.capacity(ready);
                for (backlog, level) in backlogs.iter_mut().zip(&self.levels_s) {
                    *backlog = level * segment.scale_per_s;
                }
                violating.fill(0.0);
                for arrivals in &instance.arrivals()[segment.start..segment.end] {
                    for (backlog, violating) in backlogs.iter_mut().zip(&mut violating) {
                        let passed = capacity.pass(*backlog, *arrivals);
                        *violating += passed.violating;
                        *backlog = passed.backlog;
                    }
                }
                for (backlog, violating) in backlogs.iter().zip(&violating) {
                    self.violating.push(rounded_down(*violating));
                    self.end.push(self.level(*backlog, next_scale.unwrap_or(segment.scale_per_s)));
                }
            }
        }
    }

    /// The levels around a backlog.
    fn level(&self, backlog: f64, scale_per_s: f64) -> End {
        let backlog_s = backlog / scale_per_s;
        let above = self.levels_s.partition_point(|level| *level <= backlog_s);
        // Dividing may round up to a level: what is taken for the one below must not be above.
        let below = above.saturating_sub(1);
        let is_above = self.levels_s[below] * scale_per_s > backlog;
        let below = if is_above { below.saturating_sub(1) } else { below };
        let is_upper_closer = self
            .levels_s
            .get(below + 1)
            .is_some_and(|upper| upper - backlog_s < backlog_s - self.levels_s[below]);
        #[expect(clippy::cast_possible_truncation, reason = "at most LEVELS_MAX levels")]
        let below = below as u8;
        End { below, nearest: below + u8::from(is_upper_closer) }
    }

    /// How many entries a segment has.
    fn entries(&self, segment: &Segment) -> usize {
        segment.rows * self.level_count()
    }

    fn level_count(&self) -> usize {
        self.levels_s.len()
    }
}

/// The nearest single that is not above.
fn rounded_down(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "corrected in the next line")]
    let nearest = value as f32;
    if f64::from(nearest) > value { nearest.next_down() } else { nearest }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::optimum::Rules;
    use crate::optimum::fluid::Service;

    fn descended(table: &Table, instance: &Instance, price: f64) -> Relaxed {
        table.descend(instance, price, Rounding::Down, &mut Descent::default())
    }

    /// A hundred steps with calm and peaks, and the randomness to go on with.
    fn instance(seed: u64) -> (Instance, ChaCha8Rng) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let slo_wait_s = [0.0, 0.25, 0.6][random.random_range(0..3)];
        let patience_s = slo_wait_s + random.random_range(0.0..4.0);
        let min = random.random_range(0..3);
        let rules = Rules {
            service: Service { slo_wait_s, patience_s, ..Service::default() },
            replicas_min: min,
            replicas_max: random.random_range(5..25),
            initial: min + random.random_range(0..3),
            startup_steps: random.random_range(0..14),
            decide_every_steps: random.random_range(1..6),
            ..Rules::default()
        };
        let mut level = 50.0;
        let load = (0..100).map(|_| {
            if random.random_range(0..12) == 0 {
                level = [0.0, 20.0, 60.0, 300.0, 900.0][random.random_range(0..5)];
            }
            level * random.random_range(0.8..1.2)
        });
        let load = load.collect();
        (Instance::new(load, rules).expect("an instance"), random)
    }

    #[test]
    fn rounding_never_raises() {
        for value in [0.0, 0.1, 1.0 / 3.0, 16_777_217.0, 1e9 + 1.0] {
            let rounded = f64::from(rounded_down(value));
            assert!(rounded <= value && value - rounded <= value * 1.3e-7, "{value}");
        }
    }

    #[test]
    fn a_table_that_does_not_fit_is_refused() {
        let rules = Rules { replicas_max: 10_000, decide_every_steps: 1, ..Rules::default() };
        let instance = Instance::new(vec![1e9; 2_000], rules).expect("an instance");
        let error = Table::new(&instance).expect_err("too large");
        assert_eq!(
            error.to_string(),
            "instance needs 20000000 states of at most 16000000; cut it or decide less often"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 400, failure_persistence: None, ..Default::default()
        })]

        #[test]
        fn counts_that_an_optimal_path_never_takes_may_be_left_out(
            seed in any::<u64>(), price in 0.001_f64..0.5,
        ) {
            let (instance, _) = instance(seed);
            let mut table = Table::new(&instance).expect("small");
            let narrow = descended(&table, &instance, price).value;
            let rules = instance.rules();
            for segment in &mut table.segments {
                segment.width = (rules.replicas_max - rules.replicas_min) as usize + 1;
            }
            let wide = descended(&table, &instance, price).value;
            prop_assert!((narrow - wide).abs() <= 1e-9 * wide, "{} {}", narrow, wide);
        }

        #[test]
        fn no_schedule_is_below_the_relaxed_value(seed in any::<u64>(), price in 0.001_f64..0.5) {
            let (instance, mut random) = instance(seed);
            let table = Table::new(&instance).expect("small");
            let mut descent = Descent::default();
            let bound = descended(&table, &instance, price).value * (1.0 - 1e-9);
            table.descend(&instance, price, Rounding::Nearest, &mut descent);
            let rules = instance.rules();
            let reach = rules.startup_steps as usize / instance.decide_every();
            let good = max_over(&table.ready(&instance, &descent), 0, reach);
            for mutations in 0..60 {
                let mut targets = good.clone();
                for _ in 0..mutations % 20 {
                    let at = random.random_range(0..targets.len());
                    let end = (at + random.random_range(1..6)).min(targets.len());
                    let count = random.random_range(rules.replicas_min..=rules.replicas_max);
                    targets[at..end].fill(count);
                }
                let outcome = instance.replay(&targets).expect("without rate limits");
                let value = outcome.replica_s + price * outcome.violating;
                prop_assert!(bound <= value, "{} {}", bound, value);
            }
        }
    }
}
