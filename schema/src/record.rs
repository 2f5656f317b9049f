//! Rust types that are records of a table.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::RecordError;
use crate::key::Key;
use crate::key_for::KeyFor;
use crate::table_def::TableDef;

/// A Rust type whose values are the records of a table; made by `#[derive(Record)]`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tabularaft_schema::{KeyFor, NodeName, Record};
///
/// /// Which node serves a topic.
/// #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
/// #[record(table = "route", kind = "bag", copy = "ram", owned, crate = "tabularaft_schema")]
/// struct Route {
///     #[key]
///     topic: String,
///     #[index]
///     node: NodeName,
/// }
///
/// let route = Route { topic: "sensors/1".into(), node: "emq1@10.0.0.1".parse()? };
/// let bytes = route.encode()?;
/// assert_eq!(Route::decode(&bytes)?, route);
/// assert_eq!(route.key(), KeyFor::<String>::to_key("sensors/1"));
///
/// // Programs without the Rust type read the same bytes by the table's definition.
/// let def = Route::table_def();
/// assert_eq!(def.shape.to_json(&bytes)?.to_string(), r#"{"topic":"sensors/1","node":"emq1@10.0.0.1"}"#);
/// # Ok::<(), tabularaft_schema::Error>(())
/// ```
///
/// # Attributes of the struct: `#[record(…)]`
///
/// | attribute | meaning | default |
/// |---|---|---|
/// | `table = "…"` | the table's name | required |
/// | `kind = "set"`, `"ordered-set"`, `"bag"` | see [`TableKind`](crate::TableKind) | `"set"` |
/// | `copy = "ram"`, `"disc"`, `"disc-only"` | how nodes hold the table unless told otherwise, see [`CopyMode`](crate::CopyMode) | `"disc"` |
/// | `version = 1` | the record version; raise it when the fields change | `1` |
/// | `owned` | records are deleted with the incarnation that wrote them | no |
/// | `local_content` | every node has a private content | no |
/// | `load_order = 0` | tables of higher order are loaded earlier | `0` |
/// | `record_bytes_max = 65536` | the most bytes a record may have | none |
/// | `index(name = "…", function = "…")` | a secondary index over what a [registered function](crate::register_index_function) makes of a record; `unique` may follow | none |
/// | `read_only` | writes are refused until it is changed at run time | no |
/// | `ttl = "30s"` or `ttl_ms = 30000` | how long after its last write a record is deleted; units `ms`, `s`, `m`, `h`, `d` | never |
/// | `records_max = 1000`, `bytes_max = 1000000` | how much the table may hold | no limit |
/// | `crate = "…"` | the path to this crate | `"::tabularaft::schema"` |
///
/// # Attributes of fields
///
/// `#[key]` on one field, or on several for a compound key in the order of the fields. `#[index]` for a
/// secondary index over the field's value, in parentheses `unique` if no two records may have the same value, `each` for
/// the items of a list one by one, `name = "…"` for another name than the field's. `#[serde(rename = "…")]` names the field in the table as well. Serde
/// attributes that change what is written (`skip`, `flatten`, `with`, …) are refused, since the bytes would no longer
/// be those of the table's definition.
///
/// # Contract
///
/// An implementation by hand MUST
/// * serialise, with `postcard`, to the bytes of `table_def().shape`, in the order of its fields;
/// * return the same definition always, and `TABLE` as its name;
/// * return as `key` what `table_def().key_of_record` makes of the encoded record.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What identifies a record: the type of the one key field, or a tuple of the types of several.
    type Key: KeyFor<Self::Key> + Send + Sync + 'static;

    /// The name of the table.
    const TABLE: &'static str;

    /// Whether serde always writes equal records as equal bytes. False if a `HashMap` is inside; then
    /// [`encode`](Self::encode) puts the maps in order.
    const ORDERED: bool = true;

    /// The definition of the table.
    fn table_def() -> TableDef;

    /// This record's encoded key.
    fn key(&self) -> Key;

    /// The record as bytes, in its one encoding.
    ///
    /// # Errors
    /// [`RecordError::Encode`] if the type's own `Serialize` refuses.
    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let encode_error = |problem: String| RecordError::Encode { table: Self::TABLE, problem };
        let bytes = postcard::to_stdvec(self).map_err(|error| encode_error(error.to_string()))?;
        if Self::ORDERED {
            return Ok(bytes);
        }
        Self::table_def().shape.canonical(&bytes).map(std::borrow::Cow::into_owned)
    }

    /// The record of these bytes.
    ///
    /// # Errors
    /// [`RecordError::Decode`] if they are no record of this type, [`RecordError::TrailingBytes`] if they go on after
    /// it.
    fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        match postcard::take_from_bytes(bytes) {
            Ok((record, [])) => Ok(record),
            Ok((_, rest)) => Err(RecordError::TrailingBytes { bytes: rest.len() }),
            Err(error) => Err(RecordError::Decode { table: Self::TABLE, problem: error.to_string() }),
        }
    }
}
