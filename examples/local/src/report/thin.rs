//! Fewer windows than the page has pixels: a day of seconds would be a page of megabytes.
//!
//! Not for figures: those come from the whole run.

use super::WindowRow;

/// Points per line, at most.
const POINTS_MAX: usize = 1_000;

/// The windows themselves when they fit; else each row is the worst of several in a row.
pub(super) fn thin(windows: &[WindowRow]) -> Vec<WindowRow> {
    let per_row = windows.len().div_ceil(POINTS_MAX).max(1);
    windows.chunks(per_row).filter_map(worst).collect()
}

/// The highest latency, load and fleet, the lowest success; time and baseline of the last.
fn worst(windows: &[WindowRow]) -> Option<WindowRow> {
    let last = *windows.last()?;
    let highest = |value: fn(&WindowRow) -> Option<f64>| {
        windows.iter().filter_map(value).max_by(f64::total_cmp)
    };
    Some(WindowRow {
        p95_ms: highest(|window| window.p95_ms),
        p50_ms: highest(|window| window.p50_ms),
        arrivals_per_s: highest(|window| window.arrivals_per_s),
        in_flight: windows.iter().filter_map(|window| window.in_flight).max(),
        success_share: windows
            .iter()
            .filter_map(|window| window.success_share)
            .min_by(f64::total_cmp),
        ready: windows.iter().filter_map(|window| window.ready).max(),
        starting: windows.iter().filter_map(|window| window.starting).max(),
        ..last
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_survives_the_thinning_of_a_long_run() {
        let mut windows: Vec<WindowRow> = (0..86_400)
            .map(|second| WindowRow {
                t_s: f64::from(second),
                p95_ms: Some(20.0),
                success_share: Some(1.0),
                ..WindowRow::default()
            })
            .collect();
        windows[40_000].p95_ms = Some(900.0);
        windows[40_001].success_share = Some(0.5);
        let thinned = thin(&windows);
        assert!(thinned.len() <= POINTS_MAX);
        assert!(thinned.iter().any(|window| window.p95_ms == Some(900.0)));
        assert!(thinned.iter().any(|window| window.success_share == Some(0.5)));
    }

    #[test]
    fn a_short_run_is_shown_as_it_was() {
        let windows = [WindowRow { t_s: 1.0, in_flight: Some(3), ..WindowRow::default() }];
        assert_eq!(thin(&windows), windows);
        assert!(thin(&[]).is_empty());
    }
}
