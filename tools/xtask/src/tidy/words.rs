//! What a text of this repository never spells: where something lies on one person's machine, and which host a
//! package registry has. The first breaks for everybody else, the second for everybody with a mirror.

use super::Finding;
use super::tree::{SourceFile, Tree};

/// Top folders of paths that exist on one machine only. Tests take their folders from the tempfile crate.
const FOLDERS: &[&str] = &["/tmp", "/work", "/root", "/home", "/Users"];

/// Hosts of package registries, in two parts so that this table does not spell them either.
const HOSTS: &[(&str, &str)] = &[
    ("crates", ".io"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("npmjs", ".com"),
    ("npmjs", ".org"),
    ("proxy.golang", ".org"),
    ("deb.debian", ".org"),
];

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    tree.files().filter(|file| !is_exempt(file)).flat_map(of_file).collect()
}

/// Cargo writes the name of the registry's index into the lock file itself.
fn is_exempt(file: &SourceFile) -> bool {
    file.is_rule() || file.is_fixture() || file.path.rsplit('/').next() == Some("Cargo.lock")
}

fn of_file(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in file.numbered() {
        if let Some(folder) = FOLDERS.iter().find(|folder| spells_path(text, folder)) {
            let message =
                format!("`{folder}` is a path of one machine: use a relative path or the tempfile crate");
            findings.push(Finding::new(&file.path, line, message));
        }
        if let Some((name, _)) = HOSTS.iter().find(|(name, end)| text.contains(&format!("{name}{end}"))) {
            let message =
                format!("names a host of a package registry (`{name}…`): name the package, not the host");
            findings.push(Finding::new(&file.path, line, message));
        }
    }
    findings
}

/// True when `text` has `folder` as the beginning of an absolute path: `target/tmp/x` and `/tmpfs` do not count.
fn spells_path(text: &str, folder: &str) -> bool {
    text.match_indices(folder).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + folder.len()..).and_then(|after| after.chars().next());
        let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        !before.is_some_and(|c| goes_on(c) || matches!(c, '.' | '}' | ')' | '~' | '*'))
            && !after.is_some_and(goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        findings(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        for text in ["open(\"/tmp/x\")", "see /home/ann/notes", "DIR=/root", "`/work/main`", "cd /tmp"] {
            assert_eq!(found("docs/a.md", text), 1, "{text}");
        }
    }

    #[test]
    fn a_relative_path_and_a_longer_word_are_fine() {
        for text in ["target/tmp/x", "${HOME}/work/x", "a /tmpfs mount", "home/ann", "/workshop", "../work/a"]
        {
            assert_eq!(found("docs/a.md", text), 0, "{text}");
        }
    }

    #[test]
    fn a_registry_host_is_found_except_in_the_lock_file() {
        let text =
            format!("source = \"registry+https://github.com/rust-lang/{}{}-index\"", HOSTS[0].0, HOSTS[0].1);
        assert_eq!(found("README.md", &text), 1);
        assert_eq!(found("Cargo.lock", &text), 0);
    }
}
