//! An engine and a router in memory, with the facts of the real ones, which record whatever must
//! never be done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use planner_ports::{Router, RouterError};
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::time::{Instant, sleep};

use crate::engine::{BASE, Engine, EngineError, Observed, State};

pub(super) const PORT: u16 = 8_080;

/// How a container behaves once it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Image {
    CrashesAfter(Duration),
    NeverReady,
    ReadyAfter(Duration),
}

#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(super) struct Container {
    pub(super) name: String,
    /// Somebody else's: to touch it is a violation.
    pub(super) is_foreign: bool,
    pub(super) state: State,
    pub(super) ip: Option<IpAddr>,
    pub(super) image: Image,
    pub(super) started: Option<Instant>,
    /// Runs, but does not answer.
    pub(super) is_sick: bool,
    was_routed: bool,
    was_drained: bool,
    /// What is listed of it for a moment after it has ended.
    listed_as: Option<(Instant, State, Option<IpAddr>)>,
}

/// What both fakes share.
pub(super) struct World {
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) routed: BTreeSet<SocketAddr>,
    pub(super) violations: Vec<String>,
    pub(super) image: Image,
    /// When each container was made.
    pub(super) made: Vec<Instant>,
    pub(super) lists: u32,
    /// Most of ours that ran at the same time.
    pub(super) most: usize,
    /// How often the route became empty although it was not.
    pub(super) emptied: u32,
    pub(super) latency: Duration,
    /// How long a list is on its way back.
    pub(super) list_takes: Duration,
    /// Of a hundred calls so many fail; half of these have their effect nevertheless.
    pub(super) error_percent: u64,
    pub(super) route_fails: bool,
    /// Lists that lack everything.
    pub(super) empty_lists: u32,
    pub(super) loses_events: bool,
    pub(super) network_is_down: bool,
    next_id: u32,
    random: u64,
}

impl World {
    /// A number below `end`.
    pub(super) fn random(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % end
    }

    pub(super) fn ours(&self) -> impl Iterator<Item = &Container> {
        self.containers.values().filter(|it| !it.is_foreign)
    }

    pub(super) fn running(&self) -> usize {
        self.ours().filter(|it| is_running(it)).count()
    }

    /// Where those that run and are listed as ours are.
    pub(super) fn addresses(&self) -> BTreeSet<SocketAddr> {
        let running = self.containers.values().filter(|it| is_running(it));
        let listed = running.filter(|it| slot(it).is_some());
        listed.filter_map(|it| Some(SocketAddr::new(it.ip?, PORT))).collect()
    }

    fn at(&self, ip: IpAddr) -> Option<&Container> {
        self.containers.values().find(|it| it.ip == Some(ip))
    }

    pub(super) fn put(&mut self, name: &str, is_foreign: bool, state: State) -> String {
        self.next_id += 1;
        let id = format!("id{}", self.next_id);
        let container = Container {
            name: name.to_owned(),
            is_foreign,
            state: State::Created,
            ip: None,
            image: self.image,
            started: None,
            is_sick: false,
            was_routed: false,
            was_drained: false,
            listed_as: None,
        };
        self.containers.insert(id.clone(), container);
        if matches!(state, State::Running { .. }) {
            self.run(&id);
        } else if let Some(container) = self.containers.get_mut(&id) {
            container.state = state;
        }
        id
    }

    fn run(&mut self, id: &str) {
        // The lowest that is free: an address of one that has ended is used again at once.
        let ip = (2..=250).map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
        let ip = ip.into_iter().find(|ip| self.at(*ip).is_none());
        if let Some(container) = self.containers.get_mut(id) {
            (container.state, container.ip) = (State::Running { healthy: None }, ip);
            (container.started, container.was_routed) = (Some(Instant::now()), false);
        }
        self.most = self.most.max(self.running());
    }

    /// It ends by itself, or somebody ends it.
    pub(super) fn die(&mut self, id: &str) {
        if let Some(container) = self.containers.get_mut(id) {
            let until = Instant::now() + Duration::from_millis(30);
            container.listed_as = Some((until, container.state, container.ip));
            (container.state, container.ip) = (State::Ended, None);
        }
    }

    fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    fn touch(&mut self, id: &str, how: &str) -> Option<&mut Container> {
        let name = self.containers.get(id).filter(|it| it.is_foreign).map(|it| it.name.clone());
        if let Some(name) = name {
            self.violate(format!("{how} of {name}, which is somebody else's"));
        }
        self.containers.get_mut(id)
    }
}

fn is_running(container: &Container) -> bool {
    matches!(container.state, State::Running { .. })
}

/// The slot of one that is listed.
pub(super) fn slot(container: &Container) -> Option<u32> {
    match container.name.strip_prefix("app-dup-") {
        Some(number) if !container.is_foreign => number.parse().ok(),
        _ => (container.name == "app").then_some(BASE),
    }
}

/// Stops everything at one point of a run: whatever is asked then is never answered.
#[derive(Default)]
pub(super) struct Fuse {
    /// Points that are left; none when it never blows.
    left: Option<AtomicU32>,
    pub(super) blown: Notify,
}

impl Fuse {
    pub(super) fn at(point: u32) -> Self {
        Self { left: Some(AtomicU32::new(point)), blown: Notify::new() }
    }

    async fn pass(&self) {
        let Some(left) = &self.left else { return };
        let less = |left: u32| left.checked_sub(1);
        let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if before.is_ok_and(|left| left > 1) {
            return;
        }
        self.blown.notify_one();
        std::future::pending::<()>().await;
    }
}

/// One executor's way to the engine and the router.
#[derive(Clone)]
pub(super) struct Fake {
    world: Arc<Mutex<World>>,
    changes: watch::Sender<u64>,
    heard: Arc<AsyncMutex<watch::Receiver<u64>>>,
    pub(super) fuse: Arc<Fuse>,
}

impl Fake {
    pub(super) fn new(seed: u64) -> Self {
        let world = World {
            containers: BTreeMap::new(),
            routed: BTreeSet::new(),
            violations: Vec::new(),
            image: Image::ReadyAfter(Duration::from_millis(300)),
            made: Vec::new(),
            lists: 0,
            most: 0,
            emptied: 0,
            latency: Duration::from_millis(5),
            list_takes: Duration::from_millis(5),
            error_percent: 0,
            route_fails: false,
            empty_lists: 0,
            loses_events: false,
            network_is_down: false,
            next_id: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        };
        let (changes, heard) = watch::channel(0);
        let heard = Arc::new(AsyncMutex::new(heard));
        Self { world: Arc::new(Mutex::new(world)), changes, heard, fuse: Arc::default() }
    }

    /// The same world for another executor, which ends at a point of its own.
    pub(super) fn again(&self, fuse: Fuse) -> Self {
        let heard = Arc::new(AsyncMutex::new(self.changes.subscribe()));
        Self { heard, fuse: Arc::new(fuse), ..self.clone() }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    async fn call<T>(
        &self,
        effect: impl FnOnce(&mut World) -> Result<T, EngineError> + Send,
    ) -> Result<T, EngineError> {
        self.fuse.pass().await;
        let latency = self.world().latency;
        sleep(latency).await;
        let (fails, works) = {
            let mut world = self.world();
            let percent = world.error_percent;
            let fails = world.random(100) < percent;
            (fails, !fails || world.random(2) == 0)
        };
        let failed = Err(EngineError::Failed(String::from("status 500: out of order")));
        let done = if works { effect(&mut self.world()) } else { return failed };
        self.fuse.pass().await;
        if fails { failed } else { done }
    }
}

fn no_such_container() -> EngineError {
    EngineError::Failed(String::from("status 404: no such container"))
}

#[async_trait]
impl Engine for Fake {
    async fn list(&self) -> Result<Vec<Observed>, EngineError> {
        let listed = self.call(|world| {
            world.lists += 1;
            if world.empty_lists > 0 {
                world.empty_lists -= 1;
                return Ok(Vec::new());
            }
            let listed = world.containers.iter().filter_map(|(id, it)| {
                let (state, address) = match it.listed_as {
                    Some((until, state, ip)) if Instant::now() < until => (state, ip),
                    _ => (it.state, it.ip),
                };
                Some(Observed { id: id.clone(), slot: slot(it)?, state, address })
            });
            Ok(listed.collect())
        });
        let listed = listed.await;
        // On its way back it becomes old.
        let takes = self.world().list_takes;
        sleep(takes).await;
        listed
    }

    async fn create(&self, slot: u32) -> Result<String, EngineError> {
        let made = self.call(|world| {
            let name = format!("app-dup-{slot}");
            if world.containers.values().any(|it| it.name == name) {
                return Err(EngineError::NameTaken);
            }
            world.made.push(Instant::now());
            Ok(world.put(&name, false, State::Created))
        });
        let made = made.await;
        self.tell();
        made
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        let started = self.call(|world| {
            let Some(container) = world.touch(id, "start") else { return Err(no_such_container()) };
            if !is_running(container) {
                let image = container.image;
                world.run(id);
                return Ok(Some(image));
            }
            Ok(None)
        });
        let started = started.await;
        self.tell();
        if let Ok(Some(Image::CrashesAfter(after))) = started {
            let (fake, id) = (self.clone(), id.to_owned());
            tokio::spawn(async move {
                sleep(after).await;
                fake.world().die(&id);
                fake.tell();
            });
        }
        started.map(|_| ())
    }

    async fn stop(&self, id: &str) -> Result<(), EngineError> {
        let stopped = self.call(|world| {
            let routed = world.routed.clone();
            let Some(it) = world.touch(id, "stop").filter(|it| is_running(it)) else {
                return Ok(());
            };
            let (name, was_routed, was_drained) = (it.name.clone(), it.was_routed, it.was_drained);
            let address = it.ip.map(|ip| SocketAddr::new(ip, PORT));
            (it.state, it.ip) = (State::Ended, None);
            if address.is_some_and(|address| routed.contains(&address)) {
                world.violate(format!("{name} was stopped in the route"));
            } else if was_routed && !was_drained {
                world.violate(format!("{name} was stopped before it was drained"));
            }
            Ok(())
        });
        let stopped = stopped.await;
        self.tell();
        stopped
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let removed = self.call(|world| {
            let Some(container) = world.touch(id, "removal") else { return Ok(()) };
            if is_running(container) {
                return Err(EngineError::Failed(String::from("status 409: it runs")));
            }
            world.containers.remove(id);
            Ok(())
        });
        let removed = removed.await;
        self.tell();
        removed
    }

    async fn changed(&self) {
        let changed = self.heard.lock().await.changed().await;
        if changed.is_err() || self.world().loses_events {
            std::future::pending::<()>().await;
        }
    }

    async fn probe(&self, address: SocketAddr) -> bool {
        sleep(Duration::from_millis(2)).await;
        let world = self.world();
        let Some(container) = world.at(address.ip()) else { return false };
        let since = container.started.map_or(Duration::ZERO, |started| started.elapsed());
        let answers = matches!(container.image, Image::ReadyAfter(after) if since >= after);
        answers && !container.is_sick && !world.network_is_down
    }
}

#[async_trait]
impl Router for Fake {
    async fn route(&self, backends: &[SocketAddr]) -> Result<(), RouterError> {
        self.fuse.pass().await;
        sleep(Duration::from_millis(20)).await;
        {
            let mut world = self.world();
            if world.route_fails {
                let cause = String::from("it is away");
                return Err(RouterError::Unavailable { cause });
            }
            let mut wrong = Vec::new();
            for it in world.containers.values_mut() {
                let Some(ip) = it.ip else { continue };
                if backends.contains(&SocketAddr::new(ip, PORT)) {
                    (it.was_routed, it.was_drained) = (true, false);
                    if it.image == Image::NeverReady {
                        wrong.push(format!("{} is routed and was never ready", it.name));
                    }
                }
            }
            world.violations.extend(wrong);
            world.emptied += u32::from(backends.is_empty() && !world.routed.is_empty());
            world.routed = backends.iter().copied().collect();
        }
        self.fuse.pass().await;
        Ok(())
    }

    async fn drained(&self, backend: SocketAddr, _: Duration) -> Result<bool, RouterError> {
        self.fuse.pass().await;
        sleep(Duration::from_millis(20)).await;
        {
            let mut world = self.world();
            if world.routed.contains(&backend) {
                world.violate(format!("{backend} was drained in the route"));
            }
            let drained = world.containers.values_mut().find(|it| it.ip == Some(backend.ip()));
            if let Some(container) = drained {
                container.was_drained = true;
            }
        }
        self.fuse.pass().await;
        Ok(true)
    }
}
