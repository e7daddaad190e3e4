//! What nginx says of one request: a line of the access log, as a syslog datagram. Pure.

/// The name of the log format, and the tag that our datagrams carry.
pub(crate) const FORMAT: &str = "planner";
/// The tag of requests to the status listener: nginx counts them too, they are nobody's traffic.
pub(crate) const OWN: &str = "planner_own";
/// The format: how long the request took in seconds, and its status.
pub(crate) const FIELDS: &str = "$request_time $status";

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The client went away: nobody waits for an answer, and nothing is known of it.
    Abandoned,
    /// No answer that can be used.
    Failure,
    /// A request to the status listener, whoever asked.
    Own,
    /// Answered after so many milliseconds.
    Success(f64),
    /// The backend did not answer in time.
    Timeout,
}

/// The outcome in a datagram; `None` when it is not one of ours or makes no sense.
pub(crate) fn parse(datagram: &[u8]) -> Option<Outcome> {
    // "<190>Nov 24 20:52:11 planner: 0.012 200"; nginx writes a date of its own making.
    let text = std::str::from_utf8(datagram).ok()?;
    let (head, fields) = text.split_once(": ")?;
    let own = head.ends_with(OWN);
    if !own && !head.ends_with(FORMAT) {
        return None;
    }
    let mut fields = fields.split_ascii_whitespace();
    let (seconds, status) = (fields.next()?.parse::<f64>().ok()?, fields.next()?);
    if fields.next().is_some() || !(0.0..=1e6).contains(&seconds) || status.len() != 3 {
        return None;
    }
    match status.parse().ok()? {
        100..=599 if own => Some(Outcome::Own),
        408 | 504 => Some(Outcome::Timeout),
        499 => Some(Outcome::Abandoned),
        500..=599 => Some(Outcome::Failure),
        100..=498 => Some(Outcome::Success(seconds * 1_000.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_from_what_nginx_sends() {
        let read =
            |fields: &str| parse(format!("<190>Nov 24 20:52:11 planner: {fields}").as_bytes());
        assert_eq!(read("0.012 200"), Some(Outcome::Success(12.0)));
        assert_eq!(read("0.000 404"), Some(Outcome::Success(0.0)));
        assert_eq!(read("2.500 504"), Some(Outcome::Timeout));
        assert_eq!(read("0.001 503"), Some(Outcome::Failure));
        assert_eq!(read("0.300 499"), Some(Outcome::Abandoned));
        assert_eq!(parse(b"<190>Nov 24 20:52:11 planner_own: 0.000 200"), Some(Outcome::Own));
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        for junk in [
            "",
            "planner: ",
            "planner: 0.1",
            "planner: 0.1 20",
            "planner: 0.1 2000",
            "planner: 0.1 -20",
            "planner: 0.1 099",
            "planner: NaN 200",
            "planner: inf 200",
            "planner: -1 200",
            "planner: 1e7 200",
            "planner: 0.1 200 more",
            "other: 0.1 200",
            "planner_other: 0.1 200",
        ] {
            assert_eq!(parse(junk.as_bytes()), None, "{junk}");
        }
        assert_eq!(parse(b"planner: 0.1 200\xff"), None);
    }
}
