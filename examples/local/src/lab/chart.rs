//! Charts of the lab's pages, in the look of the run report.
//!
//! Not for saying anything about them: the pages have the texts.

use crate::report::axis::{Scale, format_number};
use crate::report::svg::{Point, Svg};

const WIDTH: f64 = 1_060.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 24.0;
/// Longest time whose ticks are told in hours and minutes.
const CLOCK_S_MAX: f64 = 86_400.0;

/// Places of a line, at most.
pub(super) const PLACES_MAX: usize = 800;

/// A place in the units of the axes.
pub(super) type Place = (f64, f64);

/// One chart being drawn.
pub(super) struct Chart {
    svg: Svg,
    height: f64,
    x: Scale,
    y: Scale,
}

impl Chart {
    pub(super) fn new(label: &str, height: f64, x: Scale, y: Scale) -> Self {
        Self { svg: Svg::new(WIDTH, height, label), height, x, y }
    }

    /// Over time from 0 to `duration_s`.
    pub(super) fn over_time(label: &str, height: f64, duration_s: f64, y: Scale) -> Self {
        let x = Scale::Linear { low: 0.0, high: duration_s.max(1.0) };
        Self::new(label, height, x, y)
    }

    pub(super) fn finish(self) -> String {
        self.svg.finish()
    }

    /// Lines and labels of both axes.
    pub(super) fn grid(&mut self, x: &[(f64, String)], y: impl Fn(f64) -> String) {
        for tick in self.y.ticks() {
            let (_, at) = self.at((0.0, tick));
            self.svg.line("grid", (LEFT, at), (WIDTH - RIGHT, at));
            self.svg.text("tick", (LEFT - 8.0, at + 4.0), "end", &y(tick));
        }
        let bottom = self.bottom();
        for (value, text) in x {
            let (at, _) = self.at((*value, 0.0));
            self.svg.line("axis", (at, bottom), (at, bottom + 4.0));
            self.svg.text("tick", (at, self.height - 6.0), "middle", text);
        }
        self.svg.line("axis", (LEFT, bottom), (WIDTH - RIGHT, bottom));
    }

    /// A line through the places; a gap where one is missing.
    pub(super) fn line(&mut self, class: &str, places: &[Option<Place>]) {
        let points: Vec<_> = places.iter().map(|place| place.map(|it| self.at(it))).collect();
        self.svg.polyline(class, &points);
    }

    /// Each value held from the place before to its own.
    pub(super) fn steps(&mut self, class: &str, places: &[Place]) {
        let points = self.corners(places);
        self.svg.polyline(class, &points);
    }

    /// The area under [`Chart::steps`].
    pub(super) fn steps_area(&mut self, class: &str, places: &[Place]) {
        let bottom = self.bottom();
        let edges: Vec<_> = self
            .corners(places)
            .into_iter()
            .map(|point| point.map(|(x, y)| ((x, y), (x, bottom))))
            .collect();
        self.svg.area(class, &edges);
    }

    /// A dot of this size, with a tooltip.
    pub(super) fn dot(&mut self, class: &str, place: Place, size: f64, tooltip: &str) {
        let (x, y) = self.at(place);
        self.svg.rect(class, (x - size / 2.0, y - size / 2.0), (size, size), tooltip);
    }

    /// A vertical line between two values of one place.
    pub(super) fn whisker(&mut self, class: &str, x: f64, low: f64, high: f64) {
        let (from, to) = (self.at((x, low)), self.at((x, high)));
        self.svg.line(class, from, to);
    }

    /// A horizontal line over the whole width, with a label.
    pub(super) fn level(&mut self, class: &str, value: f64, label: &str) {
        let (_, y) = self.at((0.0, value));
        self.svg.line(class, (LEFT, y), (WIDTH - RIGHT, y));
        let text_class = format!("tick {class}-label");
        self.svg.text(&text_class, (WIDTH - RIGHT - 4.0, y - 5.0), "end", label);
    }

    /// An invisible column from each place to the next that says what was there.
    pub(super) fn tooltips(&mut self, columns: impl IntoIterator<Item = (f64, String)>) {
        let mut left = LEFT;
        for (value, tooltip) in columns {
            let (right, _) = self.at((value, 0.0));
            let size = ((right - left).max(0.0), self.bottom() - TOP);
            self.svg.rect("hover", (left, TOP), size, &tooltip);
            left = left.max(right);
        }
    }

    fn corners(&self, places: &[Place]) -> Vec<Option<Point>> {
        let mut points = Vec::with_capacity(2 * places.len());
        let mut from = 0.0;
        for (x, y) in places {
            points.push(Some(self.at((from, *y))));
            points.push(Some(self.at((*x, *y))));
            from = *x;
        }
        points
    }

    fn bottom(&self) -> f64 {
        self.height - BOTTOM
    }

    fn at(&self, (x, y): Place) -> Point {
        let across = LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT);
        let up = self.y.share(y) * (self.bottom() - TOP);
        (across, self.bottom() - up)
    }
}

/// Ticks of a time axis, such as `6:00` or `day 2`.
pub(super) fn time_axis(duration_s: f64) -> Vec<(f64, String)> {
    const STEPS_S: [f64; 9] =
        [10.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 21_600.0, 86_400.0, 604_800.0];
    let fits = |step_s: &f64| duration_s / step_s <= 12.0;
    let step_s = STEPS_S.into_iter().find(fits).unwrap_or(duration_s / 12.0);
    (0..=12)
        .map(|index| f64::from(index) * step_s)
        .take_while(|at_s| *at_s <= duration_s)
        .map(|at_s| (at_s, format_time(at_s, duration_s)))
        .collect()
}

/// `12:30:05` within a day, `2d 12:30` beyond.
pub(super) fn format_time(at_s: f64, duration_s: f64) -> String {
    if duration_s <= 600.0 {
        return format!("{} s", format_number(at_s));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let at_s = at_s.round() as u64;
    let (days, hours, minutes) = (at_s / 86_400, at_s / 3_600 % 24, at_s / 60 % 60);
    if duration_s <= CLOCK_S_MAX {
        let hours = days * 24 + hours;
        match at_s % 60 {
            0 => format!("{hours}:{minutes:02}"),
            seconds => format!("{hours}:{minutes:02}:{seconds:02}"),
        }
    } else {
        match (hours, minutes) {
            (0, 0) => format!("{days}d"),
            (hours, minutes) => format!("{days}d {hours}:{minutes:02}"),
        }
    }
}

/// Ticks of a logarithmic axis of shares, in per cent.
pub(super) fn share_axis(scale: Scale) -> Vec<(f64, String)> {
    scale.ticks().into_iter().map(|share| (share, percent(share))).collect()
}

/// `0.05 %`, with as many digits as small shares need.
pub(super) fn percent(share: f64) -> String {
    let per_cent = 100.0 * share;
    if per_cent == 0.0 {
        "0 %".to_owned()
    } else if per_cent < 0.1 {
        format!("{per_cent:.3} %")
    } else if per_cent < 10.0 {
        format!("{per_cent:.2} %")
    } else {
        format!("{per_cent:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_show_is_drawn_without_panic() {
        let mut chart = Chart::over_time("empty", 100.0, 0.0, Scale::from_zero([].into_iter()));
        chart.grid(&time_axis(0.0), format_number);
        chart.steps_area("a", &[]);
        chart.line("b", &[None, Some((f64::NAN, f64::INFINITY))]);
        let svg = chart.finish();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN"));
    }

    #[test]
    fn time_is_told_by_a_clock_within_a_day_and_in_days_beyond() {
        assert_eq!(format_time(45.0, 600.0), "45 s");
        assert_eq!(format_time(3_605.0, 86_400.0), "1:00:05");
        assert_eq!(format_time(86_400.0, 86_400.0), "24:00");
        assert_eq!(format_time(86_400.0, 345_600.0), "1d");
        assert_eq!(format_time(131_400.0, 345_600.0), "1d 12:30");
        let ticks: Vec<String> = time_axis(345_600.0).into_iter().map(|(_, text)| text).collect();
        assert_eq!(ticks, ["0d", "1d", "2d", "3d", "4d"]);
    }

    #[test]
    fn small_shares_keep_their_digits() {
        let texts = [0.0, 0.000_31, 0.0123, 0.5].map(percent);
        assert_eq!(texts, ["0 %", "0.031 %", "1.23 %", "50.0 %"]);
    }

    #[test]
    fn a_step_holds_from_the_place_before() {
        let y = Scale::Linear { low: 0.0, high: 1.0 };
        let mut chart = Chart::over_time("steps", 140.0, 988.0, y);
        chart.steps("s", &[(494.0, 0.0), (988.0, 1.0)]);
        assert!(
            chart.finish().contains("d=\"M58.0,116.0L552.0,116.0L552.0,16.0L1046.0,16.0\""),
            "two levels, joined where the first ends"
        );
    }
}
