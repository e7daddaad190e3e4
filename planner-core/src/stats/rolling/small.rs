//! Few samples: one ascending array, counted through without a branch.
//!
//! The order of arrival is kept as ranks, one byte a sample, so the rank of the expiring sample is
//! known without a search; a new sample moves only the values between the two ranks. Where the run
//! of the values nearest the median begins is followed from sample to sample.

use alloc::boxed::Box;
use alloc::vec;

use crate::stats::middle_of;

/// Values that are compared at once.
const VALUE_LANE: usize = 4;
/// Ranks that are changed at once.
const RANK_LANE: usize = 16;
/// Runs that are looked at around the last one.
const NEAR: usize = 8;

#[derive(Clone, Debug)]
pub(super) struct Small {
    /// Ascending; the first `len` count, infinite values fill the last lane.
    sorted: Box<[f64]>,
    /// The rank of each sample, in a ring by arrival; filled up to a whole lane.
    ranks: Box<[u8]>,
    capacity: u8,
    len: u8,
    /// Where the oldest sample is, once the ring is full.
    oldest: u8,
    /// Where the run of the values nearest the median begins.
    run: u8,
}

impl Small {
    pub(super) fn new(capacity: usize) -> Self {
        let sorted = vec![f64::INFINITY; capacity.next_multiple_of(VALUE_LANE)];
        let ranks = vec![0; capacity.next_multiple_of(RANK_LANE)];
        let capacity = u8::try_from(capacity).unwrap_or(u8::MAX);
        let (sorted, ranks) = (sorted.into_boxed_slice(), ranks.into_boxed_slice());
        Self { sorted, ranks, capacity, len: 0, oldest: 0, run: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, value: f64) {
        let len = self.len();
        if self.len < self.capacity {
            self.grow(len, value);
            return;
        }
        let oldest = usize::from(self.oldest);
        let leaves = usize::from(self.ranks[oldest]);
        self.oldest = if oldest + 1 == len { 0 } else { rank_of(oldest + 1) };
        let left = self.sorted[leaves];
        // The same value takes the place of the one that leaves: nothing moves.
        if value == left {
            return;
        }
        // One path for both directions: which one comes next cannot be predicted.
        let up = usize::from(value > left);
        // Upwards, the one that leaves was counted.
        let rank = count_below(&self.sorted, value) - up;
        let low = leaves.min(rank);
        let passed = leaves.max(rank) - low;
        let first = low + up;
        self.sorted.copy_within(first..first + passed, low + 1 - up);
        self.sorted[rank] = value;
        let change = if up == 1 { u8::MAX } else { 1 };
        self.shift_ranks(rank_of(first), rank_of(passed), change);
        self.ranks[oldest] = rank_of(rank);
        self.follow_run();
    }

    fn grow(&mut self, len: usize, value: f64) {
        let rank = count_below(&self.sorted, value);
        self.sorted.copy_within(rank..len, rank + 1);
        self.shift_ranks(rank_of(rank), rank_of(len - rank), 1);
        self.sorted[rank] = value;
        self.ranks[len] = rank_of(rank);
        self.len += 1;
        self.follow_run();
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(super) fn capacity(&self) -> usize {
        usize::from(self.capacity)
    }

    pub(super) fn clear(&mut self) {
        (self.len, self.oldest, self.run) = (0, 0, 0);
        self.sorted.fill(f64::INFINITY);
    }

    /// Adds `change` to the `count` ranks from `first` on, modulo 256, a lane at a time.
    #[inline]
    fn shift_ranks(&mut self, first: u8, count: u8, change: u8) {
        for lane in self.ranks.as_chunks_mut::<RANK_LANE>().0 {
            for rank in lane {
                let moves = rank.wrapping_sub(first) < count;
                *rank = rank.wrapping_add(if moves { change } else { 0 });
            }
        }
    }

    /// The value of this rank.
    #[inline]
    pub(super) fn at(&self, rank: usize) -> f64 {
        self.sorted[rank]
    }

    /// The sample that arrived after `age` others.
    pub(super) fn arrived(&self, age: usize) -> f64 {
        let slot = usize::from(self.oldest) + age;
        let slot = if slot < self.len() { slot } else { slot - self.len() };
        self.sorted[usize::from(self.ranks[slot])]
    }

    /// Where the run of the values nearest the median begins.
    #[inline]
    pub(super) fn nearest_run(&self, _median: f64, _count: usize) -> usize {
        usize::from(self.run)
    }

    /// Finds where the run of the values nearest the median begins: as many runs can be improved
    /// by moving them one value up as stand before it. It seldom moves far.
    #[inline]
    fn follow_run(&mut self) {
        let sorted = &self.sorted[..self.len()];
        let Some(center) = middle_of(sorted.len(), |rank| sorted[rank]) else { return };
        let (leave, enter) = (&sorted[..sorted.len() / 2], &sorted[sorted.len().div_ceil(2)..]);
        let last = leave.len().saturating_sub(NEAR);
        let around = usize::from(self.run).saturating_sub(NEAR / 2).min(last);
        let near = (leave[around..].first_chunk(), enter[around..].first_chunk());
        if let (Some(leave), Some(enter)) = near {
            let improved = count_improved::<&[f64; NEAR]>(leave, enter, center);
            if improved > 0 && improved < NEAR {
                self.run = rank_of(around + improved);
                return;
            }
        }
        self.run = rank_of(count_improved(leave, enter, center));
    }
}

/// How many values are below `value`. The last lane is whole.
#[inline]
fn count_below(values: &[f64], value: f64) -> usize {
    as_count(values.iter().map(|other| u64::from(*other < value)).sum())
}

/// How many runs around `center` are improved by the value that enters at one end for the one that
/// leaves at the other.
#[inline]
fn count_improved<'a, I>(leave: I, enter: I, center: f64) -> usize
where
    I: IntoIterator<Item = &'a f64>,
{
    let pairs = leave.into_iter().zip(enter);
    let improved = |(leaves, enters): (&f64, &f64)| center - leaves > enters - center;
    as_count(pairs.map(|pair| u64::from(improved(pair))).sum())
}

/// A count of at most 255 values. Counted in the width of a value, so that four are compared at
/// once.
#[expect(clippy::cast_possible_truncation, reason = "at most 255")]
fn as_count(count: u64) -> usize {
    count as usize
}

/// A rank as it is kept.
#[expect(clippy::cast_possible_truncation, reason = "below the capacity, at most 255")]
fn rank_of(rank: usize) -> u8 {
    rank as u8
}
