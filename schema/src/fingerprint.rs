//! What two nodes compare before one joins the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::difference::{self, Difference};
use crate::error::Result;
use crate::module::{self, Module, registered_modules};
use crate::table_def::TableDef;

/// Modules and table definitions as sorted pairs of key and value, in readable text, so that nodes which differ can
/// say in what.
///
/// ```
/// use tabularaft_schema::{FieldType, Fingerprint, TableDef};
///
/// let table = |field_type| TableDef::builder("t")?.field("id", field_type).key("id").build();
/// # let table = |field_type| Ok::<_, tabularaft_schema::Error>(TableDef::builder("t")?.field("id", field_type).key("id").build()?);
/// let ours = Fingerprint::of_tables([&table(FieldType::U64)?]);
/// let theirs = Fingerprint::of_tables([&table(FieldType::String)?]);
/// let differences = ours.differences(&theirs);
/// assert_eq!(differences[0].to_string(), "table t: field id is u64 (field 1) here and string (field 1) there");
/// # Ok::<(), tabularaft_schema::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, String>);

impl Fingerprint {
    /// The fingerprint of these tables.
    #[must_use]
    pub fn of_tables<'a>(tables: impl IntoIterator<Item = &'a TableDef>) -> Self {
        let mut pairs = BTreeMap::new();
        for table in tables {
            let properties = table.properties().into_iter();
            pairs.extend(
                properties.map(|(property, value)| (format!("table {}: {property}", table.name), value)),
            );
        }
        Self(pairs)
    }

    /// The pairs, sorted by key.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Adds a pair of the application's own, such as a version that must agree.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// All differences, sorted by key. Empty if the two agree.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        difference::between(&self.0, &other.0)
    }
}

/// The fingerprint of the modules linked into this program and of the tables they ask for.
///
/// # Errors
/// [`Error::Module`](crate::Error::Module) if two modules contradict each other or a boot hook fails.
pub fn fingerprint() -> Result<Fingerprint> {
    of_modules(&registered_modules())
}

fn of_modules(modules: &[&'static dyn Module]) -> Result<Fingerprint> {
    let mut fingerprint = Fingerprint::of_tables(module::boot(modules)?.tables());
    for module in modules {
        fingerprint.insert(format!("module {}", module.name()), "linked");
    }
    Ok(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::Boot;
    use crate::field::FieldType;

    struct Router;

    impl Module for Router {
        fn name(&self) -> &'static str {
            "router"
        }

        fn boot(&self, boot: &mut Boot) -> Result<()> {
            boot.create(TableDef::builder("route")?.field("topic", FieldType::String).key("topic").build()?)
        }
    }

    #[test]
    fn a_fingerprint_names_modules_and_every_property_of_their_tables() {
        let ours = of_modules(&[&Router]).unwrap();
        assert!(ours.pairs().any(|pair| pair == ("module router", "linked")));
        assert!(ours.pairs().any(|pair| pair == ("table route: kind", "set")));
        assert!(ours.differences(&ours).is_empty());

        let theirs = of_modules(&[]).unwrap();
        let differences = ours.differences(&theirs);
        assert_eq!(differences.len(), ours.pairs().len());
        assert_eq!(differences[0].to_string(), "module router is linked here and none there");
    }
}
