//! How long a provider asks to be left alone: headers, structured details, and plain text.

use std::time::{Duration, SystemTime};

use serde_json::Value;

/// The wait that a reply asks for, in the order in which its places are believed. A date is taken
/// against the reply's own `Date`, so that no clock of this machine matters; one that is past asks
/// for nothing. What is no hint is none: the caller backs off by itself then.
pub(crate) fn wait(
    headers: &[(String, String)],
    body: &Value,
    now: SystemTime,
) -> Option<Duration> {
    let header = |name: &str| {
        let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let millis = header("retry-after-ms").and_then(|text| seconds(text, 1e-3));
    let retry_after = || {
        let text = header("retry-after")?;
        let sent = || header("date").and_then(|date| httpdate::parse_http_date(date).ok());
        let until = || {
            let date = httpdate::parse_http_date(text).ok()?;
            Some(date.duration_since(sent().unwrap_or(now)).unwrap_or_default())
        };
        seconds(text, 1.0).or_else(until)
    };
    millis.or_else(retry_after).or_else(|| delay_of_details(body)).or_else(|| {
        let message = error_of(body).get("message").and_then(Value::as_str)?;
        delay_of_text(message)
    })
}

/// The object that describes an error, wherever providers put it.
pub(crate) fn error_of(body: &Value) -> &Value {
    let body = body.get(0).unwrap_or(body);
    body.get("error").unwrap_or(body)
}

/// A plain number of a unit.
fn seconds(text: &str, unit_s: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(number * unit_s).ok()
}

/// Google's `RetryInfo`: `"34.07s"`.
fn delay_of_details(body: &Value) -> Option<Duration> {
    let details = error_of(body).get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    go_duration(delay)
}

/// `Please retry in 10h17m5.72s.`, wherever it stands.
fn delay_of_text(message: &str) -> Option<Duration> {
    let (_, after) =
        message.split_once("retry in ").or_else(|| message.split_once("try again in "))?;
    let end = after.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '.'));
    go_duration(after.get(..end.unwrap_or(after.len()))?.trim_end_matches('.'))
}

/// A duration as Go writes it: `10h17m5.72s`, `900ms`.
fn go_duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (Duration::ZERO, text);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))?;
        let (number, after) = rest.split_at_checked(digits)?;
        let letters =
            after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(letters)?;
        let unit_s = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(seconds(number, unit_s)?)?;
        rest = after;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn header(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    fn of(headers: &[(String, String)], body: &Value) -> Option<f64> {
        wait(headers, body, SystemTime::UNIX_EPOCH).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn each_place_is_read_and_the_most_exact_one_is_believed() {
        let info = json!({"error": {"message": "Please retry in 10h17m5.72s.",
            "details": [{"retryDelay": "34.07s"}]}});
        let after = header("Retry-After", "7");
        assert_eq!(of(&[after.clone(), header("retry-after-ms", "900")], &info), Some(0.9));
        assert_eq!(of(&[after], &info), Some(7.0));
        assert_eq!(of(&[], &info), Some(34.07));
        let text = json!([{"error": {"message": "Please retry in 10h17m5.72s."}}]);
        assert_eq!(of(&[], &text), Some(37_025.72));
        let other = json!({"error": {"message": "Try later; try again in 6m0s, or so"}});
        assert_eq!(of(&[], &other), Some(360.0));
    }

    #[test]
    fn a_date_is_taken_against_the_date_of_the_reply() {
        let date = header("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (until, expected) in [
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30.0)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0.0)),
            ("tomorrow", None),
        ] {
            let headers = [date.clone(), header("Retry-After", until)];
            assert_eq!(of(&headers, &Value::Null), expected, "{until}");
        }
    }

    #[test]
    fn what_is_no_hint_is_none() {
        for text in ["-1", "NaN", "inf", "1e400", "", "soon"] {
            assert_eq!(of(&[header("retry-after", text)], &Value::Null), None, "{text}");
        }
        for text in ["", "5", "s", "5x", "1h5", "..s", "99999999999999999999h"] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_does_harm(value in ".{0,40}", message in ".{0,80}", delay in ".{0,20}") {
            let body = json!({"error": {"message": message, "details": [{"retryDelay": delay}]}});
            let _hint_or_none = of(&[header("retry-after", &value)], &body);
            let retry = json!({"error": {"message": format!("retry in {message}")}});
            let _hint_or_none = of(&[], &retry);
        }

        #[test]
        fn a_duration_as_go_writes_it_is_read(
            hours in 0_u32..200, minutes in 0_u32..60, millis in 0_u32..60_000,
        ) {
            let seconds = f64::from(millis) / 1e3;
            let wait = go_duration(&format!("{hours}h{minutes}m{seconds}s")).expect("a duration");
            let expected = f64::from(hours) * 3_600.0 + f64::from(minutes) * 60.0 + seconds;
            prop_assert!((wait.as_secs_f64() - expected).abs() < 1e-6);
        }
    }
}
