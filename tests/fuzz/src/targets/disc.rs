//! What is read back from a disc, or arrives as a stream of what is on another one.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use tabularaft::decoders;
use tabularaft::store::log::{LogOptions, RaftLog};
use tabularaft::store::{BackupReader, Batch, Identity, decoders as store};

/// An entry of the Raft log.
pub(super) fn log_entry(bytes: &[u8]) {
    decoders::raft_entry(bytes);
}

/// A batch of effects.
pub(super) fn batch(bytes: &[u8]) {
    let needs_sync = tabularaft::store::batch_needs_sync(bytes);
    if let Ok(batch) = Batch::decode(&Bytes::copy_from_slice(bytes)) {
        let again = Batch::decode(&batch.encode(needs_sync)).expect("what was just encoded can be decoded");
        // Compared as bytes: a float that is not a number equals nothing, not even itself.
        assert_eq!(again.encode(needs_sync), batch.encode(needs_sync));
    }
}

/// A chunk of a table copy, with and without a seal that fits.
pub(super) fn copy_chunk(bytes: &[u8]) {
    store::seal(bytes);
    store::chunk(bytes);
}

/// An image of the whole store.
pub(super) fn image(bytes: &[u8]) {
    store::image(bytes);
}

/// A segment of the log. The checksums of header and first frame are put right, or no guess would come past them.
pub(super) fn log_file(bytes: &[u8]) {
    let dir = tempfile::tempdir_in(memory()).expect("a temporary directory");
    fs::write(dir.path().join("00000001.log"), with_checksums(bytes.to_vec())).expect("a file in it");
    let options = LogOptions {
        segment_bytes: 4_096,
        machine_crashed: bytes.len().is_multiple_of(2),
        ..LogOptions::default()
    };
    if let Ok((log, recovered)) = RaftLog::open(dir.path(), options) {
        let from = recovered.first.map_or(0, |first| first.index);
        let read = log.read(from..from.saturating_add(recovered.entries), usize::MAX);
        assert_eq!(read.map(|entries| entries.len() as u64).ok(), Some(recovered.entries));
        log.close().expect("a log that was opened can be closed");
    }
}

/// The note of the log's end beside a log that has just begun, as it is and with checksums that fit.
pub(super) fn log_end(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    for slot in 0..2 {
        seal_header(&mut sealed, slot * 64, 56);
    }
    for note in [bytes, &sealed] {
        let dir = tempfile::tempdir_in(memory()).expect("a temporary directory");
        fs::write(dir.path().join("end"), note).expect("a file in it");
        if let Ok((log, _)) =
            RaftLog::open(dir.path(), LogOptions { segment_bytes: 4_096, ..LogOptions::default() })
        {
            log.close().expect("a log that was opened can be closed");
        }
    }
}

const SEGMENT_HEADER_BYTES: usize = 64;

/// Puts the checksum of a header right, which stands in its bytes 12..16 and covers the others.
fn seal_header(bytes: &mut [u8], at: usize, length: usize) {
    if let Some(header) = bytes.get(at..at + length) {
        let (front, rest) = header.split_at(12);
        let crc = crc32c::crc32c_append(crc32c::crc32c(front), rest.get(4..).unwrap_or_default());
        put(bytes, at + 12, crc);
    }
}

fn with_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    seal_header(&mut bytes, 0, SEGMENT_HEADER_BYTES);
    let body_bytes = bytes.get(SEGMENT_HEADER_BYTES + 12..).and_then(|field| field.first_chunk::<4>());
    let length = body_bytes.map_or(0, |field| u32::from_le_bytes(*field) as usize).saturating_add(64);
    let frame = bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
    if let Some(crc) = frame.get(8..length.min(frame.len())).map(crc32c::crc32c) {
        put(&mut bytes, SEGMENT_HEADER_BYTES + 4, crc);
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(field) = bytes.get_mut(at..at + 4) {
        field.copy_from_slice(&value.to_le_bytes());
    }
}

/// The body of an identity file, under a first line whose checksum fits, and the same bytes as the whole file.
pub(super) fn identity(bytes: &[u8]) {
    let dir = tempfile::tempdir_in(memory()).expect("a temporary directory");
    let file = dir.path().join("identity");
    fs::write(&file, bytes).expect("a file in it");
    let _ = Identity::load(dir.path());
    let crc = crc32c::crc32c_append(crc32c::crc32c(b"identity 1\n"), bytes);
    let mut text = format!("tabularaft identity, format 1, crc32c {crc:08x}\n").into_bytes();
    text.extend_from_slice(bytes);
    fs::write(&file, text).expect("a file in it");
    let _ = Identity::load(dir.path());
}

/// A backup, as it is and with checksums that fit. What it says of itself and each of its records is read.
pub(super) fn backup(bytes: &[u8]) {
    read_backup(bytes);
    read_backup(&with_frame_checksums(bytes.to_vec()));
}

fn read_backup(bytes: &[u8]) {
    let Ok(mut reader) = BackupReader::new("the input", bytes) else { return };
    let mut records = 0;
    for entry in &mut reader {
        let Ok(entry) = entry else { return };
        let _ = entry.to_json();
        records += 1;
    }
    let summary = reader.summary().expect("a backup that is read without an error has an end");
    assert_eq!((summary.records, summary.bytes), (records, bytes.len() as u64));
}

const PREAMBLE_BYTES: usize = 16;
const FRAME_HEAD_BYTES: usize = 9;

fn with_frame_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(crc) = bytes.get(..PREAMBLE_BYTES - 4).map(crc32c::crc32c) {
        put(&mut bytes, PREAMBLE_BYTES - 4, crc);
    }
    let mut at = PREAMBLE_BYTES;
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<FRAME_HEAD_BYTES>()) {
        let [kind, a, b, c, d, ..] = *head;
        let end = (at + FRAME_HEAD_BYTES).saturating_add(u32::from_le_bytes([a, b, c, d]) as usize);
        let Some(payload) = bytes.get(at + FRAME_HEAD_BYTES..end) else { break };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind, a, b, c, d]), payload);
        put(&mut bytes, at + 5, crc);
        at = end;
    }
    bytes
}

/// Files of fuzzers are better off in memory, where there is such a place.
fn memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}
