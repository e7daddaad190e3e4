//! A policy that is not always its own: now and then it asks for any count whatever.
//!
//! Guards must hold whatever a policy wants. One that never asks for what a guard forbids would
//! leave the guard unexercised.

use std::time::Duration;

use planner_core::policy::{Policy, Proposal, View};
use planner_core::{NoSignal, Timestamp};

use crate::world::mixed;

/// `P`, whose every other proposal is any count, by a hash of the window's number and the seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disturbed<P> {
    policy: P,
    seed: u64,
}

impl<P> Disturbed<P> {
    pub(crate) const fn new(policy: P, seed: u64) -> Self {
        Self { policy, seed }
    }
}

impl<P: Policy<Signal = NoSignal>> Policy for Disturbed<P> {
    type Signal = NoSignal;
    type State = P::State;

    fn name(&self) -> &'static str {
        self.policy.name()
    }

    fn version(&self) -> u32 {
        self.policy.version()
    }

    fn initial_state(&self) -> P::State {
        self.policy.initial_state()
    }

    fn period(&self) -> Option<Duration> {
        self.policy.period()
    }

    fn absorb(&self, now: Timestamp, signal: NoSignal, state: &mut P::State) {
        self.policy.absorb(now, signal, state);
    }

    fn propose(&self, view: &View<'_>, state: &P::State) -> Proposal {
        let proposal = self.policy.propose(view, state);
        let any = mixed(self.seed ^ view.window.seq().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Runs of four windows want the same, or stabilisation would hold everything.
        let run = mixed(self.seed ^ (view.window.seq() / 4));
        let most = u64::from(view.config.bounds().max()) + 3;
        let count = |hash: u64| u32::try_from(hash % (most + 1)).unwrap_or(u32::MAX);
        match any % 8 {
            0..=2 => proposal,
            3 => Proposal::exactly(u32::MAX),
            4 => Proposal::band(count(run), count(run >> 8), count(run >> 16)).consulting(),
            _ => Proposal::exactly(count(run)),
        }
    }

    fn learn(&self, view: &View<'_>, target: u32, state: &mut P::State) {
        self.policy.learn(view, target, state);
    }

    fn rebase(&self, behind: Duration, state: &mut P::State) {
        self.policy.rebase(behind, state);
    }

    fn refused(&self, state: &mut P::State) {
        self.policy.refused(state);
    }
}
