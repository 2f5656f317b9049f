//! hiqlite: each node is an embedding program, whose callers are in the same process. Its cache (in memory, replicated)
//! stands against ram tables, its SQL table against disc tables.

use std::path::{Path, PathBuf};

use super::free_ports;
use crate::process::Process;
use compare_lines::Failure;

/// Starts the nodes, which find each other, and waits until they are healthy.
///
/// # Errors
///
/// When a node does not start.
pub async fn form(dir: &Path, nodes: usize, synced: bool) -> Result<Vec<Process>, Failure> {
    let ports: Vec<_> = free_ports(2 * nodes)?.iter().map(u16::to_string).collect();
    let ports = ports.join(",");
    // The nodes wait for each other, so all are started before one is waited for.
    let mut starting = Vec::new();
    for number in 1..=nodes {
        let data = dir.join(format!("hiqlite{number}"));
        starting.push(tokio::spawn(start(data, number, ports.clone(), synced)));
    }
    let mut formed = Vec::new();
    for node in starting {
        formed.push(node.await??);
    }
    Ok(formed)
}

async fn start(data: PathBuf, number: usize, ports: String, synced: bool) -> Result<Process, Failure> {
    let mut program = super::program("hiqlite-node")?;
    program.args(["--number", &number.to_string(), "--ports", &ports, "--dir"]).arg(data);
    if synced {
        program.arg("--synced");
    }
    Process::start(format!("hiqlite {number}"), program).await
}
