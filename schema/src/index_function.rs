//! Functions that say by what records may be found, registered by the program that knows the records' type.

use crate::error::RecordError;
use crate::field::FieldType;
use crate::field_shape::FieldShape;
use crate::index_values::IndexValues;
use crate::key_field::KeyField;
use crate::record::Record;

/// A function for an index over [`IndexOn::Function`](crate::IndexOn::Function), as it stands in the program's list;
/// made by [`register_index_function!`](crate::register_index_function).
pub struct IndexFunction {
    name: &'static str,
    value_type: fn() -> FieldType,
    values: fn(&[u8], &mut IndexValues) -> Result<(), RecordError>,
}

impl IndexFunction {
    /// An entry for the list.
    #[must_use]
    pub const fn new(
        name: &'static str,
        value_type: fn() -> FieldType,
        values: fn(&[u8], &mut IndexValues) -> Result<(), RecordError>,
    ) -> Self {
        Self { name, value_type, values }
    }

    /// The function of this name, if it is linked into this program.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        inventory::iter::<Self>.into_iter().find(|function| function.name == name)
    }

    /// The name that definitions of indexes give.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The type of the values it finds.
    #[must_use]
    pub fn value_type(&self) -> FieldType {
        (self.value_type)()
    }

    /// Gathers the values of an encoded record.
    pub(crate) fn gather(&self, record: &[u8], values: &mut IndexValues) -> Result<(), RecordError> {
        (self.values)(record, values)
    }
}

inventory::collect!(IndexFunction);

/// Applies a typed function to an encoded record, for the macro.
pub fn gather<R: Record, I>(
    record: &[u8],
    values: &mut IndexValues,
    function: fn(&R) -> I,
) -> Result<(), RecordError>
where
    I: IntoIterator,
    I::Item: KeyField,
{
    let record = R::decode(record)?;
    for value in function(&record) {
        values.push(|key| value.append_to_key(key));
    }
    Ok(())
}

/// The type of the values that a collection holds, for the macro.
#[must_use]
pub fn value_type<I: IntoIterator>() -> FieldType
where
    I::Item: FieldShape,
{
    I::Item::field_type()
}

/// Registers a function for secondary indexes in every program this crate is linked into. It takes a record and
/// returns the values under which the record is to be found: an `Option`, a `Vec` or an array of any type that may be a
/// key. Write the macro outside of functions.
///
/// The function MUST be pure, MUST NOT panic, and MUST keep its meaning for as long as an index uses its name: every
/// node of the cluster computes its entries on its own. Give a function that finds other values another name.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tabularaft_schema::{IndexDef, IndexFunction, IndexOn, Record, register_index_function};
///
/// #[derive(Record, Serialize, Deserialize)]
/// #[record(table = "user", crate = "tabularaft_schema")]
/// struct User {
///     #[key]
///     name: String,
///     mail: String,
/// }
///
/// fn domain(user: &User) -> Option<String> {
///     user.mail.split_once('@').map(|(_, domain)| domain.to_lowercase())
/// }
///
/// register_index_function!("mail_domain", domain: fn(&User) -> Option<String>);
///
/// # fn main() {
/// assert!(IndexFunction::named("mail_domain").is_some());
/// let by_domain = IndexDef::new("by_domain", IndexOn::Function("mail_domain".into()));
/// # assert!(!by_domain.unique);
/// # }
/// ```
#[macro_export]
macro_rules! register_index_function {
    ($name:literal, $function:path : fn(& $record:ty) -> $values:ty $(,)?) => {
        const _: () = {
            $crate::__private::inventory::submit! {
                $crate::IndexFunction::new(
                    $name,
                    $crate::__private::index_value_type::<$values>,
                    |record, values| {
                        $crate::__private::gather_index_values::<$record, $values>(record, values, |record| {
                            $function(record)
                        })
                    },
                )
            }
        };
    };
}
