//! From the text of a file to a trace: which kind it is, and the choices that its reader takes.

use super::error::shortened;
use super::grid::numbered;
use super::{AccessLog, Format, Trace, TraceError, cloudwatch, csv, nginx, prometheus};

/// Lines of which one must be of an access log for a text to be taken for one.
const LINES_TRIED: usize = 20;

/// What becomes of steps of which a source says nothing between its first and its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// They keep the rate before them, and are stated as gaps.
    Hold,
    /// They are an error.
    Refuse,
    /// They are steps without load, as where a source reports only what is not zero.
    Zero,
}

/// Which series of a range query count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Select {
    /// The sum of those that carry this label.
    Label {
        /// Its name, such as `job`.
        name: String,
        /// Its value.
        value: String,
    },
    /// The sum of all.
    #[default]
    Sum,
}

/// What the values of a range query mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Values {
    /// A count that only grows, and starts from 0 again at times.
    Counter,
    /// A rate per second, as `rate()` gives it.
    #[default]
    Rate,
}

/// How to read what a file does not say itself. What does not concern its format has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by those who read files")]
pub struct ReadOptions {
    /// What the text is; told by its content where it is not said.
    pub format: Option<Format>,
    /// What becomes of missing steps. Not said: refused in the documented CSV, zero in a
    /// `CloudWatch` export, held in a Prometheus answer. In an access log none are missing.
    pub missing: Option<Missing>,
    /// Length of the steps that an access log is counted in, in seconds.
    pub bucket_s: u32,
    /// Length of a period of an export, or of a step of a range query, in seconds. Not said: the
    /// smallest spacing of its times.
    pub period_s: Option<u32>,
    /// Column of a `CloudWatch` export that holds the times. Not said: the first whose name starts
    /// with `time` or `date`.
    pub time_column: Option<String>,
    /// Column of a `CloudWatch` export that holds the sums. Not said: `Sum`, `SampleCount`,
    /// `RequestCount`, `Count` or `Value`, or the only other one.
    pub value_column: Option<String>,
    /// Which series of a range query count.
    pub select: Select,
    /// What the values of a range query mean.
    pub values: Values,
}

impl Default for ReadOptions {
    /// The format by content, logs in steps of 10 s, everything else as said above.
    fn default() -> Self {
        Self {
            format: None,
            missing: None,
            bucket_s: 10,
            period_s: None,
            time_column: None,
            value_column: None,
            select: Select::default(),
            values: Values::default(),
        }
    }
}

impl Trace {
    /// Reads a trace of any known format, told by its content. `name` is what the trace is called
    /// where the text has no name of its own.
    ///
    /// - Documented CSV: `# key: value` lines with at least `unit` and `step_s`, the line
    ///   `t_s,value`, and rows on the grid of `step_s`. Values are divided by the step where the
    ///   unit says `per step`, and taken as they are where it says `per second`.
    /// - Prometheus: the answer to a range query; all series are summed, absent and non-finite
    ///   samples of one series count as 0 beside others and as missing alone.
    /// - nginx: an access log in the combined format, counted in steps of 10 s.
    /// - `CloudWatch`: sums per period, divided by the period.
    ///
    /// # Errors
    ///
    /// [`TraceError`], which names place, value, rule and what to do next.
    ///
    /// ```
    /// use planner_lab::trace::Trace;
    ///
    /// let answer = r#"{"status":"success","data":{"resultType":"matrix","result":[
    ///     {"metric":{"pod":"a"},"values":[[1700000000,"3"],[1700000060,"5"]]},
    ///     {"metric":{"pod":"b"},"values":[[1700000000,"1"],[1700000060,"NaN"]]}]}}"#;
    /// assert_eq!(Trace::read("shop", answer)?.rates_per_s(), [4.0, 5.0]);
    ///
    /// let export = "Timestamp,Sum\n2024-05-01T12:00:00Z,120\n2024-05-01T12:01:00Z,60\n";
    /// assert_eq!(Trace::read("shop", export)?.rates_per_s(), [2.0, 1.0]);
    /// # Ok::<(), planner_lab::trace::TraceError>(())
    /// ```
    pub fn read(name: &str, text: &str) -> Result<Self, TraceError> {
        Self::read_with(name, text, &ReadOptions::default())
    }

    /// Like [`Trace::read`], with choices of one's own.
    ///
    /// # Errors
    ///
    /// [`TraceError`], which names place, value, rule and what to do next.
    ///
    /// ```
    /// use planner_lab::trace::{Missing, ReadOptions, Trace};
    ///
    /// let export = "Timestamp,Sum\n2024-05-01 12:00,60\n2024-05-01 12:01,60\n2024-05-01 12:03,60\n";
    /// let hold = ReadOptions { missing: Some(Missing::Hold), ..ReadOptions::default() };
    /// assert_eq!(Trace::read("shop", export)?.rates_per_s(), [1.0, 1.0, 0.0, 1.0]);
    /// assert_eq!(Trace::read_with("shop", export, &hold)?.gaps()[0].first_step, 2);
    /// # Ok::<(), planner_lab::trace::TraceError>(())
    /// ```
    pub fn read_with(name: &str, text: &str, options: &ReadOptions) -> Result<Self, TraceError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let format = options.format.or_else(|| format_of(text));
        let format = format.ok_or_else(|| TraceError::Unrecognised {
            name: shortened(name),
            start: shortened(numbered(text).next().map_or("", |(_, line)| line)),
        })?;
        match format {
            Format::CloudWatch => cloudwatch::read(name, text, options),
            Format::Csv => csv::read(name, text, options.missing.unwrap_or(Missing::Refuse)),
            Format::Nginx => AccessLog::read(text)?.trace(name, options.bucket_s),
            Format::Prometheus => prometheus::read(name, text, options),
        }
    }
}

/// What a text is by its content.
fn format_of(text: &str) -> Option<Format> {
    let (_, first) = numbered(text).next()?;
    if first.starts_with('{') {
        Some(Format::Prometheus)
    } else if first.starts_with('#') || first == csv::COLUMNS {
        Some(Format::Csv)
    } else if numbered(text).take(LINES_TRIED).any(|(_, line)| nginx::is_request(line)) {
        Some(Format::Nginx)
    } else if cloudwatch::is_header(first) {
        Some(Format::CloudWatch)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nothing_known_is_refused_by_its_first_line() {
        for (text, start) in [("\n\nhello, world\n", "hello, world"), ("", ""), ("1,2\n", "1,2")] {
            let error = Trace::read("a.txt", text).expect_err("nothing known");
            let expected = TraceError::Unrecognised { name: "a.txt".into(), start: start.into() };
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn a_byte_order_mark_and_blank_lines_do_not_hide_a_format() {
        let text = "\u{feff}\r\n# unit: requests per second\r\n# step_s: 5\r\nt_s,value\r\n0,1\r\n";
        assert_eq!(Trace::read("t", text).expect("a trace").rates_per_s(), [1.0]);
    }

    #[test]
    fn a_log_whose_first_lines_are_malformed_is_still_a_log() {
        let line = r#"- - - [01/May/2024:12:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-""#;
        assert_eq!(format_of(&format!("garbage\n\u{1}\u{2}\n{line}\n")), Some(Format::Nginx));
    }

    #[test]
    fn a_format_that_is_said_is_not_guessed() {
        let options = ReadOptions { format: Some(Format::Csv), ..ReadOptions::default() };
        let error = Trace::read_with("t", "{}", &options).expect_err("no CSV").to_string();
        assert_eq!(
            error,
            "trace CSV, line 1: \"{}\" is not \"t_s,value\"; write that line above the rows"
        );
    }
}
