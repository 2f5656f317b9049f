//! The programs that tests start as node processes.

use std::env;
use std::path::{Path, PathBuf};

/// This package's own build of `store-admin`, declared in its manifest.
///
/// Cargo builds the programs of a package before it runs that package's integration tests, and those of no other
/// package. Were the tests to start the `store-admin` of `tools/`, a fresh clone would have none, and after a change
/// they would start an old one. Calling `cargo build` from a test is no way out: outside of `cargo test` features
/// are unified differently, so half of the dependencies would be built a second time.
const PROGRAM: &str = "store-admin-under-test";

/// Names another program to test instead: an installed one, or one of an earlier version.
const OVERRIDE: &str = "STORE_ADMIN_UNDER_TEST";

/// Path of a `store-admin` built from this very tree, with the profile and the features of the test that asks.
///
/// `STORE_ADMIN_UNDER_TEST` in the environment names another program to use instead.
///
/// # Panics
///
/// When there is no such program, which happens when a test program is started by hand or built by
/// `cargo test --lib`; the message says how to run it.
pub fn store_admin() -> PathBuf {
    env::var_os(OVERRIDE).map_or_else(|| program(PROGRAM), PathBuf::from)
}

/// Path of a program of this package.
///
/// # Panics
///
/// As [`store_admin()`].
pub fn program(name: &str) -> PathBuf {
    let candidates = [
        // Set while tests run by nextest, and by cargo from 1.94 on.
        env::var_os(format!("CARGO_BIN_EXE_{name}")).map(PathBuf::from),
        env::current_exe().ok().and_then(|test| beside(&test, name)),
    ];
    let path = candidates.into_iter().flatten().next();
    match path.filter(|path| path.is_file()) {
        Some(path) => path,
        None => panic!(
            "the program {name} is not built: run `cargo test -p tabularaft-tests`; {OVERRIDE} may name another \
             store-admin"
        ),
    }
}

/// The program beside the test program: tests lie in `<profile>/deps/`, programs in `<profile>/`.
fn beside(test: &Path, name: &str) -> Option<PathBuf> {
    let folder = test.parent()?;
    let profile = if folder.ends_with("deps") { folder.parent()? } else { folder };
    Some(profile.join(name).with_extension(env::consts::EXE_EXTENSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_lies_one_folder_above_the_tests_of_its_profile() {
        let found = beside(Path::new("target/release/deps/kill-0123456789abcdef"), PROGRAM);
        assert_eq!(found.unwrap().parent().unwrap(), Path::new("target/release"));
    }
}
