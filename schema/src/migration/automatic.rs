//! Changes of shapes that need no migration.

use crate::field::FieldType;
use crate::shape::RecordShape;
use crate::value::Value;

/// How each field of a new shape comes from an old one.
#[derive(Clone, Debug)]
pub(super) struct Automatic {
    fields: Vec<Source>,
}

#[derive(Clone, Debug)]
enum Source {
    /// The value of the field at this place of the old shape.
    Field(usize),
    /// The field is new, and this says that there is nothing in it.
    Nothing(Value),
}

impl Automatic {
    /// Fields may be dropped, reordered and made optional; new ones must be optional, lists or maps.
    ///
    /// The error says which field is in the way.
    pub(super) fn between(old: &RecordShape, new: &RecordShape) -> Result<Self, String> {
        let source = |field: &crate::field::FieldDef| match old
            .position(&field.name)
            .zip(old.field(&field.name))
        {
            Some((at, before)) if fits(&before.field_type, &field.field_type) => Ok(Source::Field(at)),
            Some((_, before)) => {
                let (name, was, is) = (&field.name, &before.field_type, &field.field_type);
                Err(format!("the field `{name}` was {was} and is to be {is}"))
            }
            None => nothing(&field.field_type).map(Source::Nothing).ok_or_else(|| {
                format!("the field `{}` of type {} is new and cannot be empty", field.name, field.field_type)
            }),
        };
        Ok(Self { fields: new.fields.iter().map(source).collect::<Result<_, _>>()? })
    }

    pub(super) fn migrate(&self, values: &[Value]) -> Vec<Value> {
        let value = |source: &Source| match source {
            Source::Field(at) => values.get(*at).cloned().unwrap_or(Value::Null),
            Source::Nothing(value) => value.clone(),
        };
        self.fields.iter().map(value).collect()
    }
}

fn fits(old: &FieldType, new: &FieldType) -> bool {
    old == new || matches!(new, FieldType::Optional(inner) if **inner == *old)
}

fn nothing(field_type: &FieldType) -> Option<Value> {
    match field_type {
        FieldType::Optional(_) => Some(Value::Null),
        FieldType::List(_) => Some(Value::List(Vec::new())),
        FieldType::Map(_) => Some(Value::Map(std::collections::BTreeMap::new())),
        _ => None,
    }
}
