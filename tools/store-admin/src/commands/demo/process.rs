//! One node of the demo: a child process of this same program.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::failure::{Context, Failure, Outcome};

/// How long a node may take to serve or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lines of a log that are shown when something failed.
const TAIL_LINES: usize = 12;

/// A running `store-admin node run`. It is killed when this is dropped, unless it is [kept](Self::keep).
pub(super) struct NodeProcess {
    child: Child,
    kept: bool,
    /// What the ready line says.
    pub(super) ready: Ready,
}

/// The line `ready name=… listen=… incarnation=…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) listen: String,
    pub(super) incarnation: String,
}

/// How a node of the demo is started.
pub(super) struct Start<'a> {
    pub(super) name: &'a str,
    pub(super) listen: &'a str,
    pub(super) data_dir: &'a Path,
    pub(super) log: &'a Path,
    pub(super) join: Option<&'a str>,
}

impl NodeProcess {
    /// Starts a node and waits until it serves.
    pub(super) async fn start(start: &Start<'_>) -> Outcome<Self> {
        let mut child = command(start)?.spawn().context(format_args!("cannot start {}", start.name))?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new("the node's stdout is not connected"))?;
        let mut process =
            Self { child, kept: false, ready: Ready { listen: String::new(), incarnation: String::new() } };
        process.ready = tokio::time::timeout(PATIENCE, read_ready(stdout))
            .await
            .map_err(|_| {
                Failure::new(format_args!("{} did not serve within {} s", start.name, PATIENCE.as_secs()))
            })?
            .context(start.name)?;
        Ok(process)
    }

    /// SIGKILL: the process has no chance to do anything more.
    pub(super) async fn kill(&mut self) -> Outcome {
        self.child.kill().await.context("cannot kill a node")
    }

    /// SIGTERM, and waits for the end.
    pub(super) async fn stop(&mut self) -> Outcome<ExitStatus> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(pid, Signal::TERM).context("cannot stop a node")?;
        }
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.context("a node does not stop")?.context("cannot wait for a node")
    }

    /// Leaves the process running when this is dropped.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// The process id, while the process runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if !self.kept {
            // It may have ended already.
            let _ = self.child.start_kill();
        }
    }
}

/// A group of its own, so that Ctrl-C reaches the demo and not its nodes: the demo decides what becomes of
/// them.
fn command(start: &Start<'_>) -> Outcome<Command> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let log = File::options().create(true).append(true).open(start.log);
    let log = log.context(format_args!("cannot write {}", start.log.display()))?;
    let mut command = Command::new(program);
    command
        .args(["node", "run", "--name", start.name, "--listen", start.listen, "--data-dir"])
        .arg(start.data_dir);
    if let Some(peer) = start.join {
        command.args(["--join", peer]);
    }
    for variable in ["STORE_NODE", "STORE_SECRET_FILE", "STORE_TIMEOUT"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
    Ok(command)
}

async fn read_ready(stdout: ChildStdout) -> Result<Ready, String> {
    let mut line = String::new();
    let read = BufReader::new(stdout).read_line(&mut line).await.map_err(|error| error.to_string())?;
    if read == 0 {
        return Err("it ended before it served".into());
    }
    parse_ready(&line).ok_or_else(|| format!("it said {:?} instead of its ready line", line.trim_end()))
}

fn parse_ready(line: &str) -> Option<Ready> {
    let words: Vec<&str> = line.strip_prefix("ready ")?.split_whitespace().collect();
    let value =
        |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).map(String::from);
    Some(Ready { listen: value("listen")?, incarnation: value("incarnation")? })
}

/// The last lines of a node's log.
pub(super) fn log_tail(name: &str, log: &PathBuf) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
    let mut shown = format!("--- {name}, last lines of its log:\n");
    for line in tail {
        shown.push_str(&format!("  {line}\n"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_tells_address_and_incarnation() {
        let ready = parse_ready("ready name=n1@h listen=127.0.0.1:7100 incarnation=1.4\n").unwrap();
        assert_eq!(ready, Ready { listen: "127.0.0.1:7100".into(), incarnation: "1.4".into() });
        assert_eq!(parse_ready("error: no\n"), None);
        assert_eq!(parse_ready("ready name=n1@h\n"), None);
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("n1.log");
        let text: String = (0..30).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&log, text).unwrap();
        let tail = log_tail("n1", &log);
        assert!(
            tail.contains("  line 18\n") && tail.ends_with("  line 29\n") && !tail.contains("line 17"),
            "{tail}"
        );
        assert!(log_tail("n1", &dir.path().join("none")).starts_with("--- n1"));
    }
}
