//! A node process, as its driver sees it.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use super::node::NodeArgs;
use super::protocol::{Answer, Ask, Request, Response};
use crate::binary;

/// Lines that may wait to be written to a process that does not read.
const LINES_MAX: usize = 1_024;
/// How long a node may take to start: it may have to copy tables, and the machine may be busy.
const START: Duration = Duration::from_secs(60);

/// A running process; dropping it kills it.
pub(super) struct Process {
    child: Child,
    link: Link,
}

/// Asks things of a process; clones share the process.
#[derive(Clone)]
pub(super) struct Link {
    lines: mpsc::Sender<String>,
    pending: Arc<Pending>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// The process is gone. What was asked may have been done.
    Gone,
    /// It did not answer in time, and may yet do what was asked.
    Late,
}

#[derive(Default)]
struct Pending {
    last: AtomicU64,
    /// `None` once the process has ended.
    answers: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
}

impl Pending {
    fn with<T>(&self, then: impl FnOnce(&mut Option<HashMap<u64, oneshot::Sender<Answer>>>) -> T) -> T {
        then(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Process {
    /// Starts a node and waits until it runs. What it logs goes to the end of a file.
    pub(super) async fn start(runner: &[String], args: &NodeArgs, log: &Path) -> Result<Self, String> {
        let why = |error: &dyn std::fmt::Display| format!("{}: {error}", args.name);
        let log = OpenOptions::new().create(true).append(true).open(log).map_err(|error| why(&error))?;
        let program = binary::program("chaos").into_os_string();
        let mut words = runner.iter().map(Into::into).chain([program]);
        let mut child = Command::new(words.next().ok_or("no program")?)
            .args(words)
            .arg("node")
            .args(args.words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| why(&error))?;
        let stdin = child.stdin.take().ok_or("no standard input")?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let pending =
            Arc::new(Pending { last: AtomicU64::new(0), answers: Mutex::new(Some(HashMap::new())) });
        let (started, running) = oneshot::channel();
        pending.with(|answers| answers.as_mut().map(|answers| answers.insert(0, started)));
        let (lines, waiting) = mpsc::channel(LINES_MAX);
        tokio::spawn(write(stdin, waiting));
        tokio::spawn(read(stdout, Arc::clone(&pending)));
        match tokio::time::timeout(START, running).await {
            Ok(Ok(Answer::Started)) => Ok(Self { child, link: Link { lines, pending } }),
            Ok(_) => Err(format!("{} ended before it ran; its log says why", args.name)),
            Err(_) => Err(format!("{} did not run within {START:?}", args.name)),
        }
    }

    pub(super) fn link(&self) -> Link {
        self.link.clone()
    }

    /// SIGKILL, and waits until the process is gone.
    pub(super) async fn kill(mut self) -> Result<(), String> {
        self.child.kill().await.map_err(|error| error.to_string())
    }

    /// Waits until the process has ended by itself.
    pub(super) async fn ended(&mut self) -> Result<(), String> {
        self.child.wait().await.map(drop).map_err(|error| error.to_string())
    }

    /// Whether the process has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        kill_process(pid.ok_or("the process has ended")?, signal).map_err(|error| error.to_string())
    }
}

impl Link {
    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, ask: Ask, patience: Duration) -> Result<Answer, Lost> {
        let id = self.pending.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = oneshot::channel();
        let waits = self.pending.with(|answers| answers.as_mut().map(|answers| answers.insert(id, sender)));
        waits.ok_or(Lost::Gone)?;
        let exchange = async {
            let line = serde_json::to_string(&Request { id, ask }).expect("a request is JSON");
            self.lines.send(line + "\n").await.map_err(|_| Lost::Gone)?;
            answer.await.map_err(|_| Lost::Gone)
        };
        let answered = tokio::time::timeout(patience, exchange).await;
        self.pending.with(|answers| answers.as_mut().map(|answers| answers.remove(&id)));
        answered.unwrap_or(Err(Lost::Late))
    }

    /// As [`Link::ask`], of what has to succeed.
    pub(super) async fn order(&self, ask: Ask, patience: Duration) -> Result<Answer, String> {
        match self.ask(ask.clone(), patience).await {
            Ok(Answer::Failed(why)) => Err(format!("{ask:?}: {why}")),
            Ok(answer) => Ok(answer),
            Err(lost) => Err(format!("{ask:?}: {lost:?}")),
        }
    }

    /// Whether the process has ended.
    pub(super) fn is_gone(&self) -> bool {
        self.pending.with(|answers| answers.is_none())
    }

    /// How many answers are waited for.
    pub(super) fn unanswered(&self) -> usize {
        self.pending.with(|answers| answers.as_ref().map_or(0, HashMap::len))
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stdout: ChildStdout, pending: Arc<Pending>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(Response { id, answer }) = serde_json::from_str(&line) else { break };
        let waiting = pending.with(|answers| answers.as_mut().and_then(|answers| answers.remove(&id)));
        if let Some(waiting) = waiting {
            // Whoever has given up does not want it.
            let _ = waiting.send(answer);
        }
    }
    pending.with(|answers| *answers = None);
}
