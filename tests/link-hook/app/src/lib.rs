//! Nothing: the programs are the tests of this crate, each of which is linked for itself.

#![forbid(unsafe_code)]
