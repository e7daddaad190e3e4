//! When a spent quota comes back.

use std::time::{Duration, SystemTime};

use crate::Provider;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY_S: u64 = 86_400;

/// How long a spent quota stays spent where the provider does not say it: until the reset that its
/// documentation names. Gemini's day begins at midnight Pacific, which is at the latest 08:00 UTC;
/// Anthropic's month on the first, 00:00 UTC. Where nothing is known, an hour, and one probe.
pub(crate) fn until_reset(provider: Provider, now: SystemTime) -> Duration {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    match provider {
        Provider::Gemini => until_time_of_day(since.as_secs(), 8 * 3_600),
        Provider::Anthropic => until_next_month(since.as_secs()),
        Provider::Ollama | Provider::OpenAi => HOUR,
    }
}

/// Until the next time at which so many seconds of the day have passed.
fn until_time_of_day(now_s: u64, at_s: u64) -> Duration {
    let ahead = (at_s + DAY_S - now_s % DAY_S) % DAY_S;
    Duration::from_secs(if ahead == 0 { DAY_S } else { ahead })
}

/// Until the first day of the next month. Days to civil dates after Howard Hinnant's
/// `civil_from_days`.
fn until_next_month(now_s: u64) -> Duration {
    let mut day = now_s / DAY_S + 1;
    while day_of_month(day) != 1 {
        day += 1;
    }
    Duration::from_secs(day * DAY_S - now_s)
}

/// The day of the month of a day since 1970.
const fn day_of_month(day: u64) -> u64 {
    let shifted = day + 719_468;
    let era_day = shifted % 146_097;
    let year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * year + year / 4 - year / 100);
    let month = (5 * year_day + 2) / 153;
    year_day - (153 * month + 2) / 5 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_day_of_gemini_ends_at_midnight_pacific() {
        // 2026-11-25 16:00 UTC.
        let now = at(1_795_622_400);
        assert_eq!(until_reset(Provider::Gemini, now), HOUR * 16);
        assert_eq!(until_reset(Provider::Gemini, now + HOUR * 16), HOUR * 24);
        assert_eq!(until_reset(Provider::OpenAi, now), HOUR);
    }

    #[test]
    fn a_month_ends_where_the_calendar_says() {
        for (now, days) in [
            (1_795_564_800, 6), // 2026-11-25 00:00
            (1_798_675_200, 1), // 2026-12-31 00:00
            (1_709_078_400, 2), // 2024-02-28 00:00, a leap year
            (1_677_542_400, 1), // 2023-02-28 00:00
        ] {
            let wait = until_reset(Provider::Anthropic, at(now));
            assert_eq!(wait, Duration::from_secs(days * DAY_S), "{now}");
        }
    }
}
