//! A relative link in a Markdown file leads to a file or folder of the repository.

use super::Finding;
use super::tree::Tree;

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().filter(|file| file.path.ends_with(".md")) {
        for (line, text) in file.numbered() {
            for target in targets(text) {
                if !leads_somewhere(tree, &file.path, target) {
                    findings.push(Finding::new(
                        &file.path,
                        line,
                        format!("the link to `{target}` leads nowhere"),
                    ));
                }
            }
        }
    }
    findings
}

/// The relative targets of the links on a line: what stands in `](…)`, without a fragment.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let inside = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let paths = inside.map(|target| target.split_once('#').map_or(target, |(path, _)| path));
    paths.filter(|path| !path.is_empty() && !path.contains(':'))
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    let Some(path) = resolved(from, target) else {
        return false;
    };
    let folder = format!("{path}/");
    path.is_empty() || tree.files().any(|file| file.path == path || file.path.starts_with(&folder))
}

/// `target` as a path from the root of the repository; `None` when it leads out of it.
fn resolved(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nothing_is_found_and_all_others_are_left() {
        let text = "[a](guide.md) [b](../README.md#top) [c](https://example.org/x) [d](#here) [e](../docs/)\n\
                    [f](absent.md)\n[g](../../outside.md)\n";
        let tree = Tree::of(&[("docs/a.md", text), ("docs/guide.md", ""), ("README.md", "")]);
        let lines: Vec<Option<usize>> = findings(&tree).into_iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [Some(2), Some(3)]);
    }
}
