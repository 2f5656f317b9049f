//! Between openraft's entries and the bytes that the log stores.
//!
//! Persistent: add, never change or reuse a tag. A batch of effects is stored as it is, so that it is encoded once, by
//! the sequencer; its first byte is a format version far below the tags used here.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use openraft::Membership;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tabularaft_store::log::{Durability, LogEntry};
use tabularaft_store::{Position, batch_needs_sync};

use super::types::{Entry, EntryPayload, Payload, Peer, log_id, position};

const TAG_BLANK: u8 = 0xF0;
const TAG_MEMBERSHIP: u8 = 0xF1;

/// An entry as the state machine sees it.
pub(crate) enum Stored {
    Blank,
    Membership(Membership<u64, Peer>),
    Batch(Bytes),
}

pub(crate) fn to_log(entry: Entry) -> io::Result<(LogEntry, Durability)> {
    let position = position(&entry.log_id);
    let (payload, durability) = match entry.payload {
        EntryPayload::Normal(Payload(bytes)) => {
            let durability = if batch_needs_sync(&bytes) { Durability::Synced } else { Durability::Written };
            (bytes, durability)
        }
        EntryPayload::Blank => (Bytes::from_static(&[TAG_BLANK]), Durability::Synced),
        EntryPayload::Membership(membership) => {
            let mut bytes = BytesMut::new();
            bytes.put_u8(TAG_MEMBERSHIP);
            bytes.put_slice(&encode(&membership)?);
            (bytes.freeze(), Durability::Synced)
        }
    };
    Ok((LogEntry { position, payload }, durability))
}

pub(crate) fn from_log(entry: LogEntry) -> io::Result<Entry> {
    let payload = match stored(&entry)? {
        Stored::Blank => EntryPayload::Blank,
        Stored::Membership(membership) => EntryPayload::Membership(membership),
        Stored::Batch(bytes) => EntryPayload::Normal(Payload(bytes)),
    };
    Ok(Entry { log_id: log_id(entry.position), payload })
}

pub(crate) fn stored(entry: &LogEntry) -> io::Result<Stored> {
    match entry.payload.first() {
        Some(&TAG_BLANK) => Ok(Stored::Blank),
        Some(&TAG_MEMBERSHIP) => {
            Ok(Stored::Membership(decode_at(entry.position, entry.payload.get(1..).unwrap_or_default())?))
        }
        Some(_) => Ok(Stored::Batch(entry.payload.clone())),
        None => Err(damaged(entry.position, "it is empty")),
    }
}

pub(crate) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(io::Error::other)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn decode_at<T: DeserializeOwned>(position: Position, bytes: &[u8]) -> io::Result<T> {
    decode(bytes).map_err(|error| damaged(position, &error.to_string()))
}

fn damaged(position: Position, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("log entry {position} cannot be read: {why}"))
}
