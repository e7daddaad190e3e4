//! From values to places on the paper, and where the ticks go.
//!
//! Not for drawing: [`super::charts`] does that.

/// How values map to a share of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    /// Equal differences have equal lengths.
    Linear { low: f64, high: f64 },
    /// Equal ratios have equal lengths.
    Log { low: f64, high: f64 },
}

impl Scale {
    /// From zero to a little above the largest value.
    pub(crate) fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let largest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let largest = if largest > 0.0 { largest * 1.08 } else { 1.0 };
        let step = step_for(largest, TICKS_AIM);
        Self::Linear { low: 0.0, high: (largest / step).ceil() * step }
    }

    /// Logarithmic when the values differ by more than twentyfold, from zero otherwise.
    pub(crate) fn for_latency(values: impl Iterator<Item = f64> + Clone) -> Self {
        let positive = values.clone().filter(|value| value.is_finite() && *value > 0.0);
        let smallest = positive.clone().fold(f64::INFINITY, f64::min);
        let largest = positive.fold(0.0, f64::max);
        if largest > 20.0 * smallest {
            Self::Log { low: one_two_five_below(smallest), high: one_two_five_above(largest) }
        } else {
            Self::from_zero(values)
        }
    }

    /// Where a value lies: 0 at the low end, 1 at the high end, never outside.
    pub(crate) fn share(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Log { low, high } => (value.max(low) / low).ln() / (high / low).ln(),
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The values that get a label.
    pub(crate) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { low, high } => {
                let step = step_for(high - low, TICKS_AIM);
                (0..=20)
                    .map(|index| low + f64::from(index) * step)
                    .take_while(|tick| *tick <= high + step * 0.001)
                    .collect()
            }
            Self::Log { low, high } => {
                let decades = (high / low).log10();
                let steps: &[f64] = if decades > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let first = exponent_of(low);
                (first..first + 20)
                    .flat_map(|exponent| steps.iter().map(move |step| step * ten_to(exponent)))
                    .filter(|tick| (low * 0.999..=high * 1.001).contains(tick))
                    .collect()
            }
        }
    }
}

/// Ticks of the time axis, in seconds: steps that a clock has.
pub(crate) fn time_ticks(duration_s: f64) -> Vec<f64> {
    const STEPS_S: [f64; 15] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0,
        21_600.0, 86_400.0,
    ];
    let step_s =
        STEPS_S.into_iter().find(|step_s| duration_s / step_s <= 12.0).unwrap_or(duration_s / 12.0);
    (0..=12).map(|index| f64::from(index) * step_s).take_while(|t_s| *t_s <= duration_s).collect()
}

/// `45 s` in a run of up to ten minutes, `2:30` or `1:02:30` in a longer one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and nobody reads a tick at the end of time"
)]
pub(crate) fn format_time(t_s: f64, duration_s: f64) -> String {
    if duration_s <= 600.0 || !t_s.is_finite() {
        return format!("{} s", format_number(t_s));
    }
    let whole_s = t_s.round() as u64;
    let (hours, minutes, seconds) = (whole_s / 3_600, whole_s / 60 % 60, whole_s % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// `45 ms`, `1.2 s`.
pub(crate) fn format_ms(ms: f64) -> String {
    if ms.abs() >= 1_000.0 {
        format!("{} s", format_number(ms / 1_000.0))
    } else {
        format!("{} ms", format_number(ms))
    }
}

/// Three significant digits or all whole ones, thousands parted by commas.
pub(crate) fn format_number(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let whole = if value.is_finite() { grouped(whole) } else { whole.to_owned() };
    format!("{sign}{whole}{fraction}")
}

/// Whole numbers with all their digits, thousands parted by commas.
pub(crate) fn format_count(count: u64) -> String {
    grouped(&count.to_string())
}

fn grouped(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share as per cent: `0 %`, `0.03 %`, `12.5 %`.
pub(crate) fn format_percent(share: f64) -> String {
    format!("{} %", format_number(share * 100.0))
}

const TICKS_AIM: f64 = 5.0;

fn step_for(range: f64, ticks: f64) -> f64 {
    one_two_five_above(range / ticks)
}

fn one_two_five_above(value: f64) -> f64 {
    let base = ten_to(exponent_of(value));
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|step| step * base)
        .find(|step| *step >= value * 0.999)
        .unwrap_or(10.0 * base)
}

fn one_two_five_below(value: f64) -> f64 {
    let base = ten_to(exponent_of(value));
    [5.0, 2.0].into_iter().map(|step| step * base).find(|step| *step <= value).unwrap_or(base)
}

#[expect(clippy::cast_possible_truncation, reason = "the exponent of a double is small")]
fn exponent_of(value: f64) -> i32 {
    value.log10().floor() as i32
}

fn ten_to(exponent: i32) -> f64 {
    10_f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_show_still_gives_an_axis() {
        let scale = Scale::from_zero([f64::NAN, f64::INFINITY].into_iter());
        assert_eq!(scale, Scale::Linear { low: 0.0, high: 1.0 });
        assert_eq!(Scale::for_latency(std::iter::empty()), scale);
        assert_eq!(scale.share(f64::NAN), 0.0);
        assert_eq!(scale.share(7.0), 1.0);
    }

    #[test]
    fn an_axis_from_zero_ends_on_a_tick_above_the_largest_value() {
        let scale = Scale::from_zero([3.0, 118.0].into_iter());
        assert_eq!(scale.ticks(), [0.0, 50.0, 100.0, 150.0]);
        assert_eq!(scale.share(75.0), 0.5);
    }

    #[test]
    fn a_latency_axis_turns_logarithmic_above_twentyfold() {
        let linear = Scale::for_latency([10.0, 200.0].into_iter());
        assert!(matches!(linear, Scale::Linear { .. }), "{linear:?}");
        let log = Scale::for_latency([19.0, 4_100.0].into_iter());
        assert_eq!(log, Scale::Log { low: 10.0, high: 5_000.0 });
        assert_eq!(log.ticks(), [10.0, 100.0, 1_000.0]);
        let short = Scale::for_latency([19.0, 450.0].into_iter());
        assert_eq!(short.ticks(), [10.0, 20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(short.share(10.0), 0.0);
        assert_eq!(short.share(500.0), 1.0);
    }

    #[test]
    fn time_has_the_steps_of_a_clock() {
        assert_eq!(time_ticks(130.0).len(), 9);
        assert_eq!(time_ticks(130.0)[1], 15.0);
        assert_eq!(time_ticks(0.0), [0.0]);
        assert_eq!(time_ticks(3_600.0)[1], 300.0);
        assert_eq!([45.0, 600.0].map(|t_s| format_time(t_s, 600.0)), ["45 s", "600 s"]);
        let texts = [45.0, 120.0, 3_750.0].map(|t_s| format_time(t_s, 7_200.0));
        assert_eq!(texts, ["0:45", "2:00", "1:02:30"]);
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        let texts = [0.0, 0.034, 7.5, 22.04, 1_234_567.8, -1_000.0].map(format_number);
        assert_eq!(texts, ["0", "0.03", "7.5", "22", "1,234,568", "-1,000"]);
        assert_eq!(format_number(f64::INFINITY), "inf");
        assert_eq!([0, 999, 1_000, 11_400].map(format_count), ["0", "999", "1,000", "11,400"]);
        assert_eq!([5.0, 1_250.0].map(format_ms), ["5 ms", "1.25 s"]);
        assert_eq!(format_percent(0.0213), "2.13 %");
    }
}
