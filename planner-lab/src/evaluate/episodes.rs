//! How long it takes until requests are served in time again.

use std::collections::BTreeMap;

/// Seconds in a row without a violation that end an episode.
const CALM_S: u64 = 10;

/// Stretches of seconds in which requests violate.
#[derive(Clone, Debug, Default)]
pub(super) struct Episodes {
    /// How many lasted how long, in seconds.
    lengths_s: BTreeMap<u64, u64>,
    /// Begin and end of the one that may still go on.
    open: Option<(u64, u64)>,
}

impl Episodes {
    /// Takes note of the second that ends at `at_s`.
    pub(super) fn add(&mut self, at_s: u64, is_violating: bool) {
        match &mut self.open {
            Some((_, until_s)) if is_violating => *until_s = at_s,
            Some((_, until_s)) if at_s - *until_s >= CALM_S => self.close(),
            None if is_violating => self.open = Some((at_s - 1, at_s)),
            _ => {}
        }
    }

    fn close(&mut self) {
        if let Some((from_s, until_s)) = self.open.take() {
            *self.lengths_s.entry(until_s - from_s).or_default() += 1;
        }
    }

    /// The 95th percentile of their lengths by nearest rank, one that goes on included; 0 without
    /// any.
    pub(super) fn p95_s(mut self) -> f64 {
        self.close();
        let count = self.lengths_s.values().sum::<u64>();
        let rank = (count * 95).div_ceil(100);
        let mut passed = 0;
        for (length_s, count) in self.lengths_s {
            passed += count;
            if passed >= rank.max(1) {
                return length_s as f64;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 95th percentile of a run of seconds: `x` violates.
    fn p95_s(seconds: &str) -> f64 {
        let mut episodes = Episodes::default();
        for (at_s, second) in (1..).zip(seconds.chars()) {
            episodes.add(at_s, second == 'x');
        }
        episodes.p95_s()
    }

    #[test]
    fn without_a_violation_there_is_none() {
        assert_eq!((p95_s(""), p95_s("......")), (0.0, 0.0));
    }

    #[test]
    fn nine_calm_seconds_do_not_end_an_episode_and_ten_do() {
        assert_eq!(p95_s("..x.........x....."), 11.0);
        assert_eq!(p95_s("..x..........x....."), 1.0);
    }

    #[test]
    fn one_that_goes_on_at_the_end_counts() {
        assert_eq!(p95_s("....xxx"), 3.0);
    }

    #[test]
    fn the_longest_in_twenty_is_beyond_the_95th_percentile_and_one_more_is_not() {
        let short = "x..........".repeat(19);
        assert_eq!(p95_s(&format!("{short}xxxx..........")), 1.0);
        assert_eq!(p95_s(&format!("xxx..........{short}xxxx..........")), 3.0);
    }
}
