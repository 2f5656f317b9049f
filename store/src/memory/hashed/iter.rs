use std::iter::FusedIterator;

use crate::memory::page::Page;
use crate::row::RowRef;

use super::trie::{Branch, Slot};

/// The records of a [`HashedMap`](super::HashedMap), in the order of their keys' hashes.
#[derive(Clone)]
pub struct HashedIter<'a> {
    /// The branches above the current page, each with how many bits led to it and the slot to go on with.
    path: Vec<(&'a Branch, u32, usize)>,
    page: Option<&'a Page>,
    position: usize,
    page_len: usize,
}

impl<'a> HashedIter<'a> {
    pub(super) fn all(root: &'a Branch) -> Self {
        Self { path: vec![(root, 0, 0)], page: None, position: 0, page_len: 0 }
    }

    /// What follows the place at which a key with this hash stands or would stand.
    pub(super) fn after(root: &'a Branch, hash: u32, key: &[u8]) -> Self {
        let mut iter = Self { path: Vec::new(), page: None, position: 0, page_len: 0 };
        let mut branch = root;
        let mut consumed = 0;
        loop {
            let position = branch.position(hash, consumed);
            match branch.slots().get(position) {
                Some(Slot::Branch(below)) => {
                    iter.path.push((branch, consumed, position + 1));
                    consumed += branch.bits();
                    branch = below;
                }
                Some(Slot::Page(page)) => {
                    iter.path.push((branch, consumed, branch.slots_of(page, position, consumed).end));
                    let position = match page.find(hash, key) {
                        Ok(found) => found + 1,
                        Err(position) => position,
                    };
                    iter.enter(page, position);
                    return iter;
                }
                None => return iter,
            }
        }
    }

    fn enter(&mut self, page: &'a Page, position: usize) {
        self.page = Some(page);
        self.position = position;
        self.page_len = page.len();
    }

    /// Enters the next page; false if there is none.
    fn move_to_next_page(&mut self) -> bool {
        while let Some((branch, consumed, position)) = self.path.pop() {
            match branch.slots().get(position) {
                None => {}
                Some(Slot::Branch(below)) => {
                    self.path.push((branch, consumed, position + 1));
                    self.path.push((below, consumed + branch.bits(), 0));
                }
                Some(Slot::Page(page)) => {
                    self.path.push((branch, consumed, branch.slots_of(page, position, consumed).end));
                    self.enter(page, 0);
                    return true;
                }
            }
        }
        self.page = None;
        false
    }
}

impl<'a> Iterator for HashedIter<'a> {
    type Item = (&'a [u8], RowRef<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(page) = self.page
                && self.position < self.page_len
            {
                self.position += 1;
                return Some(page.record(self.position - 1));
            }
            if !self.move_to_next_page() {
                return None;
            }
        }
    }
}

impl FusedIterator for HashedIter<'_> {}
