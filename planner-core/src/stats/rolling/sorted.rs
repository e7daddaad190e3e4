//! More samples: one ascending array that is searched, and a ring of arrivals.

use alloc::boxed::Box;
use alloc::vec;

use super::search_run;

#[derive(Clone, Debug)]
pub(super) struct Sorted {
    /// Ascending; the first `len` count.
    ascending: Box<[f64]>,
    /// The samples in a ring by arrival.
    arrivals: Box<[f64]>,
    len: usize,
    /// Where the oldest sample is, once the ring is full.
    oldest: usize,
}

impl Sorted {
    pub(super) fn new(capacity: usize) -> Self {
        let values = vec![0.0; capacity].into_boxed_slice();
        Self { ascending: values.clone(), arrivals: values, len: 0, oldest: 0 }
    }

    pub(super) fn push(&mut self, value: f64) {
        if self.len < self.ascending.len() {
            let rank = below(&self.ascending[..self.len], value);
            self.ascending.copy_within(rank..self.len, rank + 1);
            self.ascending[rank] = value;
            self.arrivals[self.len] = value;
            self.len += 1;
            return;
        }
        let left = core::mem::replace(&mut self.arrivals[self.oldest], value);
        self.oldest = if self.oldest + 1 == self.len { 0 } else { self.oldest + 1 };
        if value == left {
            return;
        }
        let from = below(&self.ascending, left);
        if value > left {
            // Only values above the one that leaves can stand before the new one.
            let rank = from + below(&self.ascending[from + 1..], value);
            self.ascending.copy_within(from + 1..=rank, from);
            self.ascending[rank] = value;
        } else {
            let rank = below(&self.ascending[..from], value);
            self.ascending.copy_within(rank..from, rank + 1);
            self.ascending[rank] = value;
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn capacity(&self) -> usize {
        self.ascending.len()
    }

    pub(super) const fn clear(&mut self) {
        (self.len, self.oldest) = (0, 0);
    }

    /// The value of this rank.
    pub(super) fn at(&self, rank: usize) -> f64 {
        self.ascending[rank]
    }

    /// The sample that arrived after `age` others.
    pub(super) fn arrived(&self, age: usize) -> f64 {
        let slot = self.oldest + age;
        self.arrivals[if slot < self.len { slot } else { slot - self.len }]
    }

    /// Where the run of the `count` values nearest `center` begins.
    pub(super) fn nearest_run(&self, center: f64, count: usize) -> usize {
        let sorted = &self.ascending[..self.len];
        search_run(self.len, count, center, |rank| sorted[rank])
    }
}

/// How many ascending values are below `value`.
fn below(sorted: &[f64], value: f64) -> usize {
    sorted.partition_point(|other| *other < value)
}
