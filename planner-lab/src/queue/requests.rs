//! Attempts that the service holds, and the lines in which they wait.

/// No request, no replica.
pub(super) const NONE: u32 = u32::MAX;

/// What an attempt is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Gone; its place is free.
    Gone,
    /// In a slot of its replica.
    InService,
    /// In the line of its replica, or in the central one.
    Waiting,
}

/// One attempt of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// Arrival of the request's first attempt.
    pub(super) first_ns: u64,
    /// Arrival of this one.
    pub(super) arrived_ns: u64,
    /// How long a warm and undisturbed replica works on it.
    pub(super) demand_ns: u64,
    /// Ahead of it and behind it in its line.
    before: u32,
    after: u32,
    /// Its replica; none while it waits in the central line.
    pub(super) replica: u32,
    /// Which of the attempts that had this place it is; events of earlier ones are void.
    pub(super) tag: u32,
    /// How many attempts its request had before.
    pub(super) retry: u8,
    pub(super) stage: Stage,
    /// Whether its client still waits.
    pub(super) awaited: bool,
}

/// Attempts by place; places are used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    all: Vec<Attempt>,
    free: Vec<u32>,
}

impl Requests {
    /// Takes in an attempt that arrives now and waits for a place; its number.
    pub(super) fn admit(&mut self, now_ns: u64, first_ns: u64, retry: u8, demand_ns: u64) -> u32 {
        let mut attempt = Attempt {
            first_ns,
            arrived_ns: now_ns,
            demand_ns,
            before: NONE,
            after: NONE,
            replica: NONE,
            tag: 0,
            retry,
            stage: Stage::Waiting,
            awaited: true,
        };
        if let Some(id) = self.free.pop() {
            let place = &mut self.all[id as usize];
            attempt.tag = place.tag;
            *place = attempt;
            return id;
        }
        // Never as many as 2^32: lines and slots are bounded well below.
        let id = u32::try_from(self.all.len()).unwrap_or(NONE);
        self.all.push(attempt);
        id
    }

    /// Lets an attempt go.
    pub(super) fn release(&mut self, id: u32) {
        let attempt = &mut self.all[id as usize];
        attempt.stage = Stage::Gone;
        attempt.tag = attempt.tag.wrapping_add(1);
        self.free.push(id);
    }

    pub(super) fn of(&self, id: u32) -> &Attempt {
        &self.all[id as usize]
    }

    pub(super) fn of_mut(&mut self, id: u32) -> &mut Attempt {
        &mut self.all[id as usize]
    }

    /// The attempt, if the place still holds the one with this tag.
    pub(super) fn tagged(&self, id: u32, tag: u32) -> Option<&Attempt> {
        self.all.get(id as usize).filter(|it| it.tag == tag && it.stage != Stage::Gone)
    }

    /// Attempts that a replica has, by place. O(places).
    pub(super) fn at(&self, replica: u32) -> Vec<u32> {
        let has = |attempt: &Attempt| attempt.stage != Stage::Gone && attempt.replica == replica;
        (0_u32..).zip(&self.all).filter(|(_, it)| has(it)).map(|(id, _)| id).collect()
    }
}

/// A line of waiting attempts, first come first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    first: u32,
    last: u32,
}

impl Line {
    pub(super) const EMPTY: Self = Self { first: NONE, last: NONE };

    pub(super) const fn is_empty(self) -> bool {
        self.first == NONE
    }

    /// Puts an attempt at the end.
    pub(super) fn push(&mut self, requests: &mut Requests, id: u32) {
        let attempt = requests.of_mut(id);
        (attempt.before, attempt.after) = (self.last, NONE);
        if self.last == NONE {
            self.first = id;
        } else {
            requests.of_mut(self.last).after = id;
        }
        self.last = id;
    }

    /// Takes the first.
    pub(super) fn pop(&mut self, requests: &mut Requests) -> Option<u32> {
        let id = self.first;
        if id == NONE {
            return None;
        }
        self.first = requests.of(id).after;
        if self.first == NONE {
            self.last = NONE;
        } else {
            requests.of_mut(self.first).before = NONE;
        }
        Some(id)
    }

    /// Takes out one that is in it.
    pub(super) fn remove(&mut self, requests: &mut Requests, id: u32) {
        let Attempt { before, after, .. } = *requests.of(id);
        if before == NONE {
            self.first = after;
        } else {
            requests.of_mut(before).after = after;
        }
        if after == NONE {
            self.last = before;
        } else {
            requests.of_mut(after).before = before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_the_middle_of_a_line_leaves_no_gap() {
        let mut requests = Requests::default();
        let mut line = Line::EMPTY;
        let ids = [1, 2, 3, 4].map(|at| requests.admit(at, at, 0, 1));
        for id in ids {
            line.push(&mut requests, id);
        }
        line.remove(&mut requests, ids[1]);
        line.remove(&mut requests, ids[3]);
        assert_eq!(line.pop(&mut requests), Some(ids[0]));
        assert_eq!(line.pop(&mut requests), Some(ids[2]));
        assert!(line.is_empty() && line.pop(&mut requests).is_none());
    }

    #[test]
    fn a_place_that_is_used_again_answers_to_the_new_tag_only() {
        let mut requests = Requests::default();
        let id = requests.admit(1, 1, 0, 1);
        let old = requests.of(id).tag;
        requests.release(id);
        assert!(requests.tagged(id, old).is_none());
        assert_eq!(requests.admit(2, 2, 0, 1), id);
        assert!(requests.tagged(id, old).is_none());
        assert!(requests.tagged(id, requests.of(id).tag).is_some());
    }
}
