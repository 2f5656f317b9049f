//! The house rules that neither the compiler nor Clippy knows, one file for each.
//!
//! A rule gets the whole [`Tree`] and says what breaks it. Each has tests that show it catching a bad sample: a rule
//! that has never been seen to fail is not known to work.

mod code;
mod decisions;
mod inheritance;
mod layers;
mod length;
mod links;
mod names;
mod queues;
mod raft_door;
mod tree;
mod whitespace;
mod words;

use std::fmt;

use crate::step;
use tree::Tree;

/// One place that breaks one rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Path from the root of the repository, with `/`.
    path: String,
    /// Counted from 1; `None` when the whole file is meant.
    line: Option<usize>,
    /// What is wrong and what to do instead.
    message: String,
}

impl Finding {
    fn new(path: &str, line: impl Into<Option<usize>>, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: line.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    length::findings,
    names::findings,
    whitespace::findings,
    words::findings,
    layers::findings,
    inheritance::findings,
    raft_door::findings,
    queues::findings,
    decisions::findings,
    links::findings,
];

/// Applies every rule to the repository.
pub(crate) fn run() -> Result<(), String> {
    let tree = Tree::of_repository(&step::root())?;
    let findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("{count} breach(es) of the house rules")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        assert_eq!(Finding::new("a/b.rs", 3, "is wrong").to_string(), "a/b.rs:3: is wrong");
        assert_eq!(Finding::new("a/b.rs", None, "is wrong").to_string(), "a/b.rs: is wrong");
    }
}
