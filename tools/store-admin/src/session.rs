//! What most commands start with: a connection to a node, and a table's definition.

use bytes::Bytes;
use serde_json::Value;
use tabularaft::Secret;
use tabularaft::admin::protocol::{FieldFilter, TableRef};
use tabularaft::admin::{AdminClient, TableInfo};
use tabularaft::schema::TableName;

use crate::args::{GlobalArgs, WhereArg};
use crate::failure::{Context, Failure, Outcome};

/// Connects to the node at `--node`.
pub(crate) async fn connect(global: &GlobalArgs) -> Outcome<AdminClient> {
    let secret = read_secret(global)?;
    Ok(AdminClient::connect(&global.node, secret, global.timeout).await?)
}

/// The secret of `--secret-file`, if that is given.
pub(crate) fn read_secret(global: &GlobalArgs) -> Outcome<Option<Secret>> {
    let Some(path) = &global.secret_file else { return Ok(None) };
    Secret::load(path).map(Some).map_err(|error| Failure::of(&error))
}

/// A table of the connected node, with what is needed to convert its records from and to JSON.
pub(crate) struct OpenTable {
    pub(crate) client: AdminClient,
    pub(crate) info: TableInfo,
    pub(crate) reference: TableRef,
}

impl OpenTable {
    /// Connects and asks for the definition of `table`.
    pub(crate) async fn open(global: &GlobalArgs, table: &TableName) -> Outcome<Self> {
        Self::on(connect(global).await?, table).await
    }

    /// Asks the connected node for the definition of `table`.
    pub(crate) async fn on(client: AdminClient, table: &TableName) -> Outcome<Self> {
        let info = client.table(table).await?;
        let reference = TableRef { name: table.clone(), id: info.id };
        Ok(Self { client, info, reference })
    }

    /// The encoding of a key given on the command line.
    pub(crate) fn key(&self, text: &str) -> Outcome<Bytes> {
        let key = self.info.def.parse_key(text).map_err(|error| Failure::of(&error))?;
        Ok(Bytes::from(key.into_bytes()))
    }

    /// The bytes with which the encodings of all keys begin that begin with `text`.
    pub(crate) fn key_prefix(&self, text: &str) -> Outcome<Bytes> {
        let prefix = self.info.def.key_prefix(text).map_err(|error| Failure::of(&error))?;
        Ok(Bytes::from(prefix.into_bytes()))
    }

    /// A condition of `--where`.
    pub(crate) fn filter(&self, condition: &WhereArg) -> Outcome<FieldFilter> {
        let WhereArg { field, value } = condition;
        let def = self.info.def.shape.field(field).ok_or_else(|| {
            let known: Vec<&str> = self.info.def.shape.fields.iter().map(|def| def.name.as_str()).collect();
            Failure::new(format_args!(
                "table {} has no field {field}; its fields are {}",
                self.reference.name,
                known.join(", ")
            ))
        })?;
        let equals = def.field_type.from_text(value).and_then(|value| value.to_json());
        let equals = equals.map_err(|_| {
            Failure::new(format_args!("--where {field}={value}: the field is of type {}", def.field_type))
        })?;
        Ok(FieldFilter { field: field.clone(), equals: equals.to_string() })
    }

    /// A record as one line of JSON, without the line break.
    pub(crate) fn line(&self, record: &[u8]) -> Outcome<String> {
        Ok(self.json(record)?.to_string())
    }

    /// A record as a JSON object.
    pub(crate) fn json(&self, record: &[u8]) -> Outcome<Value> {
        self.info.def.shape.to_json(record).context(format_args!("a record of table {}", self.reference.name))
    }
}
