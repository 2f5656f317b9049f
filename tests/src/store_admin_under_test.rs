//! `store-admin`, built by this package so that its tests always start the current one.

use std::process::ExitCode;

fn main() -> ExitCode {
    store_admin::main()
}
