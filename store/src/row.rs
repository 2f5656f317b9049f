use std::fmt;
use std::sync::Arc;

use crate::incarnation::Incarnation;

/// A record as the store keeps it, without its key: version, owner and value bytes in one allocation.
///
/// Cloning shares the allocation. Tables in memory hold no `Row`s but packed bytes and lend [`RowRef`]s; a `Row` is for
/// whoever keeps one record beyond the view it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    bytes: Arc<[u8]>,
}

/// A record borrowed from a table in memory, from a [`Row`] or from stored bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RowRef<'a> {
    version: u64,
    /// The version of the shape that the value has; 1 unless the table was transformed.
    record_version: u32,
    owner: Option<Incarnation>,
    value: &'a [u8],
}

// The encoding is tag, version, then for OWNED and OWNED_RESHAPED node and life, then for RESHAPED and OWNED_RESHAPED
// the record version, then the value to the end; integers are little-endian. Rows of record version 1 have one of the
// first two tags, all others one of the last two.
// Persistent: add, never change or reuse.
const PLAIN: u8 = 0;
const OWNED: u8 = 1;
const RESHAPED: u8 = 2;
const OWNED_RESHAPED: u8 = 3;

/// The record version of rows that do not say it.
const FIRST_RECORD_VERSION: u32 = 1;

/// Tag, version, owner and record version.
const HEADER_BYTES_MAX: usize = 29;

impl Row {
    /// Copies `value` into a new row.
    #[must_use]
    pub fn new(version: u64, owner: Option<Incarnation>, value: &[u8]) -> Self {
        RowRef::new(version, owner, value).to_row()
    }

    /// Reads a row from the bytes that [`Row::as_bytes`] gave; `None` if they are no row.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        RowRef::from_bytes(bytes)?;
        Some(Self::from_encoded(bytes))
    }

    /// Copies bytes that are known to be an encoded row.
    pub(crate) fn from_encoded(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into() }
    }

    /// The record's version: the position of the write that last changed it.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.as_row_ref().version
    }

    /// The version of the shape that the record's bytes have.
    #[must_use]
    pub fn record_version(&self) -> u32 {
        self.as_row_ref().record_version
    }

    /// The incarnation the record belongs to, in an `owned` table.
    #[must_use]
    pub fn owner(&self) -> Option<Incarnation> {
        self.as_row_ref().owner
    }

    /// The record's bytes.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.as_row_ref().value
    }

    /// Borrows the row in the form tables take and give.
    #[must_use]
    pub fn as_row_ref(&self) -> RowRef<'_> {
        RowRef::from_bytes(&self.bytes).expect("a row is only built from checked bytes")
    }

    /// The row in its stored form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A copy of the row in its stored form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// Bytes of heap the row's allocation takes, as an estimate.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        crate::memory::allocation_bytes(self.bytes.len())
    }
}

impl<'a> RowRef<'a> {
    /// A row without content, for structures that need a key only.
    pub(crate) const EMPTY: RowRef<'static> =
        RowRef { version: 0, record_version: FIRST_RECORD_VERSION, owner: None, value: &[] };

    /// Names the parts of a record of record version 1.
    #[must_use]
    pub fn new(version: u64, owner: Option<Incarnation>, value: &'a [u8]) -> Self {
        Self { version, record_version: FIRST_RECORD_VERSION, owner, value }
    }

    /// The same row with a value of another record version.
    #[must_use]
    pub fn with_record_version(self, record_version: u32) -> Self {
        Self { record_version, ..self }
    }

    /// Reads a row from its stored form; `None` if the bytes are no row.
    #[must_use]
    #[inline]
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        let (&[tag], rest) = bytes.split_first_chunk::<1>()?;
        let (version, rest) = split_u64(rest)?;
        let plain = Self { version, record_version: FIRST_RECORD_VERSION, owner: None, value: rest };
        match tag {
            PLAIN => Some(plain),
            OWNED => plain.split_owner(),
            RESHAPED => plain.split_record_version(),
            OWNED_RESHAPED => plain.split_owner()?.split_record_version(),
            _ => None,
        }
    }

    fn split_owner(self) -> Option<Self> {
        let (node, rest) = split_u64(self.value)?;
        let (life, value) = split_u64(rest)?;
        Some(Self { owner: Some(Incarnation { node, life }), value, ..self })
    }

    fn split_record_version(self) -> Option<Self> {
        let (record_version, value) = self.value.split_first_chunk::<4>()?;
        let record_version = u32::from_le_bytes(*record_version);
        // One row has one encoding, so that equal rows are equal bytes.
        (record_version != FIRST_RECORD_VERSION).then_some(Self { record_version, value, ..self })
    }

    /// The record's version: the position of the write that last changed it.
    #[must_use]
    #[inline]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The version of the shape that the record's bytes have.
    #[must_use]
    #[inline]
    pub fn record_version(&self) -> u32 {
        self.record_version
    }

    /// The incarnation the record belongs to, in an `owned` table.
    #[must_use]
    #[inline]
    pub fn owner(&self) -> Option<Incarnation> {
        self.owner
    }

    /// The record's bytes.
    #[must_use]
    #[inline]
    pub fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Copies the record into a row of its own.
    #[must_use]
    pub fn to_row(&self) -> Row {
        let mut bytes = Vec::with_capacity(self.encoded_bytes());
        self.write_to(&mut bytes);
        Row { bytes: bytes.into() }
    }

    /// Appends the stored form to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_bytes());
        match (self.owner, self.record_version) {
            // Most rows, and the shortest way for them: this runs for every record that is written, copied or loaded.
            (None, FIRST_RECORD_VERSION) => {
                out.push(PLAIN);
                out.extend_from_slice(&self.version.to_le_bytes());
            }
            _ => {
                let (header, used) = self.header();
                out.extend(header.iter().take(used));
            }
        }
        out.extend_from_slice(self.value);
    }

    /// Length of the stored form.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        self.header_bytes() + self.value.len()
    }

    fn header_bytes(&self) -> usize {
        match (self.owner, self.record_version) {
            (None, FIRST_RECORD_VERSION) => 9,
            (Some(_), FIRST_RECORD_VERSION) => 25,
            (None, _) => 13,
            (Some(_), _) => HEADER_BYTES_MAX,
        }
    }

    /// What stands before the value in the stored form: the bytes and how many of them count.
    pub(crate) fn header(&self) -> ([u8; HEADER_BYTES_MAX], usize) {
        let mut header = [0; HEADER_BYTES_MAX];
        let tag = match (self.owner, self.record_version) {
            (None, FIRST_RECORD_VERSION) => PLAIN,
            (Some(_), FIRST_RECORD_VERSION) => OWNED,
            (None, _) => RESHAPED,
            (Some(_), _) => OWNED_RESHAPED,
        };
        let owner = self
            .owner
            .into_iter()
            .flat_map(|owner| owner.node.to_le_bytes().into_iter().chain(owner.life.to_le_bytes()));
        let bytes = [tag]
            .into_iter()
            .chain(self.version.to_le_bytes())
            .chain(owner)
            .chain(self.record_version.to_le_bytes());
        for (slot, byte) in header.iter_mut().zip(bytes) {
            *slot = byte;
        }
        (header, self.header_bytes())
    }
}

#[inline]
fn split_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}

impl<'a> From<&'a Row> for RowRef<'a> {
    fn from(row: &'a Row) -> Self {
        row.as_row_ref()
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_row_ref().fmt(f)
    }
}

/// Shows the value's length only: a record's content never reaches a log line.
impl fmt::Debug for RowRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("version", &self.version)
            .field("record_version", &self.record_version)
            .field("owner", &self.owner)
            .field("value_bytes", &self.value.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_read_back_from_its_bytes_is_the_same(
            version: u64,
            owner in proptest::option::of((any::<u64>(), any::<u64>())),
            value: Vec<u8>,
            record_version: u32,
        ) {
            let owner = owner.map(|(node, life)| Incarnation { node, life });
            let row = Row::new(version, owner, &value);
            prop_assert_eq!(row.version(), version);
            prop_assert_eq!(row.owner(), owner);
            prop_assert_eq!(row.value(), &value[..]);
            prop_assert_eq!(row.as_bytes().len(), row.as_row_ref().encoded_bytes());
            prop_assert_eq!(Row::from_bytes(&row.to_bytes()), Some(row));
            let reshaped = RowRef::new(version, owner, &value).with_record_version(record_version);
            let row = reshaped.to_row();
            prop_assert_eq!(row.as_row_ref(), reshaped);
            prop_assert_eq!(row.as_bytes().len(), reshaped.encoded_bytes());
        }
    }

    #[test]
    fn bytes_that_are_no_row_are_refused() {
        assert_eq!(Row::from_bytes(&[]), None);
        assert_eq!(Row::from_bytes(&[PLAIN, 1, 2]), None);
        assert_eq!(Row::from_bytes(&[OWNED; 20]), None);
        assert_eq!(Row::from_bytes(&[7; 40]), None);
        let first_version_said = [RESHAPED, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(Row::from_bytes(&first_version_said), None, "there is another encoding for this");
        assert_eq!(Row::from_bytes(&[OWNED_RESHAPED; 28]), None);
    }

    #[test]
    fn the_stored_form_of_a_row_stays_as_it_was_released() {
        let plain = Row::new(0x0102, None, b"v");
        assert_eq!(plain.as_bytes(), [0, 2, 1, 0, 0, 0, 0, 0, 0, b'v']);
        let owned = Row::new(1, Some(Incarnation { node: 3, life: 7 }), b"");
        let expected = [1, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(owned.as_bytes(), expected);
        let reshaped = RowRef::new(0x0102, None, b"v").with_record_version(0x0304).to_row();
        assert_eq!(reshaped.as_bytes(), [2, 2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, b'v']);
        let both =
            RowRef::new(1, Some(Incarnation { node: 3, life: 7 }), b"v").with_record_version(2).to_row();
        assert_eq!(both.as_bytes()[..9], [3, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(both.as_bytes()[9..], [3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'v']);
    }
}
