//! Every package inherits the workspace's lints: one that does not may contain unsafe code, and nothing would say so.

use super::Finding;
use super::tree::Tree;

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files().filter(|file| file.path.rsplit('/').next() == Some("Cargo.toml"));
    let without = manifests.filter(|file| {
        let Ok(manifest) = file.text.parse::<toml::Table>() else {
            return true;
        };
        manifest.contains_key("package") && !inherits(&manifest)
    });
    without.map(|file| Finding::new(&file.path, None, "needs `[lints] workspace = true`")).collect()
}

fn inherits(manifest: &toml::Table) -> bool {
    manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_the_lints_of_the_workspace_is_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace]\nmembers = []\n"),
            ("a/Cargo.toml", "[package]\nname = \"a\"\n[lints]\nworkspace = true\n"),
            ("b/Cargo.toml", "[package]\nname = \"b\"\n"),
            ("c/Cargo.toml", "[package]\nname = \"c\"\n[lints.rust]\nunsafe_code = \"allow\"\n"),
        ]);
        let paths: Vec<String> = findings(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["b/Cargo.toml", "c/Cargo.toml"]);
    }
}
