//! Buckets in a circle, found by their age.

/// As many values as there are buckets; the newest has age 0.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Ring {
    slots: Vec<f64>,
    /// Where the newest is.
    head: usize,
}

impl Ring {
    /// Zeros. There is at least one bucket.
    pub(super) fn new(buckets: usize) -> Self {
        Self { slots: vec![0.0; buckets.max(1)], head: 0 }
    }

    pub(super) const fn buckets(&self) -> usize {
        self.slots.len()
    }

    /// The value of this age, less than there are buckets.
    pub(super) fn at(&self, age: usize) -> f64 {
        self.slots[self.slot(age)]
    }

    /// The value of this age, to be changed.
    pub(super) fn at_mut(&mut self, age: usize) -> &mut f64 {
        let slot = self.slot(age);
        &mut self.slots[slot]
    }

    /// Everything becomes one older. The oldest is given back, a zero is the newest.
    pub(super) fn advance(&mut self) -> f64 {
        self.head = if self.head + 1 < self.slots.len() { self.head + 1 } else { 0 };
        core::mem::take(&mut self.slots[self.head])
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill(0.0);
    }

    /// Whether it can be one; what was stored need not be.
    #[cfg(feature = "serde")]
    pub(super) fn is_sound(&self, buckets_max: usize) -> bool {
        let finite = self.slots.iter().all(|value| value.is_finite());
        finite && self.slots.len() <= buckets_max && self.head < self.slots.len()
    }

    const fn slot(&self, age: usize) -> usize {
        if age <= self.head { self.head - age } else { self.head + self.slots.len() - age }
    }
}
