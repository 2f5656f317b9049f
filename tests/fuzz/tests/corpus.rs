//! Every input that was kept once must not be a find again.

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use tabularaft_fuzz::{TARGETS, Target, corpus};

fn inputs(target: &Target) -> Vec<PathBuf> {
    let listed =
        fs::read_dir(corpus(target)).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    listed.unwrap_or_default()
}

#[test]
fn every_target_has_inputs_and_none_of_them_is_a_find() {
    for target in TARGETS {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "target {} has no inputs in {}", target.name, corpus(target).display());
        for path in inputs {
            let bytes = fs::read(&path).unwrap();
            let run = target.run;
            assert!(
                catch_unwind(|| run(&bytes)).is_ok(),
                "target {} panics on {}",
                target.name,
                path.display()
            );
        }
    }
}

#[test]
fn every_target_takes_short_inputs_of_every_first_byte() {
    for target in TARGETS {
        (target.run)(&[]);
        for first in 0..=u8::MAX {
            (target.run)(&[first]);
            (target.run)(&[first; 70]);
        }
    }
}

#[test]
fn every_folder_of_the_corpus_belongs_to_a_target() {
    let root = corpus(&TARGETS[0]).parent().unwrap().to_owned();
    for entry in fs::read_dir(root).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|target| target.name == name), "no target is called {name}");
    }
}
