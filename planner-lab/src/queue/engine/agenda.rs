//! Events that are rare, by their time and then in the order in which they were entered.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A rare event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// The time to drain is over.
    CutDrain {
        /// Its place.
        replica: u32,
        /// Which start it is.
        number: u64,
    },
    /// A disturbance begins.
    Disturb(usize),
    EndOutage,
    EndSlowdown(usize),
    /// A replica is ready.
    Ready {
        /// Its place.
        replica: u32,
        /// Which start it is.
        number: u64,
    },
    /// A client comes back.
    Retry {
        /// Arrival of its first attempt.
        first_ns: u64,
        /// Attempts before this one.
        retry: u8,
    },
}

/// Events to come.
#[derive(Clone, Debug)]
pub(super) struct Agenda {
    entries: BinaryHeap<Reverse<(u64, u64, Event)>>,
    entered: u64,
    next_ns: u64,
}

impl Default for Agenda {
    fn default() -> Self {
        Self { entries: BinaryHeap::new(), entered: 0, next_ns: u64::MAX }
    }
}

impl Agenda {
    /// When the earliest is; `u64::MAX` when there is none.
    #[inline]
    pub(super) const fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Enters an event.
    pub(super) fn enter(&mut self, at_ns: u64, event: Event) {
        self.entries.push(Reverse((at_ns, self.entered, event)));
        self.entered += 1;
        self.next_ns = self.next_ns.min(at_ns);
    }

    /// Takes the earliest.
    pub(super) fn take(&mut self) -> Option<Event> {
        let Reverse((_, _, event)) = self.entries.pop()?;
        self.next_ns = self.entries.peek().map_or(u64::MAX, |Reverse((at_ns, _, _))| *at_ns);
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_instant_happen_in_the_order_of_their_entry() {
        let mut agenda = Agenda::default();
        assert_eq!((agenda.next_ns(), agenda.take()), (u64::MAX, None));
        agenda.enter(5, Event::EndOutage);
        agenda.enter(3, Event::EndSlowdown(1));
        agenda.enter(3, Event::Disturb(0));
        assert_eq!(agenda.next_ns(), 3);
        let order = [(); 3].map(|()| agenda.take());
        let expected = [Event::EndSlowdown(1), Event::Disturb(0), Event::EndOutage];
        assert_eq!(order, expected.map(Some));
    }
}
