//! Values on disc and on the wire that are read back by other builds: a version, a checksum, then postcard.
//!
//! Persistent: add, never change or reuse. Byte 0 is the version of the value's own format, bytes 1–4 the CRC-32C
//! (little-endian) of that byte and everything from byte 5 on.

use serde::Serialize;
use serde::de::DeserializeOwned;

const HEADER_BYTES: usize = 5;

/// Why sealed bytes cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A newer build wrote them.
    #[error("it has format version {found}, this build reads up to {newest}: upgrade this node")]
    NewerFormat {
        /// The version found.
        found: u8,
        /// The newest version that this build reads.
        newest: u8,
    },
    /// The checksum does not fit the content.
    #[error("its checksum does not match: its bytes have changed since they were written")]
    Checksum,
    /// The bytes end early, go on too long, or say something that has no meaning.
    #[error("its content has no meaning: {why}")]
    Content {
        /// What the decoder found.
        why: String,
    },
}

/// Seals `value` as version `version` of its format.
pub(crate) fn seal<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    let start = vec![version, 0, 0, 0, 0];
    let bytes =
        postcard::to_extend(value, start).expect("sealed values have only types that postcard encodes");
    close(bytes)
}

/// Fills in the checksum of bytes that begin with a version and four bytes of room.
pub(crate) fn close(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = checksum(&bytes).to_le_bytes();
    if let Some(room) = bytes.get_mut(1..HEADER_BYTES) {
        room.copy_from_slice(&crc);
    }
    bytes
}

/// Checks version and checksum and gives what follows them.
pub(crate) fn content(newest: u8, bytes: &[u8]) -> Result<&[u8], SealError> {
    let content =
        bytes.get(HEADER_BYTES..).ok_or_else(|| SealError::Content { why: "it ends early".into() })?;
    match bytes.first() {
        Some(&found) if found > newest => return Err(SealError::NewerFormat { found, newest }),
        Some(0) | None => return Err(SealError::Content { why: "its format version is 0".into() }),
        Some(_) => {}
    }
    if bytes.get(1..HEADER_BYTES) != Some(&checksum(bytes).to_le_bytes()) {
        return Err(SealError::Checksum);
    }
    Ok(content)
}

/// Reads back what [`seal`] made. `newest` is the newest version that the caller's type reads.
pub(crate) fn unseal<T: DeserializeOwned>(newest: u8, bytes: &[u8]) -> Result<T, SealError> {
    decode(content(newest, bytes)?)
}

/// Decodes postcard that must fill `bytes` to their end.
pub(crate) fn decode<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, SealError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(SealError::Content { why: "bytes follow its end".into() }),
        Err(error) => Err(SealError::Content { why: error.to_string() }),
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let version = bytes.get(..1).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c(version), bytes.get(HEADER_BYTES..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_comes_back() {
        let bytes = seal(2, &("text".to_owned(), 7u64));
        assert_eq!(unseal::<(String, u64)>(2, &bytes), Ok(("text".to_owned(), 7)));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = seal(1, &"some text".to_owned());
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal::<String>(1, &bytes).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(unseal::<String>(1, &sealed[..length]).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn a_newer_version_is_named_before_its_content_is_judged() {
        let mut bytes = seal(1, &1u64);
        bytes[0] = 9;
        assert_eq!(unseal::<u64>(1, &bytes), Err(SealError::NewerFormat { found: 9, newest: 1 }));
    }
}
