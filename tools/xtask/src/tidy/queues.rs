//! Every queue has a limit. Clippy forbids some of these calls too, but only in packages whose clippy.toml says so,
//! and it does not look into macros.

use super::Finding;
use super::code::{code_of, names};
use super::tree::Tree;

/// How a queue without a limit is made, and what to use instead.
const UNBOUNDED: &[(&str, &str)] = &[
    ("unbounded_channel(", "tokio::sync::mpsc::channel"),
    ("unbounded_channel::<", "tokio::sync::mpsc::channel"),
    ("unbounded()", "crossbeam::channel::bounded"),
    ("unbounded::<", "crossbeam::channel::bounded"),
    ("std::sync::mpsc::channel", "std::sync::mpsc::sync_channel"),
    ("mpsc::channel()", "std::sync::mpsc::sync_channel"),
    ("mpsc::UnboundedSender", "tokio::sync::mpsc::Sender"),
    ("SegQueue::new(", "crossbeam::queue::ArrayQueue"),
];

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.is_rule()) {
        for (line, text) in file.numbered() {
            if let Some((call, instead)) = UNBOUNDED.iter().find(|(call, _)| names(code_of(text), call)) {
                let message = format!("`{call}` makes a queue without a limit: use {instead}");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_unbounded_queue_is_found() {
        for text in [
            "let (s, r) = tokio::sync::mpsc::unbounded_channel();",
            "let (s, r) = unbounded_channel::<u8>();",
            "let (s, r) = crossbeam::channel::unbounded();",
            "let (s, r) = channel::unbounded::<u8>();",
            "use std::sync::mpsc::channel;",
            "let (s, r) = mpsc::channel();",
            "sender: mpsc::UnboundedSender<u8>,",
        ] {
            assert_eq!(findings(&Tree::of(&[("a.rs", text)])).len(), 1, "{text}");
        }
    }

    #[test]
    fn queues_with_a_limit_are_fine() {
        for text in [
            "let (s, r) = mpsc::channel(64);",
            "let (s, r) = mpsc::channel::<u8>(64);",
            "let (s, r) = crossbeam::channel::bounded(64);",
            "let (s, r) = std::sync::mpsc::sync_channel(64);",
            "range(Bound::Unbounded, end)",
            "// unbounded() would let it grow",
            "tokio::sync::oneshot::channel()",
        ] {
            assert_eq!(findings(&Tree::of(&[("a.rs", text)])).len(), 0, "{text}");
        }
    }
}
