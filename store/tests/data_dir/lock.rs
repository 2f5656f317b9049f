//! One owner at a time.

use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use tabularaft_store::data_dir::{DataDir, DataDirError};

const TAKE_LOCK_OF: &str = "TABULARAFT_TEST_TAKE_LOCK_OF";

#[test]
fn a_new_directory_is_private_and_held_by_one_handle() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/b");
    let dir = DataDir::open(&path).unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    match DataDir::open(&path) {
        Err(DataDirError::InUse { path: refused, by }) => {
            assert_eq!(refused, path);
            assert_eq!(by, format!("process {}", std::process::id()));
        }
        other => panic!("{other:?}"),
    }
    drop(dir);
    DataDir::open(&path).unwrap();
}

/// Not a test of its own: the other process of the next one.
#[test]
fn the_other_process() {
    if let Some(path) = env::var_os(TAKE_LOCK_OF) {
        assert!(matches!(DataDir::open(path), Err(DataDirError::InUse { .. })));
    }
}

#[test]
fn another_process_is_kept_out_too() {
    let parent = tempfile::tempdir().unwrap();
    let _dir = DataDir::open(parent.path()).unwrap();
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "lock::the_other_process"])
        .env(TAKE_LOCK_OF, parent.path())
        .status()
        .unwrap();
    assert!(status.success());
}
