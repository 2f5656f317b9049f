//! A page: some records, sorted and packed into one shared allocation.
//!
//! ```text
//! count: u32 | note: u32 | entries: count × (end: u32, head: u32) | key length, key, row | key length, key, row | …
//! ```
//!
//! Records sort by (head, key). The head is four bytes that stand for the key in comparisons. A search reads the entries,
//! which lie side by side and come into the cache together, and then one record. What a head is and what the note says
//! is the map's affair: ordered maps take the key bytes after those that all keys of the page share and note how many
//! these are, hashed maps take the key's hash and note how many leading bits of it the page stands for.
//!
//! Packing beats one allocation per record in three ways: it takes less memory, scans run through memory in order, and a
//! copy of a page is one `memcpy` instead of an atomic increment on a cold cache line for each of its records.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use crate::row::{Row, RowRef};

use super::heap;

const FRONT_BYTES: usize = 8;
const ENTRY_BYTES: usize = 8;

/// A key this long or longer has this as its first byte and its length in the four bytes behind.
const LONG_KEY: u8 = u8::MAX;

/// A page splits when it is larger than this and holds more than one record. A record larger than this has a page of
/// its own, so that writes beside it need not copy it.
pub(super) const PAGE_BYTES: usize = 4096 - 32;

/// Sorted records in one shared allocation; cloning shares it.
#[derive(Clone)]
pub(super) struct Page {
    bytes: Arc<[u8]>,
}

/// The sections of a page.
#[derive(Clone, Copy)]
struct Parts<'a> {
    note: u32,
    entries: &'a [Entry],
    records: &'a [u8],
}

/// As a little-endian number: in the upper half the record's head, in the lower where it ends among the records.
///
/// So entries sort as numbers, and comparing them with a head needs no unpacking.
type Entry = [u8; ENTRY_BYTES];

impl Page {
    pub(super) fn len(&self) -> usize {
        self.parts().entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn note(&self) -> u32 {
        self.parts().note
    }

    /// Length of the page itself, without what the allocator adds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        heap::slice_bytes(&self.bytes)
    }

    /// Whether the page is too large to be copied at each write, and can be made smaller.
    pub(super) fn is_oversize(&self) -> bool {
        self.bytes.len() > PAGE_BYTES && self.len() > 1
    }

    /// Loads the cache line that holds the reference count, so that many of them can be on their way at once.
    pub(super) fn touch(&self) -> usize {
        Arc::strong_count(&self.bytes)
    }

    /// Where the record with this head and key stands, or where it would have to be inserted.
    #[inline]
    pub(super) fn find(&self, head: u32, key: &[u8]) -> Result<usize, usize> {
        let parts = self.parts();
        let mut low = parts.heads_below(head);
        let mut high = low;
        while parts.entries.get(high).is_some_and(|entry| entry_head(entry) == head) {
            high += 1;
        }
        while low < high {
            let middle = low.midpoint(high);
            match parts.record(middle).0.cmp(key) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// The key and the row at a position below `len`.
    #[inline]
    pub(super) fn record(&self, position: usize) -> (&[u8], RowRef<'_>) {
        let (key, row) = self.parts().record(position);
        (key, RowRef::from_bytes(row).expect("pages hold only encoded rows"))
    }

    #[inline]
    pub(super) fn row(&self, position: usize) -> RowRef<'_> {
        self.record(position).1
    }

    #[inline]
    pub(super) fn key(&self, position: usize) -> &[u8] {
        self.parts().record(position).0
    }

    /// A copy of the row that outlives the page.
    pub(super) fn to_row(&self, position: usize) -> Row {
        Row::from_encoded(self.parts().record(position).1)
    }

    pub(super) fn first_head(&self) -> Option<u32> {
        self.parts().entries.first().map(entry_head)
    }

    pub(super) fn last_head(&self) -> Option<u32> {
        self.parts().entries.last().map(entry_head)
    }

    /// How many records have a head below this one.
    pub(super) fn heads_below(&self, head: u32) -> usize {
        self.parts().heads_below(head)
    }

    /// The position that cuts the page into two of about the same size, neither of them empty.
    ///
    /// The page holds at least two records.
    pub(super) fn middle(&self) -> usize {
        let parts = self.parts();
        let half = parts.records.len() / 2;
        let middle = parts.entries.partition_point(|entry| entry_end(entry) <= half);
        middle.clamp(1, self.len() - 1)
    }

    /// Inserts a record before `position`.
    pub(super) fn insert(&mut self, position: usize, head: u32, key: &[u8], row: RowRef<'_>) {
        self.splice(position..position, Some(Added { head, key, row }));
    }

    /// Puts another row under the key at `position`, in place if no other version shares the page and the size stays.
    pub(super) fn replace(&mut self, position: usize, head: u32, key: &[u8], row: RowRef<'_>) {
        let parts = self.parts();
        let old = parts.record_range(position);
        let front_bytes = self.bytes.len() - parts.records.len();
        let added = Added { head, key, row };
        if old.len() == added.record_bytes() {
            let record =
                Arc::make_mut(&mut self.bytes).get_mut(front_bytes + old.start..front_bytes + old.end);
            added.write(record.expect("a record lies within its page"));
        } else {
            self.splice(position..position + 1, Some(added));
        }
    }

    /// Takes the record at `position` out.
    pub(super) fn remove(&mut self, position: usize) {
        self.splice(position..position + 1, None);
    }

    /// Rebuilds the page with the record, if any, in place of those in the range.
    fn splice(&mut self, removed: Range<usize>, added: Option<Added<'_>>) {
        let old = self.parts();
        let gap = old.record_start(removed.start)..old.record_start(removed.end);
        let added_bytes = added.map_or(0, |added| added.record_bytes());
        let count = old.entries.len() - removed.len() + usize::from(added.is_some());
        let records_bytes = old.records.len() - gap.len() + added_bytes;
        let page = build(FRONT_BYTES + count * ENTRY_BYTES + records_bytes, |page| {
            page.extend_from_slice(&front(count, old.note));
            page.extend_from_slice(before(old.entries, removed.start).as_flattened());
            if let Some(added) = added {
                page.extend_from_slice(&entry(added.head, gap.start + added_bytes));
            }
            for moved in after(old.entries, removed.end) {
                let end = entry_end(moved) - gap.len() + added_bytes;
                page.extend_from_slice(&entry(entry_head(moved), end));
            }
            page.extend_from_slice(before(old.records, gap.start));
            if let Some(added) = added {
                write_key(page, added.key);
                added.row.write_to(page);
            }
            page.extend_from_slice(after(old.records, gap.end));
        });
        self.bytes = page;
    }

    #[inline]
    fn parts(&self) -> Parts<'_> {
        Parts::of(&self.bytes).expect("a page is only built whole")
    }
}

/// An empty page with note 0.
impl Default for Page {
    fn default() -> Self {
        Self { bytes: Arc::from([0; FRONT_BYTES]) }
    }
}

impl<'a> Parts<'a> {
    #[inline]
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let (note, rest) = rest.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (entries, records) = rest.split_at_checked(count * ENTRY_BYTES)?;
        Some(Self { note: u32::from_le_bytes(*note), entries: entries.as_chunks().0, records })
    }

    #[inline]
    fn heads_below(&self, head: u32) -> usize {
        // Halving such a short run would wait for one cache line after the other; counting has them all on their way.
        let limit = u64::from(head) << 32;
        self.entries.iter().filter(|entry| u64::from_le_bytes(**entry) < limit).count()
    }

    /// Where the record's bytes begin; the end of all records for `position == count`.
    #[inline]
    fn record_start(&self, position: usize) -> usize {
        let previous = position.checked_sub(1).and_then(|previous| self.entries.get(previous));
        previous.map_or(0, entry_end)
    }

    fn record_range(&self, position: usize) -> Range<usize> {
        self.record_start(position)..self.record_start(position + 1)
    }

    /// The key and the encoded row.
    #[inline]
    fn record(&self, position: usize) -> (&'a [u8], &'a [u8]) {
        let start = self.record_start(position);
        let entry = self.entries.get(position).expect("positions lie within the page");
        let record = self.records.get(start..entry_end(entry)).expect("records lie within the page");
        split_key(record).expect("records begin with their keys")
    }
}

/// A record to be written into a page.
#[derive(Clone, Copy)]
struct Added<'a> {
    head: u32,
    key: &'a [u8],
    row: RowRef<'a>,
}

impl Added<'_> {
    fn record_bytes(&self) -> usize {
        record_bytes(self.key, self.row)
    }

    /// Writes the row over one of the same length, under the same key.
    fn write(&self, record: &mut [u8]) {
        let (header, header_bytes) = self.row.header();
        let header = before(&header, header_bytes);
        let (_, row) = record.split_at_mut(record.len() - self.row.encoded_bytes());
        let (old_header, old_value) = row.split_at_mut(header_bytes);
        old_header.copy_from_slice(header);
        old_value.copy_from_slice(self.row.value());
    }
}

/// Gathers records in order for a page that is built as a whole.
#[derive(Default)]
pub(super) struct PageBuilder {
    ends: Vec<usize>,
    records: Vec<u8>,
}

impl PageBuilder {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Length of the page if it were built now.
    pub(super) fn bytes(&self) -> usize {
        page_bytes(self.len(), self.records.len())
    }

    /// Length of the page if it were built with one more record.
    pub(super) fn bytes_with(&self, key: &[u8], row: RowRef<'_>) -> usize {
        self.bytes() + ENTRY_BYTES + record_bytes(key, row)
    }

    pub(super) fn push(&mut self, key: &[u8], row: RowRef<'_>) {
        write_record(&mut self.records, key, row);
        self.ends.push(self.records.len());
    }

    /// Adds a record that [`write_record`] has written.
    pub(super) fn push_record(&mut self, record: &[u8]) {
        self.records.extend_from_slice(record);
        self.ends.push(self.records.len());
    }

    /// Takes over some records of another page.
    pub(super) fn extend(&mut self, page: &Page, range: Range<usize>) {
        let parts = page.parts();
        for position in range {
            let record = parts.records.get(parts.record_range(position));
            self.records.extend_from_slice(record.expect("records lie within the page"));
            self.ends.push(self.records.len());
        }
    }

    /// Builds the page and leaves the builder empty.
    pub(super) fn finish(&mut self, note: u32, head_of: impl Fn(&[u8]) -> u32) -> Page {
        let bytes = build(self.bytes(), |page| {
            page.extend_from_slice(&front(self.len(), note));
            let mut start = 0;
            for &end in &self.ends {
                let record = self.records.get(start..end).and_then(split_key);
                let (key, _) = record.expect("records begin with their keys");
                page.extend_from_slice(&entry(head_of(key), end));
                start = end;
            }
            page.extend_from_slice(&self.records);
        });
        self.ends.clear();
        self.records.clear();
        Page { bytes }
    }
}

/// Writes a page into memory that is at hand already, then copies it into an allocation of exactly its size.
fn build(page_bytes: usize, write: impl FnOnce(&mut Vec<u8>)) -> Arc<[u8]> {
    thread_local! {
        static DRAFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    DRAFT.with_borrow_mut(|draft| {
        draft.clear();
        draft.reserve(page_bytes);
        write(draft);
        let page = Arc::from(draft.as_slice());
        // What a page of one large record took is given back at once.
        draft.shrink_to(4 * PAGE_BYTES);
        page
    })
}

fn front(count: usize, note: u32) -> [u8; FRONT_BYTES] {
    (u64::from(small(count)) | u64::from(note) << 32).to_le_bytes()
}

fn entry(head: u32, end: usize) -> Entry {
    (u64::from(head) << 32 | u64::from(small(end))).to_le_bytes()
}

#[inline]
fn entry_head(entry: &Entry) -> u32 {
    (u64::from_le_bytes(*entry) >> 32) as u32
}

#[inline]
fn entry_end(entry: &Entry) -> usize {
    (u64::from_le_bytes(*entry) & u64::from(u32::MAX)) as usize
}

fn record_bytes(key: &[u8], row: RowRef<'_>) -> usize {
    let length_bytes = if key.len() < LONG_KEY.into() { 1 } else { 5 };
    length_bytes + key.len() + row.encoded_bytes()
}

/// Length of a page with so many records, which take so many bytes.
pub(super) fn page_bytes(count: usize, records_bytes: usize) -> usize {
    FRONT_BYTES + count * ENTRY_BYTES + records_bytes
}

/// Writes a record as it stands in a page.
pub(super) fn write_record(page: &mut Vec<u8>, key: &[u8], row: RowRef<'_>) {
    write_key(page, key);
    row.write_to(page);
}

/// The key of a record that [`write_record`] has written.
pub(super) fn key_of_record(record: &[u8]) -> &[u8] {
    split_key(record).expect("records begin with their keys").0
}

/// The row of a record that [`write_record`] has written.
pub(super) fn row_of_record(record: &[u8]) -> RowRef<'_> {
    let (_, row) = split_key(record).expect("records begin with their keys");
    RowRef::from_bytes(row).expect("records end with encoded rows")
}

fn write_key(page: &mut Vec<u8>, key: &[u8]) {
    match u8::try_from(key.len()) {
        Ok(length) if length < LONG_KEY => page.push(length),
        _ => {
            page.push(LONG_KEY);
            page.extend_from_slice(&small(key.len()).to_le_bytes());
        }
    }
    page.extend_from_slice(key);
}

/// The key and the encoded row of a record.
#[inline]
fn split_key(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = record.split_first()?;
    if length < LONG_KEY {
        return rest.split_at_checked(length.into());
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("records are limited to far less than 4 GiB")
}

fn before<T>(slice: &[T], end: usize) -> &[T] {
    slice.get(..end).expect("ranges lie within the page")
}

fn after<T>(slice: &[T], start: usize) -> &[T] {
    slice.get(start..).expect("ranges lie within the page")
}
