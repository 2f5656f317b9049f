//! `table list|info|create|drop|clear|rename|set|transform`

use std::path::Path;

use tabularaft::schema::{FieldDef, RecordShape, TableDef, TableOption, TableOptions};

use crate::args::{
    CreateArgs, Definition, FieldArg, GlobalArgs, OrNone, SetArgs, SetTo, TableCommand, TransformArgs,
};
use crate::failure::{Context, Failure, Outcome};
use crate::output;
use crate::session::connect;

use super::with_bar;

pub(super) async fn run(global: &GlobalArgs, command: TableCommand) -> Outcome {
    match command {
        TableCommand::List(flag) => {
            let tables = connect(global).await?.tables().await?;
            if flag.json { output::print_json(&tables) } else { output::print(&output::list_text(&tables)) }
        }
        TableCommand::Info { table, definition: true, .. } => {
            output::print_json(&connect(global).await?.table(&table).await?.def)
        }
        TableCommand::Info { table, output: flag, .. } => {
            let client = connect(global).await?;
            let (info, former) = (client.table(&table).await?, client.former_shapes(&table).await?);
            let document = output::TableDocument { info: &info, former: &former };
            if flag.json {
                output::print_json(&document)
            } else {
                output::print(&output::info_text(&document))
            }
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
        TableCommand::Rename { table, to } => {
            connect(global).await?.rename_table(&table, &to).await?;
            output::print(&format!("{table} is now {to}\n"))
        }
        TableCommand::Set(args) => set(global, &args).await,
        TableCommand::Transform(args) => transform(global, &args).await,
    }
}

async fn set(global: &GlobalArgs, args: &SetArgs) -> Outcome {
    let client = connect(global).await?;
    let options = options(&args.to);
    if !options.is_empty() {
        client.set_table_options(&args.table, options).await?;
    }
    if let Some(mode) = args.to.copy {
        let title = format!("hold {} as {mode}", args.table);
        with_bar(&title, global, async |progress| client.set_copy_mode(&args.table, mode, progress).await)
            .await?;
    }
    output::print(&format!("changed {}\n", args.table))
}

async fn transform(global: &GlobalArgs, args: &TransformArgs) -> Outcome {
    let client = connect(global).await?;
    let present = client.table(&args.table).await?.def.shape;
    let shape = shape(args, present)?;
    let (title, version) = (format!("transform {}", args.table), shape.version);
    with_bar(&title, global, async |progress| {
        client.transform_table(&args.table, shape, args.now, progress).await
    })
    .await?;
    let rewritten = if args.now { "all of them rewritten" } else { "being rewritten in the background" };
    output::print(&format!("the records of {} have record version {version}, {rewritten}\n", args.table))
}

fn shape(args: &TransformArgs, present: RecordShape) -> Outcome<RecordShape> {
    let version = args.record_version.unwrap_or(present.version.saturating_add(1));
    let named = |fields: &[FieldArg]| -> Vec<FieldDef> {
        fields.iter().map(|field| FieldDef::new(field.name.as_str(), field.field_type.clone())).collect()
    };
    if !args.shape.fields.is_empty() {
        return Ok(RecordShape { version, fields: named(&args.shape.fields) });
    }
    if let Some(missing) = args.shape.drop.iter().find(|name| present.field(name).is_none()) {
        return Err(Failure::new(format!("table {} has no field {missing} to drop", args.table)));
    }
    let stays = present.fields.into_iter().filter(|field| !args.shape.drop.contains(&field.name));
    Ok(RecordShape { version, fields: stays.chain(named(&args.shape.add)).collect() })
}

fn options(to: &SetTo) -> Vec<TableOption> {
    fn value<T>(option: OrNone<T>) -> Option<T> {
        option.0
    }
    let options = [
        to.read_only.map(TableOption::ReadOnly),
        to.ttl.map(value).map(TableOption::TtlMs),
        to.records_max.map(value).map(TableOption::RecordsMax),
        to.bytes_max.map(value).map(TableOption::BytesMax),
        to.record_bytes_max.map(value).map(TableOption::RecordBytesMax),
        to.load_order.map(TableOption::LoadOrder),
    ];
    options.into_iter().flatten().collect()
}

async fn create(global: &GlobalArgs, args: CreateArgs) -> Outcome {
    let def = match (args.from_json, args.definition) {
        (Some(file), _) => definition_in(&file)?,
        (None, Some(args)) => definition(args)?,
        (None, None) => return Err(Failure::new("neither a table nor --from-json is named")),
    };
    let name = def.name.clone();
    let (id, new) = connect(global).await?.create_table(def).await?;
    match new {
        true => output::print(&format!("created {name} with id {}\n", id.0)),
        false => output::print(&format!("{name} is there already with the same definition\n")),
    }
}

fn definition_in(file: &Path) -> Outcome<TableDef> {
    let text = match file == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = text.context(format_args!("cannot read {}", file.display()))?;
    serde_json::from_str(&text)
        .context(format_args!("{} is no definition as `table info --definition` prints", file.display()))
}

/// Contradictions in the definition are found here, before anything is sent.
fn definition(args: Definition) -> Outcome<TableDef> {
    let mut builder =
        TableDef::builder(args.table.as_str()).map_err(Failure::new)?.kind(args.kind).copy(args.copy);
    for field in args.fields {
        builder = builder.field(field.name, field.field_type);
    }
    for field in args.key {
        builder = builder.key(field);
    }
    for index in args.indexes {
        builder = builder.add_index(index.0);
    }
    for index in args.unique_indexes {
        builder = builder.add_index(index.0.unique());
    }
    let options =
        TableOptions { owned: args.owned, local_content: args.local_content, ..TableOptions::default() };
    builder.options(options).build().map_err(Failure::new)
}
