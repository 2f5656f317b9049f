//! A backup of every released format, read by every build. `TABULARAFT_WRITE_FIXTURES=1` writes that of the present one;
//! written once, it does not change.

use std::path::{Path, PathBuf};

use tabularaft_store::BackupReader;

use crate::support::{header, read, tables, written};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/backup-v1/words.backup")
}

#[test]
fn a_backup_of_version_1_is_read_for_ever() {
    let path = path();
    if std::env::var_os("TABULARAFT_WRITE_FIXTURES").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, written(5).0).unwrap();
    }
    let (found, found_tables, records) = read(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((found, found_tables), (header(), tables()));
    let texts: Vec<_> =
        records.iter().map(|record| tables()[0].def.shape.to_json(&record.record).unwrap()).collect();
    assert_eq!(texts[4], serde_json::json!({"id": 4, "text": "word 4"}));
    assert_eq!(records[1].owner.unwrap().node, 2);
    assert_eq!(BackupReader::open(&path).unwrap().verify().unwrap().records, 5);
}
