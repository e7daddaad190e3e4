//! All checks of a policy: groups, votes, and the winner.

use super::action::{Action, Direction};

/// What one check votes for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a check's group and its action, no more")]
pub struct Vote<'a> {
    /// The group of the check; empty for none.
    pub group: &'a str,
    /// Its action, capped.
    pub action: Action,
}

/// The action that wins: the safest direction, then the highest count; `None` without votes.
///
/// Up is safer than nothing, and nothing safer than down. In a group, checks without an action are
/// ignored unless none of them has one: their metric is elsewhere, and they would block every
/// scale-in.
///
/// ```
/// use planner_peers::nomad::{Action, Cause, Direction, Vote, winner};
///
/// let down = Action::scale(Direction::Down, 2, Cause::WithinBounds);
/// let votes = |group| [Vote { group, action: down }, Vote { group, action: Action::NONE }];
/// assert_eq!(winner(&votes("cpu")), Some(down));
/// assert_eq!(winner(&votes("")), Some(Action::NONE));
/// ```
pub fn winner(votes: &[Vote<'_>]) -> Option<Action> {
    votes.iter().filter(|vote| counts(vote, votes)).map(|vote| vote.action).reduce(safer)
}

/// Whether a vote is more than silence in its group.
fn counts(vote: &Vote<'_>, votes: &[Vote<'_>]) -> bool {
    let is_silent = |vote: &Vote<'_>| vote.action.direction == Direction::None;
    let mut group = votes.iter().filter(|other| other.group == vote.group);
    vote.group.is_empty() || !is_silent(vote) || group.all(is_silent)
}

/// The safer of two actions; the first where they are the same. The count of no action says
/// nothing.
fn safer(first: Action, second: Action) -> Action {
    let rank = |action: &Action| match action.direction {
        Direction::None => (Direction::None, 0),
        direction => (direction, action.count),
    };
    if rank(&second) > rank(&first) { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nomad::action::Cause;

    fn vote(group: &str, direction: Direction, count: i64) -> Vote<'_> {
        let action = match direction {
            Direction::None => Action { count, ..Action::NONE },
            direction => Action::scale(direction, count, Cause::WithinBounds),
        };
        Vote { group, action }
    }

    fn outcome(votes: &[Vote<'_>]) -> Option<(Direction, i64)> {
        winner(votes).map(|action| (action.direction, action.count))
    }

    #[test]
    fn nobody_wins_without_votes() {
        assert_eq!(winner(&[]), None);
    }

    #[test]
    fn one_check_that_is_content_blocks_a_scale_in() {
        let votes = [vote("", Direction::Down, 2), vote("", Direction::None, 1)];
        assert_eq!(outcome(&votes), Some((Direction::None, 1)));
    }

    #[test]
    fn a_group_that_is_content_as_a_whole_blocks_a_scale_in_of_others() {
        let content = [vote("g1", Direction::None, 1), vote("g1", Direction::None, 1)];
        let votes = [vote("g2", Direction::Down, 2), content[0], content[1]];
        assert_eq!(outcome(&votes), Some((Direction::None, 1)));
        let stirred = vote("g1", Direction::Down, 3);
        assert_eq!(outcome(&[votes[0], content[0], stirred]), Some((Direction::Down, 3)));
    }

    #[test]
    fn up_wins_over_everything_and_the_highest_count_among_equals() {
        let votes = [
            vote("g1", Direction::Up, 4),
            vote("", Direction::None, 9),
            vote("g2", Direction::Up, 5),
            vote("g1", Direction::Down, 9),
        ];
        assert_eq!(outcome(&votes), Some((Direction::Up, 5)));
        let votes = [vote("g1", Direction::Down, 2), vote("g2", Direction::Down, 3)];
        assert_eq!(outcome(&votes), Some((Direction::Down, 3)));
    }

    #[test]
    fn of_equal_actions_the_first_wins() {
        let votes = [vote("", Direction::None, 1), vote("", Direction::None, 9)];
        assert_eq!(outcome(&votes), Some((Direction::None, 1)), "no action has no count");
        let named = |cause| Vote { group: "", action: Action::scale(Direction::Up, 4, cause) };
        let votes = [named(Cause::FixedValue(4)), named(Cause::Metric(4))];
        assert_eq!(winner(&votes).and_then(|action| action.cause), Some(Cause::FixedValue(4)));
    }

    #[test]
    fn the_order_of_votes_decides_neither_direction_nor_count() {
        let mut votes = [
            vote("", Direction::Down, 2),
            vote("g1", Direction::None, 1),
            vote("g1", Direction::Down, 4),
            vote("g2", Direction::Down, 3),
        ];
        for turn in 0..votes.len() {
            votes.rotate_left(turn);
            assert_eq!(outcome(&votes), Some((Direction::Down, 4)));
        }
    }
}
