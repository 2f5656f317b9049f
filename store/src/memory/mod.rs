//! Tables in memory: copy-on-write structures with one writer and any number of readers.
//!
//! The writer owns an [`OrderedMap`] or [`HashedMap`] and changes it in place. A clone takes nanoseconds, shares everything
//! with the original and never changes again: clones are what views hold. After a clone the writer copies only the pages
//! and nodes it changes, once each until the next clone.
//!
//! Both keep their records packed in pages of a few kilobytes, whose layout `page.rs` describes;
//! `docs/decisions/0003-memory-tables.md` has the measurements behind it.
//!
//! Dropping the last clone of a version frees what no other version shares, on the thread that drops it: some 15 ms per
//! million records for a whole table, some 150 ns for each record overwritten since for an old version. Send roots that
//! may be the last ones to a thread where that does not matter.

mod hashed;
mod heap;
mod ordered;
mod page;
mod table;
#[cfg(test)]
mod tests;

pub use hashed::{HashedBuilder, HashedIter, HashedMap};
pub(crate) use heap::allocation_bytes;
pub use ordered::{NotAscending, OrderedBuilder, OrderedMap, OrderedRange};
pub use table::{MemoryTable, TableIter};
