//! What of a line of Rust is code, for rules that look for names.

/// The part of `line` before a line comment, so that documentation may speak of what code must not do.
///
/// A `//` inside a string hides the rest of that line from the rules. They guard against slips, not against malice.
pub(super) fn code_of(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// True when `word` stands in `code` and is not the end of a longer name.
pub(super) fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_code() {
        assert_eq!(code_of("let a = 1; // why"), "let a = 1; ");
        assert_eq!(code_of("//! about openraft::Raft"), "");
        assert_eq!(code_of("let a = 1;"), "let a = 1;");
    }

    #[test]
    fn a_longer_name_that_ends_alike_does_not_count() {
        assert!(names("use openraft::Raft;", "openraft::"));
        assert!(names("(openraft::Raft)", "openraft::"));
        assert!(!names("use my_openraft::Raft;", "openraft::"));
    }
}
