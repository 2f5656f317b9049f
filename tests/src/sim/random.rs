//! Randomness from one seed, in streams that do not disturb each other.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One stream of random numbers.
#[derive(Debug)]
pub(crate) struct Random(StdRng);

impl Random {
    /// The stream `name` of a seed.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(crc32c::crc32c(name.as_bytes()));
        Self(StdRng::seed_from_u64(mixed))
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.next_u64() % end }
    }

    /// A number from `least` up to and with `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// True once in `of` times.
    pub(crate) fn once_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// One of them; `None` of none.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u64) as usize)
    }
}
