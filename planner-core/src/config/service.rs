//! A service's name.

use alloc::string::String;
use core::fmt;

/// A service's name: 1 to 63 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct ServiceId(String);

impl ServiceId {
    /// The name, checked.
    ///
    /// # Errors
    ///
    /// [`ServiceIdError`] unless the name is 1 to 63 of `a-z`, `0-9` and `-`.
    pub fn new(name: impl Into<String>) -> Result<Self, ServiceIdError> {
        let name = name.into();
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if (1..=63).contains(&name.len()) && name.bytes().all(legal) {
            return Ok(Self(name));
        }
        Err(ServiceIdError)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServiceId {
    type Error = ServiceIdError;

    fn try_from(name: String) -> Result<Self, ServiceIdError> {
        Self::new(name)
    }
}

impl From<ServiceId> for String {
    fn from(id: ServiceId) -> Self {
        id.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name that cannot be a service's. The name itself is not repeated: it may come from anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("service: not 1 to 63 of a-z, 0-9 and '-'; rename it")]
#[non_exhaustive]
pub struct ServiceIdError;
