//! Who leads: a lease in Redis, and with each lease a higher epoch.
//!
//! A lease is no fence: its holder may be stopped, and its clock may be slow. It keeps two planners
//! from arguing; that only the newer one is obeyed is the epoch's business, at the executor.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connection::span;
use crate::scripts::{ACQUIRE, RELEASE, RENEW};
use crate::wire::COUNT_MAX;
use crate::{Bus, BusError};

/// The lease of one service, as one who would like to hold it.
#[derive(Clone, Debug)]
pub struct Lease {
    bus: Bus,
    holder: String,
    ttl: Duration,
    /// The highest epoch that was heard of, so that it rises even when Redis has lost its own.
    seen: Arc<AtomicU64>,
}

impl Lease {
    /// A lease to be held by `holder`, who is told from everybody else of that name, and lost
    /// `ttl` after it was last renewed.
    ///
    /// # Errors
    ///
    /// [`BusError::Span`] unless `ttl` is from 300 ms to an hour.
    pub fn new(bus: &Bus, holder: &str, ttl: Duration) -> Result<Self, BusError> {
        span("ttl", ttl, Duration::from_millis(300), Duration::from_secs(3_600))?;
        // Two programs may have been given one name; the standard library's hasher is random.
        let own = RandomState::new().hash_one(holder);
        let holder = format!("{holder}#{}-{own:016x}", std::process::id());
        Ok(Self { bus: bus.clone(), holder, ttl, seen: Arc::default() })
    }

    /// Epochs up to this one are over: the next lease has a higher one.
    pub fn saw(&self, epoch: u64) {
        if epoch < COUNT_MAX {
            self.seen.fetch_max(epoch, Ordering::SeqCst);
        }
    }

    /// Takes the lease, if it is free. The epoch and the instant at which it is lost unless it is
    /// renewed, counted from before Redis was asked; `None` when somebody else holds it.
    ///
    /// # Errors
    ///
    /// [`BusError`] when Redis did not answer; the lease may be taken then, and can be taken
    /// again.
    pub async fn acquire(&self) -> Result<Option<(u64, Instant)>, BusError> {
        let asked = Instant::now();
        let mut script = ACQUIRE.prepare_invoke();
        script.key(self.bus.key("lease")).key(self.bus.key("epoch")).key(self.bus.key("desired"));
        script.arg(&self.holder).arg(self.ttl_ms()).arg(self.seen.load(Ordering::SeqCst));
        let epoch: u64 = self.bus.script("taking the lease", &script).await?;
        if epoch == 0 {
            return Ok(None);
        }
        self.saw(epoch);
        Ok(Some((epoch, asked + self.ttl)))
    }

    /// Keeps the lease of this epoch. The instant at which it is lost now; `None` when it is lost
    /// already, or a higher epoch was heard of.
    ///
    /// # Errors
    ///
    /// [`BusError`] when Redis did not answer; it is not known whether the lease was kept.
    pub async fn renew(&self, epoch: u64) -> Result<Option<Instant>, BusError> {
        if self.seen.load(Ordering::SeqCst) > epoch {
            return Ok(None);
        }
        let asked = Instant::now();
        let mut script = RENEW.prepare_invoke();
        script.key(self.bus.key("lease")).key(self.bus.key("epoch"));
        script.arg(&self.holder).arg(self.ttl_ms()).arg(epoch);
        let kept: u64 = self.bus.script("renewing the lease", &script).await?;
        Ok((kept == 1).then(|| asked + self.ttl))
    }

    /// Gives the lease back, so that another need not wait.
    ///
    /// # Errors
    ///
    /// [`BusError`] when Redis did not answer; the lease then ends by itself.
    pub async fn release(&self) -> Result<(), BusError> {
        let mut script = RELEASE.prepare_invoke();
        script.key(self.bus.key("lease")).arg(&self.holder);
        self.bus.script::<u64>("releasing the lease", &script).await.map(drop)
    }

    /// Waits for the lease, holds it, and takes it again when it is lost, until the handle is
    /// dropped or released. `holder` and `ttl` are those of [`Lease::new`].
    ///
    /// # Errors
    ///
    /// [`BusError::Span`] unless `ttl` is from 300 ms to an hour.
    pub fn hold(bus: &Bus, holder: &str, ttl: Duration) -> Result<LeaseHold, BusError> {
        let lease = Self::new(bus, holder, ttl)?;
        let (held, receiver) = watch::channel(None);
        let (told, epochs) = watch::channel(None);
        let task = tokio::spawn(lease.clone().keep(held, told));
        Ok(LeaseHold(Arc::new(Holding { lease, held: receiver, epochs, task })))
    }

    /// Holds the lease for ever.
    async fn keep(self, held: watch::Sender<Option<Held>>, told: watch::Sender<Option<u64>>) {
        let tell = |now: Option<Held>| {
            held.send_replace(now);
            let epoch = now.map(|held| held.epoch);
            told.send_if_modified(|before| std::mem::replace(before, epoch) != epoch);
        };
        loop {
            if let Ok(Some((epoch, lost_at))) = self.acquire().await {
                let mut until = self.safe_until(lost_at);
                while Instant::now() < until {
                    tell(Some(Held { epoch, until }));
                    let next = until.min(Instant::now() + self.ttl / 3);
                    tokio::time::sleep_until(next.into()).await;
                    // After a long stop the lease may be another's by now; it says so first.
                    if Instant::now() >= until {
                        tell(None);
                    }
                    let renewing = self.renew(epoch);
                    let limit = tokio::time::Instant::from_std(until);
                    match tokio::time::timeout_at(limit, renewing).await {
                        Ok(Ok(Some(lost_at))) => until = self.safe_until(lost_at),
                        Ok(Ok(None)) => break,
                        // It may yet work, before the time is over.
                        Ok(Err(_)) | Err(_) => {}
                    }
                }
                tell(None);
            }
            tokio::time::sleep(self.ttl / 3).await;
        }
    }

    /// Until when it is safe to act: a sixth of the time before the lease is lost.
    fn safe_until(&self, lost_at: Instant) -> Instant {
        lost_at.checked_sub(self.ttl / 6).unwrap_or(lost_at)
    }

    fn ttl_ms(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A lease that is held.
#[derive(Clone, Copy, Debug)]
struct Held {
    epoch: u64,
    /// Until when it is safe to act.
    until: Instant,
}

/// A lease that is waited for and held in the background. Clones are the same one.
#[derive(Clone, Debug)]
pub struct LeaseHold(Arc<Holding>);

#[derive(Debug)]
struct Holding {
    lease: Lease,
    held: watch::Receiver<Option<Held>>,
    epochs: watch::Receiver<Option<u64>>,
    task: JoinHandle<()>,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl LeaseHold {
    /// The epoch, while the lease is safely held. Asks the clock, so that it is right even in a
    /// process that was stopped for a while. Time in which the whole machine sleeps does not
    /// count on Linux: the fence at the executor does not rely on it.
    pub fn epoch(&self) -> Option<u64> {
        // Without its task nobody renews it.
        self.0.held.has_changed().ok()?;
        let held = *self.0.held.borrow();
        held.filter(|held| Instant::now() < held.until).map(|held| held.epoch)
    }

    /// The epoch as it changes; `None` while waiting for the lease. Late by as much as the task
    /// behind it: before acting, ask [`LeaseHold::epoch`].
    pub fn watch(&self) -> watch::Receiver<Option<u64>> {
        self.0.epochs.clone()
    }

    /// Epochs up to this one are over, an executor says: where ours is not higher, it is given up
    /// and a higher one is taken.
    pub fn saw(&self, epoch: u64) {
        self.0.lease.saw(epoch);
    }

    /// Stops holding the lease and gives it back. Other clones see it as lost.
    ///
    /// # Errors
    ///
    /// [`BusError`] when Redis did not answer; the lease then ends by itself.
    pub async fn release(&self) -> Result<(), BusError> {
        self.0.task.abort();
        self.0.lease.release().await
    }
}
