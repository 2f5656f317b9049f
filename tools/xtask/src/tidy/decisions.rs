//! Every page in `docs/decisions/` has a number of its own and stands in the list there; a page nobody finds decides
//! nothing.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

const FOLDER: &str = "docs/decisions/";
const LIST: &str = "docs/decisions/README.md";

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let list = tree.get(LIST).map_or("", |file| file.text.as_str());
    let mut findings = Vec::new();
    let mut numbers: BTreeMap<&str, &str> = BTreeMap::new();
    for name in tree.files().filter_map(|file| file.path.strip_prefix(FOLDER)) {
        if name == "README.md" || !name.ends_with(".md") {
            continue;
        }
        let path = format!("{FOLDER}{name}");
        if !list.contains(&format!("({name})")) {
            findings.push(Finding::new(&path, None, format!("is not listed in {LIST}")));
        }
        match number(name) {
            None => findings.push(Finding::new(&path, None, "must be called NNNN-what-was-decided.md")),
            Some(number) => {
                if let Some(other) = numbers.insert(number, name) {
                    findings.push(Finding::new(&path, None, format!("has the number of {other}")));
                }
            }
        }
    }
    findings
}

/// The four digits in front of the name.
fn number(name: &str) -> Option<&str> {
    let (number, _) = name.split_once('-')?;
    (number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_listed_or_not_numbered_or_numbered_twice_is_found() {
        let tree = Tree::of(&[
            (LIST, "- [one](0001-one.md)\n- [two](0002-two.md)\n- [again](0002-again.md)\n- [x](loose.md)\n"),
            ("docs/decisions/0001-one.md", "# One\n"),
            ("docs/decisions/0002-again.md", "# Again\n"),
            ("docs/decisions/0002-two.md", "# Two\n"),
            ("docs/decisions/0003-three.md", "# Three\n"),
            ("docs/decisions/loose.md", "# Loose\n"),
        ]);
        let paths: Vec<String> = findings(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(
            paths,
            ["docs/decisions/0002-two.md", "docs/decisions/0003-three.md", "docs/decisions/loose.md"]
        );
    }
}
