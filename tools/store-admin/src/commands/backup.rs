//! `backup`, `backup-info`

use std::path::Path;

use tabularaft::{BackupOptions, BackupReport};

use crate::args::{BackupArgs, BackupInfoArgs, GlobalArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::connect;

use super::with_bar;

/// Writes a backup of the connected node's tables to a file on this side.
pub(super) async fn take(global: &GlobalArgs, args: &BackupArgs) -> Outcome {
    let client = connect(global).await?;
    let options = BackupOptions { tables: args.tables.clone(), read: args.read.into() };
    let report = with_bar("backup", global, async |tell| client.backup(&args.file, &options, tell).await)
        .await
        .map_err(|failure| Failure::of(&failure))?;
    if args.output.json {
        return output::print_json(&report);
    }
    output::print(&format!(
        "wrote {} records of {} tables at log index {} to {}\n",
        output::count(report.records),
        report.tables.len(),
        report.log_index,
        args.file.display()
    ))
}

/// Checks a backup and prints what it holds, without any node.
pub(super) async fn info(args: &BackupInfoArgs) -> Outcome {
    let report = read(&args.file).await?;
    if args.output.json { output::print_json(&report) } else { output::print(&output::backup_text(&report)) }
}

async fn read(file: &Path) -> Outcome<BackupReport> {
    let file = file.to_owned();
    let read = tokio::task::spawn_blocking(move || BackupReport::of_file(&file)).await;
    read.map_err(Failure::new)?.map_err(|failure| Failure::of(&failure))
}
