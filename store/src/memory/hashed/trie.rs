//! The trie: extendible hashing, level by level.
//!
//! A branch consumes the next few bits of the hash and has one slot for each of their values. A page that stands for
//! fewer bits than lead to it fills all slots whose bits begin alike. A page that grows too large is cut in two by the
//! next bit; if its branch has no bit left for that, the branch doubles, and at `BRANCH_BITS_MAX` a branch below takes over.

use std::ops::Range;
use std::sync::Arc;

use crate::memory::heap::{self, HeapTally};
use crate::memory::page::{PAGE_BYTES, Page, PageBuilder};
use crate::row::{Row, RowRef};

use super::hashing::Hashing;

/// A branch consumes at most this many bits of the hash.
pub(super) const BRANCH_BITS_MAX: u32 = 4;

/// Two pages that differ in their last bit are joined at a removal if they do not exceed this together.
const JOINED_BYTES_MAX: usize = PAGE_BYTES / 2;

/// What one value of a branch's bits leads to.
#[derive(Clone)]
pub(super) enum Slot {
    /// Records; the page's note is the number of leading hash bits it stands for.
    Page(Page),
    /// The next bits decide.
    Branch(Branch),
}

/// Slots for each value of the next few bits of the hash; cloning shares them.
///
/// Invariants: the number of slots is a power of two; no page stands for fewer bits than lead to the branch or for more
/// than lead to its slots; only the root may consist of a single slot.
#[derive(Clone)]
pub(super) struct Branch {
    slots: Arc<[Slot]>,
}

/// The record to be put, with its hash.
#[derive(Clone, Copy)]
pub(super) struct Put<'a> {
    pub(super) hash: u32,
    pub(super) key: &'a [u8],
    pub(super) row: RowRef<'a>,
}

impl Branch {
    /// The trie of an empty map.
    pub(super) fn empty() -> Self {
        Self::of(vec![Slot::Page(Page::default())])
    }

    pub(super) fn of(slots: Vec<Slot>) -> Self {
        Self { slots: slots.into() }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        heap::slice_bytes(&self.slots)
    }

    #[inline]
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How many bits of the hash the branch consumes.
    #[inline]
    pub(super) fn bits(&self) -> u32 {
        self.slots.len().trailing_zeros()
    }

    /// The slot for a hash of which `consumed` bits led here.
    #[inline]
    pub(super) fn position(&self, hash: u32, consumed: u32) -> usize {
        let bits = self.bits();
        let low = hash.rotate_left(consumed + bits);
        (low & (self.slots.len() as u32 - 1)) as usize
    }

    /// The slots that lead to the page which is found at `position`.
    #[inline]
    pub(super) fn slots_of(&self, page: &Page, position: usize, consumed: u32) -> Range<usize> {
        let count = 1 << (consumed + self.bits() - page.note());
        let start = position & !(count - 1);
        start..start + count
    }

    #[inline]
    pub(super) fn get(&self, hash: u32, key: &[u8]) -> Option<RowRef<'_>> {
        let mut branch = self;
        let mut consumed = 0;
        loop {
            match branch.slots.get(branch.position(hash, consumed))? {
                Slot::Page(page) => return page.find(hash, key).ok().map(|position| page.row(position)),
                Slot::Branch(below) => {
                    consumed += branch.bits();
                    branch = below;
                }
            }
        }
    }

    /// Puts the record; `consumed` bits of its hash led here.
    pub(super) fn insert(
        &mut self,
        put: Put<'_>,
        consumed: u32,
        hashing: Hashing,
        tally: &mut HeapTally,
    ) -> Option<Row> {
        let position = self.position(put.hash, consumed);
        let bits = self.bits();
        if let Some(Slot::Branch(below)) = self.slots_mut().get_mut(position) {
            return below.insert(put, consumed + bits, hashing, tally);
        }
        let replaced = self.change_page(position, consumed, |page| put_into(page, put, tally));
        self.split_oversize(position, consumed, hashing, tally);
        replaced
    }

    /// Cuts the page at `position` until none of its parts is too large, or none has different hashes.
    fn split_oversize(&mut self, position: usize, consumed: u32, hashing: Hashing, tally: &mut HeapTally) {
        let Some(Slot::Page(page)) = self.slots.get(position) else { return };
        if !page.is_oversize() || page.first_head() == page.last_head() {
            return;
        }
        let page = page.clone();
        let bits_used = page.note();
        if bits_used < consumed + self.bits() {
            tally.sub(page.heap_bytes());
            let group = self.slots_of(&page, position, consumed);
            let (low, high) = split(&page, hashing);
            tally.add(low.heap_bytes() + high.heap_bytes());
            let middle = group.start.midpoint(group.end);
            self.fill(group.start..middle, &low);
            self.fill(middle..group.end, &high);
            drop((page, low, high));
            self.split_oversize(group.start, consumed, hashing, tally);
            self.split_oversize(middle, consumed, hashing, tally);
        } else if self.bits() < BRANCH_BITS_MAX {
            tally.sub(self.heap_bytes());
            *self = Self::of(self.slots.iter().flat_map(|slot| [slot.clone(), slot.clone()]).collect());
            tally.add(self.heap_bytes());
            self.split_oversize(2 * position, consumed, hashing, tally);
        } else {
            let mut below = Self::of(vec![Slot::Page(page)]);
            tally.add(below.heap_bytes());
            below.split_oversize(0, bits_used, hashing, tally);
            self.set(position, Slot::Branch(below));
        }
    }

    /// Removes a key that is known to be there; `consumed` bits of its hash led here.
    pub(super) fn remove(
        &mut self,
        hash: u32,
        key: &[u8],
        consumed: u32,
        hashing: Hashing,
        tally: &mut HeapTally,
    ) -> Option<Row> {
        let position = self.position(hash, consumed);
        let bits = self.bits();
        if let Some(Slot::Branch(below)) = self.slots_mut().get_mut(position) {
            let removed = below.remove(hash, key, consumed + bits, hashing, tally);
            let Some(page) = below.only_page(consumed + bits) else { return removed };
            tally.sub(below.heap_bytes());
            self.set(position, Slot::Page(page));
            self.join_small(position, consumed, hashing, tally);
            return removed;
        }
        let removed = self.change_page(position, consumed, |page| take_from(page, hash, key, tally));
        self.join_small(position, consumed, hashing, tally);
        removed
    }

    /// Changes the page at `position` in all slots that lead to it.
    fn change_page(
        &mut self,
        position: usize,
        consumed: u32,
        change: impl FnOnce(&mut Page) -> Option<Row>,
    ) -> Option<Row> {
        let bits = self.bits();
        let Slot::Page(page) = self.slots_mut().get_mut(position)? else { return None };
        if page.note() == consumed + bits {
            // The only slot of this page: nothing but another version keeps it from changing in place.
            return change(page);
        }
        let mut changed = page.clone();
        let old = change(&mut changed);
        let group = self.slots_of(&changed, position, consumed);
        self.fill(group, &changed);
        old
    }

    /// Joins the page at `position` with the one that differs from it in the last bit only, as long as both are small.
    fn join_small(&mut self, position: usize, consumed: u32, hashing: Hashing, tally: &mut HeapTally) {
        let Some(Slot::Page(page)) = self.slots.get(position) else { return };
        if page.note() == consumed {
            if self.slots.len() > 1 {
                tally.sub(self.heap_bytes());
                *self = Self::of(vec![Slot::Page(page.clone())]);
                tally.add(self.heap_bytes());
            }
            return;
        }
        let group = self.slots_of(page, position, consumed);
        let Some(Slot::Page(other)) = self.slots.get(group.start ^ group.len()) else { return };
        if other.note() != page.note() || page.bytes() + other.bytes() > JOINED_BYTES_MAX {
            return;
        }
        let (low, high) = if position & group.len() == 0 { (page, other) } else { (other, page) };
        let joined = join(low, high, hashing);
        tally.sub(low.heap_bytes() + high.heap_bytes());
        tally.add(joined.heap_bytes());
        let both = self.slots_of(&joined, position, consumed);
        self.fill(both, &joined);
        self.join_small(position, consumed, hashing, tally);
    }

    /// The page that stands for all hashes that lead here, if one does.
    fn only_page(&self, consumed: u32) -> Option<Page> {
        match self.slots.first()? {
            Slot::Page(page) if page.note() == consumed => Some(page.clone()),
            _ => None,
        }
    }

    /// Checks the invariants below this branch and returns the heap it takes.
    #[cfg(test)]
    pub(super) fn recount_heap_bytes(&self, consumed: u32) -> usize {
        assert!(consumed == 0 || self.slots.len() > 1);
        let mut heap_bytes = self.heap_bytes();
        let mut position = 0;
        while let Some(slot) = self.slots.get(position) {
            match slot {
                Slot::Branch(below) => {
                    heap_bytes += below.recount_heap_bytes(consumed + self.bits());
                    position += 1;
                }
                Slot::Page(page) => {
                    assert!((consumed..=consumed + self.bits()).contains(&page.note()));
                    assert!(!page.is_oversize() || page.first_head() == page.last_head());
                    heap_bytes += page.heap_bytes();
                    position = self.slots_of(page, position, consumed).end;
                }
            }
        }
        heap_bytes
    }

    /// The slots for writing; copies them first if another version shares them.
    fn slots_mut(&mut self) -> &mut [Slot] {
        if Arc::get_mut(&mut self.slots).is_none() {
            // The copy increments a count in each page, one after the other, and most of them are not in the cache.
            // Reading them all before lets the processor fetch them side by side: twice as fast.
            std::hint::black_box(self.slots.iter().map(Slot::touch).sum::<usize>());
        }
        Arc::make_mut(&mut self.slots)
    }

    fn set(&mut self, position: usize, slot: Slot) {
        *self.slots_mut().get_mut(position).expect("positions lie within the branch") = slot;
    }

    fn fill(&mut self, group: Range<usize>, page: &Page) {
        let slots = self.slots_mut().get_mut(group).expect("a page's slots lie within its branch");
        slots.fill(Slot::Page(page.clone()));
    }
}

impl Slot {
    fn touch(&self) -> usize {
        match self {
            Self::Page(page) => page.touch(),
            Self::Branch(branch) => Arc::strong_count(&branch.slots),
        }
    }
}

fn put_into(page: &mut Page, put: Put<'_>, tally: &mut HeapTally) -> Option<Row> {
    tally.sub(page.heap_bytes());
    let replaced = match page.find(put.hash, put.key) {
        Ok(position) => {
            let replaced = page.to_row(position);
            page.replace(position, put.hash, put.key, put.row);
            Some(replaced)
        }
        Err(position) => {
            page.insert(position, put.hash, put.key, put.row);
            None
        }
    };
    tally.add(page.heap_bytes());
    replaced
}

fn take_from(page: &mut Page, hash: u32, key: &[u8], tally: &mut HeapTally) -> Option<Row> {
    let position = page.find(hash, key).ok()?;
    let removed = page.to_row(position);
    tally.sub(page.heap_bytes());
    page.remove(position);
    tally.add(page.heap_bytes());
    Some(removed)
}

/// Cuts a page by the first bit it does not stand for yet.
fn split(page: &Page, hashing: Hashing) -> (Page, Page) {
    let first = page.first_head().unwrap_or_default();
    let bit = 1_u32 << (u32::BITS - 1 - page.note());
    let upper_half = (first & !(bit | (bit - 1))) | bit;
    let middle = page.heads_below(upper_half);
    let part = |range| {
        let mut part = PageBuilder::default();
        part.extend(page, range);
        part.finish(page.note() + 1, |key| hashing.hash(key))
    };
    (part(0..middle), part(middle..page.len()))
}

/// The page of two that differ in their last bit.
fn join(low: &Page, high: &Page, hashing: Hashing) -> Page {
    let mut joined = PageBuilder::default();
    joined.extend(low, 0..low.len());
    joined.extend(high, 0..high.len());
    joined.finish(low.note() - 1, |key| hashing.hash(key))
}
