//! The text files of the repository, read once for all rules.

use std::fs;
use std::path::Path;
use std::process::Command;

/// All text files that are tracked, or would be by `git add --all`.
pub(super) struct Tree {
    files: Vec<SourceFile>,
}

/// One text file.
pub(super) struct SourceFile {
    /// Path from the root of the repository, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl SourceFile {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Golden fixtures are bytes that a released version wrote, and a corpus is what a fuzzer made up: no rule of ours may
    /// ask to change one.
    pub(super) fn is_fixture(&self) -> bool {
        self.path.split('/').any(|folder| folder == "fixtures" || folder == "corpus")
    }

    /// The rules themselves spell what they forbid.
    pub(super) fn is_rule(&self) -> bool {
        self.path.starts_with("tools/xtask/src/tidy/")
    }

    /// The lines with their numbers, counted from 1.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(before, line)| (before + 1, line))
    }
}

impl Tree {
    /// Asks git for the names, so that build output and whatever else is ignored stays out.
    pub(super) fn of_repository(root: &Path) -> Result<Self, String> {
        // In a clone that belongs to another user (a container's) git refuses to look without safe.directory.
        let listing = Command::new("git")
            .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .map_err(|error| {
                format!("git did not start, and the house rules ask it for the files: {error}")
            })?;
        if !listing.status.success() {
            return Err(format!("git ls-files failed: {}", String::from_utf8_lossy(&listing.stderr).trim()));
        }
        let names = String::from_utf8_lossy(&listing.stdout);
        let files = names.split('\0').filter(|name| !name.is_empty()).filter_map(|name| read(root, name));
        Ok(Self { files: files.collect() })
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| SourceFile { path: (*path).into(), text: (*text).into() };
        Self { files: files.iter().map(file).collect() }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &SourceFile> {
        self.files().filter(|file| file.is_rust())
    }

    pub(super) fn get(&self, path: &str) -> Option<&SourceFile> {
        self.files().find(|file| file.path == path)
    }
}

/// `None` for what is not text, and for a name in git's index whose file is deleted and not yet committed.
fn read(root: &Path, name: &str) -> Option<SourceFile> {
    let bytes = fs::read(root.join(name)).ok()?;
    if bytes.contains(&0) {
        return None;
    }
    Some(SourceFile { path: name.to_owned(), text: String::from_utf8(bytes).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_and_anything_else_left_out() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("text.md"), "words\n").unwrap();
        fs::write(root.path().join("nul"), b"a\0b").unwrap();
        fs::write(root.path().join("latin"), [0xE9, 0x0A]).unwrap();
        assert_eq!(read(root.path(), "text.md").unwrap().text, "words\n");
        for name in ["nul", "latin", "absent"] {
            assert!(read(root.path(), name).is_none(), "{name}");
        }
    }

    #[test]
    fn what_git_ignores_is_not_in_the_tree() {
        let root = tempfile::tempdir().unwrap();
        let git = Command::new("git").args(["init", "--quiet"]).current_dir(root.path()).status().unwrap();
        assert!(git.success());
        fs::write(root.path().join(".gitignore"), "/target\n").unwrap();
        fs::create_dir(root.path().join("target")).unwrap();
        fs::write(root.path().join("target/out.rs"), "").unwrap();
        fs::write(root.path().join("new.rs"), "").unwrap();
        let tree = Tree::of_repository(root.path()).unwrap();
        let mut paths: Vec<&str> = tree.files().map(|file| file.path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, [".gitignore", "new.rs"]);
    }
}
