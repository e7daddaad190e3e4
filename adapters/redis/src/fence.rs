//! The executor's fence: of many planners only the newest is obeyed, and no order twice.
//!
//! A lease is no fence: its holder may have been asleep. The executor therefore remembers, across
//! restarts, the newest epoch and the last number that it obeyed. Storing a [`Fence`] is its
//! owner's business; it must be on disk before the order is carried out.

/// What an executor is to obey.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what the wire says of an order")]
pub struct Order {
    /// How many replicas there are to be.
    pub replicas: u32,
    /// Epoch of the planner that gives it.
    pub epoch: u64,
    /// Its number within the epoch.
    pub seq: u64,
    /// Number of the decision, where there was one.
    pub id: Option<u64>,
    /// Until when it may be obeyed, seconds since 1970.
    pub expires_ts: f64,
    /// Why, for people.
    pub reason: String,
}

/// The newest order that was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Fence {
    /// The newest epoch of which an order was accepted; 0 before the first.
    pub epoch_max: u64,
    /// The last number accepted within it.
    pub seq_last: u64,
}

/// Why an order is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is too late for it.
    #[error("expires_ts: {by_s:.1} s ago; give a new order, or set the clocks right")]
    Expired {
        /// How long ago it expired, seconds.
        by_s: f64,
    },
    /// The very order that was accepted last. Harmless: it is obeyed already.
    #[error("seq: {seq} of epoch {epoch} is the order that is obeyed already; nothing to do")]
    Repeated {
        /// Its epoch.
        epoch: u64,
        /// Its number.
        seq: u64,
    },
    /// A newer planner has given orders.
    #[error("epoch: {epoch} is older than {newest}; this planner must stop, another one leads")]
    StaleEpoch {
        /// Its epoch.
        epoch: u64,
        /// The newest.
        newest: u64,
    },
    /// A newer order of the same planner was accepted.
    #[error("seq: {seq} of epoch {epoch} is older than {last}; the newer order stands")]
    StaleSeq {
        /// Its epoch.
        epoch: u64,
        /// Its number.
        seq: u64,
        /// The last.
        last: u64,
    },
}

impl Fence {
    /// Whether an order is to be obeyed at `now_wall_s`, seconds since 1970. One that is accepted
    /// is remembered; one that is refused changes nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why not. [`Refusal::Repeated`] is harmless.
    pub fn judge(&mut self, order: &Order, now_wall_s: f64) -> Result<(), Refusal> {
        let (epoch, seq) = (order.epoch, order.seq);
        if epoch < self.epoch_max {
            return Err(Refusal::StaleEpoch { epoch, newest: self.epoch_max });
        }
        if epoch == self.epoch_max && seq == self.seq_last {
            return Err(Refusal::Repeated { epoch, seq });
        }
        if epoch == self.epoch_max && seq < self.seq_last {
            return Err(Refusal::StaleSeq { epoch, seq, last: self.seq_last });
        }
        let left_s = order.expires_ts - now_wall_s;
        // No number is not in time.
        if !(0.0..).contains(&left_s) {
            return Err(Refusal::Expired { by_s: -left_s });
        }
        (self.epoch_max, self.seq_last) = (epoch, seq);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(epoch: u64, seq: u64, expires_ts: f64) -> Order {
        Order { replicas: 3, epoch, seq, id: None, expires_ts, reason: String::new() }
    }

    #[test]
    fn every_refusal_says_what_rule_and_what_to_do() {
        let mut fence = Fence { epoch_max: 5, seq_last: 9 };
        for (order, text) in [
            (
                order(4, 99, 200.0),
                "epoch: 4 is older than 5; this planner must stop, another one leads",
            ),
            (order(5, 8, 200.0), "seq: 8 of epoch 5 is older than 9; the newer order stands"),
            (
                order(5, 9, 200.0),
                "seq: 9 of epoch 5 is the order that is obeyed already; nothing to do",
            ),
            (
                order(5, 10, 99.5),
                "expires_ts: 0.5 s ago; give a new order, or set the clocks right",
            ),
        ] {
            assert_eq!(fence.judge(&order, 100.0).expect_err("refused").to_string(), text);
        }
        assert_eq!(fence, Fence { epoch_max: 5, seq_last: 9 });
    }

    #[test]
    fn an_order_without_a_time_is_refused() {
        let mut fence = Fence::default();
        assert!(fence.judge(&order(1, 1, f64::NAN), 100.0).is_err());
        assert!(fence.judge(&order(1, 1, 200.0), f64::NAN).is_err());
        assert_eq!(fence.judge(&order(1, 1, 100.0), 100.0), Ok(()));
    }

    #[test]
    fn a_fence_is_stored_and_read_again() {
        let fence = Fence { epoch_max: 5, seq_last: 9 };
        let text = serde_json::to_string(&fence).expect("text");
        assert_eq!(serde_json::from_str::<Fence>(&text).expect("a fence"), fence);
    }

    proptest! {
        #[test]
        fn accepted_orders_rise_strictly(
            orders in prop::collection::vec((0_u64..4, 0_u64..6, 90.0..110.0), 0..60)
        ) {
            let mut fence = Fence::default();
            let mut accepted = vec![(0, 0)];
            for (epoch, seq, expires_ts) in orders {
                if fence.judge(&order(epoch, seq, expires_ts), 100.0).is_ok() {
                    prop_assert!(expires_ts >= 100.0);
                    accepted.push((epoch, seq));
                }
            }
            prop_assert!(accepted.is_sorted_by(|one, next| one < next), "{accepted:?}");
        }
    }
}
