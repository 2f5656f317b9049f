//! A node process, as the measuring process sees it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Program};

use crate::Failure;
use crate::protocol::{Command, Reply, WriteFigures};

/// No command takes longer; a node that does not answer has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a node process is started, the first time and again.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The node's name.
    pub name: String,
    /// Where it keeps its data.
    pub data_dir: PathBuf,
    /// The program, which understands [`NodeArgs`](crate::node::NodeArgs) after the word `node`.
    pub program: PathBuf,
    /// Where it listens; port 0 takes a free one, which it then keeps.
    pub listen: String,
    /// The program and arguments that start it elsewhere; empty for this machine.
    pub runner: Vec<String>,
    /// The cluster's secret, without which a node listens on loopback only.
    pub secret_file: Option<PathBuf>,
}

/// A running node process; dropping it kills it.
pub struct NodeProcess {
    launch: Launch,
    child: Child,
    commands: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
}

impl NodeProcess {
    /// Starts the program as a node, and waits until the node runs.
    ///
    /// # Errors
    ///
    /// When the process does not start or ends without having said that the node runs.
    pub async fn start(launch: Launch) -> Result<Self, Failure> {
        let mut command = match launch.runner.as_slice() {
            [] => Program::new(&launch.program),
            [runner, arguments @ ..] => {
                let mut command = Program::new(runner);
                command.args(arguments).arg(&launch.program);
                command
            }
        };
        command.args(["node", "--name", &launch.name, "--listen", &launch.listen, "--data-dir"]);
        command.arg(&launch.data_dir);
        if let Some(secret) = &launch.secret_file {
            command.arg("--secret-file").arg(secret);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let commands = child.stdin.take().ok_or("a node without standard input")?;
        let replies = child.stdout.take().ok_or("a node without standard output")?;
        let replies = BufReader::new(replies).lines();
        let mut node = Self { launch, child, commands, replies };
        match node.reply().await? {
            Reply::Started { address } => node.launch.listen = address,
            other => return Err(node.unexpected(&other)),
        }
        Ok(node)
    }

    /// Starts the process again after [`NodeProcess::kill`] or [`NodeProcess::shut_down`]: same node, same address.
    ///
    /// # Errors
    ///
    /// As [`NodeProcess::start`].
    pub async fn start_again(&mut self) -> Result<(), Failure> {
        *self = Self::start(self.launch.clone()).await?;
        Ok(())
    }

    /// Where the node listens.
    pub fn address(&self) -> &str {
        &self.launch.listen
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    ///
    /// When the command failed or the process is gone.
    pub async fn ask(&mut self, command: &Command) -> Result<Reply, Failure> {
        let line = serde_json::to_string(command)? + "\n";
        self.commands.write_all(line.as_bytes()).await?;
        match self.reply().await? {
            Reply::Failed(why) => Err(format!("{}: {command:?}: {why}", self.launch.name).into()),
            reply => Ok(reply),
        }
    }

    /// Sends a command that is done when it is done. Returns how many seconds it took in the node.
    ///
    /// # Errors
    ///
    /// As [`NodeProcess::ask`].
    pub async fn order(&mut self, command: &Command) -> Result<f64, Failure> {
        match self.ask(command).await? {
            Reply::Done { seconds } => Ok(seconds),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Ends the writes that were begun.
    ///
    /// # Errors
    ///
    /// As [`NodeProcess::ask`].
    pub async fn end_writes(&mut self) -> Result<WriteFigures, Failure> {
        match self.ask(&Command::EndWrites).await? {
            Reply::Written(figures) => Ok(figures),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Whether the node leads.
    ///
    /// # Errors
    ///
    /// As [`NodeProcess::ask`].
    pub async fn is_leader(&mut self) -> Result<bool, Failure> {
        match self.ask(&Command::Status).await? {
            Reply::Status { leader } => Ok(leader),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Ends the process at once, as a crash would (SIGKILL).
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub async fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }

    /// Holds the process where it is (SIGSTOP), as one that hangs.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn pause(&self) -> Result<(), Failure> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn resume(&self) -> Result<(), Failure> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        Ok(kill_process(pid.ok_or("the process has ended")?, signal)?)
    }

    /// How much memory the process holds now, in bytes.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn resident_bytes(&self) -> Result<u64, Failure> {
        let pid = self.child.id().ok_or("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        Ok(kib.ok_or("the system does not say how much memory a process holds")?.trim().parse::<u64>()?
            * 1024)
    }

    /// Stops the node in order and waits for the end of its process.
    ///
    /// # Errors
    ///
    /// As [`NodeProcess::ask`].
    pub async fn shut_down(&mut self) -> Result<(), Failure> {
        self.order(&Command::Shutdown).await?;
        self.child.wait().await?;
        Ok(())
    }

    /// A reply that is none to what was asked.
    pub fn unexpected(&self, reply: &Reply) -> Failure {
        format!("{} answered {reply:?}", self.launch.name).into()
    }

    async fn reply(&mut self) -> Result<Reply, Failure> {
        let line = tokio::time::timeout(PATIENCE, self.replies.next_line())
            .await
            .map_err(|_| format!("{} did not answer within {PATIENCE:?}", self.launch.name))??;
        let line = line
            .ok_or_else(|| format!("the process of {} has ended; what it said is above", self.launch.name))?;
        Ok(serde_json::from_str(&line)?)
    }
}
