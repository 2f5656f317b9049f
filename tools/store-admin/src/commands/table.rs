//! `table list|info|create|drop|clear`

use tabularaft::schema::{TableDef, TableOptions};

use crate::args::{CreateArgs, GlobalArgs, TableCommand};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::connect;

pub(super) async fn run(global: &GlobalArgs, command: TableCommand) -> Outcome {
    match command {
        TableCommand::List(flag) => {
            let tables = connect(global).await?.tables().await?;
            if flag.json { output::print_json(&tables) } else { output::print(&output::list_text(&tables)) }
        }
        TableCommand::Info { table, output: flag } => {
            let info = connect(global).await?.table(&table).await?;
            if flag.json { output::print_json(&info) } else { output::print(&output::info_text(&info)) }
        }
        TableCommand::Create(args) => create(global, args).await,
        TableCommand::Drop { table } => {
            connect(global).await?.drop_table(&table).await?;
            output::print(&format!("dropped {table}\n"))
        }
        TableCommand::Clear { table } => {
            let written = connect(global).await?.clear_table(&table).await?;
            output::print(&format!("deleted {} records of {table}\n", output::count(written.records)))
        }
    }
}

async fn create(global: &GlobalArgs, args: CreateArgs) -> Outcome {
    let def = definition(args)?;
    let name = def.name.clone();
    let (id, new) = connect(global).await?.create_table(def).await?;
    match new {
        true => output::print(&format!("created {name} with id {}\n", id.0)),
        false => output::print(&format!("{name} is there already with the same definition\n")),
    }
}

/// Contradictions in the definition are found here, before anything is sent.
fn definition(args: CreateArgs) -> Outcome<TableDef> {
    let mut builder =
        TableDef::builder(args.table.as_str()).map_err(Failure::new)?.kind(args.kind).copy(args.copy);
    for field in args.fields {
        builder = builder.field(field.name, field.field_type);
    }
    for field in args.key {
        builder = builder.key(field);
    }
    for field in args.indexes {
        builder = builder.index(field);
    }
    let options =
        TableOptions { owned: args.owned, local_content: args.local_content, ..TableOptions::default() };
    builder.options(options).build().map_err(Failure::new)
}
