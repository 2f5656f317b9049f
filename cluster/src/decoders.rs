//! Doors for the fuzzer: everything that this crate decodes from bytes of others and that has no public name of its own.
//! Each takes any bytes; what it reads it must be able to write again as the same value.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admin::protocol::{AdminReply, AdminRequest};
use crate::copy::{BulkAnswer, BulkCall};
use crate::peers;
use crate::raft;
use crate::transport;
use crate::wire::{Answer, Call};

/// What arrives on a connection after the handshake: records, and frames in them.
pub fn connection(bytes: &[u8]) {
    transport::decode_connection(bytes);
}

/// What two strangers say before they trust each other: preamble, hello, acceptance, refusals.
pub fn handshake(bytes: &[u8]) {
    transport::decode_handshake(bytes);
}

/// A request on the calls lane.
pub fn call(bytes: &[u8]) {
    again::<Call>(bytes);
}

/// The answer to one.
pub fn answer(bytes: &[u8]) {
    again::<Answer>(bytes);
}

/// A request on the bulk lane.
pub fn bulk_call(bytes: &[u8]) {
    again::<BulkCall>(bytes);
}

/// The answer to one.
pub fn bulk_answer(bytes: &[u8]) {
    again::<BulkAnswer>(bytes);
}

/// What administrators ask and are answered.
pub fn admin(bytes: &[u8]) {
    if let Ok(request) = AdminRequest::decode(bytes) {
        assert_eq!(AdminRequest::decode(&request.encode()), Ok(request), "a request says the same again");
    }
    let answer = AdminReply::decode(bytes);
    if answer.is_ok() {
        assert_eq!(AdminReply::decode(&AdminReply::encode(&answer)), answer, "a reply says the same again");
    }
}

/// A message of Raft, or the answer to one.
pub fn raft_message(bytes: &[u8]) {
    raft::decode_message(bytes);
}

/// A log entry as Raft reads it back.
pub fn raft_entry(bytes: &[u8]) {
    raft::decode_entry(bytes);
}

/// Decodes, and if that works encodes, decodes and encodes again: the two encodings must be one.
fn again<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(value) = peers::decode::<T>(bytes) else { return };
    let written = peers::encode(&value).expect("what was decoded can be encoded");
    let reread: T = peers::decode(&written).expect("what was just encoded can be decoded");
    assert_eq!(
        peers::encode(&reread).ok(),
        Some(written),
        "a message says the same once it is written again"
    );
}
