//! One pass over the table for one price.

use super::{End, Table};
use crate::optimum::instance::Instance;

/// Where a backlog between two levels counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::optimum) enum Rounding {
    /// At the lower one: every schedule then violates less than it really does.
    #[default]
    Down,
    /// At the closest: proves nothing, but is closer to what will happen.
    Nearest,
}

impl Rounding {
    fn of(self, end: End) -> usize {
        usize::from(match self {
            Self::Down => end.below,
            Self::Nearest => end.nearest,
        })
    }
}

/// The best ready count to take next, from every state before every segment.
#[derive(Clone, Debug, Default)]
pub(in crate::optimum) struct Descent {
    /// Ready counts above the fewest, by boundary, count before and level.
    choices: Vec<u16>,
    rounding: Rounding,
    /// Where the choices of each segment's start begin.
    offsets: Vec<usize>,
    /// Values before the transition and after it, scratch.
    before: Vec<f64>,
    after: Vec<f64>,
}

/// The optimum of the relaxed problem at a price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::optimum) struct Relaxed {
    /// Replica-seconds plus price times violations, at least this for every schedule.
    pub(in crate::optimum) value: f64,
    /// Violations of an optimal path: how the value changes with the price.
    pub(in crate::optimum) violating: f64,
}

impl Table {
    /// Solves the relaxed problem at a price in replica-seconds per violating request, from the
    /// last segment to the first; cost is proportional to the size of the table.
    pub(in crate::optimum) fn descend(
        &self,
        instance: &Instance,
        price: f64,
        rounding: Rounding,
        descent: &mut Descent,
    ) -> Relaxed {
        let rules = instance.rules();
        let initial = (rules.initial - rules.replicas_min) as usize;
        let levels = self.level_count();
        let startup_s = f64::from(rules.startup_steps) * rules.service.step_s;
        descent.prepare(self, initial + 1);
        descent.rounding = rounding;
        let mut row_end = self.violating.len();
        for (at, segment) in self.segments.iter().enumerate().rev() {
            let row_start = row_end - self.entries(segment);
            let steps = (segment.end - segment.start) as f64 * rules.service.step_s;
            for count in 0..segment.width {
                let row = row_start + count.min(segment.rows - 1) * levels;
                let billed = (f64::from(rules.replicas_min) + count as f64) * steps;
                let span = count * levels..(count + 1) * levels;
                let following = &descent.before[span.clone()];
                let entries = self.violating[row..row + levels].iter().zip(&self.end[row..]);
                for (value, (violating, end)) in descent.after[span].iter_mut().zip(entries) {
                    *value = billed + price * f64::from(*violating) + following[rounding.of(*end)];
                }
            }
            let width = if at == 0 { initial + 1 } else { self.segments[at - 1].width };
            let choices = &mut descent.choices[descent.offsets[at]..][..width * levels];
            let mut change = Change {
                levels,
                from: width,
                to: segment.width,
                after: &descent.after,
                before: &mut descent.before,
                choices,
            };
            change.stay_or_fall(segment.falls);
            if segment.rises {
                change.rise(startup_s);
            }
            row_end = row_start;
        }
        let value = descent.before[initial * levels];
        Relaxed { value, violating: self.walk(initial, descent) }
    }

    /// Violations of the optimal path of the relaxed problem.
    fn walk(&self, initial: usize, descent: &Descent) -> f64 {
        let levels = self.level_count();
        let (mut count, mut level, mut violating, mut row_start) = (initial, 0, 0.0, 0);
        for (at, segment) in self.segments.iter().enumerate() {
            count = descent.choice(at, levels, count, level);
            let entry = row_start + count.min(segment.rows - 1) * levels + level;
            violating += f64::from(self.violating[entry]);
            level = descent.rounding.of(self.end[entry]);
            row_start += self.entries(segment);
        }
        violating
    }

    /// The ready counts of someone who chooses by this descent, with the backlog as it really is:
    /// those at the end of the steps of each decision.
    pub(in crate::optimum) fn ready(&self, instance: &Instance, descent: &Descent) -> Vec<u32> {
        let rules = instance.rules();
        let levels = self.level_count();
        let mut count = (rules.initial - rules.replicas_min) as usize;
        let mut backlog = 0.0;
        let mut ready = vec![0; instance.decisions()];
        for (at, segment) in self.segments.iter().enumerate() {
            let level = descent.rounding.of(self.level(backlog, segment.scale_per_s));
            count = descent.choice(at, levels, count, level);
            #[expect(clippy::cast_possible_truncation, reason = "widths of u32 counts")]
            let replicas = rules.replicas_min + count as u32;
            let capacity = rules.service.capacity(replicas);
            for arrivals in &instance.arrivals()[segment.start..segment.end] {
                backlog = capacity.pass(backlog, *arrivals).backlog;
            }
            ready[segment.start / instance.decide_every()] = replicas;
        }
        ready
    }
}

impl Descent {
    fn prepare(&mut self, table: &Table, initial_width: usize) {
        let levels = table.level_count();
        let widths = table.segments.iter().map(|it| it.width);
        let widest = widths.clone().max().unwrap_or(0).max(initial_width);
        self.before.clear();
        self.before.resize(widest * levels, 0.0);
        self.after.clear();
        self.after.resize(widest * levels, 0.0);
        if self.offsets.is_empty() {
            let mut total = 0;
            for width in std::iter::once(initial_width).chain(widths) {
                self.offsets.push(total);
                total += width * levels;
            }
            self.choices.resize(total, 0);
        }
    }

    fn choice(&self, at: usize, levels: usize, count: usize, level: usize) -> usize {
        usize::from(self.choices[self.offsets[at] + count * levels + level])
    }
}

/// The change of the ready count at the start of a segment.
struct Change<'a> {
    levels: usize,
    /// How many counts there may be before it.
    from: usize,
    /// How many there may be after it.
    to: usize,
    after: &'a [f64],
    before: &'a mut [f64],
    choices: &'a mut [u16],
}

impl Change<'_> {
    /// Every count keeps its replicas or, where some may leave, takes the best lower count.
    fn stay_or_fall(&mut self, falls: bool) {
        for count in 0..self.from {
            for level in 0..self.levels {
                let place = count * self.levels + level;
                let stay = if count < self.to { self.after[place] } else { f64::INFINITY };
                let lower = place.wrapping_sub(self.levels);
                if falls && count > 0 && self.before[lower] < stay {
                    self.before[place] = self.before[lower];
                    self.choices[place] = self.choices[lower];
                } else {
                    self.before[place] = stay;
                    #[expect(clippy::cast_possible_truncation, reason = "at most REPLICAS_MAX")]
                    let same = count as u16;
                    self.choices[place] = same;
                }
            }
        }
    }

    /// Or takes a higher count whose start-up is worth it.
    fn rise(&mut self, startup_s: f64) {
        for level in 0..self.levels {
            let (mut best, mut choice) = (f64::INFINITY, 0);
            for count in (0..self.to).rev() {
                let place = count * self.levels + level;
                let reach = self.after[place] + startup_s * count as f64;
                if reach < best {
                    (best, choice) = (reach, count);
                }
                if count < self.from {
                    let value = best - startup_s * count as f64;
                    if value < self.before[place] {
                        self.before[place] = value;
                        #[expect(clippy::cast_possible_truncation, reason = "at most 10 000")]
                        let higher = choice as u16;
                        self.choices[place] = higher;
                    }
                }
            }
        }
    }
}
