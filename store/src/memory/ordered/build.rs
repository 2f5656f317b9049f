use thiserror::Error;

use crate::memory::heap::HeapTally;
use crate::memory::page::{PAGE_BYTES, PageBuilder};
use crate::row::RowRef;

use super::fences::{Fences, separator};
use super::map::OrderedMap;
use super::node::{CHILDREN_MAX, Node, finish};

/// Builds an [`OrderedMap`] from records in ascending key order, several times faster than inserting them.
///
/// The pages come out full, so the map is also as small as it can be.
///
/// ```
/// use tabularaft_store::{memory::OrderedBuilder, row::RowRef};
///
/// let mut builder = OrderedBuilder::new();
/// builder.push(b"a", RowRef::new(1, None, b"first"))?;
/// builder.push(b"b", RowRef::new(2, None, b"second"))?;
/// assert!(builder.push(b"a", RowRef::new(3, None, b"again")).is_err());
/// assert_eq!(builder.finish().len(), 2);
/// # Ok::<(), tabularaft_store::memory::NotAscending>(())
/// ```
#[derive(Default)]
pub struct OrderedBuilder {
    page: PageBuilder,
    last_key: Vec<u8>,
    level: Level,
    len: usize,
    payload_bytes: usize,
}

/// A key that is not above the one pushed before it. It was not taken; the builder stands as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "record {position} of a sorted load has a key that is not above the one before it; the source is not sorted"
)]
#[non_exhaustive]
pub struct NotAscending {
    /// How many records were taken before this one.
    pub position: usize,
}

/// Finished nodes of one level, and the separators between them.
#[derive(Default)]
struct Level {
    nodes: Vec<Node>,
    separators: Vec<Vec<u8>>,
}

impl OrderedBuilder {
    /// A builder without records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the record that comes next.
    ///
    /// # Errors
    ///
    /// [`NotAscending`] if the key is not above the one before.
    pub fn push(&mut self, key: &[u8], row: RowRef<'_>) -> Result<(), NotAscending> {
        if self.len > 0 && key <= self.last_key.as_slice() {
            return Err(NotAscending { position: self.len });
        }
        if self.page.len() > 0 && self.page.bytes_with(key, row) > PAGE_BYTES {
            let separator = separator(&self.last_key, key).to_vec();
            self.finish_leaf(Some(&separator));
            self.level.separators.push(separator);
        }
        self.page.push(key, row);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.len += 1;
        self.payload_bytes += key.len() + row.value().len();
        Ok(())
    }

    /// The map of all records pushed.
    #[must_use]
    pub fn finish(mut self) -> OrderedMap {
        self.finish_leaf(None);
        let mut tally = HeapTally::default();
        let mut level = self.level;
        level.tally(&mut tally);
        while level.nodes.len() > 1 {
            level = level.above();
            level.tally(&mut tally);
        }
        let root = level.nodes.pop().unwrap_or_default();
        OrderedMap::from_parts(root, self.len, self.payload_bytes, tally)
    }

    fn finish_leaf(&mut self, high: Option<&[u8]>) {
        let page =
            finish(&mut self.page, Fences::between(self.level.separators.last().map(Vec::as_slice), high));
        self.level.nodes.push(Node::leaf(page));
    }
}

impl Level {
    /// The level of inner nodes that holds these nodes, spread evenly.
    fn above(self) -> Self {
        let groups = self.nodes.len().div_ceil(CHILDREN_MAX);
        let total = self.nodes.len();
        let mut nodes = self.nodes.into_iter();
        let mut separators = self.separators.into_iter();
        let mut above = Self::default();
        let mut taken = 0;
        for group in 1..=groups {
            let size = total * group / groups - taken;
            taken += size;
            let children: Vec<_> = nodes.by_ref().take(size).collect();
            let inside: Vec<_> = separators.by_ref().take(size - 1).collect();
            let high = separators.next();
            let fences = Fences::between(above.separators.last().map(Vec::as_slice), high.as_deref());
            above.nodes.push(Node::inner(children, inside.iter().map(Vec::as_slice), fences));
            above.separators.extend(high);
        }
        above
    }

    fn tally(&self, tally: &mut HeapTally) {
        self.nodes.iter().for_each(|node| tally.add(node.heap_bytes()));
    }
}
