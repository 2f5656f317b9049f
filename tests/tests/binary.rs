//! The harness itself: is there a program to start?

use std::process::Command;

use tabularaft_tests::binary;

#[test]
fn the_program_under_test_is_built_and_answers() {
    let output = Command::new(binary::store_admin()).arg("--help").output().expect("the program starts");
    assert!(output.status.success(), "{output:?}");
}
