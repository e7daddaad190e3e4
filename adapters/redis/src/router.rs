//! The executor's side of routing: it says which replicas there are, and waits until whoever keeps
//! the load balancer says that requests go there.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use planner_ports::{Member, ReplicaState, Router, RouterError};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::connection::span;
use crate::wire::{COUNT_MAX, Membership, Routing, wall_now};
use crate::{Bus, BusError, Channel, RoutingReader};

/// How membership is told. Start from [`RedisRouterSettings::default`] and change what differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisRouterSettings {
    /// Longest wait for a routing, 100 ms to 5 minutes; 10 s by default.
    pub deadline: Duration,
    /// How often the membership is said again, 100 ms to 10 s; 5 s by default. Readers take what
    /// is three times as old for unknown.
    pub heartbeat: Duration,
}

impl Default for RedisRouterSettings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), heartbeat: Duration::from_secs(5) }
    }
}

/// A router whose load balancer is somebody else's, on the other side of Redis.
#[derive(Debug)]
pub struct RedisRouter {
    shared: Arc<Shared>,
    routed: watch::Receiver<Option<Routing>>,
    deadline: Duration,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    bus: Bus,
    epoch: AtomicU64,
    state: Mutex<State>,
}

/// What is known and what was said.
#[derive(Debug, Default)]
struct State {
    /// The replicas as the executor last told of them.
    told: Vec<Member>,
    /// Where requests are to go, once that was said.
    backends: Option<BTreeSet<SocketAddr>>,
    /// What was last made known.
    said: Vec<Member>,
    /// Its number; 0 before the first.
    seq: u64,
}

impl RedisRouter {
    /// A router that says nothing before it knows something. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BusError::Span`] names the setting that cannot work.
    pub fn new(bus: &Bus, settings: &RedisRouterSettings) -> Result<Self, BusError> {
        let least = Duration::from_millis(100);
        span("deadline", settings.deadline, least, Duration::from_secs(300))?;
        span("heartbeat", settings.heartbeat, least, Duration::from_secs(10))?;
        let shared = Arc::new(Shared {
            bus: bus.clone(),
            epoch: AtomicU64::new(0),
            state: Mutex::default(),
        });
        let (sender, routed) = watch::channel(None);
        let tasks = [
            tokio::spawn(listen(RoutingReader::new(bus), sender)),
            tokio::spawn(beat(Arc::clone(&shared), settings.heartbeat)),
        ];
        Ok(Self { shared, routed, deadline: settings.deadline, tasks })
    }

    /// Says which replicas there are. Those that requests were last routed to are ready whatever
    /// is told of them here, and no others are. Before the first route nothing is said: what stands
    /// from before a restart is nearer to the truth than that nobody is ready.
    ///
    /// # Errors
    ///
    /// [`BusError`] when it could not be made known; it is said again with the next heartbeat.
    pub async fn tell(&self, members: Vec<Member>) -> Result<(), BusError> {
        let mut state = self.shared.state.lock().await;
        state.told = members;
        if state.backends.is_none() {
            return Ok(());
        }
        self.shared.say(&mut state).await.map(drop)
    }

    /// Says which epoch is the newest whose orders are obeyed, from the next message on.
    pub fn set_epoch(&self, epoch: u64) {
        self.shared.epoch.store(epoch, Ordering::SeqCst);
    }

    /// Waits for a routing of the membership `seq` or a later one that is as wanted.
    async fn wait(
        &self,
        deadline: Duration,
        seq: u64,
        wanted: impl Fn(&Routing) -> bool + Send,
    ) -> Result<bool, RouterError> {
        let mut routed = self.routed.clone();
        let found = routed.wait_for(|routing| {
            routing.as_ref().is_some_and(|routing| {
                // One without a number was not asked whether it is late.
                routing.seq.is_none_or(|answered| answered >= seq) && wanted(routing)
            })
        });
        match tokio::time::timeout(deadline, found).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(_)) => {
                Err(RouterError::Unavailable { cause: String::from("the listener has ended") })
            }
            Err(_) => Ok(false),
        }
    }
}

#[async_trait]
impl Router for RedisRouter {
    async fn route(&self, backends: &[SocketAddr]) -> Result<(), RouterError> {
        let wanted: BTreeSet<SocketAddr> = backends.iter().copied().collect();
        let seq = {
            let mut state = self.shared.state.lock().await;
            state.backends = Some(wanted.clone());
            let said = self.shared.say(&mut state).await;
            said.map_err(|error| RouterError::Unavailable { cause: error.to_string() })?
        };
        if self.wait(self.deadline, seq, |routing| routing.addrs == wanted).await? {
            return Ok(());
        }
        let cause = format!("no routing of these backends within {:?}", self.deadline);
        Err(RouterError::Unavailable { cause })
    }

    async fn drained(&self, backend: SocketAddr, deadline: Duration) -> Result<bool, RouterError> {
        let seq = self.shared.state.lock().await.seq;
        let gone = |routing: &Routing| routing.drained && !routing.addrs.contains(&backend);
        self.wait(deadline, seq, gone).await
    }
}

impl Drop for RedisRouter {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    /// Makes the membership known, with a new number if it has changed. Its number.
    async fn say(&self, state: &mut State) -> Result<u64, BusError> {
        let now = state.members();
        if state.seq == 0 || now != state.said {
            state.seq = if state.seq == 0 { self.first_seq().await? } else { state.seq + 1 };
            state.said = now;
            let text = self.keep(state).await?;
            // Who misses the message reads the key a moment later.
            let _missed = self.bus.publish(Channel::Membership, &text).await;
        } else {
            self.keep(state).await?;
        }
        Ok(state.seq)
    }

    /// A number that is higher than those of before a restart: that of the time, or the one after
    /// the last where a clock was set back.
    async fn first_seq(&self) -> Result<u64, BusError> {
        let kept = self.bus.kept("members").await?;
        let kept = kept.filter(|bytes| self.bus.verify(bytes).is_ok());
        let last = kept.and_then(|bytes| Membership::parse(&bytes).ok());
        let next = last.map_or(0, |last| last.seq.saturating_add(1));
        Ok(if next < COUNT_MAX { wall_ms().max(next) } else { wall_ms() })
    }

    async fn keep(&self, state: &State) -> Result<String, BusError> {
        let (service, epoch) = (self.bus.service().clone(), self.epoch.load(Ordering::SeqCst));
        let members = state.said.clone();
        let said = Membership::new(service, epoch, state.seq, wall_now(), members);
        let text = self.bus.sealed(said.write());
        self.bus.keep("members", &text).await.map(|()| text)
    }
}

impl State {
    /// The replicas as they are to be made known.
    fn members(&self) -> Vec<Member> {
        let Some(backends) = &self.backends else { return self.told.clone() };
        let mut members: Vec<Member> = self.told.clone();
        for member in &mut members {
            let routed = member.address.is_some_and(|address| backends.contains(&address));
            if routed {
                member.state = ReplicaState::Ready;
            } else if member.state == ReplicaState::Ready {
                member.state = self.unrouted(member);
            }
        }
        let named: BTreeSet<SocketAddr> = members.iter().filter_map(|one| one.address).collect();
        for &address in backends.difference(&named) {
            let (slot, address) = (slot_of(address), Some(address));
            members.push(Member { slot, address, state: ReplicaState::Ready });
        }
        members
    }

    /// What a replica is that is told to be ready and gets no requests: on its way out if it had
    /// been ready before, on its way in otherwise.
    fn unrouted(&self, member: &Member) -> ReplicaState {
        let known = self.said.iter().any(|said| {
            said.slot == member.slot
                && said.address == member.address
                && said.state != ReplicaState::Starting
        });
        if known { ReplicaState::Draining } else { ReplicaState::Starting }
    }
}

/// A name for a replica of which only the address is known.
fn slot_of(address: SocketAddr) -> String {
    let legal = |char: char| if char.is_ascii_alphanumeric() { char } else { '-' };
    let name: String = address.to_string().chars().map(legal).take(61).collect();
    format!("at-{name}")
}

fn wall_ms() -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a wall clock in milliseconds; a cast of anything else saturates"
    )]
    let millis = (wall_now() * 1e3) as u64;
    millis.max(1)
}

async fn listen(mut reader: RoutingReader, sender: watch::Sender<Option<Routing>>) {
    loop {
        // A loss is not ours to tell: whoever waits is told when the wait is over.
        if let Ok(routing) = reader.next().await {
            sender.send_replace(Some(routing));
        }
    }
}

async fn beat(shared: Arc<Shared>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let mut state = shared.state.lock().await;
        if state.seq > 0 {
            // The next beat says it again.
            let _unheard = shared.say(&mut state).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn member(slot: &str, port: u16, state: ReplicaState) -> Member {
        Member { slot: String::from(slot), address: Some(address(port)), state }
    }

    #[test]
    fn ready_is_where_requests_go_and_nothing_else() {
        use ReplicaState::{Draining, Ready, Starting};
        let told = vec![member("a", 1, Starting), member("b", 2, Ready), member("c", 3, Ready)];
        let state = State {
            told: told.clone(),
            backends: Some([address(1), address(9)].into()),
            said: vec![member("b", 2, Ready)],
            seq: 1,
        };
        let expected = vec![
            member("a", 1, Ready),
            member("b", 2, Draining),
            member("c", 3, Starting),
            member("at-127-0-0-1-9", 9, Ready),
        ];
        assert_eq!(state.members(), expected);
        assert_eq!(State { backends: None, ..state }.members(), told);
    }

    #[test]
    fn a_name_of_an_address_is_one_that_the_wire_takes() {
        let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535";
        for text in ["127.0.0.1:80", "[::1]:80", longest] {
            let slot = slot_of(text.parse().expect("an address"));
            assert!(crate::wire::is_slot(&slot), "{slot}");
        }
    }
}
