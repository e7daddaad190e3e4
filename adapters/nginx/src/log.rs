//! What nginx says of one request: a line of the access log, as a syslog datagram. Pure.

/// The name of the log format, and the tag that our datagrams carry.
pub(crate) const FORMAT: &str = "planner";
/// The tag of requests to the status listener: nginx counts them too, they are nobody's traffic.
pub(crate) const OWN: &str = "planner_own";
/// The format: how long the request took in seconds, its status, and how long backends took.
pub(crate) const FIELDS: &str = "$request_time $status $upstream_response_time";

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The client went away, never asked in full, or made no sense: it says nothing of the service.
    Abandoned,
    /// No answer that can be used.
    Failure,
    /// A request to the status listener, whoever asked.
    Own,
    /// Answered by backends after so many milliseconds; how long the client took to send and to
    /// receive is left out.
    Success(f64),
    /// The backend did not answer in time.
    Timeout,
}

/// The outcome in a datagram; `None` when it is not one of ours or makes no sense.
pub(crate) fn parse(datagram: &[u8]) -> Option<Outcome> {
    // "<190>Nov 24 20:52:11 planner: 0.012 200 0.011"; nginx writes a date of its own making.
    let text = std::str::from_utf8(datagram).ok()?;
    let (head, fields) = text.split_once(": ")?;
    let tag = head.rsplit([' ', '>']).next()?;
    let mut fields = fields.split_ascii_whitespace();
    let (request_s, status) = (seconds(fields.next()?)?, fields.next()?);
    if status.len() != 3 {
        return None;
    }
    let status: u16 = status.parse().ok()?;
    match (tag, status) {
        (OWN, 100..=599) => Some(Outcome::Own),
        (FORMAT, 504) => Some(Outcome::Timeout),
        // 101: a connection that lives for hours is no answer.
        (FORMAT, 100..=199 | 400 | 408 | 499) => Some(Outcome::Abandoned),
        (FORMAT, 500..=599) => Some(Outcome::Failure),
        (FORMAT, 200..=498) => {
            backends_s(fields, request_s).map(|taken_s| Outcome::Success(taken_s * 1_000.0))
        }
        _ => None,
    }
}

/// What backends took together: "0.011", or "2.000, 0.011"; `otherwise` for none, which is "-". `None`
/// when it is neither.
fn backends_s<'a>(fields: impl Iterator<Item = &'a str>, otherwise: f64) -> Option<f64> {
    let mut sum: Option<f64> = None;
    for field in fields.map(|field| field.trim_end_matches(',')) {
        if !matches!(field, "-" | ":") {
            sum = Some(sum.unwrap_or(0.0) + seconds(field)?);
        }
    }
    Some(sum.unwrap_or(otherwise))
}

/// A time that a request can take.
fn seconds(text: &str) -> Option<f64> {
    text.parse().ok().filter(|seconds| (0.0..=1e5).contains(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: &str, fields: &str) -> Option<Outcome> {
        parse(format!("<190>Nov 24 20:52:11 {tag}: {fields}").as_bytes())
    }

    #[test]
    fn an_outcome_is_read_from_what_nginx_sends() {
        for (fields, outcome) in [
            ("0.050 200 0.012", Outcome::Success(12.0)),
            ("0.000 404 -", Outcome::Success(0.0)),
            ("2.050 200 2.000, 0.012", Outcome::Success(2_012.0)),
            ("2.050 200 2.000, 0.012 : 0.001", Outcome::Success(2_013.0)),
            ("2.500 504 2.500", Outcome::Timeout),
            ("0.001 503 0.000", Outcome::Failure),
            ("0.300 499 -", Outcome::Abandoned),
            ("60.0 408 -", Outcome::Abandoned),
            ("0.000 400 -", Outcome::Abandoned),
            ("4000.0 101 4000.0", Outcome::Abandoned),
        ] {
            assert_eq!(read(FORMAT, fields), Some(outcome), "{fields}");
        }
        assert_eq!(read(OWN, "0.000 200 -"), Some(Outcome::Own));
        assert_eq!(parse(b"<190>planner: 0.050 200 -"), Some(Outcome::Success(50.0)));
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        for junk in [
            "",
            "0.1",
            "0.1 20",
            "0.1 2000",
            "0.1 -20",
            "0.1 099",
            "0.1 600",
            "NaN 200",
            "inf 200",
            "-1 200",
            "1e6 200",
            "0.1 200 more",
            "0.1 200 1e9",
        ] {
            assert_eq!(read(FORMAT, junk), None, "{junk}");
        }
        for tag in ["other", "xplanner", "planner_", ""] {
            assert_eq!(read(tag, "0.1 200 -"), None, "{tag}");
        }
        assert_eq!(parse(b"planner 0.1 200"), None);
        assert_eq!(parse(b"planner: 0.1 200\xff"), None);
    }
}
