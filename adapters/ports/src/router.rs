//! Bringing requests to replicas.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;

/// A load balancer's membership.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Router: Send + Sync {
    /// Makes `backends` the exact set that new requests go to. Returns when that is in effect and
    /// verified. No request that was accepted before is lost. An empty set is legal: requests then
    /// wait or are refused with 503, as the implementation documents.
    async fn route(&self, backends: &[SocketAddr]) -> Result<(), RouterError>;

    /// Waits until `backend`, no longer routed to, has no request under way, at most `deadline`
    /// long. Returns whether it is idle.
    async fn drained(&self, backend: SocketAddr, deadline: Duration) -> Result<bool, RouterError>;
}

/// Refuses backends that no request can be passed to: without an address, without a port, or with
/// the scope of an IPv6 address, which means nothing to another process.
///
/// ```
/// use planner_ports::refuse_strange;
///
/// let strange = [([10, 0, 0, 7], 8_080).into(), ([10, 0, 0, 7], 0).into()];
/// let refused = refuse_strange(&strange).expect_err("no port");
/// assert!(refused.to_string().contains("10.0.0.7:0 is no address of a backend; leave it out"));
/// ```
///
/// # Errors
///
/// [`RouterError::Refused`] names the first of them.
pub fn refuse_strange(backends: &[SocketAddr]) -> Result<(), RouterError> {
    let is_strange = |address: &&SocketAddr| {
        let scoped = matches!(address, SocketAddr::V6(address) if address.scope_id() != 0);
        address.ip().is_unspecified() || address.port() == 0 || scoped
    };
    match backends.iter().find(is_strange) {
        None => Ok(()),
        Some(strange) => {
            let cause = format!("{strange} is no address of a backend; leave it out");
            Err(RouterError::Refused { cause })
        }
    }
}

/// Why the membership could not be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouterError {
    /// The load balancer refused the membership; the one before stays in effect.
    #[error(
        "backends: refused by the load balancer: {cause}; the membership before stays in effect"
    )]
    Refused {
        /// What it said.
        cause: String,
    },
    /// The load balancer cannot be reached or failed; the membership before stays in effect.
    #[error("the load balancer did not answer: {cause}; it is asked again")]
    Unavailable {
        /// What went wrong.
        cause: String,
    },
}
