//! Replicas by place: who starts, serves and drains. What they do when is the engine's business.

use super::requests::{Line, NONE};

/// Where a replica is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Draining,
    Gone,
    Ready,
    Starting,
}

/// One replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replica {
    /// Which start it is, over all replicas; events of earlier ones in this place are void.
    pub(super) number: u64,
    pub(super) phase: Phase,
    /// Slots in use.
    pub(super) busy: u32,
    /// What waits for it alone.
    pub(super) line: Line,
    /// When it is warm.
    pub(super) warm_ns: u64,
    /// The factor of its neighbours on service times.
    pub(super) slow: f64,
}

impl Replica {
    /// Whether it has nothing to do.
    pub(super) const fn is_idle(&self) -> bool {
        self.busy == 0 && self.line.is_empty()
    }
}

/// All replicas; places are used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Replicas {
    all: Vec<Replica>,
    free: Vec<u32>,
    /// In the order in which they became ready.
    ready: Vec<u32>,
    /// In the order of their starts.
    starting: Vec<u32>,
    draining: u32,
    started: u64,
}

impl Replicas {
    pub(super) const fn ready(&self) -> u32 {
        len(self.ready.as_slice())
    }

    pub(super) const fn starting(&self) -> u32 {
        len(self.starting.as_slice())
    }

    pub(super) const fn draining(&self) -> u32 {
        self.draining
    }

    pub(super) fn of(&self, replica: u32) -> &Replica {
        &self.all[replica as usize]
    }

    pub(super) fn of_mut(&mut self, replica: u32) -> &mut Replica {
        &mut self.all[replica as usize]
    }

    /// Every place, those of replicas that are gone included.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Replica> {
        self.all.iter_mut()
    }

    /// The replica in this place, if it still is the one with this number and in this phase.
    pub(super) fn is(&self, replica: u32, number: u64, phase: Phase) -> bool {
        let it = self.of(replica);
        it.number == number && it.phase == phase
    }

    /// A ready replica by its rank; the longest ready has rank 0.
    pub(super) fn ready_at(&self, rank: u32) -> Option<u32> {
        self.ready.get(rank as usize).copied()
    }

    /// The replica that became ready last.
    pub(super) fn youngest_ready(&self) -> Option<u32> {
        self.ready.last().copied()
    }

    /// The replica that began to start last.
    pub(super) fn youngest_starting(&self) -> Option<u32> {
        self.starting.last().copied()
    }

    /// A new replica that starts.
    pub(super) fn start(&mut self) -> u32 {
        let replica = Replica {
            number: self.started,
            phase: Phase::Starting,
            busy: 0,
            line: Line::EMPTY,
            warm_ns: 0,
            slow: 1.0,
        };
        self.started += 1;
        let place = self.free.pop().unwrap_or_else(|| len(&self.all));
        match self.all.get_mut(place as usize) {
            Some(free) => *free = replica,
            None => self.all.push(replica),
        }
        self.starting.push(place);
        place
    }

    /// A starting replica serves from now on.
    pub(super) fn become_ready(&mut self, replica: u32) {
        self.starting.retain(|it| *it != replica);
        self.ready.push(replica);
        self.of_mut(replica).phase = Phase::Ready;
    }

    /// A ready replica takes nothing new.
    pub(super) fn drain(&mut self, replica: u32) {
        self.ready.retain(|it| *it != replica);
        self.draining += 1;
        self.of_mut(replica).phase = Phase::Draining;
    }

    /// A replica is no more, whatever its phase.
    pub(super) fn remove(&mut self, replica: u32) {
        match self.of(replica).phase {
            Phase::Draining => self.draining -= 1,
            Phase::Gone => return,
            Phase::Ready => self.ready.retain(|it| *it != replica),
            Phase::Starting => self.starting.retain(|it| *it != replica),
        }
        self.of_mut(replica).phase = Phase::Gone;
        self.free.push(replica);
    }
}

/// A number of replicas; never as many as [`NONE`], which is above every bound on replicas.
const fn len<T>(list: &[T]) -> u32 {
    let len = list.len();
    #[expect(clippy::cast_possible_truncation, reason = "compared first")]
    let within = if len < NONE as usize { len as u32 } else { NONE };
    within
}
