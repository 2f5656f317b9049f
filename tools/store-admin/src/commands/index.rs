//! `index add|drop|list`

use crate::args::{AddIndexArgs, GlobalArgs, IndexCommand};
use crate::failure::Outcome;
use crate::output;
use crate::session::connect;

use super::with_bar;

pub(super) async fn run(global: &GlobalArgs, command: IndexCommand) -> Outcome {
    match command {
        IndexCommand::Add(args) => add(global, &args).await,
        IndexCommand::Drop { table, name } => {
            connect(global).await?.drop_index(&table, &name).await?;
            output::print(&format!("dropped index {name} of {table}\n"))
        }
        IndexCommand::List { table, output: flag } => {
            let indexes = connect(global).await?.indexes(&table).await?;
            if flag.json {
                output::print_json(&indexes)
            } else {
                output::print(&output::index_text(&indexes))
            }
        }
    }
}

async fn add(global: &GlobalArgs, args: &AddIndexArgs) -> Outcome {
    let client = connect(global).await?;
    let title = format!("index {} by {}", args.table, args.name);
    with_bar(&title, global, async |progress| {
        client.add_index(&args.table, args.definition(), progress).await
    })
    .await?;
    output::print(&format!("added index {} to {}\n", args.name, args.table))
}
