//! What the nodes log, for whoever looks for the cause of a failed test: `RUST_LOG=info cargo test …`.

use tracing_subscriber::EnvFilter;

/// Shows the log with the name of the node's thread in each line, captured per test. Nothing without `RUST_LOG`.
pub(crate) fn show() {
    if std::env::var_os("RUST_LOG").is_none() {
        return;
    }
    // The second cluster of a process finds the first one's subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_thread_names(true)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .try_init();
}
