//! The newest of something: messages only wake, what counts stands under a key.

use std::time::Duration;

use planner_core::ServiceId;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::wire::{Membership, Routing, WireError};
use crate::{Bus, BusError, Channel, Reader};

/// How often the key is read although nobody said anything.
const POLL: Duration = Duration::from_secs(2);

/// A message that is kept under a key.
trait Kept: Sized + Clone {
    const CHANNEL: Channel;
    const KEY: &'static str;
    fn parse(bytes: &[u8]) -> Result<Self, WireError>;
    fn service(&self) -> &ServiceId;
    /// Its number, which does not fall; where there is none, it is not asked.
    fn seq(&self) -> Option<u64>;
    /// Whether it says the same, at whatever time.
    fn says_the_same(&self, other: &Self) -> bool;
}

impl Kept for Membership {
    const CHANNEL: Channel = Channel::Membership;
    const KEY: &'static str = "members";

    fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        Self::parse(bytes)
    }

    fn service(&self) -> &ServiceId {
        &self.service
    }

    fn seq(&self) -> Option<u64> {
        Some(self.seq)
    }

    fn says_the_same(&self, other: &Self) -> bool {
        Self { ts: other.ts, ..self.clone() } == *other
    }
}

impl Kept for Routing {
    const CHANNEL: Channel = Channel::Routing;
    const KEY: &'static str = "routed";

    fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        Self::parse(bytes)
    }

    fn service(&self) -> &ServiceId {
        &self.service
    }

    fn seq(&self) -> Option<u64> {
        self.seq
    }

    fn says_the_same(&self, other: &Self) -> bool {
        Self { ts: other.ts, ..self.clone() } == *other
    }
}

#[derive(Debug)]
struct Latest<T> {
    bus: Bus,
    reader: Reader,
    poll: Interval,
    /// Whether the key is to be read; stays so when the reading is given up halfway.
    due: bool,
    /// Whether the last reading failed, and was told.
    failing: bool,
    last: Option<T>,
    refused: u64,
}

impl<T: Kept> Latest<T> {
    fn new(bus: &Bus) -> Self {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            bus: bus.clone(),
            reader: Reader::follow(bus, T::CHANNEL, 0),
            poll,
            due: true,
            failing: false,
            last: None,
            refused: 0,
        }
    }

    async fn next(&mut self) -> Result<T, BusError> {
        loop {
            if !self.due {
                tokio::select! {
                    entry = self.reader.next() => {
                        self.due = true;
                        entry?;
                        while self.reader.waiting().is_some_and(|entry| entry.is_ok()) {}
                    }
                    _ = self.poll.tick() => self.due = true,
                }
            }
            let kept = self.bus.kept(T::KEY).await;
            self.due = false;
            match kept {
                Ok(bytes) => {
                    self.failing = false;
                    if let Some(news) = bytes.and_then(|bytes| self.judge(&bytes)) {
                        return Ok(news);
                    }
                }
                Err(error) if !self.failing => {
                    self.failing = true;
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    /// What a kept message says, if that is new.
    fn judge(&mut self, bytes: &[u8]) -> Option<T> {
        match self.bus.verify(bytes).and_then(|()| T::parse(bytes)) {
            Ok(kept) if kept.service() == self.bus.service() && !self.is_replayed(&kept) => {
                if self.last.as_ref().is_some_and(|last| last.says_the_same(&kept)) {
                    return None;
                }
                self.last = Some(kept.clone());
                Some(kept)
            }
            Ok(_) | Err(_) => {
                self.refused += 1;
                None
            }
        }
    }

    /// Whether it was said before what was heard last. A seal says who wrote a message and not
    /// when; without one anybody may write any number.
    fn is_replayed(&self, kept: &T) -> bool {
        let last = self.last.as_ref().and_then(T::seq);
        self.bus.has_mac_key() && kept.seq().zip(last).is_some_and(|(seq, last)| seq < last)
    }
}

/// Which replicas there are, for those who route to them or show them.
#[derive(Debug)]
pub struct MembershipReader(Latest<Membership>);

impl MembershipReader {
    /// Follows what the executor says. To be called within a tokio runtime.
    pub fn new(bus: &Bus) -> Self {
        Self(Latest::new(bus))
    }

    /// The newest membership, once it differs from the one given before; those between are left
    /// out. Its `seq` is what [`Routing::answering`] wants. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] once for each loss of the connection.
    pub async fn next(&mut self) -> Result<Membership, BusError> {
        self.0.next().await
    }

    /// How often a message was refused, which counts again each time it is read.
    pub const fn refused(&self) -> u64 {
        self.0.refused
    }
}

/// Where requests go, for those who wait for it or show it.
#[derive(Debug)]
pub struct RoutingReader(Latest<Routing>);

impl RoutingReader {
    /// Follows what the load balancer's keeper says. To be called within a tokio runtime.
    pub fn new(bus: &Bus) -> Self {
        Self(Latest::new(bus))
    }

    /// The newest routing, once it differs from the one given before; those between are left out.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] once for each loss of the connection.
    pub async fn next(&mut self) -> Result<Routing, BusError> {
        self.0.next().await
    }

    /// How often a message was refused, which counts again each time it is read.
    pub const fn refused(&self) -> u64 {
        self.0.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RedisSettings;
    use crate::wire::{MacKey, seal};

    #[tokio::test]
    async fn with_a_key_what_is_forged_or_said_again_later_is_refused() {
        let shop = ServiceId::new("shop").expect("a name");
        let key = MacKey::new(b"sixteen bytes or more").expect("long enough");
        let mut settings = RedisSettings::new("redis://127.0.0.1:1/", shop.clone());
        settings.mac_key = Some(key.clone());
        let mut latest = Latest::<Membership>::new(&Bus::open(settings).await.expect("settings"));
        let said = |seq| Membership::new(shop.clone(), 1, seq, 10.0, Vec::new());
        let sealed = |seq| seal(&said(seq).write(), &key).into_bytes();
        assert_eq!(latest.judge(said(7).write().as_bytes()), None, "not sealed");
        assert_eq!(latest.judge(&sealed(7)), Some(said(7)));
        let forged =
            String::from_utf8(sealed(8)).expect("text").replace("\"epoch\":1", "\"epoch\":2");
        assert_eq!(latest.judge(forged.as_bytes()), None);
        assert_eq!(latest.judge(&sealed(6)), None, "it was said before");
        assert_eq!(latest.judge(&sealed(8)), Some(said(8)));
        assert_eq!(latest.refused, 3);
    }

    #[tokio::test]
    async fn only_what_is_new_and_ours_is_given() {
        let shop = ServiceId::new("shop").expect("a name");
        let bus = Bus::open(RedisSettings::new("redis://127.0.0.1:1/", shop.clone())).await;
        let mut latest = Latest::<Membership>::new(&bus.expect("settings"));
        let first = Membership::new(shop.clone(), 1, 1, 10.0, Vec::new());
        assert_eq!(latest.judge(first.write().as_bytes()), Some(first.clone()));
        let later = Membership { ts: 15.0, ..first.clone() };
        assert_eq!(latest.judge(later.write().as_bytes()), None);
        let changed = Membership { seq: 2, ..later };
        assert_eq!(latest.judge(changed.write().as_bytes()), Some(changed.clone()));
        let other = ServiceId::new("search").expect("a name");
        let strange = Membership { service: other, ..changed };
        assert_eq!(latest.judge(strange.write().as_bytes()), None);
        assert_eq!(latest.judge(b"{}"), None);
        assert_eq!(latest.refused, 2);
    }
}
