//! Hashed maps: a copy-on-write trie over the bits of the keys' hashes, with packed pages as leaves.

mod build;
mod hashing;
mod iter;
mod map;
mod trie;

pub use build::HashedBuilder;
pub use iter::HashedIter;
pub use map::HashedMap;
