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

/// Most entries of a table with its choices: about 150 MB.
const ENTRIES_MAX: usize = 20_000_000;
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
        let cells = segments.iter().map(|it| it.width.max(it.rows + 1)).sum::<usize>();
        let count = (ENTRIES_MAX / cells).min(LEVELS_MAX);
        if count == 0 {
            return Err(OptimumError::TooLarge { cells, most: ENTRIES_MAX });
        }
        let levels_s = levels(instance.rules(), count);
        let rows = segments.iter().map(|it| it.rows + 1).sum::<usize>();
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
            let counts = (0..segment.rows as u32).map(|row| rules.replicas_min + row);
            for ready in counts.chain([rules.replicas_max]) {
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
    use super::*;

    #[test]
    fn rounding_never_raises() {
        for value in [0.0, 0.1, 1.0 / 3.0, 16_777_217.0, 1e9 + 1.0] {
            let rounded = f64::from(rounded_down(value));
            assert!(rounded <= value && value - rounded <= value * 1.3e-7, "{value}");
        }
    }
}
