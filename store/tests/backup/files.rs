//! What was written comes back.

use std::io::{Read, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tabularaft_schema::{Record, TableKind};
use tabularaft_store::{
    BackupDecoder, BackupError, BackupFile, BackupItem, BackupReader, BackupWriter, ContentDigest,
};

use crate::cut::CutDisc;
use crate::support::{header, read, record, table, tables, written};

#[test]
fn header_definitions_and_records_come_back_as_they_were() {
    let (bytes, summary) = written(40_000);
    assert_eq!((summary.records, summary.bytes), (40_000, bytes.len() as u64));
    let (found, found_tables, records) = read(&bytes).unwrap();
    assert_eq!((found, found_tables), (header(), tables()));
    assert_eq!(records.len(), 40_000);
    assert_eq!(records[1].owner.unwrap().life, 3);
    assert_eq!((records[7].version, records[7].owner), (107, None));
    assert_eq!(tables()[0].def.shape.to_json(&records[7].record).unwrap()["text"], "word 7");
}

/// Gives out a few bytes at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = into.len().min(7).min(self.0.len());
        let (now, later) = self.0.split_at(length);
        into[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

#[test]
fn it_does_not_matter_how_the_bytes_arrive() {
    let (bytes, summary) = written(300);
    assert_eq!(BackupReader::new("test", Trickle(&bytes)).unwrap().verify().unwrap(), summary);
    let mut decoder = BackupDecoder::new("test");
    let mut ends = 0;
    for byte in &bytes {
        decoder.push(&[*byte]);
        while let Some(item) = decoder.next_item().unwrap() {
            ends += usize::from(matches!(item, BackupItem::End(found) if found == summary));
        }
    }
    decoder.finish().unwrap();
    assert_eq!(ends, 1);
}

#[test]
fn each_table_says_what_its_records_come_to() {
    let (bytes, _) = written(300);
    let mut reader = BackupReader::new("test", bytes.as_slice()).unwrap();
    let mut digest = ContentDigest::default();
    while let Some((_, records)) = reader.next_records().unwrap() {
        records.iter().for_each(|record| digest.add(&record.record));
    }
    let found: Vec<_> = reader.summaries().iter().map(|(table, summary)| (*table, summary.content)).collect();
    assert_eq!(found, [(0, digest), (1, ContentDigest::default())]);
}

#[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
#[record(table = "words", kind = "ordered-set", copy = "ram", crate = "tabularaft_schema")]
struct Word {
    #[key]
    id: u64,
    text: String,
}

#[test]
fn records_are_read_as_their_type_and_as_json() {
    let (bytes, _) = written(3);
    let reader = BackupReader::new("test", bytes.as_slice()).unwrap();
    let entries: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[2].decode::<Word>().unwrap(), Word { id: 2, text: "word 2".into() });
    assert_eq!(entries[2].to_json().unwrap(), serde_json::json!({"id": 2, "text": "word 2"}));
}

#[test]
fn records_must_fit_their_table_and_come_table_by_table() {
    let tables = vec![table(1, "a", TableKind::Set), table(2, "b", TableKind::Set)];
    let mut writer = BackupWriter::new("test", Vec::new(), &header(), tables.clone()).unwrap();
    let mut broken = record(&tables[1], 1, "x");
    broken.record.pop();
    writer.push(1, &record(&tables[1], 1, "x")).unwrap();
    assert!(writer.push(1, &broken).unwrap_err().to_string().contains("table b"));
    assert!(matches!(writer.push(0, &record(&tables[0], 1, "x")), Err(BackupError::OutOfOrder { .. })));
    assert!(matches!(writer.push(2, &record(&tables[0], 1, "x")), Err(BackupError::OutOfOrder { .. })));
    let (bytes, _) = writer.finish().unwrap();
    assert_eq!(BackupReader::new("test", bytes.as_slice()).unwrap().verify().unwrap().records, 1);
}

#[test]
fn a_file_has_its_name_only_when_it_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b.backup");
    std::fs::write(&path, "old").unwrap();
    let mut abandoned = BackupFile::create(&path).unwrap();
    abandoned.write_all(b"half").unwrap();
    drop(abandoned);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "half a backup is removed");

    let file = BackupFile::create(&path).unwrap();
    let writer = BackupWriter::new("b.backup", file, &header(), tables()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    writer.finish().unwrap().0.finish().unwrap();
    assert_eq!(BackupReader::open(&path).unwrap().verify().unwrap().records, 0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_backup_that_is_cut_off_at_any_operation_leaves_the_old_file_or_the_new_one() {
    let (old, _) = written(10);
    let new = table(4, "words", TableKind::OrderedSet);
    for at in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.backup");
        std::fs::write(&path, &old).unwrap();
        let disc = Arc::new(CutDisc::at(at));
        let finished = BackupFile::create_on(&path, Arc::clone(&disc) as _).and_then(|file| {
            let mut writer = BackupWriter::new("b.backup", file, &header(), vec![new.clone()])?;
            (0..5_000).try_for_each(|id| writer.push(0, &record(&new, id, "as long as a word may be")))?;
            writer.finish()?.0.finish()
        });
        let records = BackupReader::open(&path).unwrap().verify().unwrap().records;
        assert!(records == 10 || records == 5_000, "cut {at}: {records} records");
        assert!(finished.is_err() || records == 5_000, "cut {at}: what was finished is not there");
        // The dead do not clean up; the next backup of that name does.
        BackupFile::create(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        if finished.is_ok() && !disc.is_cut() {
            assert!(at > 5, "a backup has several operations, not {at}");
            return;
        }
    }
}

#[test]
fn a_file_that_cannot_be_opened_or_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing").join("b.backup");
    for error in [BackupReader::open(&missing).err().unwrap(), BackupFile::create(&missing).err().unwrap()] {
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
