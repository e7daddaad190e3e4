//! What was stored as a window and cannot be one.

use super::BucketWindow;

/// A window as it is stored.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
pub(super) struct RawWindow {
    written: Option<super::Written>,
    average: super::Average,
}

#[cfg(feature = "serde")]
impl TryFrom<RawWindow> for BucketWindow {
    type Error = StoredWindowError;

    fn try_from(raw: RawWindow) -> Result<Self, StoredWindowError> {
        use super::Average;

        let buckets_max = Self::MAX_S as usize;
        let sound = match &raw.average {
            Average::Linear(linear) => linear.is_sound(buckets_max),
            Average::WeightedExponential(weighted) => weighted.is_sound(buckets_max),
        };
        if !sound {
            return Err(StoredWindowError::Buckets);
        }
        Ok(Self { written: raw.written, average: raw.average })
    }
}

/// Why a stored window was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredWindowError {
    /// Its buckets contradict themselves.
    #[error(
        "window: its buckets are not 1..={} finite values with the newest among them; start \
         without this snapshot",
        BucketWindow::MAX_S
    )]
    Buckets,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_what_to_do() {
        assert_eq!(
            StoredWindowError::Buckets.to_string(),
            "window: its buckets are not 1..=3600 finite values with the newest among them; start \
             without this snapshot"
        );
    }
}
