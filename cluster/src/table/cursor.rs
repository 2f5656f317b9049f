//! Where a page of records ended.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tabularaft_schema::TableId;

/// Persistent, since callers keep cursors: add, never change or reuse.
const FORMAT_VERSION: u8 = 1;
const FLAG_REVERSED: u8 = 1;
const FLAG_INDEX: u8 = 2;
const CHECKSUM_BYTES: usize = 4;

/// The place behind a page of records, see [`Table::page`](super::Table::page).
///
/// A cursor is a place in key order and nothing that a node remembers. So it may be kept as text, handed to a client,
/// and used after a reconnect or a restart, on any node that holds the table. It ends with the table: one that was
/// dropped and created again has other cursors.
///
/// ```
/// # use tabularaft::Cursor;
/// assert!("no cursor".parse::<Cursor>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub(crate) table: TableId,
    /// Whether the walk goes from the last key to the first.
    pub(crate) reversed: bool,
    /// The secondary index that is walked through; without one the table itself.
    pub(crate) index: Option<String>,
    /// The storage key of the last record that was given, or its entry in the index.
    pub(crate) key: Vec<u8>,
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor of a page, or only a part of one: begin again without a cursor")]
#[non_exhaustive]
pub struct InvalidCursor;

impl Cursor {
    /// The format version, flags, the table's id, length and name of the index if there is one, the key, and a checksum
    /// of all that.
    fn to_bytes(&self) -> Vec<u8> {
        let reversed = if self.reversed { FLAG_REVERSED } else { 0 };
        let indexed = if self.index.is_some() { FLAG_INDEX } else { 0 };
        let mut bytes = vec![FORMAT_VERSION, reversed | indexed];
        bytes.extend_from_slice(&self.table.0.to_be_bytes());
        if let Some(index) = &self.index {
            bytes.push(u8::try_from(index.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(index.as_bytes());
        }
        bytes.extend_from_slice(&self.key);
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        if crc32c::crc32c(content) != u32::from_be_bytes(*checksum) {
            return None;
        }
        let (&[version, flags], content) = content.split_first_chunk::<2>()?;
        let (table, content) = content.split_first_chunk::<8>()?;
        if version != FORMAT_VERSION || flags > FLAG_REVERSED | FLAG_INDEX {
            return None;
        }
        let (index, key) = match flags & FLAG_INDEX {
            0 => (None, content),
            _ => {
                let (length, content) = content.split_first()?;
                let (name, key) = content.split_at_checked(usize::from(*length))?;
                (Some(String::from_utf8(name.to_vec()).ok()?), key)
            }
        };
        Some(Self {
            table: TableId(u64::from_be_bytes(*table)),
            reversed: flags & FLAG_REVERSED != 0,
            index,
            key: key.to_vec(),
        })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({self})")
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        Self::from_bytes(&bytes).ok_or(InvalidCursor)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(reversed: bool) -> Cursor {
        Cursor { table: TableId(7), reversed, index: None, key: b"room\0\x01".to_vec() }
    }

    #[test]
    fn a_cursor_of_an_earlier_build_is_still_read() {
        assert_eq!("AQAAAAAAAAAAB3Jvb20AAThCQAU".parse(), Ok(cursor(false)));
        assert_eq!("AQEAAAAAAAAAB3Jvb20AAV_MvQQ".parse(), Ok(cursor(true)));
    }

    #[test]
    fn a_cursor_survives_as_text_and_in_json() {
        let indexed = Cursor { index: Some("by_name".into()), ..cursor(true) };
        for cursor in [cursor(false), cursor(true), indexed] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
            let json = serde_json::to_string(&cursor).unwrap();
            assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), cursor);
        }
    }

    #[test]
    fn text_that_was_cut_or_changed_is_refused() {
        let text = cursor(false).to_string();
        for end in 0..text.len() {
            assert_eq!(text[..end].parse::<Cursor>(), Err(InvalidCursor), "cut to {end}");
        }
        assert_eq!(text.replace('J', "K").parse::<Cursor>(), Err(InvalidCursor));
    }
}
