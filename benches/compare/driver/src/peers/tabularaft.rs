//! Tabularaft: each node is an embedding program, whose callers are in the same process.

use std::path::Path;

use crate::process::Process;
use compare_lines::Failure;
use compare_lines::Line;

/// Starts the nodes, one process each, and joins them.
///
/// # Errors
///
/// When a node does not start or join.
pub async fn form(dir: &Path, nodes: usize) -> Result<Vec<Process>, Failure> {
    let mut formed: Vec<Process> = Vec::new();
    for number in 1..=nodes {
        let mut node = start(dir, number).await?;
        if let Some(first) = formed.first() {
            node.order(&Line::new("join").with("peer", &first.address)).await?;
        }
        formed.push(node);
    }
    Ok(formed)
}

/// Starts one node, which is alone unless it has joined before.
///
/// # Errors
///
/// When it does not start.
pub async fn start(dir: &Path, number: usize) -> Result<Process, Failure> {
    let name = format!("n{number}@localhost");
    let mut program = super::program("tabularaft-node")?;
    program.args(["--name", &name, "--dir"]).arg(dir.join(&name));
    Process::start(format!("Tabularaft {name}"), program).await
}
