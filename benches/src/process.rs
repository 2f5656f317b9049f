//! A node process, as the measuring process sees it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Program};

use crate::Failure;
use crate::protocol::{Command, Reply, WriteFigures};

/// No command takes longer; a node that does not answer has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running node process; dropping it kills it.
pub struct NodeProcess {
    name: String,
    data_dir: PathBuf,
    address: String,
    child: Child,
    commands: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
}

impl NodeProcess {
    /// Starts this program again as a node, and waits until the node runs.
    ///
    /// # Errors
    ///
    /// When the process does not start or ends without having said that the node runs.
    pub async fn start(name: &str, data_dir: PathBuf, listen: &str) -> Result<Self, Failure> {
        let mut child = Program::new(std::env::current_exe()?)
            .arg("node")
            .args(["--name", name, "--listen", listen, "--data-dir"])
            .arg(&data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let commands = child.stdin.take().ok_or("a node without standard input")?;
        let replies = child.stdout.take().ok_or("a node without standard output")?;
        let replies = BufReader::new(replies).lines();
        let mut node =
            Self { name: name.to_owned(), data_dir, address: String::new(), child, commands, replies };
        match node.reply().await? {
            Reply::Started { address } => node.address = address,
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
        *self = Self::start(&self.name, self.data_dir.clone(), &self.address).await?;
        Ok(())
    }

    /// Where the node listens.
    pub fn address(&self) -> &str {
        &self.address
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
            Reply::Failed(why) => Err(format!("{}: {command:?}: {why}", self.name).into()),
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
        format!("{} answered {reply:?}", self.name).into()
    }

    async fn reply(&mut self) -> Result<Reply, Failure> {
        let line = tokio::time::timeout(PATIENCE, self.replies.next_line())
            .await
            .map_err(|_| format!("{} did not answer within {PATIENCE:?}", self.name))??;
        let line =
            line.ok_or_else(|| format!("the process of {} has ended; what it said is above", self.name))?;
        Ok(serde_json::from_str(&line)?)
    }
}
