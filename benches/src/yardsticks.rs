//! What a rolling median and MAD is held against.

/// Median and MAD of a window by selecting twice: what most programs do. Exact.
pub struct Naive {
    window: Vec<f64>,
    oldest: usize,
    scratch: Vec<f64>,
}

impl Naive {
    /// A full window of these values.
    pub fn new(window: &[f64]) -> Self {
        Self { window: window.to_vec(), oldest: 0, scratch: window.to_vec() }
    }

    /// Replaces the oldest value; gives median and MAD.
    pub fn update(&mut self, value: f64) -> (f64, f64) {
        self.window[self.oldest] = value;
        self.oldest = (self.oldest + 1) % self.window.len();
        self.scratch.copy_from_slice(&self.window);
        let median = select_middle(&mut self.scratch);
        for value in &mut self.scratch {
            *value = (*value - median).abs();
        }
        (median, select_middle(&mut self.scratch))
    }
}

/// The median of values in any order, by selection.
fn select_middle(values: &mut [f64]) -> f64 {
    let (half, odd) = (values.len() / 2, !values.len().is_multiple_of(2));
    let (below, high, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    if odd {
        return *high;
    }
    let high = *high;
    let low = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(low, high)
}

/// The least that keeping a sorted array costs: only the move of what stands between the rank of
/// the value that leaves and that of the one that comes, with a stream's real ranks.
pub struct MoveOnly {
    sorted: Vec<f64>,
    ring: Vec<f64>,
    oldest: usize,
    /// Where each value leaves from and comes to.
    moves: Vec<(u32, u32)>,
    next: usize,
}

impl MoveOnly {
    /// The moves of a window of `n` over `values`, worked out beforehand.
    ///
    /// # Panics
    ///
    /// When there are fewer than `n` values.
    pub fn new(n: usize, values: &[f64]) -> Self {
        let ring = values[..n].to_vec();
        let mut sorted = ring.clone();
        sorted.sort_by(f64::total_cmp);
        let mut working = sorted.clone();
        let mut moves = Vec::with_capacity(values.len() - n);
        for index in n..values.len() {
            let from = working.partition_point(|other| *other < values[index - n]);
            working.remove(from);
            let to = working.partition_point(|other| *other < values[index]);
            working.insert(to, values[index]);
            let rank = |rank: usize| u32::try_from(rank).unwrap_or(u32::MAX);
            moves.push((rank(from), rank(to)));
        }
        Self { sorted, ring, oldest: 0, moves, next: 0 }
    }

    /// One move.
    pub fn update(&mut self, value: f64) {
        let (from, to) = self.moves[self.next];
        self.next = if self.next + 1 == self.moves.len() { 0 } else { self.next + 1 };
        let (from, to) = (from as usize, to as usize);
        if from < to {
            self.sorted.copy_within(from + 1..=to, from);
        } else {
            self.sorted.copy_within(to..from, to + 1);
        }
        self.sorted[to] = value;
        self.ring[self.oldest] = value;
        self.oldest = if self.oldest + 1 == self.ring.len() { 0 } else { self.oldest + 1 };
        core::hint::black_box(&self.sorted);
    }
}
