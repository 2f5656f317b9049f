//! Text is indented with spaces, lines end where their last visible character does, and files end with one newline.

use super::Finding;
use super::tree::{SourceFile, Tree};

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    tree.files().filter(|file| !file.is_fixture()).flat_map(of_file).collect()
}

fn of_file(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Split by hand: `lines` would swallow the carriage returns that are looked for.
    for (line, text) in file.text.split('\n').enumerate().map(|(before, text)| (before + 1, text)) {
        if text.contains('\t') {
            findings.push(Finding::new(&file.path, line, "a tab: indent with spaces, write \\t in a string"));
        }
        if text.ends_with([' ', '\r']) {
            findings.push(Finding::new(&file.path, line, "white space at the end of the line"));
        }
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        findings.push(Finding::new(&file.path, None, "must end with exactly one newline"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<Option<usize>> {
        findings(&Tree::of(&[("a.rs", text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn tabs_trailing_blanks_and_carriage_returns_are_found_with_their_line() {
        assert_eq!(found("a\n\tb\n"), [Some(2)]);
        assert_eq!(found("a \nb\n"), [Some(1)]);
        assert_eq!(found("a\nb\r\n"), [Some(2)]);
        assert_eq!(found("a\nb\n"), []);
    }

    #[test]
    fn a_file_ends_with_one_newline() {
        assert_eq!(found("a"), [None]);
        assert_eq!(found("a\n\n"), [None]);
        assert_eq!(found(""), []);
    }

    #[test]
    fn fixtures_are_left_as_they_are() {
        assert_eq!(findings(&Tree::of(&[("tests/fixtures/v1/table.ndjson", "a\t \n\n")])), []);
    }
}
