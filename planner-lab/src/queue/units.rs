//! Between seconds, as people write them, and whole nanoseconds, as the simulation counts.

/// Nanoseconds in a second.
const NANOS_PER_S: f64 = 1e9;

/// Seconds as nanoseconds, rounded to the nearest; what is negative or no number is 0.
pub(super) const fn nanos(seconds: f64) -> u64 {
    whole(seconds * NANOS_PER_S)
}

/// A number rounded to the nearest whole; what is negative or no number is 0.
pub(super) const fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and its ends are what is wanted"
    )]
    let whole = (number + 0.5) as u64;
    whole
}

/// Nanoseconds as seconds.
pub(super) const fn seconds(nanos: u64) -> f64 {
    nanos as f64 / NANOS_PER_S
}

/// A sum of nanoseconds as seconds.
pub(super) const fn seconds_of_sum(nanos: u128) -> f64 {
    nanos as f64 / NANOS_PER_S
}

/// A count as far as 32 bits hold it.
pub(super) fn count(number: impl TryInto<u32>) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}
