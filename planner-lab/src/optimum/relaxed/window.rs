//! Maxima over a moving window.

use std::collections::VecDeque;

/// For every place the largest of the values from `behind` places before to `ahead` after it.
pub(in crate::optimum) fn max_over(values: &[u32], behind: usize, ahead: usize) -> Vec<u32> {
    let mut falling: VecDeque<(usize, u32)> = VecDeque::new();
    let mut upcoming = values.iter().copied().enumerate();
    (0..values.len())
        .map(|place| {
            let reach = place.saturating_add(ahead);
            while upcoming.len() > 0 && values.len() - upcoming.len() <= reach {
                let Some((at, value)) = upcoming.next() else { break };
                while falling.back().is_some_and(|(_, last)| *last <= value) {
                    falling.pop_back();
                }
                falling.push_back((at, value));
            }
            while falling.front().is_some_and(|(at, _)| at.saturating_add(behind) < place) {
                falling.pop_front();
            }
            falling.front().map_or(0, |(_, value)| *value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_beyond_the_ends_ends_there() {
        assert_eq!(max_over(&[], 1, 1), [0; 0]);
        assert_eq!(max_over(&[1, 3, 2], 9, 9), [3, 3, 3]);
    }

    #[test]
    fn every_place_sees_its_window() {
        let values = [5, 1, 4, 1, 1, 1, 3, 2, 6, 0];
        for (behind, ahead) in [(0, 0), (0, 2), (2, 0), (1, 3)] {
            let naive: Vec<u32> = (0..values.len())
                .map(|at| {
                    let end = (at + ahead + 1).min(values.len());
                    values[at.saturating_sub(behind)..end].iter().copied().max().unwrap_or(0)
                })
                .collect();
            assert_eq!(max_over(&values, behind, ahead), naive, "{behind} {ahead}");
        }
    }
}
