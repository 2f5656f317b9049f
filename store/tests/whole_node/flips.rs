//! Bit rot and torn pages over the files of a stopped node: each is harmless, or the node refuses and says where.
//!
//! `cargo xtask flips --count N` runs more of them than the suite does.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tabularaft_store::Effect;
use tabularaft_store::disc::OsDisc;
use tempfile::TempDir;

use crate::content::{Content, Opened, names_a_file};
use crate::life::{Life, ids, keys, look, put, tables};

/// How many damages the suite tries.
const COUNT: u64 = 300;
const SECTOR_BYTES: u64 = 512;

/// One damage: which byte of all files, and what became of it.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip {
        bit: u32,
    },
    /// The sector around the byte reads as zeros, as after a write that never reached the disc.
    Zeroed,
}

/// A generator of its own (SplitMix64), so that a number says which damages were tried.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A node that has lived: several checkpoints, a purged log, a tail, local tables, a vote.
fn lived(dir: &Path) -> Life {
    let life = Life::begin(dir, Arc::new(OsDisc)).unwrap();
    for def in tables() {
        life.write(vec![Effect::Schema(def.into())]).unwrap();
    }
    let mut version = 0;
    for round in 0..4 {
        for key in keys() {
            let replicated = ids().into_iter().filter(|(_, local)| !local);
            let effects = replicated.map(|(id, _)| {
                version += 1;
                put(id, &key, &format!("value {round} of {key}"), version)
            });
            life.write(effects.collect()).unwrap();
        }
        for (id, _) in ids().iter().filter(|(_, local)| *local) {
            for key in keys().iter().step_by(7) {
                life.write_local(*id, key, &format!("local value {round}")).unwrap();
            }
        }
        life.vote(&format!("vote {round}")).unwrap();
        if round < 3 {
            life.checkpoint_and_purge().unwrap();
        }
    }
    life
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

fn damage(file: &Path, at: u64, damage: Damage) -> bool {
    let mut bytes = fs::read(file).unwrap();
    match damage {
        Damage::Flip { bit } => bytes[at as usize] ^= 1 << bit,
        Damage::Zeroed => {
            let start = (at - at % SECTOR_BYTES) as usize;
            let end = (start + SECTOR_BYTES as usize).min(bytes.len());
            if bytes[start..end].iter().all(|byte| *byte == 0) {
                return false;
            }
            bytes[start..end].fill(0);
        }
    }
    fs::write(file, bytes).unwrap();
    true
}

/// Damages copies of a node's files, one after the other, and says how many were noticed.
fn try_all(source: &Path, whole: &Content, count: u64, numbers: &mut Numbers) -> (u64, u64) {
    // Where files hold nothing yet, damage is nothing: half of the tries go where something was written.
    let all = files(source);
    let contents: Vec<Vec<u8>> = all.iter().map(|file| fs::read(file).unwrap()).collect();
    let sizes: Vec<u64> = contents.iter().map(|bytes| bytes.len() as u64).collect();
    let (mut harmless, mut reported) = (0, 0);
    let scratch = scratch();
    for number in 0..count {
        let mut at = numbers.below(sizes.iter().sum());
        let which = sizes.iter().position(|size| at.checked_sub(*size).map(|rest| at = rest).is_none());
        // Small files would hardly ever be met.
        let which = if number % 8 == 0 { numbers.below(all.len() as u64) as usize } else { which.unwrap() };
        at %= sizes[which].max(1);
        if sizes[which] == 0 {
            continue;
        }
        if number % 2 == 0 {
            let written = &contents[which];
            at = (0..u64::MAX)
                .map(|step| (at + step) % sizes[which])
                .find(|at| written[*at as usize] != 0)
                .unwrap_or(at);
        }
        let kind = match number % 5 {
            4 => Damage::Zeroed,
            _ => Damage::Flip { bit: numbers.below(8) as u32 },
        };
        let dir = scratch.path().join("node");
        copy(source, &dir);
        let file = dir.join(all[which].strip_prefix(source).unwrap());
        if !damage(&file, at, kind) {
            continue;
        }
        let tried = format!("number {number}: {kind:?} at byte {at} of {}", file.display());
        match catch_unwind(AssertUnwindSafe(|| look(&dir))) {
            Ok(Opened::Serves(content)) => {
                assert!(*content == *whole, "{tried}: the node serves something else than it had");
                harmless += 1;
            }
            Ok(Opened::Refuses(message)) => {
                assert!(names_a_file(&message, &dir), "{tried}: the refusal names no file: {message}");
                reported += 1;
            }
            Err(_) => panic!("{tried}: opening panicked"),
        }
    }
    (harmless, reported)
}

/// In memory where there is such a place: here nobody pulls a plug, and waiting for a disc takes most of the time.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

fn asked(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[test]
fn damage_anywhere_in_the_files_of_a_node_is_harmless_or_reported() {
    let count = asked("TABULARAFT_FLIPS", COUNT);
    let mut numbers = Numbers(asked("TABULARAFT_FLIPS_SEED", 1));
    for killed in [false, true] {
        let dir = scratch();
        let life = lived(dir.path());
        let whole = life.content().unwrap();
        if killed {
            life.die();
        } else {
            life.end().unwrap();
        }
        let untouched = scratch();
        copy(dir.path(), untouched.path());
        match look(untouched.path()) {
            Opened::Serves(content) => assert!(*content == whole, "a node finds again what it had"),
            Opened::Refuses(message) => panic!("an undamaged node refuses: {message}"),
        }
        let (harmless, reported) = try_all(dir.path(), &whole, count / 2, &mut numbers);
        println!("killed: {killed}; {harmless} harmless, {reported} reported");
        assert!(reported > 0 && harmless > 0, "both happen");
    }
}
