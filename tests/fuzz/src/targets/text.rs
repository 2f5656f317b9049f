//! What people write.

use store_admin::decoders;

/// The settings file of a node.
pub(super) fn node_file(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = decoders::node_file(text);
    }
}

/// Records as lines of JSON.
pub(super) fn ndjson(bytes: &[u8]) {
    let _ = decoders::ndjson(bytes);
}

/// All tables as lines of JSON.
pub(super) fn dump_of_all(bytes: &[u8]) {
    let _ = decoders::dump_of_all(bytes);
}
