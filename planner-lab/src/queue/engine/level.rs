//! A count that is integrated over an interval.

/// A count, and its integral over the interval as if it stayed as it is until the end. A change
/// corrects the integral by what is left, so nothing has to be done at every event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    now: u64,
    area_ns: u128,
}

impl Level {
    /// The count.
    pub(super) const fn now(self) -> u64 {
        self.now
    }

    /// Its integral over the interval, in nanoseconds.
    pub(super) const fn area_ns(self) -> u128 {
        self.area_ns
    }

    /// Begins an interval of that length.
    pub(super) const fn open(&mut self, length_ns: u64) {
        self.area_ns = self.now as u128 * length_ns as u128;
    }

    /// Raises the count with so much of the interval left.
    #[inline]
    pub(super) const fn raise(&mut self, by: u32, left_ns: u64) {
        self.now += by as u64;
        self.area_ns += by as u128 * left_ns as u128;
    }

    /// Lowers the count with so much of the interval left.
    #[inline]
    pub(super) const fn lower(&mut self, by: u32, left_ns: u64) {
        self.now -= by as u64;
        self.area_ns -= by as u128 * left_ns as u128;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integral_is_of_the_count_at_each_time() {
        let mut level = Level::default();
        level.raise(2, 0);
        level.open(10);
        level.raise(3, 4);
        level.lower(5, 1);
        assert_eq!((level.now(), level.area_ns()), (0, 2 * 6 + 5 * 3));
    }
}
