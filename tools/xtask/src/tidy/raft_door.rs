//! Only `cluster/src/raft/` names openraft: its API moves between releases, and an upgrade must touch one folder.

use super::Finding;
use super::code::{code_of, names};
use super::tree::Tree;

const DOOR: &str = "cluster/src/raft/";

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.path.starts_with(DOOR) && !file.is_rule()) {
        for (line, text) in file.numbered() {
            let code = code_of(text);
            if names(code, "openraft::") || names(code, "use openraft") {
                findings.push(Finding::new(&file.path, line, format!("openraft is named in {DOOR} only")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openraft_named_outside_its_folder_is_found() {
        let tree = Tree::of(&[
            ("cluster/src/raft/types.rs", "use openraft::Raft;\n"),
            (
                "cluster/src/node.rs",
                "//! Wraps openraft::Raft.\nuse openraft::Raft;\nlet r: openraft::Raft<C>;\n",
            ),
            ("cluster/src/rafting.rs", "use openraft as raft;\n"),
        ]);
        let found: Vec<(String, Option<usize>)> =
            findings(&tree).into_iter().map(|finding| (finding.path, finding.line)).collect();
        assert_eq!(
            found,
            [
                ("cluster/src/node.rs".to_owned(), Some(2)),
                ("cluster/src/node.rs".to_owned(), Some(3)),
                ("cluster/src/rafting.rs".to_owned(), Some(1)),
            ]
        );
    }
}
