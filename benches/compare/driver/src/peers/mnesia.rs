//! Mnesia: each node is an Erlang emulator, whose callers are processes in it (`nodes/mnesia/*.erl`).

use std::path::Path;

use tokio::process::Command;

use crate::process::Process;
use compare_lines::Failure;
use compare_lines::Line;

/// Emulators that wait for work would otherwise spin and take the other nodes' time: Mnesia's best setting on few cores.
const EMULATOR: &str = "+sbwt none +sbwtdcpu none +sbwtdio none";
/// The modules' sources.
const MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nodes/mnesia");
/// Where the compiled modules are, in the cluster's directory.
const COMPILED: &str = "modules";
/// A port mapper of our own, so that one which runs already is not disturbed. Ended by the script `run`.
const PORT_MAPPER: &str = "14370";

/// Compiles the modules and starts the emulators with a schema on all of them.
///
/// # Errors
///
/// When Erlang is missing or does not start.
pub async fn form(dir: &Path, nodes: usize) -> Result<Vec<Process>, Failure> {
    compile(dir).await?;
    let mut formed = Vec::new();
    for number in 1..=nodes {
        formed.push(start(dir, number).await?);
    }
    let names: Vec<_> = formed.iter().map(|node| node.address.clone()).collect();
    let first = formed.first_mut().ok_or("a cluster without nodes")?;
    first.order(&Line::new("form").with("nodes", names.join(","))).await?;
    Ok(formed)
}

async fn compile(dir: &Path) -> Result<(), Failure> {
    let modules = dir.join(COMPILED);
    std::fs::create_dir_all(&modules)?;
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(MODULES)? {
        sources.push(entry?.path());
    }
    let mut compiler = Command::new("erlc");
    let compiled = compiler.arg("-o").arg(&modules).args(sources).status().await;
    let compiled =
        compiled.map_err(|error| format!("erlc does not start; is erlang-base installed? {error}"))?;
    if compiled.success() { Ok(()) } else { Err(format!("erlc: {compiled}").into()) }
}

/// Starts one emulator, for which the modules have been compiled. Mnesia does not run in it yet.
///
/// # Errors
///
/// When it does not start.
pub async fn start(dir: &Path, number: usize) -> Result<Process, Failure> {
    let node = format!("compare{}_{number}@127.0.0.1", std::process::id());
    let data = dir.join(format!("mnesia{number}"));
    let mut program = Command::new("erl");
    program
        .env("ERL_EPMD_PORT", PORT_MAPPER)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_CRASH_DUMP_SECONDS", "0")
        .args(["-noshell", "-name", &node, "-setcookie", "compare", "-pa"])
        .arg(dir.join(COMPILED))
        .args(["-mnesia", "dir", &format!("\"{}\"", data.display())])
        .args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-kernel", "logger_level", "emergency"])
        .args(EMULATOR.split(' '))
        .args(["-s", "compare_node", "main"]);
    Process::start(format!("Mnesia {node}"), program).await
}
