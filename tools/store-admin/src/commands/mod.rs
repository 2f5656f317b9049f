//! What the commands do.

mod backup;
mod cluster;
mod copy_table;
mod demo;
mod dump;
mod index;
mod load;
mod node_run;
mod records;
mod recover;
mod restore;
mod scan;
mod secret;
mod table;
mod verify;
mod watch;

use tabularaft::admin::protocol::Progress;

use crate::args::{Cli, Command, GlobalArgs, NodeCommand, SecretCommand};
use crate::failure::Outcome;
use crate::output::{Amount, Bar};

/// Does what the command line asks for.
pub(crate) async fn run(cli: Cli) -> Outcome {
    let global = cli.global;
    match cli.command {
        Command::Demo(args) => demo::run(&args).await,
        Command::Node(NodeCommand::Run(args)) => node_run::run(&global, args).await,
        Command::Secret(SecretCommand::New { file }) => secret::new(&file),
        Command::Cluster(command) => cluster::run(&global, command).await,
        Command::Table(command) => table::run(&global, command).await,
        Command::Index(command) => index::run(&global, command).await,
        Command::CopyTable(args) => copy_table::copy(&global, &args).await,
        Command::MoveCopy(args) => copy_table::move_copy(&global, &args).await,
        Command::DelCopy(args) => copy_table::delete(&global, &args).await,
        Command::Recover(args) => recover::run(&global, args).await,
        Command::Put(args) => records::put(&global, &args).await,
        Command::Get(args) => records::get(&global, &args).await,
        Command::Delete(args) => records::delete(&global, &args).await,
        Command::Scan(args) => scan::run(&global, &args).await,
        Command::Load(args) => load::run(&global, &args).await,
        Command::Dump(args) => dump::run(&global, &args).await,
        Command::Backup(args) => backup::take(&global, &args).await,
        Command::BackupInfo(args) => backup::info(&args).await,
        Command::Restore(args) => restore::run(&global, &args).await,
        Command::Import(args) => restore::import(&global, &args).await,
        Command::Verify(args) => verify::run(&global, &args).await,
        Command::Watch(args) => watch::run(&global, &args).await,
    }
}

/// Runs an operation of the node with a bar on stderr.
///
/// `start` gets what to call with each report of progress.
async fn with_bar<T, E>(
    title: &str,
    global: &GlobalArgs,
    operation: impl AsyncFnOnce(&mut (dyn FnMut(&Progress) + Send)) -> Result<T, E>,
) -> Result<T, E> {
    let mut bar = Bar::new(title, global.progress);
    let result = operation(&mut |progress: &Progress| {
        bar.phase(&format!("{title}: {}", progress.phase));
        bar.show(amount(progress));
    })
    .await;
    bar.finish();
    result
}

fn amount(progress: &Progress) -> Amount {
    Amount {
        records: progress.records_done,
        records_total: progress.records_total,
        bytes: progress.bytes_done,
        bytes_total: progress.bytes_total,
    }
}
