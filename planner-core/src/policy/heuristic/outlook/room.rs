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

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;
    use crate::testing::Scene;

    #[test]
    fn what_could_not_have_been_learned_is_not_restored() {
        let outlook = Outlook::new(&Scene::calm(100, 2).view(), 80.0, 50.0);
        let mut room = Room::default();
        room.put(outlook);
        let written = serde_json::to_value(&room).expect("serialisable");
        let restored = |text: &serde_json::Value| -> Room {
            serde_json::from_value(text.clone()).expect("an outlook")
        };
        assert_eq!(restored(&written), room);
        for (place, value) in [
            ("/weight", 0.0),
            ("/weight", 1e300),
            ("/record_s", -1.0),
            ("/record_s", 1e6),
            ("/forecasts/0/cost_per_s", -1.0),
            ("/mean_per_s", -1.0),
            ("/open_len", 200.0),
            ("/forecasts/0/margin", 1e9),
            ("/forecasts/1/counts/3", -1.0),
            ("/peaks_per_s/0", -1.0),
        ] {
            let mut edited = written.clone();
            let number = edited.pointer_mut(place).expect("a field");
            *number = if place == "/open_len" { 200.into() } else { value.into() };
            assert_eq!(restored(&edited).get(), None, "{place} {value}");
        }
    }

    #[test]
    fn what_version_2_remembered_is_restored_and_its_records_begin_again() {
        let mut room = Room::default();
        room.put(Outlook::new(&Scene::calm(100, 2).view(), 80.0, 50.0));
        let mut written = serde_json::to_value(&room).expect("serialisable");
        written.as_object_mut().expect("fields").remove("record_s");
        let forecasts = written["forecasts"].as_array_mut().expect("three");
        for forecast in forecasts {
            forecast["is_usual"] = true.into();
        }
        let restored: Room = serde_json::from_value(written).expect("an outlook");
        assert_eq!(restored, room, "a record of no time");
    }

    #[test]
    fn room_that_was_made_early_holds_nothing() {
        let mut room = Room::default();
        room.reserve();
        assert_eq!((room.get(), &room), (None, &Room::default()));
    }
}
