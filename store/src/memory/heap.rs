use std::sync::Arc;

/// Estimates what one shared allocation of `bytes` takes from the heap: two reference counts, the allocator's own word,
/// rounded to its granule of 16 bytes.
pub(crate) fn allocation_bytes(bytes: usize) -> usize {
    const REFERENCE_COUNTS: usize = 16;
    const ALLOCATOR_WORD: usize = 8;
    (REFERENCE_COUNTS + bytes + ALLOCATOR_WORD).next_multiple_of(16)
}

/// What [`allocation_bytes`] says of a shared slice.
pub(super) fn slice_bytes<T>(slice: &Arc<[T]>) -> usize {
    allocation_bytes(size_of_val::<[T]>(slice))
}

/// Running estimate of the heap one map takes, adjusted with every page and node that comes or goes.
#[derive(Clone, Copy, Default)]
pub(super) struct HeapTally(usize);

impl HeapTally {
    pub(super) fn bytes(self) -> usize {
        self.0
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.0 += bytes;
    }

    pub(super) fn sub(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.0, "more heap was given back than taken");
        self.0 = self.0.saturating_sub(bytes);
    }
}
