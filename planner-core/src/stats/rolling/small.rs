//! Few samples: one ascending array, counted through without a branch.
//!
//! The order of arrival is kept as ranks, one byte a sample, so the rank of the expiring sample is
//! known without a search; a new sample moves only the values between the two ranks.

use alloc::boxed::Box;
use alloc::vec;

/// Values that are compared at once.
const VALUE_LANE: usize = 4;
/// Ranks that are changed at once.
const RANK_LANE: usize = 16;

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
}

impl Small {
    pub(super) fn new(capacity: usize) -> Self {
        let sorted = vec![f64::INFINITY; capacity.next_multiple_of(VALUE_LANE)];
        let ranks = vec![0; capacity.next_multiple_of(RANK_LANE)];
        let capacity = u8::try_from(capacity).unwrap_or(u8::MAX);
        let (sorted, ranks) = (sorted.into_boxed_slice(), ranks.into_boxed_slice());
        Self { sorted, ranks, capacity, len: 0, oldest: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, value: f64) {
        let len = self.len();
        if self.len < self.capacity {
            self.grow(len, value);
            return;
        }
        let oldest = usize::from(self.oldest);
        let leaves = self.ranks[oldest];
        let following = oldest + 1;
        #[expect(clippy::cast_possible_truncation, reason = "below the capacity, at most 255")]
        let next = if following == len { 0 } else { following as u8 };
        self.oldest = next;
        let left = self.sorted[usize::from(leaves)];
        // The same value takes the place of the one that leaves: nothing moves.
        if value == left {
            return;
        }
        let below = count_below(&self.sorted, value);
        let from = usize::from(leaves);
        if value > left {
            // The one that leaves was counted.
            let rank = below - 1;
            self.sorted.copy_within(usize::from(leaves) + 1..=usize::from(rank), from);
            self.shift_ranks(|other| other - u8::from(other > leaves && other <= rank));
            self.sorted[usize::from(rank)] = value;
            self.ranks[oldest] = rank;
        } else {
            self.sorted.copy_within(usize::from(below)..from, usize::from(below) + 1);
            self.shift_ranks(|other| other + u8::from(other >= below && other < leaves));
            self.sorted[usize::from(below)] = value;
            self.ranks[oldest] = below;
        }
    }

    fn grow(&mut self, len: usize, value: f64) {
        let rank = count_below(&self.sorted, value);
        self.sorted.copy_within(usize::from(rank)..len, usize::from(rank) + 1);
        for other in &mut self.ranks[..len] {
            *other += u8::from(*other >= rank);
        }
        self.sorted[usize::from(rank)] = value;
        self.ranks[len] = rank;
        self.len += 1;
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    pub(super) fn capacity(&self) -> usize {
        usize::from(self.capacity)
    }

    pub(super) fn clear(&mut self) {
        (self.len, self.oldest) = (0, 0);
        self.sorted.fill(f64::INFINITY);
    }

    /// Changes every rank, a lane at a time.
    #[inline]
    fn shift_ranks(&mut self, change: impl Fn(u8) -> u8) {
        for lane in self.ranks.as_chunks_mut::<RANK_LANE>().0 {
            for rank in lane {
                *rank = change(*rank);
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

    /// Where the run of the `count` values nearest `center` begins: as many runs can be improved by
    /// moving them one value up as stand before it.
    #[inline]
    pub(super) fn nearest_run(&self, center: f64, count: usize) -> usize {
        let sorted = &self.sorted[..self.len()];
        let pairs = sorted.iter().zip(&sorted[count..]);
        let improved = |(leaves, enters): (&f64, &f64)| center - leaves > enters - center;
        let first: u64 = pairs.map(|pair| u64::from(improved(pair))).sum();
        #[expect(clippy::cast_possible_truncation, reason = "at most the length")]
        let first = first as usize;
        first
    }
}

/// How many of at most 255 values are below `value`. The last lane is whole.
#[inline]
fn count_below(values: &[f64], value: f64) -> u8 {
    let below: u64 = values.iter().map(|other| u64::from(*other < value)).sum();
    #[expect(clippy::cast_possible_truncation, reason = "at most the length")]
    let below = below as u8;
    below
}
