//! Bit rot and torn pages over the files of a stopped node: each is harmless, or the node refuses and says where.
//!
//! `cargo xtask flips --count N` runs more of them than the suite does.

use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tabularaft_store::Effect;
use tabularaft_store::disc::OsDisc;
use tempfile::TempDir;

use crate::content::{Content, Opened};
use crate::damages::{self, Damage, Numbers};
use crate::life::{Life, ids, keys, look, put, tables};

/// How many damages the suite tries.
const COUNT: u64 = 300;
const DATABASE_HEADER_BYTES: u64 = 320;

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

/// Whether a refusal names the file and the place: of a flipped bit in a database the page that holds it, of other damage
/// some byte. A database that panics may have come past the page; a segment may seem whole, and be too short only for the one
/// that follows it.
fn names_the_place(message: &str, file: &Path, damage: Damage, at: u64) -> bool {
    let is_database = file.extension().is_some_and(|extension| extension == "redb");
    let panicked = message.contains("cannot have written");
    let of_the_log = message.contains("/log/") && file.parent().is_some_and(|dir| dir.ends_with("log"));
    let named = message.contains(&file.display().to_string()) || of_the_log;
    named
        && match damage {
            Damage::Flip { .. } if is_database && at >= DATABASE_HEADER_BYTES && !panicked => {
                noticed(message).is_some_and(|page| page.contains(&at))
            }
            _ => message.contains("byte ") || noticed(message).is_some(),
        }
}

/// Where a database says that it met the damage.
fn noticed(message: &str) -> Option<Range<u64>> {
    let (_, place) = message.split_once("noticed in bytes ")?;
    let (start, rest) = place.split_once(" to ")?;
    let (end, _) = rest.split_once(';')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

/// Damages copies of a node's files, one after the other, and says how many were noticed. Tries all before it fails.
fn try_all(source: &Path, whole: &Content, count: u64, numbers: &mut Numbers) -> (u64, u64) {
    // Where files hold nothing yet, damage is nothing: half of the tries go where something was written.
    let all = files(source);
    let contents: Vec<Vec<u8>> = all.iter().map(|file| fs::read(file).unwrap()).collect();
    let sizes: Vec<u64> = contents.iter().map(|bytes| bytes.len() as u64).collect();
    let (mut harmless, mut reported, mut finds) = (0, 0, Vec::new());
    let scratch = scratch();
    for number in 0.. {
        if harmless + reported + finds.len() as u64 >= count {
            break;
        }
        let mut at = numbers.below(sizes.iter().sum());
        let which = sizes.iter().position(|size| at.checked_sub(*size).map(|rest| at = rest).is_none());
        // Small files would hardly ever be met.
        let which = if number % 8 == 0 { numbers.below(all.len() as u64) as usize } else { which.unwrap() };
        at %= sizes[which].max(1);
        if sizes[which] == 0 {
            continue;
        }
        if number % 2 == 0 {
            at = written_from(&contents[which], at);
        }
        let kind = Damage::number(number, numbers);
        let dir = scratch.path().join("node");
        copy(source, &dir);
        let file = dir.join(all[which].strip_prefix(source).unwrap());
        let mut bytes = contents[which].clone();
        if !kind.strike(&mut bytes, at) {
            continue;
        }
        fs::write(&file, bytes).unwrap();
        let tried = format!("number {number}: {kind:?} at byte {at} of {}", file.display());
        match catch_unwind(AssertUnwindSafe(|| look(&dir))) {
            Ok(Opened::Serves(content)) if *content == *whole => harmless += 1,
            Ok(Opened::Serves(_)) => {
                finds.push(format!("{tried}: the node serves something else than it had"))
            }
            Ok(Opened::Refuses(message)) if names_the_place(&message, &file, kind, at) => reported += 1,
            Ok(Opened::Refuses(message)) => {
                finds.push(format!("{tried}: the refusal does not name it: {message}"))
            }
            Err(_) => finds.push(format!("{tried}: opening panicked")),
        }
    }
    assert!(finds.is_empty(), "{} finds:\n{}", finds.len(), finds.join("\n"));
    (harmless, reported)
}

/// The next byte from `at` on that is not zero, if there is one.
fn written_from(bytes: &[u8], at: u64) -> u64 {
    let size = bytes.len() as u64;
    (0..size).map(|step| (at + step) % size).find(|at| bytes[*at as usize] != 0).unwrap_or(at)
}

/// Waits until the log has noted how far it was written, which it does when it has nothing else to do.
fn wait_for_end_mark(log: &Path) {
    let last = files(log).into_iter().rfind(|file| file.extension().is_some()).unwrap();
    let written = fs::read(last).unwrap();
    let end = written.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !fs::read(log.join("end")).unwrap().windows(8).any(|bytes| bytes == end.to_le_bytes()) {
        assert!(Instant::now() < deadline, "the end of the log was not noted");
        std::thread::yield_now();
    }
}

/// In memory where there is such a place: here nobody pulls a plug, and waiting for a disc takes most of the time.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).unwrap() } else { TempDir::new().unwrap() }
}

#[test]
fn damage_anywhere_in_the_files_of_a_node_is_harmless_or_reported() {
    let (count, mut numbers) = damages::asked(COUNT);
    for killed in [false, true] {
        let dir = scratch();
        let life = lived(dir.path());
        let whole = life.content().unwrap();
        if killed {
            wait_for_end_mark(&dir.path().join("log"));
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

#[test]
fn a_node_whose_checkpoint_is_gone_or_empty_does_not_begin_anew_behind_a_purged_log() {
    let dir = scratch();
    let life = lived(dir.path());
    life.checkpoint_and_purge().unwrap();
    life.end().unwrap();
    let file = dir.path().join("tables.redb");
    fs::write(&file, b"").unwrap();
    for said in ["cut off at byte 0", "it is empty, but the log begins behind"] {
        match look(dir.path()) {
            Opened::Refuses(message) => {
                assert!(message.contains(said) && message.contains(file.to_str().unwrap()), "{message}");
            }
            Opened::Serves(_) => panic!("it serves without its checkpoint ({said})"),
        }
        fs::remove_file(&file).unwrap();
    }
}
