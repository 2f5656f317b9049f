//! What arrives from a socket.

use tabularaft::decoders;

/// Records and frames.
pub(super) fn connection(bytes: &[u8]) {
    decoders::connection(bytes);
}

/// Preamble, hello, acceptance, refusal.
pub(super) fn handshake(bytes: &[u8]) {
    decoders::handshake(bytes);
}

/// Requests on the calls lane.
pub(super) fn call(bytes: &[u8]) {
    decoders::call(bytes);
}

/// Answers on the calls lane.
pub(super) fn answer(bytes: &[u8]) {
    decoders::answer(bytes);
}

/// Requests and answers on the bulk lane.
pub(super) fn bulk(bytes: &[u8]) {
    decoders::bulk_call(bytes);
    decoders::bulk_answer(bytes);
}

/// Raft's own messages.
pub(super) fn raft(bytes: &[u8]) {
    decoders::raft_message(bytes);
}

/// What administrators ask and are answered.
pub(super) fn admin(bytes: &[u8]) {
    decoders::admin(bytes);
}
