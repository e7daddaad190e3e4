//! How many replicas there are: counted, ordered, and doubted when most of them vanish at once.

use core::time::Duration;

use super::Kernel;
use crate::Timestamp;
use crate::config::Config;
use crate::guard::{Switch, on};
use crate::telemetry::{Doubt, Window};

/// Fewest replicas of which half can vanish: fewer die one by one.
const MASS_MIN: u32 = 4;

impl<S, B> Kernel<S, B> {
    /// Replicas that are ready or ordered; `None` when unknown.
    ///
    /// While the start-up allowance lasts, a scale-out that was ordered counts as carried out,
    /// because a window may end before it begins; so does a scale-in where the source does not
    /// count starting replicas.
    pub(crate) fn committed(&self, config: &Config, window: &Window) -> Option<u32> {
        let unknown = if on(Switch::ReplicasUnknown) { None } else { Some(0) };
        let counted = window.ready.or(unknown)?.saturating_add(window.starting.unwrap_or(0));
        let ordered = match self.guards.last_order() {
            Some((at, from, to)) if self.now.saturating_since(at) < config.startup_allowance() => {
                (from, to)
            }
            _ => return Some(counted),
        };
        Some(match ordered {
            (from, to) if to > from => counted.max(to),
            (_, to) if window.starting.is_none() => to,
            _ => counted,
        })
    }

    /// Whether so many replicas are gone at once that the count itself is doubted: fewer than half
    /// of those that were there, and nobody ordered it. Executors keep what was ordered and replace
    /// what dies, so for the start-up allowance the count from before stands; then it is believed.
    pub(super) fn vanished(&self, config: &Config, window: &Window) -> Option<Doubt> {
        let (counted, before) = (counted(window)?, self.believed);
        if before < MASS_MIN || counted.saturating_mul(2) >= before || !on(Switch::Vanished) {
            return None;
        }
        let since = match self.vanished_s {
            0 => self.now,
            second => Timestamp::from_origin(Duration::from_secs(second.into())),
        };
        let doubted = self.now.saturating_since(since) < config.startup_allowance();
        doubted.then_some(Doubt::Vanished { before, counted })
    }

    /// Takes note of the replicas of a judged window. What a scale-in removes has not vanished.
    pub(super) fn note_count(&mut self, config: &Config, window: &Window) {
        if self.vanished(config, window).is_some() {
            if self.vanished_s == 0 {
                let origin = self.now.saturating_since(Timestamp::ORIGIN);
                self.vanished_s = seconds(origin).max(1);
            }
            return;
        }
        let Some(counted) = counted(window) else { return };
        self.vanished_s = 0;
        self.believed = match self.guards.last_order() {
            Some((at, from, to))
                if to < from && self.now.saturating_since(at) < config.startup_allowance() =>
            {
                counted.min(to)
            }
            _ => counted,
        };
    }

    /// Goes on after the clock was set back by `behind`.
    pub(super) fn rebase_count(&mut self, behind: Duration) {
        self.vanished_s = match self.vanished_s {
            0 => 0,
            second => second.saturating_sub(seconds(behind)).max(1),
        };
    }
}

/// Replicas that a window counts; `None` when it does not know them.
fn counted(window: &Window) -> Option<u32> {
    Some(window.ready?.saturating_add(window.starting.unwrap_or(0)))
}

/// Whole seconds; a span of more than 136 years is that long.
fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}
