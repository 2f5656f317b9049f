//! `schema <- store <- cluster <- tools`: what each package may not depend on, and which parts of the standard
//! library a lower layer may not name. Read from the manifests, so that a wrong dependency fails before it is used.
//!
//! Dev-dependencies are not checked: a test may use what its package may not.

use super::Finding;
use super::code::{code_of, names};
use super::tree::Tree;

/// A package's folder, and the packages that must not be among its dependencies.
const MUST_NOT_DEPEND: &[(&str, &[&str])] = &[
    ("schema", &["tokio", "redb", "openraft", "clap", "anyhow", "rustix", "tabularaft-store", "tabularaft"]),
    ("schema/derive", &["tabularaft-schema", "tabularaft-store", "tabularaft", "anyhow"]),
    ("store", &["tokio", "openraft", "futures", "clap", "anyhow", "tabularaft"]),
    ("cluster", &["clap", "anyhow", "redb"]),
];

/// A source folder, and the modules that must not be named below it.
const MUST_NOT_NAME: &[(&str, &[&str])] =
    &[("schema/src/", &["std::fs", "std::net", "std::process"]), ("store/src/", &["std::net"])];

pub(super) fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, banned) in MUST_NOT_DEPEND {
        if let Some(file) = tree.get(&format!("{folder}/Cargo.toml")) {
            findings.extend(of_manifest(&file.path, &file.text, banned));
        }
    }
    for (folder, banned) in MUST_NOT_NAME {
        for file in tree.rust().filter(|file| file.path.starts_with(folder)) {
            for (line, text) in file.numbered() {
                if let Some(module) = banned.iter().find(|module| names(code_of(text), module)) {
                    findings.push(Finding::new(
                        &file.path,
                        line,
                        format!("`{module}` belongs to a higher layer"),
                    ));
                }
            }
        }
    }
    findings
}

fn of_manifest(path: &str, text: &str, banned: &[&str]) -> Vec<Finding> {
    let manifest: toml::Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(error) => {
            return vec![Finding::new(path, None, format!("is not TOML: {}", error.message()))];
        }
    };
    let mut dependencies = Vec::new();
    gather(&manifest, &mut dependencies);
    for target in tables(&manifest, "target") {
        gather(target, &mut dependencies);
    }
    let wrong = dependencies.into_iter().filter(|name| banned.contains(&name.as_str()));
    wrong
        .map(|name| Finding::new(path, None, format!("must not depend on `{name}`: see ARCHITECTURE.md")))
        .collect()
}

/// Adds the names of the packages that `table` depends on; a renamed dependency counts under its real name.
fn gather(table: &toml::Table, into: &mut Vec<String>) {
    for section in ["dependencies", "build-dependencies"] {
        let Some(dependencies) = table.get(section).and_then(toml::Value::as_table) else {
            continue;
        };
        for (name, value) in dependencies {
            let real = value.get("package").and_then(toml::Value::as_str).unwrap_or(name);
            into.push(real.to_owned());
        }
    }
}

/// The tables inside the table `name`.
fn tables<'a>(manifest: &'a toml::Table, name: &str) -> impl Iterator<Item = &'a toml::Table> {
    let outer = manifest.get(name).and_then(toml::Value::as_table);
    outer.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        findings(&Tree::of(&[(path, text)])).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_forbidden_dependency_is_found_in_every_form_it_can_take() {
        for text in [
            "[dependencies]\ntokio = \"1\"\n",
            "[dependencies]\ntokio.workspace = true\n",
            "[dependencies.tokio]\nversion = \"1\"\n",
            "[build-dependencies]\ntokio = \"1\"\n",
            "[target.'cfg(unix)'.dependencies]\ntokio = \"1\"\n",
            "[dependencies]\nrt = { package = \"tokio\", version = \"1\" }\n",
        ] {
            let messages = found("store/Cargo.toml", text);
            assert_eq!(messages.len(), 1, "{text}");
            assert!(messages[0].contains("`tokio`"), "{messages:?}");
        }
    }

    #[test]
    fn what_is_allowed_above_is_not_found() {
        assert_eq!(found("cluster/Cargo.toml", "[dependencies]\ntokio = \"1\"\n"), [] as [String; 0]);
        assert_eq!(found("store/Cargo.toml", "[dev-dependencies]\ntokio = \"1\"\n"), [] as [String; 0]);
    }

    #[test]
    fn a_layer_does_not_depend_on_the_one_above_it() {
        assert_eq!(
            found("schema/Cargo.toml", "[dependencies]\ntabularaft-store.workspace = true\n").len(),
            1
        );
        assert_eq!(found("store/Cargo.toml", "[dependencies]\ntabularaft.workspace = true\n").len(), 1);
    }

    #[test]
    fn the_schema_does_not_open_files_and_the_store_does_not_open_sockets() {
        assert_eq!(found("schema/src/a.rs", "use std::fs::File;\n").len(), 1);
        assert_eq!(found("store/src/log/a.rs", "let s = std::net::TcpStream::connect(a)?;\n").len(), 1);
        assert_eq!(found("store/src/a.rs", "use std::fs::File; // std::net is not for us\n").len(), 0);
    }

    #[test]
    fn a_manifest_that_is_not_toml_is_a_finding_and_not_a_panic() {
        assert_eq!(found("store/Cargo.toml", "[dependencies\n").len(), 1);
    }
}
