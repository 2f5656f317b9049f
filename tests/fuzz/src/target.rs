//! One decoder under the fuzzer.

use std::path::{Path, PathBuf};

use crate::TARGETS;

/// A decoder, by the name of its corpus folder.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: also the folder of its corpus.
    pub name: &'static str,
    /// Takes any bytes; a panic is a find.
    pub run: fn(&[u8]),
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// Where the inputs of a target are kept.
#[must_use]
pub fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}
