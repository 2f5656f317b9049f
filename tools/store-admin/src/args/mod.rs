//! The command line: one file per noun, nothing but flags and their help.

mod backup;
mod cluster;
mod copies;
mod demo;
mod index;
mod node;
mod records;
mod recover;
mod secret;
mod table;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use backup::{BackupArgs, BackupInfoArgs, ImportArgs, RestoreArgs};
pub(crate) use cluster::{ClusterCommand, JoinArgs, LocalDataChoice, RemoveArgs};
pub(crate) use copies::{CopyTableArgs, DelCopyArgs, MoveCopyArgs, VerifyArgs};
pub(crate) use demo::DemoArgs;
pub(crate) use index::{AddIndexArgs, IndexCommand};
pub(crate) use node::{NodeCommand, RunArgs};
pub(crate) use records::{DeleteArgs, DumpArgs, GetArgs, LoadArgs, PutArgs, ScanArgs, WhereArg};
pub(crate) use recover::RecoverArgs;
pub(crate) use secret::SecretCommand;
pub(crate) use table::{
    CreateArgs, Definition, FieldArg, OrNone, SetArgs, SetTo, TableCommand, TransformArgs,
};
pub(crate) use watch::WatchArgs;

/// The operator's command of the Tabularaft table store.
///
/// Exit codes: 0 done; 1 refused or failed, with one `error:` line on stderr; 2 wrong usage.
#[derive(Debug, Parser)]
#[command(name = "store-admin", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes, before or after its name.
#[derive(Clone, Debug, Args)]
pub(crate) struct GlobalArgs {
    /// The node to talk to
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "STORE_NODE",
        default_value = "127.0.0.1:7100",
        global = true
    )]
    pub(crate) node: String,
    /// The cluster's secret; not needed on loopback
    #[arg(long, value_name = "FILE", env = "STORE_SECRET_FILE", global = true)]
    pub(crate) secret_file: Option<PathBuf>,
    /// How long to wait for an answer; a long operation may take longer as long as its node answers
    // More than the 10 s after which a node gives up a write, so that the node's reason arrives.
    #[arg(long, value_name = "SECONDS", env = "STORE_TIMEOUT", default_value = "15", value_parser = seconds)]
    #[arg(global = true)]
    pub(crate) timeout: Duration,
    /// Show progress on stderr although it is no terminal
    #[arg(long, global = true)]
    pub(crate) progress: bool,
}

/// The commands, by noun.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the store at work on this machine: three nodes, tables, a copy, a crash, and all copies equal in
    /// the end
    Demo(DemoArgs),
    /// Runs a node
    #[command(subcommand)]
    Node(NodeCommand),
    /// Makes cluster secrets
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Shows and changes who belongs to the cluster
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Shows and changes tables
    #[command(subcommand)]
    Table(TableCommand),
    /// Adds, drops and shows secondary indexes
    #[command(subcommand)]
    Index(IndexCommand),
    /// Lets a node hold a table from now on, or changes how it holds it
    CopyTable(CopyTableArgs),
    /// Moves a copy of a table from one node to another: copies, verifies, then deletes
    MoveCopy(MoveCopyArgs),
    /// Lets a node give up its copy of a table
    DelCopy(DelCopyArgs),
    /// Writes one record
    Put(PutArgs),
    /// Prints the record of a key, or a bag's records of it, one JSON object per line
    Get(GetArgs),
    /// Deletes the records of a key
    Delete(DeleteArgs),
    /// Prints records in key order, one JSON object per line
    Scan(ScanArgs),
    /// Writes the records of a file with one JSON object per line, or all tables of a dump of all
    Load(LoadArgs),
    /// Writes all records of a table, in key order, or all tables to a file, one JSON object per line
    Dump(DumpArgs),
    /// Prints the changes of a table, or of the members, as they come: one JSON object per line, with the record
    /// before and after, and the log index
    Watch(WatchArgs),
    /// Compares the copies of every table on all nodes at one log index
    Verify(VerifyArgs),
    /// Writes tables, as they are at one log index, to a file, while everybody reads and writes
    Backup(BackupArgs),
    /// Checks a backup and prints what it holds; needs no node
    BackupInfo(BackupInfoArgs),
    /// Brings tables of a backup into the cluster, all at once when all are complete
    Restore(RestoreArgs),
    /// Copies a table of another cluster
    Import(ImportArgs),
    /// Goes on after the majority is lost for good, or rebuilds a node with damaged data from its peers; the node must be
    /// stopped
    Recover(RecoverArgs),
}

/// The flag of commands that print a document.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct JsonFlag {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is no number of seconds"))?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() && seconds <= 86_400.0 => Ok(duration),
        _ => Err("must be more than 0 and at most 86400 seconds".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("store-admin").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_manual_is_understood() {
        for line in [
            "demo",
            "demo --nodes 5 --keep",
            "node run --name n1@h --listen 127.0.0.1:0 --data-dir d",
            "node run --name n1@h --listen 127.0.0.1:0 --diskless --join h:1 --on-local-data export",
            "node run --name n1@h --listen 127.0.0.1:0 --data-dir d --config c.toml --advertise h:2",
            "secret new s",
            "cluster status --json",
            "cluster join h:7100 --on-local-data discard",
            "cluster leave",
            "cluster remove n3@h --force",
            "table list --json",
            "table info t",
            "table drop t",
            "table clear t",
            "table create t --kind bag --copy ram --field a:string --field b:list<u64>? --key a --index b",
            "table create t --kind set --copy disc --field a:u64 --key a --owned --local-content",
            "table create t --kind set --copy disc --field a:u64 --field b:list<u64> --key a --index each:b --unique-index a",
            "index add t a --unique",
            "index add t by_b --each b --progress",
            "index add t i --function f",
            "index drop t a",
            "index list t --json",
            "scan t --where a=1 --explain --json",
            "copy-table t --to n2@h --from n1@h --copy disc-only",
            "del-copy t --on n2@h",
            "move-copy t --from n1@h --to n2@h",
            "table rename t u",
            "table transform t --add note:string? --drop size --record-version 7 --now",
            "table transform t --field id:u64 --field note:string?",
            "table set t --read-only on --ttl 30s --records-max 10 --bytes-max none --load-order -2",
            "table set t --record-bytes-max 100 --copy disc-only --ttl none",
            "put t {}",
            "get t k --read linearizable",
            "delete t k",
            "scan t --from a --to b --where x=1 --where y=a=b --limit 3 --reverse --json",
            "scan t --prefix p --read local",
            "load t -",
            "load t f.ndjson --progress",
            "dump t",
            "dump t out.ndjson",
            "dump --all",
            "dump --all all.ndjson --read linearizable",
            "load --all all.ndjson",
            "load --all - --replace --into a=b --json",
            "table create --from-json t.json",
            "table info t --definition",
            "watch t",
            "watch t --from 17 --key k",
            "watch t --prefix p",
            "watch --members --from 3",
            "recover --data-dir d --keep n1@h n2@h",
            "recover --data-dir d --keep n1@h --keep n2@h --yes --json",
            "recover --data-dir d --from-cluster h:1 --name n1@h --listen 127.0.0.1:0",
            "verify --json --node h:1 --secret-file s --timeout 2.5",
            "verify --content",
            "backup f",
            "backup f --table a --table b --read local --json --progress",
            "backup-info f --json",
            "restore f",
            "restore f --table a --into a=b --into c=d --replace --json",
            "restore f --merge --dry-run",
            "import t --from h:7100 --from-secret-file s --into u --replace",
        ] {
            let parsed = parse(line);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for line in [
            "",
            "table create t --kind heap --field a:string --key a",
            "table create t --kind set --field a:float --key a",
            "table create t --kind set --field a --key a",
            "table create t --kind set --key a",
            "copy-table t --to n2 --copy ram",
            "index add t i --on a --each b",
            "table create t --kind set --copy ram --field a:u64 --key a --index every:a",
            "table set t",
            "table transform t",
            "table transform t --field a:u64 --drop b",
            "table set t --read-only yes",
            "table set t --ttl 30",
            "table set t --ttl 99999999999999999999d",
            "table set t --records-max many",
            "copy-table t --to n2@h --copy tape",
            "node run --name n1@h --listen 127.0.0.1:0",
            "node run --name n1@h --listen 127.0.0.1:0 --data-dir d --diskless",
            "node run --name n1 --listen 127.0.0.1:0 --diskless",
            "node run --name n1@h --listen nowhere --diskless",
            "node run --name n1@h --listen 127.0.0.1:0 --diskless --on-local-data keep",
            "get t k --read stale",
            "scan t --where x",
            "scan t --prefix p --from a",
            "recover --data-dir d",
            "recover --keep n1@h",
            "recover --data-dir d --keep n1@h --from-cluster h:1",
            "demo --nodes 2",
            "load t",
            "load t f --merge",
            "load t --all f",
            "load --all",
            "dump",
            "dump t --all",
            "table create t --from-json t.json",
            "table create --from-json t.json --kind set",
            "table info t --definition --json",
            "restore f --into a",
            "restore f --into a=1b",
            "restore f --replace --merge",
            "import t",
            "watch",
            "watch t --members",
            "watch t --key k --prefix p",
            "watch --members --key k",
            "watch t --from first",
            "verify --timeout 0",
            "verify --timeout soon",
        ] {
            let refused = parse(line).expect_err(line);
            assert_eq!(refused.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_global_flag_may_stand_before_or_after_the_command() {
        let before = parse("--node h:1 table list").unwrap();
        let after = parse("table list --node h:1").unwrap();
        assert_eq!((before.global.node, after.global.node), ("h:1".into(), "h:1".into()));
    }

    #[test]
    fn a_negative_key_is_a_value_and_not_a_flag() {
        assert!(parse("get t -7").is_ok());
        assert!(parse("delete t -7").is_ok());
        assert!(parse("scan t --from -7 --to -2").is_ok());
    }
}
