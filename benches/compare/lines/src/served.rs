//! The node process's side of the lines: commands from standard input, replies to standard output.
//!
//! A node ends when its standard input does, so none outlives the process that measures, however that one ends.

use std::io::Write;
use std::time::Instant;

use crate::Failure;
use crate::line::Line;

/// What a node process does with commands.
pub trait Served {
    /// Carries out one command.
    fn serve(&mut self, command: &Line) -> impl Future<Output = Result<Line, Failure>>;
}

/// Says that the node runs and serves commands until `stop` was carried out or standard input ends.
///
/// # Errors
///
/// When the pipes break; failures of commands are replies.
pub async fn serve(mut node: impl Served, address: &str) -> Result<(), Failure> {
    say(&Line::new("started").with("address", address))?;
    while let Some(command) = next_command().await? {
        let outcome = node.serve(&command).await;
        let failed = |why: Failure| Line::new("failed").with("why", why.to_string().replace('\n', " "));
        say(&outcome.unwrap_or_else(failed))?;
        if command.verb == "stop" {
            break;
        }
    }
    Ok(())
}

/// The reply to a command that is done when it is done.
pub fn done(began: Instant) -> Line {
    Line::new("done").with("seconds", began.elapsed().as_secs_f64())
}

/// The failure of a peer that does not know the workload.
pub fn unknown(command: &Line) -> Failure {
    format!("no such command here: {}", command.verb).into()
}

async fn next_command() -> Result<Option<Line>, Failure> {
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await?;
    line.transpose()?.map(|line| line.parse()).transpose()
}

/// One line is short enough for the pipe to take it at once. A failure is a sentence, everything else has fields.
fn say(reply: &Line) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if reply.verb == "failed" {
        writeln!(out, "failed {}", reply.text("why")?)?;
    } else {
        writeln!(out, "{reply}")?;
    }
    Ok(out.flush()?)
}
