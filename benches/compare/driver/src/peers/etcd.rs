//! etcd: servers beside one process with the callers, which speak to the leader, the way that is fastest.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use etcd_client::Client;
use tokio::process::{Child, Command};

use super::free_ports;
use crate::process::Process;
use compare_lines::Failure;

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the servers, into `servers`, and the process with the callers.
///
/// # Errors
///
/// When etcd is missing or does not become healthy.
pub async fn form(dir: &Path, nodes: usize, servers: &mut Vec<Child>) -> Result<Vec<Process>, Failure> {
    let ports = free_ports(2 * nodes)?;
    let (clients, peers) = ports.split_at(nodes);
    let url = |port: &u16| format!("http://127.0.0.1:{port}");
    let members: Vec<_> =
        peers.iter().enumerate().map(|(number, port)| format!("etcd{number}={}", url(port))).collect();
    for (number, (client, peer)) in clients.iter().zip(peers).enumerate() {
        let name = format!("etcd{number}");
        let mut server = Command::new("etcd");
        server
            .args(["--name", &name, "--data-dir"])
            .arg(dir.join(&name))
            .args(["--listen-client-urls", &url(client), "--advertise-client-urls", &url(client)])
            .args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)])
            .args(["--initial-cluster", &members.join(","), "--logger=zap", "--log-level=error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let server = server.spawn();
        servers
            .push(server.map_err(|error| format!("etcd does not start; is etcd-server installed? {error}"))?);
    }
    let leader = leader(&clients.iter().map(url).collect::<Vec<_>>()).await?;
    let mut program = super::program("etcd-callers")?;
    program.args(["--endpoint", &leader]);
    Ok(vec![Process::start("etcd's client", program).await?])
}

/// The leader's endpoint, once there is one.
async fn leader(endpoints: &[String]) -> Result<String, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        for endpoint in endpoints {
            if leads(endpoint).await.unwrap_or(false) {
                return Ok(endpoint.clone());
            }
        }
        if Instant::now() > deadline {
            return Err(format!("etcd has no leader after {PATIENCE:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn leads(endpoint: &str) -> Result<bool, Failure> {
    let mut client = Client::connect([endpoint], None).await?;
    let status = client.status().await?;
    let member = status.header().ok_or("a status without a header")?.member_id();
    Ok(status.leader() == member)
}
