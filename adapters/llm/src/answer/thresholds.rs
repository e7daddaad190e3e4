//! Thresholds in an answer: moved into an envelope that only tightens, or dropped.

use std::collections::BTreeSet;

use planner_core::Thresholds;
use serde_json::{Map, Value};

use super::{Asked, Note, field};

/// How far one advice may move a threshold from the value in force.
const SHARE_MAX: f64 = 0.25;
/// Advised thresholds keep at least this factor between `up_ratio` and `down_ratio`.
const RATIO_GAP_MIN: f64 = 1.25;

/// Those thresholds that a model named.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "those of `Thresholds`, each of them optional")]
pub struct AdvisedThresholds {
    /// See [`Thresholds::up_ratio`].
    pub up_ratio: Option<f64>,
    /// See [`Thresholds::down_ratio`].
    pub down_ratio: Option<f64>,
    /// See [`Thresholds::up_z`].
    pub up_z: Option<f64>,
}

/// The thresholds of an answer, moved into their envelope; none where they cannot be used.
pub(super) fn read(
    fields: &Map<String, Value>,
    asked: &Asked,
    notes: &mut BTreeSet<Note>,
) -> Option<AdvisedThresholds> {
    let value = field(fields, "thresholds")?;
    let named = value.as_object().and_then(AdvisedThresholds::of);
    let Some(named) = named else {
        notes.insert(Note::ThresholdsDropped);
        return None;
    };
    if named == AdvisedThresholds::default() {
        return None;
    }
    let mut taken = named;
    let (active, operator) = (asked.active, asked.operator);
    for (value, envelope, active, operator, note) in [
        (&mut taken.up_ratio, 1.5..=20.0, active.up_ratio, operator.up_ratio, Note::UpRatioClamped),
        (
            &mut taken.down_ratio,
            1.0..=1.5,
            active.down_ratio,
            operator.down_ratio,
            Note::DownRatioClamped,
        ),
        (&mut taken.up_z, 3.0..=20.0, active.up_z, operator.up_z, Note::UpZClamped),
    ] {
        let Some(wanted) = *value else { continue };
        let near = wanted
            .max(*envelope.start())
            .min(*envelope.end())
            .max(active * (1.0 - SHARE_MAX))
            .min(active * (1.0 + SHARE_MAX))
            .min(operator);
        if near.total_cmp(&wanted).is_ne() {
            notes.insert(note);
        }
        *value = Some(near);
    }
    let up = taken.up_ratio.unwrap_or(active.up_ratio);
    let down = taken.down_ratio.unwrap_or(active.down_ratio);
    let contradicts = named.up_ratio.zip(named.down_ratio).is_some_and(|(up, down)| up < down);
    if contradicts || up < RATIO_GAP_MIN * down {
        for note in [Note::UpRatioClamped, Note::DownRatioClamped, Note::UpZClamped] {
            notes.remove(&note);
        }
        notes.insert(Note::ThresholdsDropped);
        return None;
    }
    Some(taken)
}

impl AdvisedThresholds {
    /// Those that are there; `None` when one of them is no number.
    fn of(fields: &Map<String, Value>) -> Option<Self> {
        let number =
            |name| field(fields, name).map_or(Some(None), |value| value.as_f64().map(Some));
        Some(Self {
            up_ratio: number("up_ratio")?,
            down_ratio: number("down_ratio")?,
            up_z: number("up_z")?,
        })
    }

    /// All three, those that were not named as they are in force.
    pub fn over(self, active: Thresholds) -> Thresholds {
        Thresholds {
            up_ratio: self.up_ratio.unwrap_or(active.up_ratio),
            down_ratio: self.down_ratio.unwrap_or(active.down_ratio),
            up_z: self.up_z.unwrap_or(active.up_z),
        }
    }

    /// As records have them.
    pub(super) fn to_json(self) -> Value {
        let named =
            [("up_ratio", self.up_ratio), ("down_ratio", self.down_ratio), ("up_z", self.up_z)];
        let there = named.into_iter().filter_map(|(name, value)| {
            value.map(|value| (String::from(name), Value::from(value)))
        });
        Value::Object(there.collect())
    }
}
