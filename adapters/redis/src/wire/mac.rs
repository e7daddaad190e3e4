//! The seal of a message: proof that whoever wrote it holds the key.
//!
//! It is always the last field, and covers all bytes before it as they were sent: no two programs
//! have to agree on how JSON is written. That a sealed message is not used twice is the business
//! of epoch, number and expiry, which are sealed too.

use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{KeyError, WireError};

/// What stands between the sealed bytes and the seal.
const BEFORE: &[u8] = b",\"mac\":\"";
/// What stands behind the seal.
const AFTER: &[u8] = b"\"}";
/// Bytes of the seal; twice as many digits.
const SEAL_BYTES: usize = 32;
/// Least bytes of a key.
const KEY_BYTES_MIN: usize = 16;

/// A secret that planner and executor share. It is shown nowhere.
#[derive(Clone)]
pub struct MacKey(Vec<u8>);

impl MacKey {
    /// A key of these bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Short`] for fewer than 16 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() < KEY_BYTES_MIN {
            return Err(KeyError::Short { bytes: bytes.len(), least: KEY_BYTES_MIN });
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The key in a file; blanks and line ends around it do not count.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the file cannot be read, or holds fewer than 16 bytes.
    pub fn read(file: impl AsRef<Path>) -> Result<Self, KeyError> {
        let file = file.as_ref();
        match std::fs::read(file) {
            Ok(bytes) => Self::new(bytes.trim_ascii()),
            Err(error) => {
                Err(KeyError::Unreadable { file: file.to_owned(), cause: error.to_string() })
            }
        }
    }

    /// The code of some bytes, begun; `None` never, since a key may have any length.
    fn code(&self, bytes: &[u8]) -> Option<Hmac<Sha256>> {
        let mut code = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        code.update(bytes);
        Some(code)
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

/// A message, one JSON object with at least one field, with its seal as the last field.
pub fn seal(text: &str, key: &MacKey) -> String {
    let open = text.strip_suffix('}').unwrap_or(text);
    let code = key.code(open.as_bytes()).map(|code| code.finalize().into_bytes());
    let digits = code.as_ref().map(|code| digits_of(code)).unwrap_or_default();
    format!("{open},\"mac\":\"{digits}\"}}")
}

/// Checks the seal of a message, in the same time wherever it is wrong.
///
/// # Errors
///
/// [`WireError::Unsealed`] without a seal at the end, [`WireError::Forged`] with a wrong one.
pub fn verify(bytes: &[u8], key: &MacKey) -> Result<(), WireError> {
    let sealed = bytes.strip_suffix(AFTER).ok_or(WireError::Unsealed)?;
    let at = sealed.len().checked_sub(2 * SEAL_BYTES).ok_or(WireError::Unsealed)?;
    let (rest, digits) = sealed.split_at_checked(at).ok_or(WireError::Unsealed)?;
    let rest = rest.strip_suffix(BEFORE).ok_or(WireError::Unsealed)?;
    let seal = bytes_of(digits).ok_or(WireError::Unsealed)?;
    let code = key.code(rest).ok_or(WireError::Forged)?;
    code.verify_slice(&seal).map_err(|_| WireError::Forged)
}

/// Bytes as small hexadecimal digits.
fn digits_of(bytes: &[u8]) -> String {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    halves.filter_map(|half| char::from_digit(u32::from(half), 16)).collect()
}

/// The bytes that small hexadecimal digits stand for.
fn bytes_of(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, _) = digits.as_chunks::<2>();
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MacKey {
        MacKey::new(b"sixteen bytes or more").expect("long enough")
    }

    #[test]
    fn a_sealed_message_is_verified_and_any_change_is_seen() {
        let sealed = seal("{\"kind\":\"plan\",\"id\":7}", &key());
        assert_eq!(verify(sealed.as_bytes(), &key()), Ok(()));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] ^= 1;
            assert!(verify(&changed, &key()).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(verify(&sealed.as_bytes()[..length], &key()).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn another_key_or_no_seal_is_refused() {
        let text = "{\"id\":7}";
        let other = MacKey::new(b"another sixteen bytes").expect("long enough");
        assert_eq!(verify(seal(text, &other).as_bytes(), &key()), Err(WireError::Forged));
        assert_eq!(verify(text.as_bytes(), &key()), Err(WireError::Unsealed));
        assert_eq!(verify(b"", &key()), Err(WireError::Unsealed));
    }

    #[test]
    fn a_field_behind_the_seal_is_refused() {
        let sealed = seal("{\"id\":7}", &key());
        let longer = format!("{},\"id\":8}}", sealed.strip_suffix('}').expect("an object"));
        assert_eq!(verify(longer.as_bytes(), &key()), Err(WireError::Unsealed));
    }

    #[test]
    fn the_code_is_hmac_sha_256() {
        // RFC 4231, test case 2 has a key of four bytes; this is its case 1 with twenty.
        let key = MacKey(vec![0x0b; 20]);
        let code = key.code(b"Hi There").expect("a code").finalize().into_bytes();
        assert_eq!(
            digits_of(&code),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }

    #[test]
    fn a_key_is_read_from_a_file_and_shown_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, "  0123456789abcdef\n").expect("written");
        let key = MacKey::read(&file).expect("a key");
        assert_eq!(key.0, b"0123456789abcdef");
        assert_eq!(format!("{key:?}"), "MacKey(..)");
        std::fs::write(&file, "  short \n").expect("written");
        assert_eq!(
            MacKey::read(&file).expect_err("too short"),
            KeyError::Short { bytes: 5, least: 16 }
        );
        let missing = MacKey::read(folder.path().join("none")).expect_err("no file");
        assert!(matches!(missing, KeyError::Unreadable { .. }));
    }
}
