//! How many replicas there are: counted, ordered, and doubted when most of them vanish at once.

use super::Kernel;
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
    /// what dies; after the start-up allowance the count is believed.
    pub(super) fn vanished(&self, config: &Config, window: &Window) -> Option<Doubt> {
        let (counted, before) = (counted(window)?, self.believed);
        let gone = before >= MASS_MIN && counted.saturating_mul(2) < before;
        let doubted = u128::from(self.vanished_ms) < config.startup_allowance().as_millis();
        (gone && doubted && on(Switch::Vanished)).then_some(Doubt::Vanished { before, counted })
    }

    /// A fresh window came. What was counted before a gap in the telemetry says nothing any more.
    pub(super) fn age_count(&mut self, config: &Config, window: &Window) {
        if window.start.saturating_since(self.last_end) > config.window_age_max() {
            self.forget_count();
        }
        if self.vanished_ms > 0 {
            let passed_ms = window.end.saturating_since(self.last_end).as_millis();
            let passed_ms = u32::try_from(passed_ms).unwrap_or(u32::MAX);
            self.vanished_ms = self.vanished_ms.saturating_add(passed_ms);
        }
    }

    /// Takes note of the replicas of a judged window. What a scale-in removes has not vanished.
    pub(super) fn note_count(&mut self, config: &Config, window: &Window) {
        if self.vanished(config, window).is_some() {
            self.vanished_ms = self.vanished_ms.max(1);
            return;
        }
        let Some(counted) = counted(window) else { return };
        self.vanished_ms = 0;
        self.believed = match self.guards.last_order() {
            Some((at, from, to))
                if to < from && self.now.saturating_since(at) < config.startup_allowance() =>
            {
                counted.min(to)
            }
            _ => counted,
        };
    }

    /// Takes note of a scaling that was decided.
    pub(super) fn note_order(&mut self, to: u32) {
        self.believed = self.believed.min(to);
    }

    /// The count is unknown, or was for a while.
    pub(crate) fn forget_count(&mut self) {
        (self.believed, self.vanished_ms) = (0, 0);
    }
}

/// Replicas that a window counts; `None` when it does not know them.
fn counted(window: &Window) -> Option<u32> {
    Some(window.ready?.saturating_add(window.starting.unwrap_or(0)))
}
