use crate::error::StoreError;
use crate::memory::heap::HeapTally;
use crate::memory::page::{
    PAGE_BYTES, Page, PageBuilder, key_of_record, page_bytes, row_of_record, write_record,
};
use crate::row::RowRef;
use crate::threads::{self, Threads};

use super::hashing::Hashing;
use super::map::HashedMap;
use super::trie::{BRANCH_BITS_MAX, Branch, Slot};

/// Records are gathered by so many leading bits of their hashes. Sorting within a part finds its records in the cache.
const PART_BITS: u32 = 8;
/// Parts of a slot of the root, where that has all the slots it can have.
const PARTS_PER_SLOT: usize = 1 << (PART_BITS - BRANCH_BITS_MAX);

/// Builds a [`HashedMap`] from records in any order, several times faster than inserting them: each page is written
/// once, when all of its records are known.
///
/// Until it is finished it holds the records a second time, part by part less of them.
///
/// ```
/// use tabularaft_store::{memory::HashedBuilder, row::RowRef};
///
/// let mut builder = HashedBuilder::new();
/// builder.push(b"b", RowRef::new(1, None, b"first"));
/// builder.push(b"a", RowRef::new(2, None, b"second"));
/// builder.push(b"b", RowRef::new(3, None, b"instead"));
/// let map = builder.finish();
/// assert_eq!(map.len(), 2);
/// assert_eq!(map.get(b"b").map(|row| row.value()), Some(b"instead".as_slice()));
/// ```
pub struct HashedBuilder {
    hashing: Hashing,
    parts: Vec<Part>,
    payload_bytes: usize,
}

/// Records whose hashes begin alike, encoded as in pages and in the order in which they came.
#[derive(Default)]
struct Part {
    records: Vec<u8>,
    places: Vec<Place>,
}

/// Where a record stands in its part.
#[derive(Clone, Copy)]
struct Place {
    hash: u32,
    bytes: u32,
    start: usize,
}

impl HashedBuilder {
    /// A builder without records, for a map that hashes with the seed of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hashing(Hashing::of_process())
    }

    fn with_hashing(hashing: Hashing) -> Self {
        let parts = (0..1 << PART_BITS).map(|_| Part::default()).collect();
        Self { hashing, parts, payload_bytes: 0 }
    }

    /// A builder of a map in which keys collide, since only these bits of their hashes count.
    #[cfg(test)]
    pub(in crate::memory) fn with_hash_mask(mask: u32) -> Self {
        Self::with_hashing(Hashing::with_mask(mask))
    }

    /// Adds a record, in place of one with the same key that was pushed before.
    pub fn push(&mut self, key: &[u8], row: RowRef<'_>) {
        let hash = self.hashing.hash(key);
        let part = self.parts.get_mut(part_of(hash)).expect("there is a part for all leading bits");
        let start = part.records.len();
        write_record(&mut part.records, key, row);
        let bytes = u32::try_from(part.records.len() - start);
        let bytes = bytes.expect("records are limited to far less than 4 GiB");
        part.places.push(Place { hash, bytes, start });
        self.payload_bytes += key.len() + row.value().len();
    }

    /// Takes over the records of another builder of the same process, in place of those with the same keys.
    pub(crate) fn append(&mut self, other: Self) {
        self.payload_bytes += other.payload_bytes;
        for (part, other) in self.parts.iter_mut().zip(other.parts) {
            let start = part.records.len();
            part.records.extend_from_slice(&other.records);
            let moved = |place: Place| Place { start: start + place.start, ..place };
            part.places.extend(other.places.into_iter().map(moved));
        }
    }

    /// The map of all records pushed.
    #[must_use]
    pub fn finish(mut self) -> HashedMap {
        self.payload_bytes -= sort(&mut self.parts);
        self.finish_sorted()
    }

    /// As [`finish`](Self::finish), each half of the work in a thread of its own.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn finish_on(mut self, threads: &dyn Threads) -> Result<HashedMap, StoreError> {
        const NAME: &str = "tabularaft-build";
        let hashing = self.hashing;
        let mut upper = self.parts.split_off(self.parts.len() / 2);
        let sort_upper = move || (sort(&mut upper), upper);
        let (lower_replaced, (upper_replaced, upper)) =
            threads::both(threads, NAME, || sort(&mut self.parts), sort_upper)?;
        self.payload_bytes -= lower_replaced + upper_replaced;
        if !(fill_their_slots(&self.parts) && fill_their_slots(&upper)) {
            self.parts.extend(upper);
            return Ok(self.finish_sorted());
        }
        // Parts are found by the leading bits of a hash, so those of the upper half keep their places.
        let mut in_place: Vec<Part> = upper.iter().map(|_| Part::default()).collect();
        in_place.extend(upper);
        let (lower, half_of_slots) = (self.parts, in_place.len() / PARTS_PER_SLOT / 2);
        let build_upper = move || Half::of(hashing, in_place, half_of_slots);
        let (lower, upper) = threads::both(threads, NAME, || Half::of(hashing, lower, 0), build_upper)?;
        let (mut tally, len) = (lower.tally, lower.len + upper.len);
        let root = Branch::of(lower.slots.into_iter().chain(upper.slots).collect());
        tally.add(upper.tally.bytes() + root.heap_bytes());
        Ok(HashedMap::from_parts(root, hashing, len, self.payload_bytes, tally))
    }

    fn finish_sorted(self) -> HashedMap {
        let places = places_of(&self.parts);
        let mut trie = TrieBuilder::new(self.hashing, self.parts);
        let root = match trie.slot(&places, 0) {
            Slot::Branch(root) => root,
            page @ Slot::Page(_) => trie.branch(vec![page]),
        };
        HashedMap::from_parts(root, self.hashing, places.len(), self.payload_bytes, trie.tally)
    }
}

/// Sorts the records of all parts. Returns the payload of those that others replace.
fn sort(parts: &mut [Part]) -> usize {
    parts.iter_mut().map(Part::sort).sum()
}

fn places_of(parts: &[Part]) -> Vec<Place> {
    parts.iter().flat_map(|part| &part.places).copied().collect()
}

/// Whether each slot of the root leads to pages of its own, so that what it leads to depends on nothing beside it. The
/// parts are sorted.
fn fill_their_slots(parts: &[Part]) -> bool {
    parts.chunks(2 * PARTS_PER_SLOT).all(|two_slots| !fits_a_page(&places_of(two_slots)))
}

impl Default for HashedBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl Part {
    /// Sorts the records as pages do, and leaves out those that others replace. Returns the payload of these.
    fn sort(&mut self) -> usize {
        let Self { records, places } = self;
        let key = |place: &Place| key_of_record(place.of(records));
        places.sort_unstable_by(|left, right| {
            let by_key = || key(left).cmp(key(right)).then(left.start.cmp(&right.start));
            left.hash.cmp(&right.hash).then_with(by_key)
        });
        let mut replaced_bytes = 0;
        // Of two that are alike the later one stays: looking from the back it comes first.
        places.reverse();
        places.dedup_by(|place, kept| {
            let same = place.hash == kept.hash && key(place) == key(kept);
            if same {
                replaced_bytes += payload_bytes(place.of(records));
            }
            same
        });
        places.reverse();
        replaced_bytes
    }
}

impl Place {
    fn of<'a>(&self, records: &'a [u8]) -> &'a [u8] {
        records.get(self.start..self.start + self.bytes as usize).expect("places lie within their part")
    }
}

/// Turns sorted records into the trie that inserting them one by one would end in.
struct TrieBuilder {
    hashing: Hashing,
    parts: Vec<Part>,
    page: PageBuilder,
    tally: HeapTally,
}

/// Half of the slots of the root, and what they lead to.
struct Half {
    slots: Vec<Slot>,
    tally: HeapTally,
    len: usize,
}

impl Half {
    /// Of these parts but the first ones, which stand for as many slots as are to be skipped.
    fn of(hashing: Hashing, parts: Vec<Part>, slots_skipped: usize) -> Self {
        let slots: Vec<_> = parts.chunks(PARTS_PER_SLOT).skip(slots_skipped).map(places_of).collect();
        let mut trie = TrieBuilder::new(hashing, parts);
        let mut half = Self { slots: Vec::new(), tally: HeapTally::default(), len: 0 };
        for places in slots {
            half.slots.push(trie.slot(&places, BRANCH_BITS_MAX));
            half.len += places.len();
        }
        half.tally = trie.tally;
        half
    }
}

impl TrieBuilder {
    fn new(hashing: Hashing, parts: Vec<Part>) -> Self {
        Self { hashing, parts, page: PageBuilder::default(), tally: HeapTally::default() }
    }

    /// What leads to these records, whose hashes have `note` bits in common.
    fn slot(&mut self, places: &[Place], note: u32) -> Slot {
        if fits_a_page(places) {
            return Slot::Page(self.page(places, note));
        }
        let mut leaves = Vec::new();
        self.cut(places, note, note + BRANCH_BITS_MAX, &mut leaves);
        if note == PART_BITS {
            self.forget_part(places);
        }
        let bits = leaves.iter().map(|(_, leaf_note)| leaf_note - note).max().unwrap_or(0);
        let repeated = |(slot, leaf_note): (Slot, u32)| {
            let times = 1 << (note + bits - leaf_note);
            std::iter::repeat_n(slot, times)
        };
        Slot::Branch(self.branch(leaves.into_iter().flat_map(repeated).collect()))
    }

    /// Cuts the records by one bit after the other until each part fits a page, or the branch has no bits left.
    fn cut(&mut self, places: &[Place], note: u32, note_max: u32, leaves: &mut Vec<(Slot, u32)>) {
        if note == note_max || fits_a_page(places) {
            let slot = self.slot(places, note);
            leaves.push((slot, note));
            return;
        }
        let bit = 1_u32 << (u32::BITS - 1 - note);
        let middle = places.partition_point(|place| place.hash & bit == 0);
        let (low, high) = places.split_at(middle);
        self.cut(low, note + 1, note_max, leaves);
        self.cut(high, note + 1, note_max, leaves);
    }

    fn page(&mut self, places: &[Place], note: u32) -> Page {
        for place in places {
            let part = self.parts.get(part_of(place.hash)).expect("there is a part for all leading bits");
            self.page.push_record(place.of(&part.records));
        }
        let hashing = self.hashing;
        let page = self.page.finish(note, |key| hashing.hash(key));
        self.tally.add(page.heap_bytes());
        page
    }

    fn branch(&mut self, slots: Vec<Slot>) -> Branch {
        let branch = Branch::of(slots);
        self.tally.add(branch.heap_bytes());
        branch
    }

    /// Gives the memory of a part back whose records all stand in pages now.
    fn forget_part(&mut self, places: &[Place]) {
        let part = places.first().and_then(|first| self.parts.get_mut(part_of(first.hash)));
        drop(part.map(std::mem::take));
    }
}

/// As a page is not split if it is small enough, or if no bit tells its records apart.
fn fits_a_page(places: &[Place]) -> bool {
    let (Some(first), Some(last)) = (places.first(), places.last()) else { return true };
    let records_bytes = || places.iter().map(|place| place.bytes as usize).sum();
    first.hash == last.hash || page_bytes(places.len(), records_bytes()) <= PAGE_BYTES
}

fn part_of(hash: u32) -> usize {
    (hash >> (u32::BITS - PART_BITS)) as usize
}

fn payload_bytes(record: &[u8]) -> usize {
    key_of_record(record).len() + row_of_record(record).value().len()
}
