//! The run as it happens, in a terminal.
//!
//! [`frame`] draws everything that is known as a few lines of text, [`plain_line`] says it in one
//! line for a log. Both are pure; [`Screen`] alone knows how a terminal is redrawn.
//!
//! Not for input: nothing here reads a key.

mod ink;
mod screen;

use std::fmt::Write as _;

use crate::report::axis::{format_ms, format_number, format_percent};
use crate::report::{DecisionRow, Direction, WindowRow};

pub use screen::Screen;

use ink::{Colour, Ink, clip, harmless};

/// Decisions shown, at most: the last ones.
const DECISIONS_SHOWN: usize = 5;
/// The narrowest and the widest frame; outside it the lines are as wide as the nearest.
const WIDTH_RANGE: (usize, usize) = (40, 160);

/// What is known of the run so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ViewState {
    /// What the frame is headed by: the scenario, for example.
    pub title: String,
    /// Seconds since the start.
    pub elapsed_s: f64,
    /// How long the run will take, if that is known.
    pub total_s: Option<f64>,
    /// What takes longer is slow.
    pub slo_ms: f64,
    /// The last window measured.
    pub last: Option<WindowRow>,
    /// The 95th percentiles of the recent windows, oldest first; `None` where unknown.
    pub recent_p95_ms: Vec<Option<f64>>,
    /// All decisions so far, oldest first.
    pub decisions: Vec<DecisionRow>,
    /// Requests ended so far.
    pub requests: u64,
    /// Of them, those slower than the objective, if that is known.
    pub slow: Option<u64>,
    /// Of them, those that failed.
    pub failed: u64,
    /// Whether colours may be used.
    pub is_coloured: bool,
}

/// The live view: 14 lines at most, none wider than `width` columns, each ended by a newline.
pub fn frame(state: &ViewState, width: usize) -> String {
    let width = width.clamp(WIDTH_RANGE.0, WIDTH_RANGE.1);
    let ink = Ink { is_coloured: state.is_coloured };
    let window = state.last.unwrap_or_default();
    let mut lines = vec![
        ink.bold(&clip(&format!("planner  {}", harmless(&state.title)), width)),
        progress(state, ink, width),
        String::new(),
        latency(state, &window, ink, width),
        sparkline(state, &window, ink, width),
        requests(state, &window, ink, width),
        replicas(&window, ink, width),
        String::new(),
    ];
    lines.push(ink.dim(&clip("last decisions", width)));
    if state.decisions.is_empty() {
        lines.push(ink.dim("  none yet"));
    }
    let first = state.decisions.len().saturating_sub(DECISIONS_SHOWN);
    lines.extend(state.decisions[first..].iter().map(|d| decision(d, ink, width)));
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// One line for a log: the last window and the decision made in it, without colour.
pub fn plain_line(state: &ViewState) -> String {
    let window = state.last.unwrap_or_default();
    let mut line = format!(
        "{:7.1} s  p95 {}  baseline {}  {}/s  ok {}  replicas {}+{}  slow {}  failed {}",
        state.elapsed_s,
        known(window.p95_ms, format_ms),
        known(window.baseline_ms, format_ms),
        known(window.arrivals_per_s, format_number),
        known(window.success_share, format_percent),
        known_count(window.ready),
        known_count(window.starting),
        state.slow.map_or_else(|| "–".to_owned(), |slow| slow.to_string()),
        state.failed
    );
    let in_this_window = |d: &&DecisionRow| d.at_s >= window.t_s && d.direction != Direction::Hold;
    if let Some(decision) = state.decisions.last().filter(in_this_window) {
        let why = harmless(&decision.why);
        let change = decision.change();
        let _a_string_takes_everything = write!(line, "  [#{} {change}: {why}]", decision.id);
    }
    line
}

fn progress(state: &ViewState, ink: Ink, width: usize) -> String {
    let Some(total_s) = state.total_s.filter(|total_s| *total_s > 0.0) else {
        return clip(&format!("{:.0} s, until stopped", state.elapsed_s), width);
    };
    let share = (state.elapsed_s / total_s).clamp(0.0, 1.0);
    let left_s = (total_s - state.elapsed_s).max(0.0);
    let text = format!(" {:3.0} %  {left_s:.0} s left", share * 100.0);
    let columns = width.saturating_sub(text.chars().count()).max(1);
    let filled = nearest_below(share * columns as f64, columns);
    let bar = ink.colour(Colour::Blue, &"█".repeat(filled));
    let rest = ink.dim(&"░".repeat(columns - filled));
    format!("{bar}{rest}{text}")
}

fn latency(state: &ViewState, window: &WindowRow, ink: Ink, width: usize) -> String {
    let text = clip(
        &format!(
            "p95      {:>9}   baseline {}, near it up to {}; SLO {}",
            known(window.p95_ms, format_ms),
            known(window.baseline_ms, format_ms),
            known(window.band_high_ms, format_ms),
            format_ms(state.slo_ms)
        ),
        width,
    );
    match window.p95_ms {
        Some(p95_ms) => ink.colour(judge(p95_ms, window, state.slo_ms), &text),
        None => ink.dim(&text),
    }
}

/// Recent p95s as blocks: full height is the highest of them or twice the band.
fn sparkline(state: &ViewState, window: &WindowRow, ink: Ink, width: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let columns = width - 9;
    let first = state.recent_p95_ms.len().saturating_sub(columns);
    let shown = &state.recent_p95_ms[first..];
    let band_ms = window.band_high_ms.unwrap_or(0.0);
    let highest_ms = shown.iter().flatten().copied().fold(2.0 * band_ms, f64::max);
    let mut line = " ".repeat(9);
    for p95_ms in shown {
        match p95_ms {
            Some(p95_ms) if highest_ms > 0.0 => {
                let index = nearest_below(p95_ms / highest_ms * 8.0, 7);
                let block = BLOCKS[index].to_string();
                line.push_str(&ink.colour(judge(*p95_ms, window, state.slo_ms), &block));
            }
            _ => line.push(' '),
        }
    }
    line
}

fn requests(state: &ViewState, window: &WindowRow, ink: Ink, width: usize) -> String {
    let text = clip(
        &format!(
            "success  {:>9}   {} requests/s; {} so far, {} slow, {} failed",
            known(window.success_share, format_percent),
            known(window.arrivals_per_s, format_number),
            state.requests,
            state.slow.map_or_else(|| "–".to_owned(), |slow| slow.to_string()),
            state.failed
        ),
        width,
    );
    match window.success_share {
        Some(share) if share < 0.99 => ink.colour(Colour::Red, &text),
        Some(_) => text,
        None => ink.dim(&text),
    }
}

fn replicas(window: &WindowRow, ink: Ink, width: usize) -> String {
    /// Squares before the numbers have to do.
    const SQUARES_MAX: u32 = 24;
    let (ready, starting) = (window.ready.unwrap_or(0), window.starting.unwrap_or(0));
    let text = format!(
        "replicas {:>9}   {} starting  ",
        known_count(window.ready),
        known_count(window.starting)
    );
    if ready.saturating_add(starting) > SQUARES_MAX || text.chars().count() + 24 > width {
        return clip(text.trim_end(), width);
    }
    let squares = |count: u32, square: &str| square.repeat(count as usize);
    let serving = ink.colour(Colour::Green, &squares(ready, "■"));
    let coming = ink.colour(Colour::Yellow, &squares(starting, "□"));
    format!("{text}{serving}{coming}")
}

fn decision(decision: &DecisionRow, ink: Ink, width: usize) -> String {
    let (arrow, colour) = match decision.direction {
        Direction::Hold => ("=", None),
        Direction::In => ("▼", Some(Colour::Green)),
        Direction::Out => ("▲", Some(Colour::Yellow)),
    };
    let text = format!(
        "{:>7.1} s {arrow} {:<7} {}",
        decision.at_s,
        decision.change(),
        harmless(&decision.why)
    );
    let text = clip(&text, width);
    match colour {
        Some(colour) => ink.colour(colour, &text),
        None => ink.dim(&text),
    }
}

/// Green near the baseline, red over the objective, yellow between.
fn judge(p95_ms: f64, window: &WindowRow, slo_ms: f64) -> Colour {
    if p95_ms > slo_ms {
        Colour::Red
    } else if window.band_high_ms.is_some_and(|band_ms| p95_ms > band_ms) {
        Colour::Yellow
    } else {
        Colour::Green
    }
}

fn known(value: Option<f64>, format: fn(f64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), format)
}

fn known_count(value: Option<u32>) -> String {
    value.map_or_else(|| "–".to_owned(), |count| count.to_string())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates: negative and undefined become zero"
)]
fn nearest_below(value: f64, at_most: usize) -> usize {
    (value as usize).min(at_most)
}

#[cfg(test)]
mod tests;
