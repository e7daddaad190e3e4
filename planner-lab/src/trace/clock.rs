//! Times as logs and exports write them, as seconds of Unix time. No time zones by name, no years
//! before 1970 or after 9999.

/// `2024-05-01T12:00:00Z`, with `T` or a space, `-` or `/`, seconds and their fraction left out at
/// will, and `Z`, `+02:00`, `+0200` or nothing for UTC. The fraction is dropped.
pub(super) fn iso(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' '])?;
    let separator = if date.contains('/') { '/' } else { '-' };
    let mut parts = date.split(separator);
    let (year, month, day) = (number(parts.next()?, 4)?, parts.next()?, parts.next()?);
    let (month, day) = (number(month, 2)?, number(day, 2)?);
    if parts.next().is_some() {
        return None;
    }
    let (time, offset_s) = zone(time.trim())?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut parts = time.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| number(second, 2))?;
    if parts.next().is_some() {
        return None;
    }
    Some(unix([year, month, day], [hour, minute, second])? - offset_s)
}

/// `10/Oct/2000:13:55:36 -0700`, nginx's `$time_local`.
pub(super) fn nginx(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (stamp, offset) = text.split_once(' ')?;
    let mut parts = stamp.split(['/', ':']);
    let day = number(parts.next()?, 2)?;
    let name = parts.next()?;
    let month = MONTHS.iter().zip(1..).find(|(own, _)| **own == name)?.1;
    let year = number(parts.next()?, 4)?;
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = number(parts.next()?, 2)?;
    if parts.next().is_some() {
        return None;
    }
    Some(unix([year, month, day], [hour, minute, second])? - offset_of(offset)?)
}

/// A time and the seconds that its zone is ahead of UTC.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    match time.find(['+', '-']) {
        None => Some((time, 0)),
        Some(at) => Some((time[..at].trim_end(), offset_of(&time[at..])?)),
    }
}

/// `+0200`, `+02:00` or `-07` as seconds ahead of UTC.
fn offset_of(text: &str) -> Option<i64> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = match minutes.strip_prefix(':').unwrap_or(minutes) {
        "" => 0,
        minutes => number(minutes, 2)?,
    };
    let hours = number(hours, 2)?;
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// Seconds from 1970 on, in the Gregorian calendar. A leap second counts as the one before.
fn unix([year, month, day]: [i64; 3], [hour, minute, second]: [i64; 3]) -> Option<i64> {
    const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    const IN_MONTH: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month - 1).ok().filter(|index| *index < 12)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = IN_MONTH[index] + i64::from(leap && month == 2);
    let valid = year >= 1970
        && (1..=last).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !valid {
        return None;
    }
    let before = year - 1;
    let leap_days = |years: i64| years / 4 - years / 100 + years / 400;
    let days = 365 * (year - 1970) + leap_days(before) - leap_days(1969)
        + BEFORE_MONTH[index]
        + i64::from(leap && month > 2)
        + day
        - 1;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second.min(59))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "T",
            "2024-05-01",
            "2023-02-29T00:00:00",
            "2024-13-01T00:00:00",
            "24-05-01T00:00",
            "2024-05-01T24:00:00",
            "2024-05-01T00:60:00",
            "2024-05-01T00:00:00+99:00",
            "2024-05-01T00:00:00.",
            "2024-05-01T00:00:00.x",
            "1969-12-31T23:59:59Z",
            "2024-05-01T00:00:00:00",
            "2024-05-01-02T00:00:00",
            "+024-05-01T00:00:00",
            "2024-05-01T00:00:00ü",
            "2024-05-01T00:00:00+ü",
        ] {
            assert_eq!(iso(text), None, "{text:?}");
        }
        for text in [
            "",
            "10/Oct/2000:13:55:36",
            "10/Okt/2000:13:55:36 +0000",
            "10/Oct/2000:13:55 +0000",
            "31/Feb/2000:13:55:36 +0000",
            "10/Oct/2000:13:55:36 0000",
            "10/Oct/2000:13:55:36:00 +0000",
        ] {
            assert_eq!(nginx(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_way_to_write_a_time_is_the_same_second() {
        for text in [
            "2024-05-01T12:00:00Z",
            "2024-05-01 12:00:00",
            "2024/05/01 12:00",
            "2024-05-01T12:00Z",
            "2024-05-01T12:00:00.750Z",
            "2024-05-01T14:00:00+02:00",
            "2024-05-01 05:00:00-0700",
            "2024-05-01 12:00:00 +00",
        ] {
            assert_eq!(iso(text), Some(1_714_564_800), "{text:?}");
        }
        assert_eq!(nginx("01/May/2024:14:00:00 +0200"), Some(1_714_564_800));
    }

    #[test]
    fn the_calendar_knows_leap_years_and_leap_seconds() {
        assert_eq!(iso("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(iso("2000-02-29T00:00:00Z"), Some(951_782_400));
        assert_eq!(iso("2100-03-01T00:00:00Z"), Some(4_107_542_400));
        assert_eq!(iso("2016-12-31T23:59:60Z"), iso("2016-12-31T23:59:59Z"));
        assert_eq!(nginx("10/Oct/2000:13:55:36 -0700"), Some(971_211_336));
    }
}
