use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How one map hashes its keys.
#[derive(Clone, Copy)]
pub(super) struct Hashing {
    seed: u64,
    /// All bits set but in tests that need keys to collide.
    mask: u32,
}

impl Hashing {
    pub(super) fn with_seed(seed: u64) -> Self {
        Self { seed, mask: u32::MAX }
    }

    /// A seed that is different in each process, so that nobody outside can prepare keys that collide.
    pub(super) fn of_process() -> Self {
        static SEED: OnceLock<u64> = OnceLock::new();
        Self::with_seed(*SEED.get_or_init(|| RandomState::new().hash_one(0)))
    }

    #[cfg(test)]
    pub(super) fn with_mask(mask: u32) -> Self {
        Self { seed: 0, mask }
    }

    #[inline]
    pub(super) fn hash(self, key: &[u8]) -> u32 {
        (xxh3_64_with_seed(key, self.seed) >> 32) as u32 & self.mask
    }
}
