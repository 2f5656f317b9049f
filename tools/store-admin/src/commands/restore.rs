//! `restore`, `import`

use std::path::Path;

use tabularaft::admin::AdminClient;
use tabularaft::{RestoreOptions, RestoreReport};

use crate::args::{GlobalArgs, ImportArgs, RestoreArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::{connect, read_secret};

use super::with_bar;

/// Restores tables of a backup into the cluster of the connected node.
pub(super) async fn run(global: &GlobalArgs, args: &RestoreArgs) -> Outcome {
    let options = args.options();
    if !args.dry_run {
        return from(global, &args.file, "restore", &options, args.output.json).await;
    }
    let would = connect(global).await?.restore_dry_run(&args.file, &options).await;
    tell(&would.map_err(|failure| Failure::of(&failure))?, args.output.json)
}

/// Restores from a file, which its user knows as what is to be done.
pub(super) async fn from(
    global: &GlobalArgs,
    file: &Path,
    what: &str,
    options: &RestoreOptions,
    json: bool,
) -> Outcome {
    let client = connect(global).await?;
    let restored = with_bar(what, global, async |tell| client.restore(file, options, tell).await).await;
    tell(&restored.map_err(|failure| Failure::of(&failure))?, json)
}

/// Copies a table of another cluster into the cluster of the connected node.
pub(super) async fn import(global: &GlobalArgs, args: &ImportArgs) -> Outcome {
    let client = connect(global).await?;
    let theirs =
        GlobalArgs { node: args.from.clone(), secret_file: args.from_secret_file.clone(), ..global.clone() };
    let source = AdminClient::connect(&theirs.node, read_secret(&theirs)?, theirs.timeout).await?;
    let title = format!("import {}", args.table);
    let options = args.options();
    let imported =
        with_bar(&title, global, async |tell| client.import(&source, &args.table, &options, tell).await);
    tell(&imported.await.map_err(|failure| Failure::of(&failure))?, args.output.json)
}

fn tell(report: &RestoreReport, json: bool) -> Outcome {
    if json { output::print_json(report) } else { output::print(&output::restore_text(report)) }
}
