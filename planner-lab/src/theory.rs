//! What queueing theory says of steady queues: the yardstick of the plants.
//!
//! Closed formulas only, for Poisson arrivals and first come, first served. Notation: `c` servers,
//! `a` the offered load in Erlang (arrival rate times mean service time), `a / c` the utilisation.
//! A queue whose utilisation is 1 or more has no steady state, which is an error here, not an
//! infinite number.

use std::ops::RangeInclusive;

/// The most servers.
pub const SERVERS_MAX: u32 = 1_000_000;

/// Why a formula has no answer.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TheoryError {
    /// A number outside its range.
    #[error("{argument}: {value} is not {rule}; change it")]
    OutOfRange {
        /// The argument's name.
        argument: &'static str,
        /// What it was.
        value: f64,
        /// What it has to be.
        rule: &'static str,
    },
    /// More work arrives than the servers can do.
    #[error("utilisation: {utilisation} is not below 1; add servers or offer less")]
    Unstable {
        /// Offered load per server.
        utilisation: f64,
    },
}

/// The share of requests that find all of `servers` busy when what finds them busy is lost
/// (M/G/c/c, Erlang B), at an offered load of 0 to 1e9 Erlang.
///
/// By the recursion `1/B(k) = 1 + k/a · 1/B(k-1)`, all terms of which are positive, so nothing
/// cancels and nothing overflows before the answer is 0 to the last bit (Jagerman 1974; Cooper,
/// *Introduction to Queueing Theory*, 1981, chapter 3). O(servers).
///
/// # Errors
///
/// [`TheoryError::OutOfRange`] for 0 servers or more than [`SERVERS_MAX`], or a load out of range.
pub fn erlang_b(servers: u32, offered: f64) -> Result<f64, TheoryError> {
    within("servers", f64::from(servers), 1.0..=f64::from(SERVERS_MAX), "from 1 to 1000000")?;
    within("offered", offered, 0.0..=1e9, "a load from 0 to 1e9 Erlang")?;
    if offered == 0.0 {
        return Ok(0.0);
    }
    let mut inverse = 1.0;
    for server in 1..=servers {
        inverse = 1.0 + f64::from(server) / offered * inverse;
    }
    Ok(1.0 / inverse)
}

/// The share of requests that have to wait in M/M/c (Erlang C), from Erlang B:
/// `C = B / (1 - (a/c)(1 - B))` (Cooper 1981, chapter 3). O(servers).
///
/// # Errors
///
/// As [`erlang_b`], and [`TheoryError::Unstable`].
pub fn erlang_c(servers: u32, offered: f64) -> Result<f64, TheoryError> {
    let blocked = erlang_b(servers, offered)?;
    let utilisation = stable(offered / f64::from(servers))?;
    Ok(blocked / (1.0 - utilisation * (1.0 - blocked)))
}

/// The mean wait for service in M/M/c, in seconds: `C · s / (c - a)` with the mean service time
/// `s` (Kleinrock, *Queueing Systems* I, 1975, section 3.5). O(servers).
///
/// # Errors
///
/// [`TheoryError`] for arguments out of range or an unstable queue.
pub fn mmc_wait_mean_s(
    servers: u32,
    arrivals_per_s: f64,
    service_mean_s: f64,
) -> Result<f64, TheoryError> {
    let offered = offered(arrivals_per_s, service_mean_s)?;
    let waits = erlang_c(servers, offered)?;
    Ok(waits * service_mean_s / (f64::from(servers) - offered))
}

/// The share of requests that wait longer than `wait_s` seconds in M/M/c:
/// `C · exp(-(c - a) t / s)` (Kleinrock 1975, section 3.5; Cooper 1981, chapter 3). O(servers).
///
/// # Errors
///
/// [`TheoryError`] for arguments out of range or an unstable queue.
pub fn mmc_wait_above(
    servers: u32,
    arrivals_per_s: f64,
    service_mean_s: f64,
    wait_s: f64,
) -> Result<f64, TheoryError> {
    within("wait_s", wait_s, 0.0..=f64::MAX, "a time from 0 seconds on")?;
    let offered = offered(arrivals_per_s, service_mean_s)?;
    let waits = erlang_c(servers, offered)?;
    Ok(waits * (-(f64::from(servers) - offered) * wait_s / service_mean_s).exp())
}

/// The mean wait for service in M/G/1, in seconds: `ρ s (1 + c²) / (2 (1 - ρ))` with the squared
/// coefficient of variation `c²` of service times, 0 to 1e6 (Pollaczek and Khinchine; Kleinrock
/// 1975, section 5.6).
///
/// # Errors
///
/// [`TheoryError`] for arguments out of range or an unstable queue.
pub fn mg1_wait_mean_s(
    arrivals_per_s: f64,
    service_mean_s: f64,
    service_scv: f64,
) -> Result<f64, TheoryError> {
    within("service_scv", service_scv, 0.0..=1e6, "a number from 0 to 1e6")?;
    let utilisation = stable(offered(arrivals_per_s, service_mean_s)?)?;
    Ok(utilisation * service_mean_s * (1.0 + service_scv) / (2.0 * (1.0 - utilisation)))
}

/// The mean wait for service in M/D/1, in seconds: that of M/G/1 without variance.
///
/// # Errors
///
/// [`TheoryError`] for arguments out of range or an unstable queue.
pub fn md1_wait_mean_s(arrivals_per_s: f64, service_mean_s: f64) -> Result<f64, TheoryError> {
    mg1_wait_mean_s(arrivals_per_s, service_mean_s, 0.0)
}

/// The offered load of checked numbers.
fn offered(arrivals_per_s: f64, service_mean_s: f64) -> Result<f64, TheoryError> {
    within("arrivals_per_s", arrivals_per_s, 0.0..=1e9, "a rate from 0 to 1e9 a second")?;
    within("service_mean_s", service_mean_s, 1e-9..=1e9, "a time from 1e-9 to 1e9 seconds")?;
    Ok(arrivals_per_s * service_mean_s)
}

fn stable(utilisation: f64) -> Result<f64, TheoryError> {
    if utilisation < 1.0 { Ok(utilisation) } else { Err(TheoryError::Unstable { utilisation }) }
}

fn within(
    argument: &'static str,
    value: f64,
    range: RangeInclusive<f64>,
    rule: &'static str,
) -> Result<(), TheoryError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(TheoryError::OutOfRange { argument, value, rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: Result<f64, TheoryError>, expected: f64) {
        let value = value.expect("within the ranges");
        assert!((value / expected - 1.0).abs() < 1e-9, "{value} for {expected}");
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        let text = erlang_b(0, 1.0).expect_err("no servers").to_string();
        assert_eq!(text, "servers: 0 is not from 1 to 1000000; change it");
        let text = mmc_wait_mean_s(1, f64::NAN, 1.0).expect_err("no rate").to_string();
        assert_eq!(text, "arrivals_per_s: NaN is not a rate from 0 to 1e9 a second; change it");
        assert!(mg1_wait_mean_s(0.5, 1.0, -1.0).is_err());
        assert!(mmc_wait_above(1, 0.5, 1.0, -1.0).is_err());
    }

    #[test]
    fn an_unstable_queue_has_no_mean_wait() {
        let text = mmc_wait_mean_s(2, 3.0, 1.0).expect_err("overload").to_string();
        assert_eq!(text, "utilisation: 1.5 is not below 1; add servers or offer less");
        assert!(md1_wait_mean_s(1.0, 1.0).is_err());
    }

    #[test]
    fn one_server_is_the_queue_of_the_textbook() {
        near(erlang_b(1, 3.0), 0.75);
        near(erlang_c(1, 0.7), 0.7);
        near(mmc_wait_mean_s(1, 0.8, 1.0), 4.0);
        near(mmc_wait_above(1, 0.8, 1.0, 5.0), 0.8 * (-1.0_f64).exp());
        near(mg1_wait_mean_s(0.8, 1.0, 1.0), 4.0);
        near(md1_wait_mean_s(0.8, 1.0), 2.0);
    }

    #[test]
    fn a_few_servers_are_what_their_sums_say() {
        // By hand: B(2, 1) = (1/2) / (1 + 1 + 1/2) = 1/5, C(2, 1) = 1/3;
        // B(3, 2) = (8/6) / (1 + 2 + 2 + 8/6) = 4/19, C(3, 2) = 4/9.
        near(erlang_b(2, 1.0), 0.2);
        near(erlang_c(2, 1.0), 1.0 / 3.0);
        near(erlang_b(3, 2.0), 4.0 / 19.0);
        near(erlang_c(3, 2.0), 4.0 / 9.0);
    }

    #[test]
    fn a_million_servers_and_no_load_are_no_trouble() {
        assert_eq!(erlang_b(SERVERS_MAX, 0.0), Ok(0.0));
        assert_eq!(erlang_b(SERVERS_MAX, 1e-3), Ok(0.0));
        let waits = erlang_c(SERVERS_MAX, 999_000.0).expect("stable");
        // Halfin and Whitt's limit for a staffing of one square root above the load.
        assert!((0.2..0.25).contains(&waits), "{waits}");
    }
}
