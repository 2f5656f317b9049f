//! A Rust file has at most 800 lines: beyond that nobody finds anything in it, and it holds more than one thing.

use super::Finding;
use super::tree::Tree;

const LINES_MAX: usize = 800;

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let too_long = tree.rust().filter_map(|file| {
        let lines = file.text.lines().count();
        (lines > LINES_MAX).then(|| {
            Finding::new(
                &file.path,
                None,
                format!("{lines} lines, at most {LINES_MAX}: split it by what it holds"),
            )
        })
    });
    too_long.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_801_lines_is_too_long_and_one_of_800_is_not() {
        let tree = Tree::of(&[
            ("a.rs", &"x\n".repeat(801)),
            ("b.rs", &"x\n".repeat(800)),
            ("c.md", &"x\n".repeat(900)),
        ]);
        let found = findings(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "a.rs");
        assert!(found[0].message.contains("801"));
    }
}
