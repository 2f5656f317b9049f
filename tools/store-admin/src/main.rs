//! The operator's command. Everything is in the library, so that other programs can embed it.

use std::process::ExitCode;

fn main() -> ExitCode {
    store_admin::main()
}
