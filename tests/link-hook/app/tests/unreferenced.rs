//! A program that depends on a crate in `Cargo.toml` alone does not have the crate's modules, and is told so.
//!
//! If the first test fails one day, the compiler has begun to link such crates: then `use the_crate as _;` is no
//! longer needed, and the documentation of `register_module!` should say so.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use tabularaft_schema::{boot_modules, registered_modules, require_modules};

#[test]
fn a_module_of_a_crate_that_nothing_refers_to_is_not_linked() {
    assert!(registered_modules().is_empty());
    assert!(boot_modules().unwrap().is_empty());
}

#[test]
fn requiring_the_module_names_it_and_the_way_out() {
    let error = require_modules(&["router"]).unwrap_err();
    assert_eq!(error.missing, ["router"]);
    let message = error.to_string();
    assert!(message.contains("not linked into this program: router"), "{message}");
    assert!(message.contains("use the_crate as _;"), "{message}");
}
