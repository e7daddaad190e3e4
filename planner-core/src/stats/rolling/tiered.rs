//! Very many samples: a tiered vector (Goodrich and Kloss 1999). Equal circular chunks, so that a
//! value moves from chunk to chunk by turning each one a step, and a rank is found by division.

use alloc::boxed::Box;
use alloc::vec;

use super::search_run;

/// Values of a chunk; a power of two.
const CHUNK: usize = 1_024;
/// Turns a position into one of the circle.
const MASK: usize = CHUNK - 1;

#[derive(Clone, Debug)]
pub(super) struct Tiered {
    /// Ascending, chunk by chunk; every chunk but the last is full. Chunk `c` begins at its head.
    values: Box<[f64]>,
    heads: Box<[u16]>,
    /// The first value of each chunk, for finding the chunk.
    firsts: Box<[f64]>,
    /// The samples in a ring by arrival.
    arrivals: Box<[f64]>,
    len: usize,
    /// Where the oldest sample is, once the ring is full.
    oldest: usize,
}

impl Tiered {
    pub(super) fn new(capacity: usize) -> Self {
        let chunks = capacity.div_ceil(CHUNK);
        Self {
            values: vec![0.0; chunks * CHUNK].into_boxed_slice(),
            heads: vec![0; chunks].into_boxed_slice(),
            firsts: vec![0.0; chunks].into_boxed_slice(),
            arrivals: vec![0.0; capacity].into_boxed_slice(),
            len: 0,
            oldest: 0,
        }
    }

    pub(super) fn push(&mut self, value: f64) {
        if self.len < self.arrivals.len() {
            let rank = self.below(value);
            self.arrivals[self.len] = value;
            self.len += 1;
            // The free place behind the last value takes the part of the one that leaves.
            self.replace(self.len - 1, rank, value);
            return;
        }
        let left = core::mem::replace(&mut self.arrivals[self.oldest], value);
        self.oldest = if self.oldest + 1 == self.len { 0 } else { self.oldest + 1 };
        if value != left {
            let (from, below) = (self.below(left), self.below(value));
            let rank = if value > left { below - 1 } else { below };
            self.replace(from, rank, value);
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn capacity(&self) -> usize {
        self.arrivals.len()
    }

    pub(super) fn clear(&mut self) {
        (self.len, self.oldest) = (0, 0);
        self.heads.fill(0);
    }

    /// The value of this rank.
    pub(super) fn at(&self, rank: usize) -> f64 {
        self.values[self.place(rank / CHUNK, rank % CHUNK)]
    }

    /// The sample that arrived after `age` others.
    pub(super) fn arrived(&self, age: usize) -> f64 {
        let slot = self.oldest + age;
        self.arrivals[if slot < self.len { slot } else { slot - self.len }]
    }

    /// Where the run of the `count` values nearest `center` begins.
    pub(super) fn nearest_run(&self, center: f64, count: usize) -> usize {
        search_run(self.len, count, center, |rank| self.at(rank))
    }

    /// How many values are below `value`.
    fn below(&self, value: f64) -> usize {
        let used = self.len.div_ceil(CHUNK);
        let chunk = self.firsts[..used].partition_point(|first| *first < value);
        let Some(chunk) = chunk.checked_sub(1) else { return 0 };
        let (mut low, mut high) = (1, self.filled(chunk));
        while low < high {
            let middle = low.midpoint(high);
            if self.values[self.place(chunk, middle)] < value {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        chunk * CHUNK + low
    }

    /// Takes the value of rank `from` out and puts `value` in, so that it has rank `to`.
    fn replace(&mut self, from: usize, to: usize, value: f64) {
        let (source, target) = (from / CHUNK, to / CHUNK);
        let (gap, place) = (from % CHUNK, to % CHUNK);
        if source < target {
            // Free the last place of the source, then hand first values down, chunk by chunk.
            if gap < CHUNK / 2 {
                self.shift_up(source, 0, gap);
                self.turn(source, 1);
            } else {
                self.shift_down(source, gap, CHUNK - 1);
            }
            let mut carried = self.values[self.place(target, 0)];
            self.turn(target, 1);
            self.settle_after_turn_up(target, place);
            for chunk in (source + 1..target).rev() {
                let first = self.place(chunk, 0);
                carried = core::mem::replace(&mut self.values[first], carried);
                self.turn(chunk, 1);
                self.firsts[chunk] = self.values[self.place(chunk, 0)];
            }
            let last = self.place(source, CHUNK - 1);
            self.values[last] = carried;
        } else if source > target {
            let last = self.filled(source) - 1;
            if gap > last / 2 {
                self.shift_down(source, gap, last);
                self.turn(source, CHUNK - 1);
            } else {
                self.shift_up(source, 0, gap);
            }
            let mut carried = self.values[self.place(target, CHUNK - 1)];
            self.turn(target, CHUNK - 1);
            self.settle_after_turn_down(target, place);
            for chunk in target + 1..source {
                let last = self.place(chunk, CHUNK - 1);
                self.firsts[chunk] = carried;
                carried = core::mem::replace(&mut self.values[last], carried);
                self.turn(chunk, CHUNK - 1);
            }
            let first = self.place(source, 0);
            self.values[first] = carried;
        } else if gap < place {
            self.shift_down(source, gap, place);
        } else {
            self.shift_up(source, place, gap);
        }
        let at = self.place(target, place);
        self.values[at] = value;
        for chunk in [source, target] {
            self.firsts[chunk] = self.values[self.place(chunk, 0)];
        }
    }

    /// The chunk was turned up: its first value is gone, the free place is behind its last one.
    /// Brings the free place to `place` the shorter way round.
    fn settle_after_turn_up(&mut self, chunk: usize, place: usize) {
        let last = self.filled(chunk) - 1;
        if place < last / 2 {
            self.turn(chunk, CHUNK - 1);
            self.shift_down(chunk, 0, place);
        } else {
            self.shift_up(chunk, place, last);
        }
    }

    /// The chunk was turned down: its last value is gone, the free place is before its first one.
    fn settle_after_turn_down(&mut self, chunk: usize, place: usize) {
        if place < CHUNK / 2 {
            self.shift_down(chunk, 0, place);
        } else {
            self.turn(chunk, 1);
            self.shift_up(chunk, place, CHUNK - 1);
        }
    }

    /// Places `from + 1..=to` move one down: the free place goes from `from` to `to`.
    fn shift_down(&mut self, chunk: usize, from: usize, to: usize) {
        let start = self.place(chunk, from);
        let (base, count) = (chunk * CHUNK, to - from);
        let to_end = base + MASK - start;
        if count <= to_end {
            self.values.copy_within(start + 1..=start + count, start);
            return;
        }
        self.values.copy_within(start + 1..=base + MASK, start);
        self.values[base + MASK] = self.values[base];
        self.values.copy_within(base + 1..base + count - to_end, base);
    }

    /// Places `from..to` move one up: the free place goes from `to` to `from`.
    fn shift_up(&mut self, chunk: usize, from: usize, to: usize) {
        let end = self.place(chunk, to);
        let (base, count) = (chunk * CHUNK, to - from);
        let to_start = end - base;
        if count <= to_start {
            self.values.copy_within(end - count..end, end - count + 1);
            return;
        }
        self.values.copy_within(base..end, base + 1);
        self.values[base] = self.values[base + MASK];
        let rest = count - to_start - 1;
        self.values.copy_within(base + MASK - rest..base + MASK, base + MASK - rest + 1);
    }

    /// Moves where a chunk begins by `steps` places up.
    fn turn(&mut self, chunk: usize, steps: usize) {
        #[expect(clippy::cast_possible_truncation, reason = "below the size of a chunk")]
        let head = ((usize::from(self.heads[chunk]) + steps) & MASK) as u16;
        self.heads[chunk] = head;
    }

    /// Values in a chunk.
    fn filled(&self, chunk: usize) -> usize {
        (self.len - chunk * CHUNK).min(CHUNK)
    }

    /// Where the value of this position in a chunk is.
    fn place(&self, chunk: usize, position: usize) -> usize {
        chunk * CHUNK + ((usize::from(self.heads[chunk]) + position) & MASK)
    }
}
