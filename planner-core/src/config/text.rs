//! How spans are written: as whole nanoseconds, so that text keeps every bit.

/// One span.
pub(crate) mod nanos {
    use core::time::Duration;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_nanos)
    }
}

/// A span from one length to another.
pub(crate) mod nanos_range {
    use core::ops::RangeInclusive;
    use core::time::Duration;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        range: &RangeInclusive<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let end = |span: &Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        (end(range.start()), end(range.end())).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<RangeInclusive<Duration>, D::Error> {
        let (start, end) = <(u64, u64)>::deserialize(from)?;
        Ok(Duration::from_nanos(start)..=Duration::from_nanos(end))
    }
}
