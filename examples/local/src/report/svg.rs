//! A small writer for SVG: just the shapes of a chart, with every text escaped.
//!
//! Not a drawing library: colours and widths are classes, and the page's style sheet has them.

use std::fmt::Write as _;

/// Replaces what HTML and SVG would take for markup, and control characters.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// An SVG element being written.
pub(crate) struct Svg {
    text: String,
}

/// A point on the drawing.
pub(crate) type Point = (f64, f64);

impl Svg {
    pub(crate) fn new(width: f64, height: f64, label: &str) -> Self {
        let label = escape(label);
        let text =
            format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">");
        Self { text }
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }

    pub(crate) fn line(&mut self, class: &str, from: Point, to: Point) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A rectangle from its top left corner; with a tooltip unless that is empty.
    pub(crate) fn rect(&mut self, class: &str, at: Point, size: Point, tooltip: &str) {
        let ((x, y), (width, height)) = (at, size);
        self.push(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{width:.1}\" height=\"{height:.1}\">{}</rect>",
            title(tooltip)
        ));
    }

    /// A text; `anchor` is `start`, `middle` or `end`.
    pub(crate) fn text(&mut self, class: &str, at: Point, anchor: &str, text: &str) {
        let (x, y) = at;
        self.push(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escape(text)
        ));
    }

    /// Lines through the points; a gap where a point is missing, a dot where one stands alone.
    pub(crate) fn polyline(&mut self, class: &str, points: &[Option<Point>]) {
        for run in runs(points) {
            if let [(x, y)] = run[..] {
                self.push(format_args!(
                    "<circle class=\"{class} dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\"/>"
                ));
            } else {
                let data = path_data(&run);
                self.push(format_args!("<path class=\"{class}\" d=\"{data}\"/>"));
            }
        }
    }

    /// The area between an upper and a lower edge, in pieces where either is missing.
    pub(crate) fn area(&mut self, class: &str, edges: &[Option<(Point, Point)>]) {
        for run in runs(edges) {
            let upper = run.iter().map(|(upper, _)| *upper);
            let lower = run.iter().rev().map(|(_, lower)| *lower);
            let outline: Vec<Point> = upper.chain(lower).collect();
            let data = path_data(&outline);
            self.push(format_args!("<path class=\"{class}\" d=\"{data}Z\"/>"));
        }
    }

    /// A triangle under a point, or above it, that links to a place on the page.
    pub(crate) fn triangle(&mut self, class: &str, tip: Point, link: &str, tooltip: &str) {
        let (x, y) = tip;
        let base_y = if class.ends_with("in") { y - 9.0 } else { y + 9.0 };
        let (left, right) = (x - 5.5, x + 5.5);
        self.push(format_args!(
            "<a href=\"#{}\"><path class=\"{class}\" \
             d=\"M{x:.1},{y:.1}L{left:.1},{base_y:.1}L{right:.1},{base_y:.1}Z\">{}</path></a>",
            escape(link),
            title(tooltip)
        ));
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _a_string_takes_everything = self.text.write_fmt(arguments);
    }
}

fn title(tooltip: &str) -> String {
    if tooltip.is_empty() { String::new() } else { format!("<title>{}</title>", escape(tooltip)) }
}

/// The stretches without a gap.
fn runs<T: Copy>(values: &[Option<T>]) -> Vec<Vec<T>> {
    values
        .split(Option::is_none)
        .map(|run| run.iter().copied().flatten().collect::<Vec<T>>())
        .filter(|run| !run.is_empty())
        .collect()
}

fn path_data(points: &[Point]) -> String {
    let mut data = String::with_capacity(points.len() * 14);
    for (index, (x, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _a_string_takes_everything = write!(data, "{command}{x:.1},{y:.1}");
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_control_characters_become_harmless() {
        assert_eq!(
            escape("<script>alert('x' & \"y\")</script>\u{1b}[31m\0"),
            "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)\
             &lt;/script&gt;\u{fffd}[31m\u{fffd}"
        );
    }

    #[test]
    fn a_missing_point_is_a_gap_and_a_lonely_one_a_dot() {
        let mut svg = Svg::new(10.0, 10.0, "test");
        svg.polyline("l", &[Some((0.0, 1.0)), Some((1.0, 2.0)), None, Some((3.0, 4.0)), None]);
        assert_eq!(
            svg.finish(),
            "<svg viewBox=\"0 0 10 10\" role=\"img\" aria-label=\"test\">\
             <path class=\"l\" d=\"M0.0,1.0L1.0,2.0\"/>\
             <circle class=\"l dot\" cx=\"3.0\" cy=\"4.0\" r=\"2\"/></svg>"
        );
    }
}
