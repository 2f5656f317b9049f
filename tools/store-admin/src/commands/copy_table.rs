//! `copy-table`, `move-copy`, `del-copy`

use tabularaft::admin::protocol::Outcome as Operation;

use crate::args::{CopyTableArgs, DelCopyArgs, GlobalArgs, MoveCopyArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::connect;

use super::with_bar;

/// Lets a node hold a table, and tells the digest that the new copy and the others share.
pub(super) async fn copy(global: &GlobalArgs, args: &CopyTableArgs) -> Outcome {
    let client = connect(global).await?;
    let title = format!("copy {} to {}", args.table, args.to);
    let outcome = with_bar(&title, global, async |progress| {
        client.copy_table(&args.table, &args.to, args.from.as_ref(), args.copy, progress).await
    })
    .await?;
    let Operation::Copied { records, bytes, digest, from } = outcome else {
        return Err(Failure::new("the node ended the copy with an answer of another operation"));
    };
    let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
    output::print(&format!(
        "{} holds {} as {}: {} records, {}{from}, digest {digest} verified\n",
        args.to,
        args.table,
        args.copy,
        output::count(records),
        output::bytes(bytes),
    ))
}

/// Moves a copy, and tells the digest that the new copy and the others share.
pub(super) async fn move_copy(global: &GlobalArgs, args: &MoveCopyArgs) -> Outcome {
    let client = connect(global).await?;
    let title = format!("move {} from {} to {}", args.table, args.from, args.to);
    let outcome = with_bar(&title, global, async |progress| {
        client.move_copy(&args.table, &args.from, &args.to, progress).await
    })
    .await?;
    let Operation::Copied { records, digest, .. } = outcome else {
        return Err(Failure::new("the node ended the move with an answer of another operation"));
    };
    output::print(&format!(
        "{} holds {} instead of {}: {} records, digest {digest} verified\n",
        args.to,
        args.table,
        args.from,
        output::count(records),
    ))
}

/// Lets a node give up its copy.
pub(super) async fn delete(global: &GlobalArgs, args: &DelCopyArgs) -> Outcome {
    let client = connect(global).await?;
    let title = format!("delete the copy of {} on {}", args.table, args.on);
    with_bar(&title, global, async |progress| client.delete_copy(&args.table, &args.on, progress).await)
        .await?;
    output::print(&format!("{} no longer holds {}\n", args.on, args.table))
}
