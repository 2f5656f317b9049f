//! libFuzzer's side: one program for all targets, so that it is linked once. `FUZZ_TARGET` says which one runs.
#![no_main]

use std::sync::OnceLock;

use tabularaft_fuzz::{TARGETS, Target, target};

static CHOSEN: OnceLock<Target> = OnceLock::new();

fn chosen() -> &'static Target {
    CHOSEN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        target(&name).unwrap_or_else(|| {
            let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("error: FUZZ_TARGET is {name:?}; the targets are {}", known.join(", "));
            std::process::exit(2);
        })
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (chosen().run)(bytes));
