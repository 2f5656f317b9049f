//! Files that are not what was written.

use proptest::prelude::*;
use tabularaft_store::{BackupError, BackupReader};

use crate::damages::{self, Damage};
use crate::support::{read, written};

fn refused(bytes: &[u8]) -> BackupError {
    match BackupReader::new("b.backup", bytes).and_then(|mut reader| reader.verify()) {
        Ok(summary) => panic!("it was read as whole: {summary:?}"),
        Err(error) => error,
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (bytes, _) = written(5);
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = refused(&damaged);
        let said = error.to_string();
        assert!(said.contains("b.backup"), "bit {bit}: {said}");
        if let BackupError::Damaged { offset, .. } = error {
            assert!(offset <= bit as u64 / 8, "bit {bit} is named behind it: {said}");
        }
    }
}

#[test]
fn a_file_that_ends_anywhere_before_its_end_was_cut_short() {
    let (bytes, _) = written(5);
    for length in 1..bytes.len() {
        let error = refused(&bytes[..length]);
        assert!(
            matches!(error, BackupError::Truncated { offset, .. } if offset == length as u64),
            "{length}: {error}"
        );
    }
    assert!(matches!(refused(b""), BackupError::Foreign { .. }));
}

#[test]
fn bytes_behind_the_end_are_damage() {
    let (mut bytes, _) = written(2);
    bytes.push(0);
    let said = refused(&bytes).to_string();
    assert!(said.contains("bytes follow its end"), "{said}");
}

#[test]
fn a_file_of_another_kind_is_no_backup() {
    for other in [&b"{\"name\":1}\n"[..], &[0; 4096], b"SQLite format 3\0", b"x"] {
        assert!(matches!(refused(other), BackupError::Foreign { .. }), "{other:?}");
    }
}

#[test]
fn a_newer_format_is_named_and_not_judged() {
    let (mut bytes, _) = written(2);
    bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    let said = refused(&bytes).to_string();
    assert_eq!(said, "b.backup is a backup of format version 7, this build reads up to 1: use a newer build");
}

#[test]
fn damage_anywhere_in_the_file_of_a_backup_is_reported() {
    let (count, mut numbers) = damages::asked(300);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.backup");
    // Several chunks of records.
    let (bytes, _) = written(30_000);
    for number in 0..count {
        let at = numbers.below(bytes.len() as u64);
        let kind = Damage::number(number, &mut numbers);
        let mut damaged = bytes.clone();
        if !kind.strike(&mut damaged, at) {
            continue;
        }
        std::fs::write(&path, damaged).unwrap();
        let said = match BackupReader::open(&path).and_then(|mut reader| reader.verify()) {
            Ok(_) => panic!("number {number}: {kind:?} at byte {at} was not noticed"),
            Err(error) => error.to_string(),
        };
        let named = said.contains(path.to_str().unwrap());
        let placed = said.contains("at byte ") || said.contains("its first bytes are others");
        assert!(named && placed, "number {number}: {kind:?} at byte {at}: {said}");
    }
}

/// Where each frame begins, behind the preamble.
fn frames(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut frames = Vec::new();
    let mut at = 16;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 1..at + 5].try_into().unwrap()) as usize;
        frames.push(at..at + 9 + length);
        at += 9 + length;
    }
    frames
}

#[test]
fn frames_that_are_missing_doubled_or_exchanged_are_noticed() {
    // Enough for several chunks of records.
    let (bytes, _) = written(40_000);
    let frames = frames(&bytes);
    assert!(frames.len() > 8, "{} frames", frames.len());
    let joined = |order: &[usize]| {
        let parts = order.iter().map(|at| &bytes[frames[*at].clone()]);
        std::iter::once(&bytes[..16]).chain(parts).flatten().copied().collect::<Vec<u8>>()
    };
    let whole: Vec<usize> = (0..frames.len()).collect();
    assert_eq!(joined(&whole), bytes);
    for at in 0..frames.len() {
        let mut without = whole.clone();
        without.remove(at);
        refused(&joined(&without));
        let mut doubled = whole.clone();
        doubled.insert(at, at);
        refused(&joined(&doubled));
        let mut exchanged = whole.clone();
        exchanged.swap(at, (at + 1) % whole.len());
        refused(&joined(&exchanged));
    }
}

proptest! {
    #[test]
    fn noise_never_panics(mut noise in proptest::collection::vec(any::<u8>(), 0..4096), with_head: bool) {
        if with_head {
            let (bytes, _) = written(0);
            noise.splice(0..0, bytes[..bytes.len().min(60)].iter().copied());
        }
        prop_assert!(read(&noise).is_err());
    }

    #[test]
    fn a_changed_stretch_is_noticed(at in 0_usize..2000, noise in proptest::collection::vec(any::<u8>(), 1..64)) {
        let (bytes, _) = written(100);
        let mut changed = bytes.clone();
        let at = at % bytes.len();
        let end = (at + noise.len()).min(bytes.len());
        changed[at..end].copy_from_slice(&noise[..end - at]);
        prop_assert!(changed == bytes || read(&changed).is_err());
    }
}
