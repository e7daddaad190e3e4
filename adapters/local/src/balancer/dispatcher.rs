//! Who serves the next request: the routed backends, their load, and the one queue before them.
//!
//! Nothing here opens a connection or knows HTTP; a [`Permit`] is the right to have one request
//! under way at one backend.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

/// What bounds the dispatcher.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Requests under way at one backend.
    pub(crate) in_flight_max: u32,
    /// Requests that wait.
    pub(crate) queue_max: usize,
}

/// Why a request got no backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Every routed backend was tried and refused the connection.
    AllTried,
    /// The queue is full.
    QueueFull,
    /// The request waited as long as it may.
    Waited,
}

/// A request's place in the order of arrival and the backends that it was refused by.
#[derive(Debug)]
pub(crate) struct Turn {
    arrival: u64,
    tried: Vec<SocketAddr>,
}

impl Turn {
    /// Notes that `backend` could not be connected to; it is not given to this request again.
    pub(crate) fn refused_by(&mut self, backend: SocketAddr) {
        self.tried.push(backend);
    }
}

/// Gives every request to the routed backend with the fewest under way, in order of arrival.
///
/// Invariant whenever the lock is free: no request waits that a routed backend with a free slot
/// could take. So a new request may take a free slot without looking at the queue.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    limits: Limits,
    state: Mutex<State>,
    /// Told whenever a backend has nothing under way any more.
    idle: watch::Sender<()>,
}

impl Dispatcher {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::new(State::default()), idle: watch::Sender::new(()) }
    }

    /// The next place in the order of arrival.
    pub(crate) fn arrive(&self) -> Turn {
        let mut state = self.lock();
        state.arrivals += 1;
        let arrival = state.arrivals;
        Turn { arrival, tried: Vec::new() }
    }

    /// A slot at a backend, waiting for one until `deadline`. Dropping the future gives up the
    /// place, and the slot if one was just granted.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        turn: &Turn,
        deadline: Instant,
    ) -> Result<Permit, Refusal> {
        let mut place = {
            let mut state = self.lock();
            if let Some(index) = state.least_loaded(&turn.tried, self.limits.in_flight_max) {
                return Ok(self.reserve(&mut state, index));
            }
            if state.has_tried_all(&turn.tried) {
                return Err(Refusal::AllTried);
            }
            if state.waiting.len() >= self.limits.queue_max {
                return Err(Refusal::QueueFull);
            }
            let (grant, granted) = oneshot::channel();
            let tried = turn.tried.clone();
            state.waiting.insert(turn.arrival, Waiter { grant, tried });
            Place { dispatcher: self, arrival: turn.arrival, granted }
        };
        match timeout_at(deadline, &mut place.granted).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Refusal::Waited),
        }
    }

    /// Makes `backends` the set that gets new requests; what waits is given to new ones at once.
    pub(crate) fn route(self: &Arc<Self>, backends: &BTreeSet<SocketAddr>) {
        let mut state = self.lock();
        state.generation += 1;
        for backend in &mut state.backends {
            backend.routed = backends.contains(&backend.address);
        }
        state.forget_idle_leavers();
        for &address in backends {
            if !state.backends.iter().any(|known| known.address == address) {
                state.backends.push(Backend { address, in_flight: 0, routed: true });
            }
        }
        self.hand_out(&mut state);
    }

    /// How often the set was changed.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Requests that wait for a slot.
    pub(crate) fn queued(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Address and requests under way of every backend that is routed or still busy.
    pub(crate) fn loads(&self) -> Vec<(SocketAddr, u32)> {
        let state = self.lock();
        let load = |backend: &Backend| (backend.address, backend.in_flight);
        state.backends.iter().map(load).collect()
    }

    /// Waits until `backend` has nothing under way; whether that came before `deadline`.
    pub(crate) async fn idle_by(&self, backend: SocketAddr, deadline: Instant) -> bool {
        let mut changes = self.idle.subscribe();
        let is_idle = || {
            let state = self.lock();
            state.index_of(backend).is_none_or(|at| state.backends[at].in_flight == 0)
        };
        while !is_idle() {
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return is_idle();
            }
        }
        true
    }

    /// Gives free slots to the requests that wait, oldest first.
    fn hand_out(self: &Arc<Self>, state: &mut State) {
        let mut from = 0;
        while let Some((&arrival, waiter)) = state.waiting.range(from..).next() {
            from = arrival + 1;
            let Some(index) = state.least_loaded(&waiter.tried, self.limits.in_flight_max) else {
                if waiter.tried.is_empty() {
                    return;
                }
                continue;
            };
            let Some(waiter) = state.waiting.remove(&arrival) else {
                continue;
            };
            let permit = self.reserve(state, index);
            if let Err(unwanted) = waiter.grant.send(permit) {
                // The request went away; its permit must not come back through the lock we hold.
                unwanted.disarm();
                state.backends[index].in_flight -= 1;
            }
        }
    }

    fn reserve(self: &Arc<Self>, state: &mut State, index: usize) -> Permit {
        state.turn = index + 1;
        let backend = &mut state.backends[index];
        backend.in_flight += 1;
        Permit { dispatcher: Some(Arc::clone(self)), backend: backend.address }
    }

    fn release(self: &Arc<Self>, backend: SocketAddr) {
        let mut state = self.lock();
        let Some(index) = state.index_of(backend) else {
            return;
        };
        state.backends[index].in_flight -= 1;
        let is_idle = state.backends[index].in_flight == 0;
        state.forget_idle_leavers();
        self.hand_out(&mut state);
        drop(state);
        if is_idle {
            self.idle.send_replace(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have one request under way at `backend`; given back, and handed on, when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    dispatcher: Option<Arc<Dispatcher>>,
    backend: SocketAddr,
}

impl Permit {
    pub(crate) fn backend(&self) -> SocketAddr {
        self.backend
    }

    fn disarm(mut self) {
        self.dispatcher = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(dispatcher) = self.dispatcher.take() {
            dispatcher.release(self.backend);
        }
    }
}

/// A request's entry in the queue, taken out when the request goes away. A permit granted at the
/// same moment is in `granted` and goes back when that is dropped.
struct Place<'a> {
    dispatcher: &'a Dispatcher,
    arrival: u64,
    granted: oneshot::Receiver<Permit>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.dispatcher.lock().waiting.remove(&self.arrival);
    }
}

#[derive(Debug, Default)]
struct State {
    backends: Vec<Backend>,
    generation: u64,
    arrivals: u64,
    /// Where the search for the least loaded starts, so that equals take turns.
    turn: usize,
    /// By arrival; a request that is tried again keeps its place.
    waiting: BTreeMap<u64, Waiter>,
}

impl State {
    fn index_of(&self, address: SocketAddr) -> Option<usize> {
        self.backends.iter().position(|known| known.address == address)
    }

    fn least_loaded(&self, tried: &[SocketAddr], in_flight_max: u32) -> Option<usize> {
        let count = self.backends.len();
        let free = |&index: &usize| {
            let backend = &self.backends[index];
            backend.routed && backend.in_flight < in_flight_max && !tried.contains(&backend.address)
        };
        (0..count)
            .map(|step| (self.turn + step) % count)
            .filter(free)
            .min_by_key(|&index| self.backends[index].in_flight)
    }

    /// Whether nothing is left to try. Without any routed backend there is: one may come.
    fn has_tried_all(&self, tried: &[SocketAddr]) -> bool {
        let mut routed = self.backends.iter().filter(|backend| backend.routed).peekable();
        routed.peek().is_some() && routed.all(|backend| tried.contains(&backend.address))
    }

    fn forget_idle_leavers(&mut self) {
        self.backends.retain(|backend| backend.routed || backend.in_flight > 0);
    }
}

#[derive(Debug)]
struct Backend {
    address: SocketAddr,
    in_flight: u32,
    routed: bool,
}

#[derive(Debug)]
struct Waiter {
    grant: oneshot::Sender<Permit>,
    tried: Vec<SocketAddr>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn dispatcher(in_flight_max: u32, queue_max: usize, ports: &[u16]) -> Arc<Dispatcher> {
        let dispatcher = Arc::new(Dispatcher::new(Limits { in_flight_max, queue_max }));
        dispatcher.route(&ports.iter().copied().map(address).collect());
        dispatcher
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let dispatcher = dispatcher(1, 0, &[1]);
        let turn = dispatcher.arrive();
        let held = dispatcher.acquire(&turn, soon()).await.expect("a free slot");
        let late = dispatcher.arrive();
        let refusal = dispatcher.acquire(&late, soon()).await.expect_err("full");
        assert_eq!(refusal, Refusal::QueueFull);
        drop(held);
        assert!(dispatcher.acquire(&late, soon()).await.is_ok());
    }

    #[tokio::test]
    async fn a_request_that_waited_too_long_leaves_no_trace() {
        let dispatcher = dispatcher(1, 9, &[]);
        let turn = dispatcher.arrive();
        let refusal = dispatcher.acquire(&turn, Instant::now()).await.expect_err("no backend");
        assert_eq!(refusal, Refusal::Waited);
        assert_eq!(dispatcher.queued(), 0);
    }

    #[tokio::test]
    async fn a_slot_granted_to_a_request_that_went_away_is_given_back() {
        let dispatcher = dispatcher(1, 9, &[1]);
        let first = dispatcher.arrive();
        let held = dispatcher.acquire(&first, soon()).await.expect("a free slot");
        let gone = dispatcher.arrive();
        {
            let waits = dispatcher.acquire(&gone, soon());
            tokio::pin!(waits);
            let polled = tokio::time::timeout(Duration::from_millis(1), &mut waits).await;
            assert!(polled.is_err(), "it waits");
            drop(held); // granted now, and never looked at
        }
        assert_eq!(dispatcher.loads(), [(address(1), 0)]);
        assert!(dispatcher.acquire(&dispatcher.arrive(), soon()).await.is_ok());
    }

    #[tokio::test]
    async fn a_backend_that_was_tried_is_not_given_again_and_then_none_is_left() {
        let dispatcher = dispatcher(9, 9, &[1, 2]);
        let mut turn = dispatcher.arrive();
        for _ in 0..2 {
            let permit = dispatcher.acquire(&turn, soon()).await.expect("not yet tried");
            turn.refused_by(permit.backend());
        }
        assert!(turn.tried.contains(&address(1)) && turn.tried.contains(&address(2)));
        let refusal = dispatcher.acquire(&turn, soon()).await.expect_err("all tried");
        assert_eq!(refusal, Refusal::AllTried);
    }

    #[tokio::test]
    async fn a_slot_goes_past_a_request_that_cannot_use_it() {
        let dispatcher = dispatcher(1, 9, &[1, 2]);
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(dispatcher.acquire(&dispatcher.arrive(), soon()).await.expect("free"));
        }
        let mut picky = dispatcher.arrive();
        picky.refused_by(address(1));
        let plain = dispatcher.arrive();
        let waits = dispatcher.acquire(&picky, soon());
        tokio::pin!(waits);
        let polled = tokio::time::timeout(Duration::from_millis(1), &mut waits).await;
        assert!(polled.is_err(), "it waits");
        let next = dispatcher.acquire(&plain, soon());
        tokio::pin!(next);
        let polled = tokio::time::timeout(Duration::from_millis(1), &mut next).await;
        assert!(polled.is_err(), "it waits");
        held.retain(|permit| permit.backend() != address(1));
        assert_eq!(next.await.expect("the free slot").backend(), address(1));
        held.clear();
        assert_eq!(waits.await.expect("the other slot").backend(), address(2));
    }

    #[tokio::test]
    async fn the_least_loaded_is_chosen_and_equals_take_turns() {
        let dispatcher = dispatcher(u32::MAX, 9, &[1, 2, 3]);
        let mut held = Vec::new();
        for _ in 0..9 {
            held.push(dispatcher.acquire(&dispatcher.arrive(), soon()).await.expect("free"));
        }
        let mut loads = dispatcher.loads();
        loads.sort_unstable();
        assert_eq!(loads, [(address(1), 3), (address(2), 3), (address(3), 3)]);
        held.retain(|permit| permit.backend() != address(2));
        for _ in 0..3 {
            let permit = dispatcher.acquire(&dispatcher.arrive(), soon()).await.expect("free");
            assert_eq!(permit.backend(), address(2));
            held.push(permit);
        }
    }

    #[tokio::test]
    async fn a_removed_backend_is_idle_only_when_its_last_request_is_done() {
        let dispatcher = dispatcher(9, 9, &[1]);
        let permit = dispatcher.acquire(&dispatcher.arrive(), soon()).await.expect("free");
        dispatcher.route(&BTreeSet::new());
        let now = Instant::now();
        assert!(!dispatcher.idle_by(address(1), now + Duration::from_millis(20)).await);
        drop(permit);
        assert!(dispatcher.idle_by(address(1), soon()).await);
        assert_eq!(dispatcher.loads(), []);
    }
}
