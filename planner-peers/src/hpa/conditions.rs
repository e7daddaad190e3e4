//! What the autoscaler says of itself: three conditions, each true or false with a reason.

use std::fmt;

/// A reason of a condition, by its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the name of another system, spelled as there")]
pub enum ConditionReason {
    // Able to scale.
    FailedUpdateScale,
    ReadyForNewScale,
    ScaleDownStabilized,
    ScaleUpStabilized,
    SucceededGetScale,
    SucceededRescale,
    // Scaling is active.
    FailedGetContainerResourceMetric,
    FailedGetExternalMetric,
    FailedGetObjectMetric,
    FailedGetPodsMetric,
    FailedGetResourceMetric,
    InvalidMetricSourceType,
    ScalingDisabled,
    ValidMetricFound,
    // Scaling is limited.
    DesiredWithinRange,
    ScaleDownLimit,
    ScaleUpLimit,
    TooFewReplicas,
    TooManyReplicas,
}

impl ConditionReason {
    /// Its name there.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailedUpdateScale => "FailedUpdateScale",
            Self::ReadyForNewScale => "ReadyForNewScale",
            Self::ScaleDownStabilized => "ScaleDownStabilized",
            Self::ScaleUpStabilized => "ScaleUpStabilized",
            Self::SucceededGetScale => "SucceededGetScale",
            Self::SucceededRescale => "SucceededRescale",
            Self::FailedGetContainerResourceMetric => "FailedGetContainerResourceMetric",
            Self::FailedGetExternalMetric => "FailedGetExternalMetric",
            Self::FailedGetObjectMetric => "FailedGetObjectMetric",
            Self::FailedGetPodsMetric => "FailedGetPodsMetric",
            Self::FailedGetResourceMetric => "FailedGetResourceMetric",
            Self::InvalidMetricSourceType => "InvalidMetricSourceType",
            Self::ScalingDisabled => "ScalingDisabled",
            Self::ValidMetricFound => "ValidMetricFound",
            Self::DesiredWithinRange => "DesiredWithinRange",
            Self::ScaleDownLimit => "ScaleDownLimit",
            Self::ScaleUpLimit => "ScaleUpLimit",
            Self::TooFewReplicas => "TooFewReplicas",
            Self::TooManyReplicas => "TooManyReplicas",
        }
    }
}

impl fmt::Display for ConditionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A condition that was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "a status and a reason: there is no more")]
pub struct Condition {
    /// Whether it holds.
    pub status: bool,
    /// Why.
    pub reason: ConditionReason,
}

impl Condition {
    /// It holds, for this reason.
    pub const fn yes(reason: ConditionReason) -> Self {
        Self { status: true, reason }
    }

    /// It does not, for this reason.
    pub const fn no(reason: ConditionReason) -> Self {
        Self { status: false, reason }
    }
}

/// The three conditions; each stays as it is until it is judged again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Conditions {
    /// `AbleToScale`: whether something holds a scaling back.
    pub able_to_scale: Option<Condition>,
    /// `ScalingActive`: whether metrics say what to do.
    pub scaling_active: Option<Condition>,
    /// `ScalingLimited`: whether a limit changed what the metrics say.
    pub scaling_limited: Option<Condition>,
}

impl Conditions {
    /// Those that were judged, with their names there, in the order of their first judgement.
    pub fn judged(&self) -> impl Iterator<Item = (&'static str, Condition)> {
        let named = [
            ("AbleToScale", self.able_to_scale),
            ("ScalingActive", self.scaling_active),
            ("ScalingLimited", self.scaling_limited),
        ];
        named.into_iter().filter_map(|(name, condition)| Some((name, condition?)))
    }
}
