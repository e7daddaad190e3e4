//! One subscription to one channel that goes on by itself, whatever happens to Redis.
//!
//! The reading is a task of its own: a read that is given up halfway may have been answered, and
//! with a group Redis then takes the entry for delivered.

mod pubsub;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use planner_ports::Backoff;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::connection::span;
use crate::{Bus, BusError, Channel, Mode};

/// Messages that wait for the caller in memory.
const WAITING_MAX: usize = 64;
/// Entries handed over and not acknowledged that are remembered.
const HANDED_MAX: usize = 100_000;
/// First and longest pause before connecting anew.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Redis' identifier of the entry; empty in pub/sub mode.
    pub id: String,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Where reading begins and what it leaves behind.
#[derive(Clone, Debug)]
enum Way {
    /// With one consumer of a group, which share the entries and acknowledge them.
    Group { group: String, consumer: String, idle: Duration },
    /// With the last so many entries, leaving no trace.
    Last(u32),
}

/// A subscription to one channel.
#[derive(Debug)]
pub struct Reader {
    bus: Bus,
    key: String,
    way: Way,
    handed: Arc<Mutex<Handed>>,
    receiver: mpsc::Receiver<Result<Entry, BusError>>,
    task: JoinHandle<()>,
}

/// What a group's reader has handed over, by age.
#[derive(Debug, Default)]
struct Handed {
    /// Handed over and not acknowledged.
    open: BTreeSet<(u64, u64)>,
    /// Acknowledged by the caller, not yet by Redis.
    done: BTreeMap<(u64, u64), String>,
}

impl Reader {
    /// Follows a channel, beginning with the last `last` entries that are there already; in
    /// pub/sub mode there are none.
    pub fn follow(bus: &Bus, channel: Channel, last: u32) -> Self {
        Self::start(bus, channel, Way::Last(last))
    }

    /// Reads as one consumer of a group: entries are shared among its consumers, and an entry that
    /// is not acknowledged comes again after this consumer's restart, or to another consumer once
    /// it is older than `idle`. That must be longer than anything done with an entry: otherwise it
    /// is done twice. In pub/sub mode everybody gets everything.
    ///
    /// # Errors
    ///
    /// [`BusError::Span`] unless `idle` is from 100 ms to a day.
    pub fn group(
        bus: &Bus,
        channel: Channel,
        group: impl Into<String>,
        consumer: impl Into<String>,
        idle: Duration,
    ) -> Result<Self, BusError> {
        span("idle", idle, Duration::from_millis(100), Duration::from_secs(86_400))?;
        let (group, consumer) = (group.into(), consumer.into());
        Ok(Self::start(bus, channel, Way::Group { group, consumer, idle }))
    }

    fn start(bus: &Bus, channel: Channel, way: Way) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let handed = Arc::default();
        let key = bus.channel(channel);
        let task = Task {
            bus: bus.clone(),
            channel,
            key: key.clone(),
            way: way.clone(),
            handed: Arc::clone(&handed),
            sender,
            cursor: None,
            told: false,
            backoff: Backoff::new(PAUSE.0, PAUSE.1),
        };
        let task = tokio::spawn(task.run());
        Self { bus: bus.clone(), key, way, handed, receiver, task }
    }

    /// The next message. Each loss of the connection is told once, as an error; reading goes on.
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`BusError::Unavailable`] when the connection was lost.
    pub async fn next(&mut self) -> Result<Entry, BusError> {
        self.receiver.recv().await.unwrap_or(Err(BusError::Ended))
    }

    /// The next message if it is here already.
    pub fn waiting(&mut self) -> Option<Result<Entry, BusError>> {
        self.receiver.try_recv().ok()
    }

    /// Says that an entry is done with. Where Redis does not hear it, it is told again later.
    pub async fn ack(&self, id: &str) {
        let Way::Group { group, .. } = &self.way else { return };
        if self.bus.mode() == Mode::PubSub {
            return;
        }
        let order = crate::reply::order_of(id);
        lock(&self.handed).done.insert(order, id.to_owned());
        let mut command = redis::cmd("XACK");
        command.arg(&self.key).arg(group).arg(id);
        if self.bus.query::<redis::Value>("acknowledging", &command).await.is_ok() {
            let mut handed = lock(&self.handed);
            handed.done.remove(&order);
            handed.open.remove(&order);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(handed: &Mutex<Handed>) -> std::sync::MutexGuard<'_, Handed> {
    // Whoever panicked left a set, and a set is never half changed.
    handed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reading itself.
struct Task {
    bus: Bus,
    channel: Channel,
    key: String,
    way: Way,
    handed: Arc<Mutex<Handed>>,
    sender: mpsc::Sender<Result<Entry, BusError>>,
    /// The last entry seen, when following without a group.
    cursor: Option<String>,
    /// Whether the loss that is under way was told.
    told: bool,
    backoff: Backoff,
}

/// Why reading stopped.
enum Stop {
    /// The connection is of no more use.
    Lost(BusError),
    /// Nobody listens any more.
    Unheard,
}

impl From<BusError> for Stop {
    fn from(error: BusError) -> Self {
        Self::Lost(error)
    }
}

impl Task {
    async fn run(mut self) {
        loop {
            let stopped = match self.bus.mode() {
                Mode::PubSub => self.listen().await,
                Mode::Streams => self.read_stream().await,
            };
            let Err(Stop::Lost(error)) = stopped else { return };
            if !self.told && self.sender.send(Err(error)).await.is_err() {
                return;
            }
            self.told = true;
            let now = Instant::now();
            self.backoff.fail(now);
            let until = self.backoff.until(now).unwrap_or(now);
            tokio::select! {
                () = self.sender.closed() => return,
                () = tokio::time::sleep_until(until.into()) => {}
            }
        }
    }

    /// Redis answers again.
    const fn answered(&mut self) {
        self.told = false;
        self.backoff.reset();
    }

    async fn hand(&self, id: String, bytes: Vec<u8>) -> Result<(), Stop> {
        self.sender.send(Ok(Entry { id, bytes })).await.map_err(|_| Stop::Unheard)
    }
}
