//! What is wrong with records.

use thiserror::Error;

use super::shortened;

/// A record that does not fit its table. Messages name the field and what was expected, never the content.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A field is not given and not optional.
    #[error("field `{field}` is missing: expected {expected}")]
    MissingField {
        /// The field.
        field: String,
        /// Its type.
        expected: String,
    },
    /// A field is given that the table does not have.
    #[error("field `{field}` is unknown: the table's fields are {known}")]
    UnknownField {
        /// The field as given.
        field: String,
        /// The table's fields, separated by commas.
        known: String,
    },
    /// A field's value is of another type or out of range.
    #[error("field `{field}`: expected {expected}, found {found}")]
    Mistyped {
        /// The field; inside lists and maps with the place, as in `tags[3]`.
        field: String,
        /// Its type.
        expected: String,
        /// What was given, in words.
        found: String,
    },
    /// A floating-point value that JSON cannot express.
    #[error("field `{field}` holds {found}, which JSON cannot express")]
    NotFinite {
        /// The field.
        field: String,
        /// `NaN`, `inf` or `-inf`.
        found: String,
    },
    /// The number of values is not the number of fields.
    #[error("expected {expected} values, one for each field, found {found}")]
    ValueCount {
        /// The number of fields.
        expected: usize,
        /// The number of values.
        found: usize,
    },
    /// The JSON given is no object.
    #[error("expected a JSON object with the fields {known}, found {found}")]
    NotAnObject {
        /// The table's fields, separated by commas.
        known: String,
        /// What was given, in words.
        found: &'static str,
    },
    /// Stored or received bytes are no record of this shape.
    #[error("field `{field}`: the bytes are no {expected}: {problem}")]
    Malformed {
        /// The field at which reading stopped.
        field: String,
        /// Its type.
        expected: String,
        /// What is wrong there.
        problem: &'static str,
    },
    /// Stored or received bytes go on after the last field.
    #[error("{bytes} bytes follow the last field: the record is of another shape")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The record is larger than the table allows.
    #[error("the record has {bytes} bytes, the table allows {bytes_max} (option record_bytes_max)")]
    TooLarge {
        /// The record's size.
        bytes: usize,
        /// The table's limit.
        bytes_max: usize,
    },
    /// The Rust type's own `Serialize` refused.
    #[error("a record of table `{table}` cannot be encoded: {problem}")]
    Encode {
        /// The table.
        table: &'static str,
        /// What serde said.
        problem: String,
    },
    /// The Rust type's own `Deserialize` refused.
    #[error("a record of table `{table}` cannot be decoded into its Rust type: {problem}")]
    Decode {
        /// The table.
        table: &'static str,
        /// What serde said.
        problem: String,
    },
}

impl RecordError {
    /// The same error, seen from outside: `segment` is put before the field's path. Paths are built only when an
    /// error travels up, so reading a good record costs nothing for them.
    pub(crate) fn within(mut self, segment: &str) -> Self {
        if let Self::MissingField { field, .. }
        | Self::Mistyped { field, .. }
        | Self::NotFinite { field, .. }
        | Self::Malformed { field, .. } = &mut self
        {
            field.insert_str(0, segment);
        }
        self
    }

    /// The error of a list's item.
    pub(crate) fn within_place(self, place: impl std::fmt::Display) -> Self {
        self.within(&format!("[{place}]"))
    }

    /// The error of a map's item.
    pub(crate) fn within_name(self, name: &str) -> Self {
        self.within(&format!(".{}", shortened(name)))
    }
}
