//! A short list of reasons that lives where its proposal lives, so that a decision needs no heap.

use core::ops::Deref;

use super::Reason;

/// The reasons of one proposal, most important first; at most [`Reasons::MAX`]. Reads as a slice.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(from = "alloc::vec::Vec<Reason>", into = "alloc::vec::Vec<Reason>")
)]
pub struct Reasons {
    len: u8,
    slots: [Reason; Self::MAX],
}

impl Reasons {
    /// Most reasons of one proposal.
    pub const MAX: usize = 4;

    /// Adds a reason, unless there are [`Reasons::MAX`] already.
    pub fn push(&mut self, reason: Reason) {
        if let Some(slot) = self.slots.get_mut(usize::from(self.len)) {
            *slot = reason;
            self.len += 1;
        }
    }
}

impl Default for Reasons {
    fn default() -> Self {
        Self { len: 0, slots: [Reason::Calm; Self::MAX] }
    }
}

impl Deref for Reasons {
    type Target = [Reason];

    fn deref(&self) -> &[Reason] {
        self.slots.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<'a> IntoIterator for &'a Reasons {
    type Item = &'a Reason;
    type IntoIter = core::slice::Iter<'a, Reason>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Reasons {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl core::fmt::Debug for Reasons {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(feature = "serde")]
impl From<Reasons> for alloc::vec::Vec<Reason> {
    fn from(reasons: Reasons) -> Self {
        reasons.to_vec()
    }
}

#[cfg(feature = "serde")]
impl From<alloc::vec::Vec<Reason>> for Reasons {
    fn from(list: alloc::vec::Vec<Reason>) -> Self {
        let mut reasons = Self::default();
        for reason in list {
            reasons.push(reason);
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_reason_is_left_out() {
        let mut reasons = Reasons::default();
        for rule in 0..5 {
            reasons.push(Reason::Rule(rule));
        }
        assert_eq!(reasons.len(), Reasons::MAX);
        assert_eq!(reasons.last(), Some(&Reason::Rule(3)));
    }
}
