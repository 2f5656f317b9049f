use std::iter::FusedIterator;
use std::ops::Bound;

use crate::memory::page::Page;
use crate::row::RowRef;

use super::node::Node;

/// The records of a range of an [`OrderedMap`](super::OrderedMap), from both ends.
#[derive(Clone)]
pub struct OrderedRange<'a> {
    /// `None` once the range is used up.
    ends: Option<Ends<'a>>,
}

/// Invariant: `front` does not stand behind `back`.
#[derive(Clone)]
struct Ends<'a> {
    /// Before the next record from the front.
    front: Place<'a>,
    /// Behind the next record from the back.
    back: Place<'a>,
}

/// A place between two records: in a leaf, before the record at `position`.
#[derive(Clone)]
struct Place<'a> {
    /// From the root down, the children of each inner node and the one that is passed through.
    path: Vec<(&'a [Node], usize)>,
    page: &'a Page,
    position: usize,
    page_len: usize,
}

impl<'a> OrderedRange<'a> {
    pub(super) fn new(root: &'a Node, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Self {
        if excludes_all(bounds) {
            return Self { ends: None };
        }
        let front = match bounds.0 {
            Bound::Unbounded => Place::first(root),
            Bound::Included(key) => Place::before(root, key),
            Bound::Excluded(key) => Place::behind(root, key),
        };
        let back = match bounds.1 {
            Bound::Unbounded => Place::last(root),
            Bound::Included(key) => Place::behind(root, key),
            Bound::Excluded(key) => Place::before(root, key),
        };
        Self { ends: Some(Ends { front, back }) }
    }
}

fn excludes_all(bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match bounds {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
            low >= high
        }
    }
}

impl<'a> Iterator for OrderedRange<'a> {
    type Item = (&'a [u8], RowRef<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Ends { front, back } = self.ends.as_mut()?;
            let end = if std::ptr::eq(front.page, back.page) { back.position } else { front.page_len };
            if front.position < end {
                front.position += 1;
                return Some(front.page.record(front.position - 1));
            }
            if std::ptr::eq(front.page, back.page) || !front.move_to_next_leaf() {
                self.ends = None;
            }
        }
    }
}

impl DoubleEndedIterator for OrderedRange<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            let Ends { front, back } = self.ends.as_mut()?;
            let start = if std::ptr::eq(front.page, back.page) { front.position } else { 0 };
            if back.position > start {
                back.position -= 1;
                return Some(back.page.record(back.position));
            }
            if std::ptr::eq(front.page, back.page) || !back.move_to_previous_leaf() {
                self.ends = None;
            }
        }
    }
}

impl FusedIterator for OrderedRange<'_> {}

impl<'a> Place<'a> {
    fn first(root: &'a Node) -> Self {
        Self::descend(root, |_| 0, |_| 0)
    }

    fn last(root: &'a Node) -> Self {
        Self::descend(root, |inner| inner.page().len(), |leaf| leaf.page().len())
    }

    /// Before the first record whose key is not below `key`.
    fn before(root: &'a Node, key: &[u8]) -> Self {
        Self::descend(
            root,
            |inner| inner.child_for(key),
            |leaf| match leaf.find(key) {
                Ok(position) | Err(position) => position,
            },
        )
    }

    /// Behind the last record whose key is not above `key`.
    fn behind(root: &'a Node, key: &[u8]) -> Self {
        Self::descend(root, |inner| inner.child_for(key), |leaf| leaf.child_for(key))
    }

    fn descend(root: &'a Node, child: impl Fn(&Node) -> usize, position: impl Fn(&Node) -> usize) -> Self {
        let mut path = Vec::new();
        let mut node = root;
        while let Some(children) = node.children() {
            let position = child(node);
            path.push((children, position));
            node = children.get(position).expect("there is one more child than separators");
        }
        Self { path, page: node.page(), position: position(node), page_len: node.page().len() }
    }

    /// To before the first record of the next leaf; false if this is the last leaf.
    fn move_to_next_leaf(&mut self) -> bool {
        self.move_to_neighbour(|_, position| Some(position + 1), |_| 0) && {
            self.position = 0;
            true
        }
    }

    /// To behind the last record of the previous leaf; false if this is the first leaf.
    fn move_to_previous_leaf(&mut self) -> bool {
        self.move_to_neighbour(|_, position| position.checked_sub(1), |children| children.len() - 1) && {
            self.position = self.page_len;
            true
        }
    }

    fn move_to_neighbour(
        &mut self,
        beside: impl Fn(&[Node], usize) -> Option<usize>,
        edge: impl Fn(&[Node]) -> usize,
    ) -> bool {
        while let Some((siblings, position)) = self.path.pop() {
            let Some(position) = beside(siblings, position).filter(|beside| *beside < siblings.len()) else {
                continue;
            };
            self.path.push((siblings, position));
            let mut node = siblings.get(position).expect("checked just before");
            while let Some(children) = node.children() {
                let position = edge(children);
                self.path.push((children, position));
                node = children.get(position).expect("inner nodes have children");
            }
            self.page = node.page();
            self.page_len = self.page.len();
            return true;
        }
        false
    }
}
