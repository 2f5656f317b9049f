//! Doors for the fuzzer into this module.

use bytes::Bytes;
use tabularaft_store::Position;
use tabularaft_store::log::LogEntry;

use super::codec::{self, Stored};
use super::network::{RaftAnswer, RaftMessage};

/// Reads the bytes as a message and as an answer.
pub(crate) fn message(bytes: &[u8]) {
    if let Ok(message) = codec::decode::<(u32, RaftMessage)>(bytes) {
        codec::encode(&message).expect("what was decoded can be encoded");
    }
    if let Ok(answer) = codec::decode::<RaftAnswer>(bytes) {
        codec::encode(&answer).expect("what was decoded can be encoded");
    }
}

/// Reads the bytes as a log entry, as both Raft and the state machine do.
pub(crate) fn entry(bytes: &[u8]) {
    let entry = LogEntry { position: Position::new(3, 7), payload: Bytes::copy_from_slice(bytes) };
    let stored = codec::stored(&entry);
    let read = codec::from_log(entry);
    assert_eq!(stored.is_ok(), read.is_ok(), "both readers agree on what is an entry");
    if let (Ok(Stored::Batch(batch)), Ok(entry)) = (stored, read) {
        let (written, _) = codec::to_log(entry).expect("what was read can be written");
        assert_eq!(written.payload, batch);
    }
}
