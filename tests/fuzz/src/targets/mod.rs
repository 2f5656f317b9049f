//! All targets, by where their bytes come from.

mod disc;
mod schema;
mod text;
mod wire;

use crate::Target;

/// Every target. A new decoder belongs here, and an input or two of it into the corpus.
pub const TARGETS: &[Target] = &[
    Target { name: "connection", run: wire::connection },
    Target { name: "handshake", run: wire::handshake },
    Target { name: "call", run: wire::call },
    Target { name: "answer", run: wire::answer },
    Target { name: "bulk", run: wire::bulk },
    Target { name: "raft", run: wire::raft },
    Target { name: "admin", run: wire::admin },
    Target { name: "log_entry", run: disc::log_entry },
    Target { name: "log_file", run: disc::log_file },
    Target { name: "log_end", run: disc::log_end },
    Target { name: "batch", run: disc::batch },
    Target { name: "copy_chunk", run: disc::copy_chunk },
    Target { name: "image", run: disc::image },
    Target { name: "identity", run: disc::identity },
    Target { name: "backup", run: disc::backup },
    Target { name: "record", run: schema::record },
    Target { name: "record_json", run: schema::record_json },
    Target { name: "key", run: schema::key },
    Target { name: "key_text", run: schema::key_text },
    Target { name: "definitions", run: schema::definitions },
    Target { name: "names", run: schema::names },
    Target { name: "node_file", run: text::node_file },
    Target { name: "ndjson", run: text::ndjson },
    Target { name: "dump_of_all", run: text::dump_of_all },
];
