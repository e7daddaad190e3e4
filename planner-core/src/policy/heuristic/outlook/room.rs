//! Room for an outlook: on the heap, and empty until a load has moved.

use alloc::boxed::Box;

use super::Outlook;

/// Room for an outlook, which few services need: on the heap, and made early where no step may
/// allocate.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Option<Outlook>", into = "Option<Outlook>"))]
pub(in super::super) struct Room(Option<Box<Outlook>>);

impl Room {
    pub(in super::super) fn get(&self) -> Option<&Outlook> {
        self.0.as_deref().filter(|outlook| outlook.is_taken())
    }

    pub(in super::super) fn get_mut(&mut self) -> Option<&mut Outlook> {
        self.0.as_deref_mut().filter(|outlook| outlook.is_taken())
    }

    pub(in super::super) fn put(&mut self, outlook: Outlook) {
        match &mut self.0 {
            Some(room) => **room = outlook,
            None => self.0 = Some(Box::new(outlook)),
        }
    }

    pub(in super::super) fn reserve(&mut self) {
        self.0.get_or_insert_with(Box::default);
    }
}

/// Whether there is room makes no difference.
impl PartialEq for Room {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

#[cfg(feature = "serde")]
impl From<Room> for Option<Outlook> {
    fn from(room: Room) -> Self {
        room.get().cloned()
    }
}

#[cfg(feature = "serde")]
impl From<Option<Outlook>> for Room {
    fn from(outlook: Option<Outlook>) -> Self {
        // What was written elsewhere is believed only when it could have been written here.
        Self(outlook.filter(Outlook::is_sound).map(Box::new))
    }
}
