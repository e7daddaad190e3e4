//! The replica with the fewest requests, in constant time: replicas in lists by their load.

/// No replica.
const NONE: u32 = u32::MAX;

/// Replicas that take requests, by how many they have. Among equals whoever came to that load
/// first is next, which goes round among idle ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Balancer {
    /// First and last replica of each load.
    lists: Vec<(u32, u32)>,
    /// By replica.
    places: Vec<Place>,
    members: u32,
    /// No member has fewer requests than this.
    least: usize,
}

/// Where a replica stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    load: u32,
    before: u32,
    after: u32,
}

impl Balancer {
    /// The least loaded replica and its load.
    pub(super) fn least(&mut self) -> Option<(u32, u32)> {
        if self.members == 0 {
            return None;
        }
        loop {
            match self.lists.get(self.least) {
                Some(&(NONE, _)) => self.least += 1,
                Some(&(replica, _)) => return Some((replica, self.places[replica as usize].load)),
                None => return None,
            }
        }
    }

    /// Takes a replica in; it must not be in already.
    pub(super) fn join(&mut self, replica: u32, load: u32) {
        let index = replica as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, Place { load: 0, before: NONE, after: NONE });
        }
        self.members += 1;
        self.append(replica, load);
    }

    /// Takes a replica out, which must be in.
    pub(super) fn leave(&mut self, replica: u32) {
        self.members -= 1;
        self.unlink(replica);
    }

    /// A member has one request more.
    pub(super) fn raise(&mut self, replica: u32) {
        let load = self.unlink(replica);
        self.append(replica, load + 1);
    }

    /// A member has one request less.
    pub(super) fn lower(&mut self, replica: u32) {
        let load = self.unlink(replica);
        debug_assert!(load > 0, "a replica without requests cannot lose one");
        self.append(replica, load.saturating_sub(1));
    }

    fn append(&mut self, replica: u32, load: u32) {
        let list = load as usize;
        if self.lists.len() <= list {
            self.lists.resize(list + 1, (NONE, NONE));
        }
        let (first, last) = self.lists[list];
        self.places[replica as usize] = Place { load, before: last, after: NONE };
        if first == NONE {
            self.lists[list] = (replica, replica);
        } else {
            self.places[last as usize].after = replica;
            self.lists[list].1 = replica;
        }
        self.least = self.least.min(list);
    }

    /// Takes a replica out of its list; its load.
    fn unlink(&mut self, replica: u32) -> u32 {
        let Place { load, before, after } = self.places[replica as usize];
        let list = &mut self.lists[load as usize];
        if before == NONE {
            list.0 = after;
        } else {
            self.places[before as usize].after = after;
        }
        if after == NONE {
            list.1 = before;
        } else {
            self.places[after as usize].before = before;
        }
        load
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nobody_is_the_least_loaded_of_none() {
        let mut balancer = Balancer::default();
        assert_eq!(balancer.least(), None);
        balancer.join(3, 0);
        balancer.leave(3);
        assert_eq!(balancer.least(), None);
    }

    #[test]
    fn idle_replicas_take_turns() {
        let mut balancer = Balancer::default();
        for replica in 0..3 {
            balancer.join(replica, 0);
        }
        let turns = [(); 6].map(|()| {
            let (replica, _) = balancer.least().expect("members");
            balancer.raise(replica);
            balancer.lower(replica);
            replica
        });
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
    }

    proptest! {
        /// Beside a plain table that is searched from end to end.
        #[test]
        fn the_least_load_is_the_least_of_all(
            moves in prop::collection::vec((0_u32..8, 0..4), 1..200),
        ) {
            let mut balancer = Balancer::default();
            let mut table: [Option<u32>; 8] = [None; 8];
            for (replica, what) in moves {
                let load = &mut table[replica as usize];
                match (what, *load) {
                    (0, None) => {
                        balancer.join(replica, 2);
                        *load = Some(2);
                    }
                    (1, Some(_)) => {
                        balancer.leave(replica);
                        *load = None;
                    }
                    (2, Some(is)) => {
                        balancer.raise(replica);
                        *load = Some(is + 1);
                    }
                    (3, Some(is)) if is > 0 => {
                        balancer.lower(replica);
                        *load = Some(is - 1);
                    }
                    _ => {}
                }
                let least = balancer.least();
                prop_assert_eq!(least.map(|(_, load)| load), table.iter().flatten().min().copied());
                if let Some((replica, load)) = least {
                    prop_assert_eq!(table[replica as usize], Some(load));
                }
            }
        }
    }
}
