//! In what two definitions differ.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::table_def::TableDef;

/// One property in which two things differ, with both values as text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Difference {
    /// The property: `kind`, `field topic`, `option owned`, …
    pub field: String,
    /// Its value on our side; `none` if it is absent.
    pub ours: String,
    /// Its value on the other side; `none` if it is absent.
    pub theirs: String,
}

impl Difference {
    /// Whether it is about a secondary index, so that records of both definitions are the same.
    #[must_use]
    pub fn is_of_index(&self) -> bool {
        self.field.starts_with("index ")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} here and {} there", self.field, self.ours, self.theirs)
    }
}

/// The differences of two sets of named properties, sorted by name.
pub(crate) fn between(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> Vec<Difference> {
    let only_theirs = theirs.keys().filter(|field| !ours.contains_key(*field));
    let mut fields: Vec<_> = ours.keys().chain(only_theirs).collect();
    fields.sort();
    let value = |side: &BTreeMap<String, String>, field| {
        side.get(field).cloned().unwrap_or_else(|| "none".to_owned())
    };
    let differing = fields.into_iter().filter(|field| ours.get(*field) != theirs.get(*field));
    differing
        .map(|field| Difference {
            field: field.clone(),
            ours: value(ours, field),
            theirs: value(theirs, field),
        })
        .collect()
}

impl TableDef {
    /// All differences between this definition and another, sorted by property. Empty if they are equal.
    ///
    /// The table's name is not compared.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        between(&self.properties(), &other.properties())
    }

    /// The differences that make records of one definition unfit for the other: kind, key, fields, record version,
    /// `owned` and `local_content`. How nodes hold a table, its indexes and its other options may change while it is in
    /// use, and leave its records as they are.
    #[must_use]
    pub fn record_differences(&self, other: &Self) -> Vec<Difference> {
        let mut all = self.differences(other);
        all.retain(|difference| !is_changeable(&difference.field) && !difference.is_of_index());
        all
    }

    /// The differences that a program which declares this definition cannot live with, where `existing` is a table
    /// that has been in use since: as [`record_differences`](Self::record_differences), and indexes that it declares
    /// and the table lacks.
    #[must_use]
    pub fn missing_in(&self, existing: &Self) -> Vec<Difference> {
        let mut all = self.differences(existing);
        let was_added = |difference: &Difference| difference.is_of_index() && difference.ours == "none";
        all.retain(|difference| !is_changeable(&difference.field) && !was_added(difference));
        all
    }

    /// The whole definition but its name, as text. What is not mentioned here goes unnoticed when two definitions
    /// are compared, so a new property MUST be added.
    pub(crate) fn properties(&self) -> BTreeMap<String, String> {
        let Self { name: _, kind, copy, shape, key, indexes, options } = self;
        let mut properties = BTreeMap::from([
            ("kind".to_owned(), kind.to_string()),
            ("copy".to_owned(), copy.to_string()),
            ("key".to_owned(), key.join(", ")),
            ("record version".to_owned(), shape.version.to_string()),
        ]);
        let options = options.properties().into_iter();
        properties.extend(options.map(|(option, value)| (format!("option {option}"), value)));
        for (place, field) in (1..).zip(&shape.fields) {
            properties
                .insert(format!("field {}", field.name), format!("{} (field {place})", field.field_type));
        }
        for index in indexes {
            let unique = if index.unique { "unique " } else { "" };
            properties.insert(format!("index {}", index.name), format!("{unique}on {}", index.on));
        }
        properties
    }
}

/// Whether the property may be changed while the table is in use without touching its records.
fn is_changeable(property: &str) -> bool {
    let option = property.strip_prefix("option ");
    property == "copy" || option.is_some_and(|option| !matches!(option, "owned" | "local_content"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldType;
    use crate::index_def::IndexDef;
    use crate::kind::TableKind;
    use crate::table_options::TableOptions;

    fn def() -> TableDef {
        let def = TableDef::builder("t").unwrap().field("a", FieldType::U64).field("b", FieldType::String);
        def.key("a").index("b").build().unwrap()
    }

    fn differing(change: impl FnOnce(&mut TableDef)) -> Vec<String> {
        let mut other = def();
        change(&mut other);
        def().differences(&other).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_definitions_do_not_differ() {
        assert!(differing(|_| ()).is_empty());
    }

    #[test]
    fn every_property_is_compared() {
        assert_eq!(differing(|def| def.kind = TableKind::Bag), ["kind is set here and bag there"]);
        assert_eq!(differing(|def| def.copy = crate::CopyMode::Ram), ["copy is disc here and ram there"]);
        assert_eq!(differing(|def| def.key.push("b".into())), ["key is a here and a, b there"]);
        assert_eq!(differing(|def| def.shape.version = 2), ["record version is 1 here and 2 there"]);
        assert_eq!(
            differing(|def| def.shape.fields.swap(0, 1)),
            [
                "field a is u64 (field 1) here and u64 (field 2) there",
                "field b is string (field 2) here and string (field 1) there"
            ]
        );
        assert_eq!(
            differing(|def| def.shape.fields[1].name = "c".into()),
            [
                "field b is string (field 2) here and none there",
                "field c is none here and string (field 2) there"
            ]
        );
        assert_eq!(differing(|def| def.indexes.clear()), ["index b is on b here and none there"]);
        let unique = IndexDef::on_field("b").unique();
        assert_eq!(
            differing(|def| def.indexes = vec![unique]),
            ["index b is on b here and unique on b there"]
        );
        let options = TableOptions {
            owned: true,
            local_content: true,
            load_order: 1,
            record_bytes_max: Some(9),
            read_only: true,
            ttl_ms: Some(1),
            records_max: Some(2),
            bytes_max: Some(3),
        };
        assert_eq!(differing(|def| def.options = options).len(), 8);
    }

    #[test]
    fn what_may_change_while_a_table_is_in_use_is_no_difference_of_its_records() {
        let declared = def();
        let mut existing = def();
        existing.copy = crate::CopyMode::Ram;
        existing.options = TableOptions { read_only: true, ttl_ms: Some(1), ..TableOptions::default() };
        existing.indexes.push(IndexDef::on_field("a"));
        assert!(declared.record_differences(&existing).is_empty());
        assert!(declared.missing_in(&existing).is_empty());
        existing.indexes.clear();
        assert!(declared.record_differences(&existing).is_empty());
        assert_eq!(declared.missing_in(&existing).len(), 1, "an index that the program counts on");
        existing = TableDef { options: TableOptions { owned: true, ..TableOptions::default() }, ..def() };
        assert_eq!(declared.record_differences(&existing).len(), 1);
        existing = def();
        existing.shape.version = 2;
        assert_eq!(declared.missing_in(&existing).len(), 1);
    }
}
