use std::ops::Range;
use std::sync::Arc;

use crate::memory::heap::{self, HeapTally};
use crate::memory::page::{PAGE_BYTES, Page, PageBuilder};
use crate::row::{Row, RowRef};

use super::fences::{Fences, head, separator};

/// An inner node with more children than this splits.
pub(super) const CHILDREN_MAX: usize = 32;

/// An inner node with fewer children than this is joined with a neighbour, if the two fit into one.
const CHILDREN_LOW: usize = CHILDREN_MAX / 4;

/// A leaf smaller than this is joined with a neighbour, if the two do not exceed `JOINED_BYTES_MAX`.
const PAGE_BYTES_LOW: usize = PAGE_BYTES / 4;

/// Below `PAGE_BYTES`, so that a joined leaf does not split at the next insert.
const JOINED_BYTES_MAX: usize = PAGE_BYTES * 3 / 4;

/// A node of the tree: a leaf whose page holds records, or an inner node whose page holds the separators of its children.
///
/// Invariants: `children.len() == page.len() + 1` and `children.len() >= 2` in an inner node; separator `i` is above all
/// keys under child `i` and not above any under child `i + 1`; all leaves are equally deep; no leaf but the root is
/// empty; the page's note is the number of bytes that the node's fences share.
#[derive(Clone, Default)]
pub(super) struct Node {
    page: Page,
    children: Option<Arc<[Node]>>,
}

/// A node to be put right of the one that was changed, and the separator between the two.
pub(super) struct Sibling {
    separator: Vec<u8>,
    node: Node,
}

impl Node {
    pub(super) fn leaf(page: Page) -> Self {
        Self { page, children: None }
    }

    /// An inner node of these children, with the separators between them.
    pub(super) fn inner<'k>(
        children: Vec<Self>,
        separators: impl Iterator<Item = &'k [u8]>,
        fences: Fences<'_>,
    ) -> Self {
        let mut page = PageBuilder::default();
        separators.for_each(|separator| page.push(separator, NO_ROW));
        Self { page: finish(&mut page, fences), children: Some(children.into()) }
    }

    /// The page of records, if the node is a leaf, or of separators.
    #[inline]
    pub(super) fn page(&self) -> &Page {
        &self.page
    }

    #[inline]
    pub(super) fn children(&self) -> Option<&[Self]> {
        self.children.as_deref()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.page.heap_bytes() + self.children.as_ref().map_or(0, heap::slice_bytes)
    }

    fn touch(&self) -> usize {
        self.page.touch() + self.children.as_ref().map_or(0, Arc::strong_count)
    }

    /// Where the key stands, or would stand, in this node's page.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.page.find(head(key, self.page.note()), key)
    }

    /// Which child leads to the key.
    #[inline]
    pub(super) fn child_for(&self, key: &[u8]) -> usize {
        match self.find(key) {
            Ok(separator) => separator + 1,
            Err(position) => position,
        }
    }

    /// Puts the record under this node; returns the row it replaces, and what did not fit into the node.
    pub(super) fn insert(
        &mut self,
        key: &[u8],
        row: RowRef<'_>,
        fences: Fences<'_>,
        tally: &mut HeapTally,
    ) -> (Option<Row>, Vec<Sibling>) {
        if self.children.is_none() {
            return self.insert_into_leaf(key, row, fences, tally);
        }
        let position = self.child_for(key);
        let child_fences = fences.of_child(&self.page, position);
        let (replaced, siblings) =
            child_mut(&mut self.children, position).insert(key, row, child_fences, tally);
        let grown =
            if siblings.is_empty() { Vec::new() } else { self.adopt(position, siblings, fences, tally) };
        (replaced, grown)
    }

    fn insert_into_leaf(
        &mut self,
        key: &[u8],
        row: RowRef<'_>,
        fences: Fences<'_>,
        tally: &mut HeapTally,
    ) -> (Option<Row>, Vec<Sibling>) {
        let head = head(key, self.page.note());
        tally.sub(self.page.heap_bytes());
        let mut appends = false;
        let replaced = match self.page.find(head, key) {
            Ok(position) => {
                let replaced = self.page.to_row(position);
                self.page.replace(position, head, key, row);
                Some(replaced)
            }
            Err(position) => {
                appends = fences.is_last() && position == self.page.len();
                self.page.insert(position, head, key, row);
                None
            }
        };
        let mut siblings = Vec::new();
        if self.page.is_oversize() {
            // Keys that only grow leave full pages behind them, not halves.
            let cut = if appends { self.page.len() - 1 } else { self.page.middle() };
            self.page = divide(&self.page, cut, fences, &mut siblings);
        }
        tally.add(self.page.heap_bytes());
        siblings.iter().for_each(|sibling| tally.add(sibling.node.heap_bytes()));
        (replaced, siblings)
    }

    /// Takes new nodes in, right of the child at `position`; splits if there are too many children then.
    fn adopt(
        &mut self,
        position: usize,
        siblings: Vec<Sibling>,
        fences: Fences<'_>,
        tally: &mut HeapTally,
    ) -> Vec<Sibling> {
        tally.sub(self.heap_bytes());
        let mut children = self.children().unwrap_or_default().to_vec();
        let appends = fences.is_last() && position + 1 == children.len();
        for (offset, Sibling { separator, node }) in siblings.into_iter().enumerate() {
            let position = position + offset;
            self.page.insert(position, head(&separator, self.page.note()), &separator, NO_ROW);
            children.insert(position + 1, node);
        }
        let mut grown = Vec::new();
        if children.len() > CHILDREN_MAX {
            let cut = if appends { children.len() - 2 } else { children.len() / 2 };
            grown.push(split_inner(&mut self.page, &mut children, cut, fences));
        }
        self.children = Some(children.into());
        tally.add(self.heap_bytes());
        grown.iter().for_each(|sibling| tally.add(sibling.node.heap_bytes()));
        grown
    }

    /// Removes a key that is known to be there.
    pub(super) fn remove(&mut self, key: &[u8], fences: Fences<'_>, tally: &mut HeapTally) -> Option<Row> {
        if self.children.is_none() {
            let position = self.find(key).ok()?;
            let removed = self.page.to_row(position);
            tally.sub(self.page.heap_bytes());
            self.page.remove(position);
            tally.add(self.page.heap_bytes());
            return Some(removed);
        }
        let position = self.child_for(key);
        let child_fences = fences.of_child(&self.page, position);
        let child = child_mut(&mut self.children, position);
        let removed = child.remove(key, child_fences, tally);
        if child.is_low() {
            self.mend(position, fences, tally);
        }
        removed
    }

    fn is_low(&self) -> bool {
        match self.children() {
            None => self.page.bytes() < PAGE_BYTES_LOW,
            Some(children) => children.len() < CHILDREN_LOW,
        }
    }

    /// Whether a leaf without records or an inner node with a single child: neither may stay.
    fn must_join(&self) -> bool {
        self.page.is_empty()
    }

    /// Joins the child at `position`, which has become small, with a neighbour.
    fn mend(&mut self, position: usize, fences: Fences<'_>, tally: &mut HeapTally) {
        let left_position = position.saturating_sub(1);
        let old_children = self.children().unwrap_or_default();
        let (Some(left), Some(right)) =
            (old_children.get(left_position), old_children.get(left_position + 1))
        else {
            return;
        };
        if !(left.must_join() || right.must_join() || left.fits_with(right)) {
            return;
        }
        tally.sub(self.heap_bytes() + left.heap_bytes() + right.heap_bytes());
        let pair = fences.of_children(&self.page, left_position, left_position + 1);
        let separator = self.page.key(left_position);
        let (joined, sibling) = join(left, separator, right, pair);

        let mut children = old_children.to_vec();
        children.drain(left_position..left_position + 2);
        self.page.remove(left_position);
        tally.add(joined.heap_bytes());
        children.insert(left_position, joined);
        if let Some(Sibling { separator, node }) = sibling {
            self.page.insert(left_position, head(&separator, self.page.note()), &separator, NO_ROW);
            tally.add(node.heap_bytes());
            children.insert(left_position + 1, node);
        }
        self.children = Some(children.into());
        tally.add(self.heap_bytes());
    }

    fn fits_with(&self, right: &Self) -> bool {
        match (self.children(), right.children()) {
            (Some(left), Some(right)) => left.len() + right.len() <= CHILDREN_MAX,
            _ => self.page.bytes() + right.page.bytes() <= JOINED_BYTES_MAX,
        }
    }

    /// Checks the invariants below this node; returns its height and the heap it takes.
    #[cfg(test)]
    pub(super) fn check_and_recount_heap_bytes(&self, fences: Fences<'_>) -> (usize, usize) {
        assert_eq!(self.page.note(), fences.shared_bytes());
        assert!((0..self.page.len()).all(|position| fences.enclose(self.page.key(position))));
        assert!((1..self.page.len()).all(|position| self.page.key(position - 1) < self.page.key(position)));
        assert!(!self.page.is_oversize() || self.children.is_some());
        let Some(children) = self.children() else { return (0, self.heap_bytes()) };
        assert_eq!(children.len(), self.page.len() + 1);
        assert!((2..=CHILDREN_MAX).contains(&children.len()));
        let mut height = None;
        let mut heap_bytes = self.heap_bytes();
        for (position, child) in children.iter().enumerate() {
            assert!(!child.page.is_empty());
            let (child_height, child_bytes) =
                child.check_and_recount_heap_bytes(fences.of_child(&self.page, position));
            assert_eq!(*height.get_or_insert(child_height), child_height);
            heap_bytes += child_bytes;
        }
        (height.unwrap_or_default() + 1, heap_bytes)
    }

    /// A new root above this one, which has split.
    pub(super) fn grow(self, siblings: Vec<Sibling>, tally: &mut HeapTally) -> Self {
        if siblings.is_empty() {
            return self;
        }
        let mut children = vec![self];
        let (separators, nodes): (Vec<_>, Vec<_>) =
            siblings.into_iter().map(|sibling| (sibling.separator, sibling.node)).unzip();
        children.extend(nodes);
        let root = Self::inner(children, separators.iter().map(Vec::as_slice), Fences::default());
        tally.add(root.heap_bytes());
        root
    }

    /// The root without those upper levels that have only one child.
    pub(super) fn shrink(self, tally: &mut HeapTally) -> Self {
        match self.children() {
            Some([only]) => {
                tally.sub(self.heap_bytes());
                only.clone().shrink(tally)
            }
            _ => self,
        }
    }
}

/// Separators are records of their own kind: the key alone counts.
const NO_ROW: RowRef<'static> = RowRef::EMPTY;

/// The child for writing; copies the array of children first if another version shares it.
fn child_mut(children: &mut Option<Arc<[Node]>>, position: usize) -> &mut Node {
    let children = children.as_mut().expect("only inner nodes are asked for a child");
    if Arc::get_mut(children).is_none() {
        // The copy increments a count in each child, one after the other, and most of them are not in the cache.
        // Reading them all before lets the processor fetch them side by side: twice as fast.
        std::hint::black_box(children.iter().map(Node::touch).sum::<usize>());
    }
    Arc::make_mut(children).get_mut(position).expect("there is one more child than separators")
}

/// Cuts an oversize page until no part is; returns the first part and puts the others into `siblings`.
fn divide(page: &Page, cut: usize, fences: Fences<'_>, siblings: &mut Vec<Sibling>) -> Page {
    let separator = separator(page.key(cut - 1), page.key(cut));
    let part = |range: Range<usize>, fences| {
        let part = part_of(page, range, fences);
        let mut further = Vec::new();
        let first =
            if part.is_oversize() { divide(&part, part.middle(), fences, &mut further) } else { part };
        (first, further)
    };
    let (left, further_left) = part(0..cut, fences.up_to(separator));
    let (right, further_right) = part(cut..page.len(), fences.from(separator));
    siblings.extend(further_left);
    siblings.push(Sibling { separator: separator.to_vec(), node: Node::leaf(right) });
    siblings.extend(further_right);
    left
}

/// Moves the children from `cut` on into a node of their own.
fn split_inner(page: &mut Page, children: &mut Vec<Node>, cut: usize, fences: Fences<'_>) -> Sibling {
    let separator = page.key(cut - 1).to_vec();
    let right = part_of(page, cut..page.len(), fences.from(&separator));
    let left = part_of(page, 0..cut - 1, fences.up_to(&separator));
    *page = left;
    let node = Node { page: right, children: Some(children.split_off(cut).into()) };
    Sibling { separator, node }
}

/// One node of two neighbours, or two of more equal size if they are too large for one.
fn join(left: &Node, separator: &[u8], right: &Node, fences: Fences<'_>) -> (Node, Option<Sibling>) {
    let mut page = PageBuilder::default();
    page.extend(&left.page, 0..left.page.len());
    let (Some(left_children), Some(right_children)) = (left.children(), right.children()) else {
        page.extend(&right.page, 0..right.page.len());
        return (Node::leaf(finish(&mut page, fences)), None);
    };
    page.push(separator, NO_ROW);
    page.extend(&right.page, 0..right.page.len());
    let mut page = finish(&mut page, fences);
    let mut children = [left_children, right_children].concat();
    let sibling = (children.len() > CHILDREN_MAX).then(|| {
        let cut = children.len() / 2;
        split_inner(&mut page, &mut children, cut, fences)
    });
    (Node { page, children: Some(children.into()) }, sibling)
}

fn part_of(page: &Page, range: Range<usize>, fences: Fences<'_>) -> Page {
    let mut part = PageBuilder::default();
    part.extend(page, range);
    finish(&mut part, fences)
}

/// Builds the page of a node between these fences.
pub(super) fn finish(page: &mut PageBuilder, fences: Fences<'_>) -> Page {
    let shared_bytes = fences.shared_bytes();
    page.finish(shared_bytes, |key| head(key, shared_bytes))
}
