//! nginx access logs in the combined format, with or without `$request_time` at the end of a line.
//!
//! A line that is malformed is counted and stated, never lost; lines may be out of order, as they
//! are when several workers write. Times are nginx's, at which a request ended.

use super::error::shortened;
use super::grid::numbered;
use super::{Format, Rule, STEPS_MAX, Trace, TraceError, check_step, clock};

/// Lines of a log that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Malformed {
    /// How many.
    pub lines: usize,
    /// The first of them, counted from 1.
    pub first_line: usize,
    /// How it starts.
    pub first: String,
}

/// The requests of an access log.
///
/// ```
/// use planner_lab::trace::AccessLog;
///
/// let log = AccessLog::read(
///     "10.0.0.1 - - [01/May/2024:12:00:01 +0000] \"GET / HTTP/1.1\" 200 12 \"-\" \"curl\" 0.030\n\
///      10.0.0.2 - - [01/May/2024:12:00:00 +0000] \"GET / HTTP/1.1\" 502 0 \"-\" \"curl\" 0.010\n\
///      10.0.0.3 - - [01/May/2024:12:00:0",
/// )?;
/// assert_eq!((log.requests(), log.request_time_mean_s()), (2, Some(0.02)));
/// assert_eq!(log.malformed().map(|it| (it.lines, it.first_line)), Some((1, 3)));
/// assert_eq!(log.trace("shop", 2)?.rates_per_s(), [1.0]);
/// # Ok::<(), planner_lab::trace::TraceError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// When each request ended, ascending, and how long the longest way back in the file was.
    times_s: Vec<i64>,
    back_s: i64,
    timed: usize,
    request_time_s: f64,
    malformed: Option<Malformed>,
}

impl AccessLog {
    /// Reads a log.
    ///
    /// # Errors
    ///
    /// [`TraceError::Refused`] when no line is a request, or more lines are malformed than not.
    pub fn read(text: &str) -> Result<Self, TraceError> {
        let mut log =
            Self { times_s: Vec::new(), back_s: 0, timed: 0, request_time_s: 0.0, malformed: None };
        let mut latest_s = i64::MIN;
        for (line, content) in numbered(text) {
            let Some(request) = Request::read(content) else {
                log.count_malformed(line, content);
                continue;
            };
            if let Some(time_s) = request.time_s {
                log.timed += 1;
                log.request_time_s += time_s;
            }
            latest_s = latest_s.max(request.at_s);
            log.back_s = log.back_s.max(latest_s - request.at_s);
            log.times_s.push(request.at_s);
        }
        log.times_s.sort_unstable();
        match &log.malformed {
            Some(it) if it.lines > log.times_s.len() => {
                Err(TraceError::line(Format::Nginx, it.first_line, &it.first, Rule::Malformed))
            }
            _ if log.times_s.is_empty() => Err(TraceError::whole(Format::Nginx, "", Rule::Empty)),
            _ => Ok(log),
        }
    }

    /// Lines that are requests.
    pub fn requests(&self) -> usize {
        self.times_s.len()
    }

    /// Lines that are not, if there are any.
    pub fn malformed(&self) -> Option<&Malformed> {
        self.malformed.as_ref()
    }

    /// The mean `$request_time` in seconds, over the lines that have one.
    pub fn request_time_mean_s(&self) -> Option<f64> {
        (self.timed > 0).then(|| self.request_time_s / self.timed as f64)
    }

    /// Requests counted in steps of so many seconds, from the second of the first on. The last step
    /// may reach beyond the log. Steps without a request have no load: a log has nothing missing.
    ///
    /// # Errors
    ///
    /// [`TraceError`] when the step is out of range, or too short for the time that the log spans.
    pub fn trace(&self, name: &str, bucket_s: u32) -> Result<Trace, TraceError> {
        check_step(bucket_s)?;
        let (Some(first_s), Some(last_s)) = (self.times_s.first(), self.times_s.last()) else {
            return Err(TraceError::whole(Format::Nginx, "", Rule::Empty));
        };
        let step_of = |at_s: i64| usize::try_from((at_s - first_s) / i64::from(bucket_s));
        let steps = step_of(*last_s).ok().filter(|last| *last < STEPS_MAX);
        let steps = steps.ok_or_else(|| {
            TraceError::whole(Format::Nginx, &format!("{} s", last_s - first_s), Rule::TooLong)
        })?;
        let mut rates_per_s = vec![0.0; steps + 1];
        for at_s in &self.times_s {
            // Within the trace, because times ascend.
            if let Some(count) = step_of(*at_s).ok().and_then(|step| rates_per_s.get_mut(step)) {
                *count += 1.0;
            }
        }
        for rate in &mut rates_per_s {
            *rate /= f64::from(bucket_s);
        }
        let mut trace = Trace::new(name, bucket_s, rates_per_s)?;
        trace.start_s = *first_s;
        self.state(&mut trace, bucket_s);
        Ok(trace)
    }

    fn count_malformed(&mut self, line: usize, content: &str) {
        let first = || Malformed { lines: 0, first_line: line, first: shortened(content) };
        self.malformed.get_or_insert_with(first).lines += 1;
    }

    /// Says what the log was like.
    fn state(&self, trace: &mut Trace, bucket_s: u32) {
        let requests = self.requests();
        trace.note(&format!(
            "{requests} requests of an access log, counted in steps of {bucket_s} s from the first \
             on; the last step may be partial"
        ));
        if let Some(it) = &self.malformed {
            trace.note(&format!(
                "{} of {} lines malformed and not counted, first line {}: {:?}",
                it.lines,
                requests + it.lines,
                it.first_line,
                it.first
            ));
        }
        if self.back_s > 0 {
            trace.note(&format!("lines sorted by time; they were up to {} s late", self.back_s));
        }
        if let Some(mean_s) = self.request_time_mean_s() {
            trace.note(&format!(
                "request_time of {} requests has a mean of {mean_s:.3} s",
                self.timed
            ));
        }
    }
}

/// Whether the line is a request in the combined format.
pub(super) fn is_request(line: &str) -> bool {
    Request::read(line).is_some()
}

/// What counts of a line.
struct Request {
    at_s: i64,
    time_s: Option<f64>,
}

impl Request {
    /// `ADDRESS - USER [TIME] "REQUEST" STATUS BYTES "REFERER" "AGENT"`, and the seconds that it
    /// took if the log has them.
    fn read(line: &str) -> Option<Self> {
        let (who, rest) = line.split_once(" [")?;
        who.split_once(" - ").filter(|(address, user)| !address.is_empty() && !user.is_empty())?;
        let (time, rest) = rest.split_once("] ")?;
        let at_s = clock::nginx(time)?;
        let (status, rest) = after_quoted(rest)?.strip_prefix(' ')?.split_once(' ')?;
        let (bytes, rest) = rest.split_once(' ')?;
        if status.len() != 3 || !digits(status) || !(digits(bytes) || bytes == "-") {
            return None;
        }
        let rest = after_quoted(rest)?.strip_prefix(' ')?;
        let time_s = match after_quoted(rest)? {
            "" | " -" => None,
            last => Some(seconds(last.strip_prefix(' ')?)?),
        };
        Some(Self { at_s, time_s })
    }
}

/// What follows a text in quotation marks, in which a backslash takes the next character along.
fn after_quoted(text: &str) -> Option<&str> {
    let quoted = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return quoted.get(at + 1..),
            _ => {}
        }
    }
    None
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Seconds and milliseconds, as in `0.042`.
fn seconds(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if digits(whole) && digits(fraction) && text.len() <= 20 { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u32) -> String {
        format!(
            "10.0.0.1 - - [01/May/2024:12:00:{second:02} +0000] \"GET / HTTP/1.1\" 200 5 \"-\" \
             \"curl/8\"\n"
        )
    }

    #[test]
    fn what_is_no_line_of_a_log_is_malformed() {
        let time = "[01/May/2024:12:00:00 +0000]";
        for line in [
            String::new(),
            format!("10.0.0.1 - - {time} \"GET / HTTP/1.1\" 200 5 \"-\" \"curl"),
            format!("10.0.0.1 - - {time} \"GET / HTTP/1.1\" 200 5 \"-\""),
            format!("10.0.0.1 - - {time} \"GET / HTTP/1.1\" 20 5 \"-\" \"curl\""),
            format!("10.0.0.1 - - {time} \"GET / HTTP/1.1\" 200 x \"-\" \"curl\""),
            format!("10.0.0.1 - - {time} \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\" soon"),
            format!("10.0.0.1 - - {time} \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\" 1e3"),
            format!("10.0.0.1 - - {time} GET / HTTP/1.1 200 5 \"-\" \"curl\""),
            format!(" - - {time} \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\""),
            "10.0.0.1 - - [yesterday] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\"".to_owned(),
        ] {
            assert!(!is_request(&line), "{line:?}");
        }
    }

    #[test]
    fn lines_as_nginx_writes_them_are_requests() {
        let time = "[01/May/2024:12:00:00 +0000]";
        for line in [
            format!("::1 - alice smith {time} \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\""),
            format!("unix: - - {time} \"\" 400 0 \"-\" \"-\""),
            format!("10.0.0.1 - - {time} \"\\x16\\x03\\\"\\\\\" 400 157 \"-\" \"-\" 0.000"),
            format!("10.0.0.1 - - {time} \"GET /ü HTTP/1.1\" 499 0 \"http://a/[b]\" \"c d\" -"),
            format!("10.0.0.1 - - {time} \"GET / HTTP/1.1\" 200 - \"-\" \"curl\" 12"),
        ] {
            assert!(is_request(&line), "{line:?}");
        }
    }

    #[test]
    fn a_log_of_which_most_is_malformed_is_refused() {
        let text = format!("garbage\n{}more\n", line(0));
        let error = AccessLog::read(&text).expect_err("refused").to_string();
        assert_eq!(
            error,
            "nginx access log, line 1: \"garbage\" is malformed, as are most lines; give a log in \
             nginx's combined format, $request_time last or left out"
        );
        let error = AccessLog::read("\n").expect_err("refused").to_string();
        assert_eq!(
            error,
            "nginx access log: \"\" holds no load; give a source with at least one sample"
        );
    }

    #[test]
    fn a_log_that_spans_too_much_is_refused_before_memory_is_taken() {
        let old = line(0).replace("2024", "1970");
        let log = AccessLog::read(&(old + &line(0))).expect("a log");
        let error = log.trace("t", 1).expect_err("refused").to_string();
        assert_eq!(
            error,
            "nginx access log: \"1704153600 s\" is more than 4000000 steps after the first time; \
             correct it, take a longer step, or a part of the source"
        );
        assert!(log.trace("t", 0).is_err());
    }

    #[test]
    fn malformed_and_late_lines_are_counted_and_stated() {
        let text = format!("{}{}oops\n{}{}", line(7), line(4), line(9), line(24));
        let log = AccessLog::read(&text).expect("a log");
        assert_eq!(log.malformed().map(|it| (it.lines, it.first_line)), Some((1, 3)));
        let trace = log.trace("t", 5).expect("a trace");
        assert_eq!(trace.rates_per_s(), [0.4, 0.2, 0.0, 0.0, 0.2]);
        assert_eq!(trace.start_s(), 1_714_564_804);
        assert_eq!(
            trace.provenance(),
            [
                "4 requests of an access log, counted in steps of 5 s from the first on; the last \
                 step may be partial",
                "1 of 5 lines malformed and not counted, first line 3: \"oops\"",
                "lines sorted by time; they were up to 3 s late",
            ]
        );
    }
}
