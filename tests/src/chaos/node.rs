//! A node process: does what its driver asks for over standard input, as many things at a time as there are.
//!
//! It ends when its standard input does, so that no node outlives its driver.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tabularaft::{LocalData, Node, NodeConfig, NodeName, Record, Secret};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use super::protocol::{Answer, Ask, Request, Response, Standing};
use crate::append::{DiscList, RamList, transact};
use crate::copies::copies_of;
use crate::sim::ledger::{Told, What};
use crate::sim::perform::{self, Account};
use crate::tables::{DiscCount, DiscEvent, DiscOnlyWord, DiscWord, RamCount, RamEvent, RamWord};
use crate::workload::{Count, Event};

/// Lines that may wait to be looked at.
const WAITING_MAX: usize = 1_024;
/// How long a leader that was started again waits for nodes that may still hold a ram table. Faults last shorter, so no ram
/// table is given up.
const RAM_GRACE_MS: u64 = 60_000;

/// What is wrong with a node on purpose, so that the checks find something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Weakness {
    /// Nothing.
    #[default]
    None,
    /// The leader does not check what transactions have read.
    UncheckedReads,
    /// Reads see what the node has, and not what everybody has agreed on.
    StaleReads,
}

impl Weakness {
    /// By the word of the command line.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::None),
            "unchecked-reads" => Some(Self::UncheckedReads),
            "stale-reads" => Some(Self::StaleReads),
            _ => None,
        }
    }

    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::UncheckedReads => "unchecked-reads",
            Self::StaleReads => "stale-reads",
        }
    }
}

/// How the process is started: name, folder, address, secret file or `-`, weakness.
#[derive(Debug, Clone)]
pub(super) struct NodeArgs {
    pub(super) name: String,
    pub(super) data_dir: PathBuf,
    pub(super) listen: String,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) weakness: Weakness,
}

impl NodeArgs {
    /// As words of a command line.
    pub(super) fn words(&self) -> Vec<String> {
        let secret = self.secret_file.as_ref().map_or("-".to_owned(), |file| file.display().to_string());
        let data_dir = self.data_dir.display().to_string();
        vec![self.name.clone(), data_dir, self.listen.clone(), secret, self.weakness.word().to_owned()]
    }

    /// From words of a command line.
    pub(super) fn of(words: &[String]) -> Option<Self> {
        let [name, data_dir, listen, secret, weakness] = words else { return None };
        Some(Self {
            name: name.clone(),
            data_dir: data_dir.into(),
            listen: listen.clone(),
            secret_file: (secret != "-").then(|| secret.into()),
            weakness: Weakness::of(weakness)?,
        })
    }
}

/// Runs the node until it is told to stop, or nobody is there any more who might.
pub(super) async fn run(args: NodeArgs) -> Result<(), String> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,openraft=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let config = NodeConfig { ram_grace_ms: RAM_GRACE_MS, ..NodeConfig::default() };
    let mut builder = Node::builder(args.name).data_dir(args.data_dir).listen(args.listen).config(config);
    if let Some(file) = &args.secret_file {
        builder = builder.secret(Secret::load(file).map_err(|error| error.to_string())?);
    }
    if args.weakness == Weakness::UncheckedReads {
        builder = builder.skip_read_checks();
    }
    let node = builder.start().await.map_err(|error| error.to_string())?;
    answer(0, Answer::Started);
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        let Request { id, ask } = serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
        if matches!(ask, Ask::Shutdown) {
            node.shutdown().await;
            answer(id, Answer::Done);
            break;
        }
        let node = node.clone();
        tokio::spawn(async move {
            let done = serve(&node, ask, args.weakness).await;
            answer(id, done.unwrap_or_else(Answer::Failed));
        });
    }
    Ok(())
}

/// The lines of standard input, until it ends.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(WAITING_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn answer(id: u64, answer: Answer) {
    let line = serde_json::to_string(&Response { id, answer }).expect("an answer is JSON");
    let mut out = std::io::stdout().lock();
    // Without its driver the process is about to end anyway.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

async fn serve(node: &Node, ask: Ask, weakness: Weakness) -> Result<Answer, String> {
    let why = |error: &dyn std::fmt::Display| error.to_string();
    match ask {
        Ask::Prepare => {
            perform::prepare(node).await?;
            node.create_table::<RamList>().await.map_err(|error| why(&error))?;
            node.create_table::<DiscList>().await.map_err(|error| why(&error))?;
        }
        Ask::Deposit => perform::deposit(node).await?,
        Ask::Operate { table, key, what } => return operate(node, &table, &key, &what, weakness).await,
        Ask::Transact(mops) => {
            let (outcome, mops) = transact(node, &mops).await;
            return Ok(Answer::Transacted { outcome, mops });
        }
        Ask::Standing => return Ok(Answer::Standing(standing(node))),
        Ask::Join { peer } => {
            node.join_with(&peer, LocalData::Discard).await.map_err(|error| why(&error))?;
        }
        Ask::Leave => node.leave().await.map_err(|error| why(&error))?,
        Ask::Remove { name } => {
            let name: NodeName = name.parse().map_err(|error| why(&error))?;
            node.remove(&name, true).await.map_err(|error| why(&error))?;
        }
        Ask::WaitReady { seconds } => {
            node.wait_for_tables(&[], Duration::from_secs(seconds)).await.map_err(|error| why(&error))?;
        }
        Ask::Counter { table, key } => {
            return match table.as_str() {
                "ram_count" => counter::<RamCount>(node, &key).await,
                _ => counter::<DiscCount>(node, &key).await,
            };
        }
        Ask::Elements { table, key } => {
            return match table.as_str() {
                "ram_event" => elements::<RamEvent>(node, &key).await,
                _ => elements::<DiscEvent>(node, &key).await,
            };
        }
        Ask::Balances => {
            let accounts = linearized::<Account>(node).await?;
            let all = accounts.iter().map_err(|error| why(&error))?;
            let mut all: Vec<Account> = all.collect::<Result<_, _>>().map_err(|error| why(&error))?;
            all.sort_by_key(|account| account.number);
            return Ok(Answer::Numbers(all.iter().map(|account| account.balance).collect()));
        }
        Ask::Digests => return digests(node),
        // Told apart before.
        Ask::Shutdown => {}
    }
    Ok(Answer::Done)
}

async fn operate(
    node: &Node,
    table: &str,
    key: &str,
    what: &What,
    weakness: Weakness,
) -> Result<Answer, String> {
    if *what == What::Read && weakness == Weakness::StaleReads {
        let told = match table {
            "ram_word" => perform::table::<RamWord>(node).map(|table| perform::read(&table, key)),
            "disc_word" => perform::table::<DiscWord>(node).map(|table| perform::read(&table, key)),
            _ => perform::table::<DiscOnlyWord>(node).map(|table| perform::read(&table, key)),
        };
        return Ok(Answer::Told(told.unwrap_or_else(|| Told::No("there is no such table".to_owned()))));
    }
    let told = perform::perform(node, table, key, what).await;
    Ok(Answer::Told(told.unwrap_or_else(|| Told::No(format!("there is no table {table}")))))
}

fn standing(node: &Node) -> Standing {
    Standing {
        leads: node.is_leader(),
        members: node.members().iter().map(ToString::to_string).collect(),
        applied: node.applied().0,
        term: node.standing().map_or(0, |standing| standing.term),
    }
}

/// The table, which has all that was acknowledged.
async fn linearized<R: Record>(node: &Node) -> Result<tabularaft::Table<R>, String> {
    let table = node.table::<R>().map_err(|error| error.to_string())?;
    table.linearize().await.map_err(|error| error.to_string())?;
    Ok(table)
}

async fn counter<C: Count>(node: &Node, key: &str) -> Result<Answer, String> {
    let found = linearized::<C>(node).await?.get(key).map_err(|error| error.to_string())?;
    Ok(Answer::Number(found.map_or(0, |count| count.value())))
}

async fn elements<E: Event>(node: &Node, key: &str) -> Result<Answer, String> {
    let found = linearized::<E>(node).await?.get_all(key).map_err(|error| error.to_string())?;
    let mut elements: Vec<u64> = found.iter().map(Event::number).collect();
    elements.sort_unstable();
    Ok(Answer::Numbers(elements))
}

fn digests(node: &Node) -> Result<Answer, String> {
    let copies = copies_of(node)?;
    let tables = copies.tables.iter().map(|(name, digest)| format!("{name} {digest:?}")).collect();
    Ok(Answer::Digests { applied: copies.applied, tables })
}
