//! A node process of any peer, as the measuring process sees it.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use compare_lines::Failure;
use compare_lines::Line;

/// No command takes longer; a node that does not answer has failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running process that speaks [`Line`]s; dropping it kills it.
pub struct Process {
    /// How it is called in messages.
    pub name: String,
    /// Where others reach the node.
    pub address: String,
    child: Child,
    commands: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts the program and waits until it says `started address=…`.
    ///
    /// # Errors
    ///
    /// When it does not start or says something else first.
    pub async fn start(name: impl Into<String>, mut program: Command) -> Result<Self, Failure> {
        let name = name.into();
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{name}: {program:?} does not start: {error}"))?;
        let commands = child.stdin.take().ok_or("a process without standard input")?;
        let replies = child.stdout.take().ok_or("a process without standard output")?;
        let replies = BufReader::new(replies).lines();
        let mut process = Self { name, address: String::new(), child, commands, replies };
        let started = process.reply().await?;
        started.text("address")?.clone_into(&mut process.address);
        Ok(process)
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    ///
    /// When the command failed or the process is gone.
    pub async fn ask(&mut self, command: &Line) -> Result<Line, Failure> {
        let failed = |why: &dyn std::fmt::Display| format!("{}: `{command}`: {why}", self.name);
        let sent = self.commands.write_all(format!("{command}\n").as_bytes()).await;
        sent.map_err(|error| failed(&error))?;
        let reply = self.reply().await?;
        if reply.verb == "failed" {
            return Err(format!("{}: `{command}`: {}", self.name, reply.text("why")?).into());
        }
        Ok(reply)
    }

    /// Sends a command whose reply tells how long it took. Returns the seconds.
    ///
    /// # Errors
    ///
    /// As [`Process::ask`].
    pub async fn order(&mut self, command: &Line) -> Result<f64, Failure> {
        self.ask(command).await?.number("seconds")
    }

    /// Stops the node in order and waits for the end of its process.
    ///
    /// # Errors
    ///
    /// As [`Process::ask`].
    pub async fn stop(&mut self) -> Result<(), Failure> {
        self.order(&Line::new("stop")).await?;
        tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        Ok(())
    }

    /// Memory that the process holds.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn resident_bytes(&self) -> Result<u64, Failure> {
        let process = self.child.id().ok_or("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmRSS")?;
        Ok(kilobytes.trim().parse::<u64>()? * 1024)
    }

    async fn reply(&mut self) -> Result<Line, Failure> {
        let line = tokio::time::timeout(PATIENCE, self.replies.next_line())
            .await
            .map_err(|_| format!("{} did not answer within {PATIENCE:?}", self.name))??;
        line.ok_or_else(|| format!("the process of {} has ended; what it said is above", self.name))?.parse()
    }
}
