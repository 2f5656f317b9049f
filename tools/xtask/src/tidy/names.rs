//! A module or type is named for what it holds. Names that fit anything gather everything.

use super::Finding;
use super::code::code_of;
use super::tree::Tree;

/// Names of modules that say nothing about what is in them.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "misc"];

const KEYWORDS: &[&str] = &["struct", "enum", "trait", "type", "union"];

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.is_rule()) {
        if let Some(name) = empty_name(&file.path) {
            let message = format!("module name `{name}` says nothing: name it for what it holds");
            findings.push(Finding::new(&file.path, None, message));
        }
        for (line, text) in file.numbered() {
            if let Some(name) = manager(code_of(text)) {
                let message = format!("type name `{name}`: say what it does instead of that it manages");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The part of a path to a Rust file that is a forbidden module name.
fn empty_name(path: &str) -> Option<&str> {
    let parts = path.trim_end_matches(".rs").split('/');
    parts.into_iter().find(|part| EMPTY_NAMES.contains(part))
}

/// The type defined on this line, when its name ends in `Manager`.
fn manager(code: &str) -> Option<&str> {
    let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.find(|word| KEYWORDS.contains(word))?;
    words.next().filter(|name| name.ends_with("Manager"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_called_util_is_found_as_a_file_and_as_a_folder() {
        let tree = Tree::of(&[
            ("store/src/util.rs", ""),
            ("tests/common/mod.rs", ""),
            ("store/src/log/helpers.rs", ""),
            ("store/src/utility_bill.rs", ""),
            ("docs/common.md", ""),
        ]);
        let paths: Vec<String> = findings(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["store/src/util.rs", "tests/common/mod.rs", "store/src/log/helpers.rs"]);
    }

    #[test]
    fn a_type_called_manager_is_found_where_it_is_defined() {
        let text = "use x::FooManager;\npub(crate) struct TableManager<T> {\n// struct OldManager\nstruct Managerial;\n";
        let found = findings(&Tree::of(&[("a.rs", text)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, Some(2));
        assert!(found[0].message.contains("TableManager"));
    }
}
