//! A program that says `use the_crate as _;` has the crate's modules.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

use link_hook_router as _;
use tabularaft_schema::{
    CopyMode, boot_modules, copy_modules, fingerprint, registered_modules, require_modules,
};

#[test]
fn a_module_of_a_crate_that_is_only_named_is_found() {
    let names: Vec<_> = registered_modules().iter().map(|module| module.name()).collect();
    assert_eq!(names, ["router"]);
    require_modules(&["router"]).unwrap();
}

#[test]
fn its_hooks_declare_its_tables_and_copies() {
    let tables = boot_modules().unwrap();
    assert_eq!(tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["route"]);
    assert_eq!(copy_modules().unwrap().get("route"), Some(&Some(CopyMode::Ram)));
    assert!(fingerprint().unwrap().pairs().any(|pair| pair == ("module router", "linked")));
}

#[test]
fn a_module_that_is_missing_beside_it_is_named() {
    let error = require_modules(&["router", "retainer"]).unwrap_err();
    assert_eq!((error.missing, error.linked), (vec!["retainer".to_owned()], vec!["router".to_owned()]));
}
