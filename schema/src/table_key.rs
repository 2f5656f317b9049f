//! The keys of a table's records: of records as bytes, of values, and as operators write them.

use serde_json::Value as Json;

use crate::error::{KeyError, RecordError};
use crate::field::{FieldDef, FieldType};
use crate::key::Key;
use crate::key_codec;
use crate::table_def::TableDef;
use crate::value::Value;
use crate::value_codec::{self, Reader};

impl TableDef {
    /// Checks that the bytes are a record of this table, no larger than the table allows.
    ///
    /// # Errors
    /// [`RecordError`] if they are not.
    pub fn check_record(&self, record: &[u8]) -> Result<(), RecordError> {
        if let Some(bytes_max) = self.options.record_bytes_max {
            let (bytes, bytes_max) = (record.len(), bytes_max as usize);
            if bytes > bytes_max {
                return Err(RecordError::TooLarge { bytes, bytes_max });
            }
        }
        self.shape.check(record)
    }

    /// The key of a record, for which the whole record is checked as [`RecordShape::check`](crate::RecordShape::check) does.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes are no record of this table.
    pub fn key_of_record(&self, record: &[u8]) -> Result<Key, RecordError> {
        let mut parts: [Option<Reader<'_>>; Self::KEY_FIELDS_MAX] = [const { None }; Self::KEY_FIELDS_MAX];
        let mut reader = Reader::new(record);
        for field in &self.shape.fields {
            if let Some(part) =
                self.key.iter().position(|name| *name == field.name).and_then(|at| parts.get_mut(at))
            {
                *part = Some(reader.clone());
            }
            value_codec::skip(&mut reader, &field.field_type).map_err(|error| error.within(&field.name))?;
        }
        reader.finish()?;

        let mut key = Vec::new();
        for (place, name) in self.key.iter().enumerate() {
            let field = self.key_field(name)?;
            let part = parts.get_mut(place).and_then(Option::as_mut).ok_or_else(|| missing(field))?;
            key_codec::put_field(&mut key, &field.field_type, part).map_err(|error| error.within(name))?;
        }
        Ok(Key::from_bytes(key))
    }

    /// The key of a record given as values, one for each field of the record, in order.
    ///
    /// # Errors
    /// [`RecordError`] if the values are not those of a record of this table.
    pub fn key_of_values(&self, values: &[Value]) -> Result<Key, RecordError> {
        self.shape.check_count(values)?;
        let mut key = Vec::new();
        for name in &self.key {
            let field = self.key_field(name)?;
            let value =
                self.shape.position(name).and_then(|at| values.get(at)).ok_or_else(|| missing(field))?;
            key_codec::put_value(&mut key, &field.field_type, value).map_err(|error| error.within(name))?;
        }
        Ok(Key::from_bytes(key))
    }

    /// The key made of these values, one for each key field, in key order. With fewer values it is the common prefix
    /// of all keys that start with them.
    ///
    /// # Errors
    /// [`KeyError`] if there are more values than key fields, or one is of another type.
    pub fn key_of_parts(&self, parts: &[Value]) -> Result<Key, KeyError> {
        if parts.len() > self.key.len() {
            return Err(self.invalid_key(format!("found {} values", parts.len())));
        }
        let mut key = Vec::new();
        for (field, value) in self.key_fields().zip(parts) {
            key_codec::put_value(&mut key, &field.field_type, value)
                .map_err(|error| self.invalid_key(error.within(&field.name).to_string()))?;
        }
        Ok(Key::from_bytes(key))
    }

    /// The values of the key's fields, in key order.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if the bytes are no key of this table.
    pub fn values_of_key(&self, key: &[u8]) -> Result<Vec<Value>, KeyError> {
        let malformed = |problem| KeyError::Malformed { table: self.name.clone(), problem };
        let mut rest = key;
        let take = |field: &FieldDef| key_codec::take_value(&mut rest, &field.field_type);
        let values = self.key_fields().map(take).collect::<Result<_, _>>().map_err(malformed)?;
        if rest.is_empty() { Ok(values) } else { Err(malformed("it goes on after the last key field")) }
    }

    /// The key as JSON: the bare value of a key of one field, an array for a compound key. What
    /// [`key_from_json`](Self::key_from_json) reads.
    ///
    /// # Errors
    /// [`KeyError`] if the bytes are no key of this table, or a float in it is NaN or infinite.
    pub fn key_to_json(&self, key: &[u8]) -> Result<Json, KeyError> {
        let values = self.values_of_key(key)?;
        let json = self.key_fields().zip(&values).map(|(field, value)| {
            value.to_json().map_err(|error| self.invalid_key(error.within(&field.name).to_string()))
        });
        let mut json = json.collect::<Result<Vec<_>, _>>()?;
        match json.pop() {
            Some(only) if json.is_empty() => Ok(only),
            last => {
                json.extend(last);
                Ok(Json::Array(json))
            }
        }
    }

    /// The key given as JSON: a bare value (or an array of one) for a key of one field, an array with a value for
    /// each field for a compound key.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] says what was found and how a key of this table is written.
    pub fn key_from_json(&self, json: &Json) -> Result<Key, KeyError> {
        let parts = match json {
            Json::Array(parts) => parts.as_slice(),
            single => std::slice::from_ref(single),
        };
        if parts.len() != self.key.len() {
            return Err(self.invalid_key(format!("found {} values", parts.len())));
        }
        self.key_of_parts(&self.parts_from_json(parts)?)
    }

    /// The key as an operator writes it: for a key of one field its value as plain text (see
    /// [`FieldType::from_text`]), for a compound key a JSON array.
    ///
    /// ```
    /// # use tabularaft_schema::{FieldType, TableDef};
    /// let message = TableDef::builder("message")?
    ///     .field("room", FieldType::String)
    ///     .field("number", FieldType::U64)
    ///     .key("room")
    ///     .key("number")
    ///     .build()?;
    /// let key = message.parse_key(r#"["kitchen", 7]"#)?;
    /// assert_eq!(message.key_to_json(&key)?.to_string(), r#"["kitchen",7]"#);
    /// # Ok::<(), tabularaft_schema::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`KeyError::Invalid`] says what was found and how a key of this table is written.
    pub fn parse_key(&self, text: &str) -> Result<Key, KeyError> {
        let mut fields = self.key_fields();
        if let (Some(field), None) = (fields.next(), fields.next()) {
            let value = field.field_type.from_text(text);
            let value = value.map_err(|error| self.invalid_key(error.within(&field.name).to_string()))?;
            return self.key_of_parts(&[value]);
        }
        match serde_json::from_str(text) {
            Ok(json) => self.key_from_json(&json),
            Err(_) => Err(self.invalid_key("the text is no JSON array".to_owned())),
        }
    }

    /// The bytes that the wanted keys start with. Plain text means all keys whose first field starts with it; for
    /// compound keys a JSON array means all keys whose first fields are exactly these. A first field of bytes takes
    /// its prefix as base64.
    ///
    /// A scan by prefix runs from these bytes up to their [successor](Key::successor_of_prefix).
    ///
    /// # Errors
    /// [`KeyError::NoPrefix`] if the first field is neither string nor bytes, [`KeyError::Invalid`] if the text or
    /// JSON does not fit the key.
    pub fn key_prefix(&self, text: &str) -> Result<Key, KeyError> {
        if self.key.len() > 1 && text.starts_with('[') {
            let Ok(parts) = serde_json::from_str::<Vec<Json>>(text) else {
                return Err(self.invalid_key("the text is no JSON array".to_owned()));
            };
            return self.key_of_parts(&self.parts_from_json(&parts)?);
        }
        let Some(field) = self.key_fields().next() else {
            return Err(self.invalid_key("the table has no key".to_owned()));
        };
        let mut key = Vec::new();
        let field_type = match &field.field_type {
            FieldType::Optional(inner) => {
                key_codec::put_some(&mut key);
                &**inner
            }
            field_type => field_type,
        };
        match field_type.from_text(text) {
            Ok(Value::String(start)) => key_codec::put_bytes_prefix(&mut key, start.as_bytes()),
            Ok(Value::Bytes(start)) => key_codec::put_bytes_prefix(&mut key, &start),
            Err(error) if *field_type == FieldType::Bytes => {
                return Err(self.invalid_key(error.within(&field.name).to_string()));
            }
            _ => {
                let (field, field_type) = (field.name.clone(), field.field_type.to_string());
                return Err(KeyError::NoPrefix { table: self.name.clone(), field, field_type });
            }
        }
        Ok(Key::from_bytes(key))
    }

    fn parts_from_json(&self, parts: &[Json]) -> Result<Vec<Value>, KeyError> {
        if parts.len() > self.key.len() {
            return Err(self.invalid_key(format!("found {} values", parts.len())));
        }
        let read = |(field, json): (&FieldDef, &Json)| {
            let value = field.field_type.from_json(json);
            value.map_err(|error| self.invalid_key(error.within(&field.name).to_string()))
        };
        self.key_fields().zip(parts).map(read).collect()
    }

    fn key_field(&self, name: &str) -> Result<&FieldDef, RecordError> {
        self.shape.field(name).ok_or_else(|| RecordError::UnknownField {
            field: name.to_owned(),
            known: self.shape.field_names(),
        })
    }

    fn invalid_key(&self, problem: String) -> KeyError {
        let fields: Vec<_> =
            self.key_fields().map(|field| format!("{} {}", field.name, field.field_type)).collect();
        let expected = match fields.as_slice() {
            [only] => only.clone(),
            _ => format!("a JSON array [{}]", fields.join(", ")),
        };
        KeyError::Invalid { table: self.name.clone(), problem, expected }
    }
}

fn missing(field: &FieldDef) -> RecordError {
    RecordError::MissingField { field: field.name.clone(), expected: field.field_type.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::key_for::KeyFor;

    fn table(key: &[&str]) -> TableDef {
        let def = TableDef::builder("t").unwrap();
        let def = def
            .field("tags", FieldType::list(FieldType::String))
            .field("room", FieldType::String)
            .field("number", FieldType::U64)
            .field("note", FieldType::optional(FieldType::String))
            .field("hash", FieldType::Bytes);
        key.iter().fold(def, |def, field| def.key(*field)).build().unwrap()
    }

    #[test]
    fn the_key_of_a_record_is_that_of_its_values_in_key_order() {
        let table = table(&["number", "note", "room"]);
        let values =
            [Value::List(vec!["x".into()]), "r".into(), Value::U64(9), "n".into(), Value::Bytes(vec![1])];
        let record = table.shape.encode(&values).unwrap();
        let key = table.key_of_record(&record).unwrap();
        assert_eq!(key, KeyFor::<(u64, Option<String>, String)>::to_key(&(9, Some("n".to_owned()), "r")));
        assert_eq!(table.key_of_values(&values).unwrap(), key);
        assert_eq!(table.values_of_key(&key).unwrap(), [Value::U64(9), "n".into(), "r".into()]);
        assert!(table.values_of_key(&key[1..]).is_err());
        assert!(table.values_of_key(&key.clone().joined(&[0])).is_err());
        assert!(
            table.key_of_record(&record[..record.len() - 1]).is_err(),
            "what follows the key is checked too"
        );
    }

    #[test]
    fn operators_write_plain_keys_for_one_field_and_arrays_for_several() {
        let parsed = |key: &[&str], text: &str| table(key).parse_key(text).map(Key::into_bytes);
        let key = |key: &dyn KeyFor<(String, u64)>| key.to_key().into_bytes();
        assert_eq!(parsed(&["room"], "a b").unwrap(), b"a b\x00\x01");
        assert_eq!(parsed(&["room"], "12").unwrap(), b"12\x00\x01");
        assert_eq!(parsed(&["number"], "12").unwrap(), [0, 0, 0, 0, 0, 0, 0, 12]);
        assert_eq!(parsed(&["note"], "null").unwrap(), [0]);
        assert_eq!(parsed(&["note"], "\"null\"").unwrap(), b"\x01null\x00\x01");
        assert_eq!(parsed(&["room", "number"], r#"["a", 1]"#).unwrap(), key(&("a", 1)));
        assert_eq!(
            parsed(&["number"], "twelve").unwrap_err().to_string(),
            "invalid key for table `t`: field `number`: expected u64 (an integer from 0 to 18446744073709551615), \
             found a string; expected number u64"
        );
        assert_eq!(
            parsed(&["room", "number"], "[\"a\"]").unwrap_err().to_string(),
            "invalid key for table `t`: found 1 values; expected a JSON array [room string, number u64]"
        );
    }

    #[test]
    fn keys_go_to_json_and_back() {
        for (fields, json) in [
            (&["room"][..], json!("x")),
            (&["note"], json!(null)),
            (&["hash", "note", "number"], json!(["AAE=", null, u64::MAX])),
        ] {
            let table = table(fields);
            let key = table.key_from_json(&json).unwrap();
            assert_eq!(table.key_to_json(&key).unwrap(), json);
        }
    }

    #[test]
    fn prefixes_are_of_the_first_field_or_of_whole_fields() {
        let by_room = table(&["room", "number"]);
        let key = |room: &str| KeyFor::<(String, u64)>::to_key(&(room, 1));
        let start = by_room.key_prefix("ki").unwrap();
        assert!(
            key("kitchen").starts_with(&start)
                && key("ki").starts_with(&start)
                && !key("k").starts_with(&start)
        );
        let exactly = by_room.key_prefix(r#"["ki"]"#).unwrap();
        assert!(!key("kitchen").starts_with(&exactly) && key("ki").starts_with(&exactly));
        assert!(by_room.key_prefix(r#"["a", 1, 2]"#).is_err());
        assert!(by_room.key_prefix("[").is_err());
        assert_eq!(table(&["note"]).key_prefix("n").unwrap().as_bytes(), b"\x01n");
        assert_eq!(table(&["hash"]).key_prefix("AAE=").unwrap().as_bytes(), b"\x00\xff\x01");
        assert!(table(&["hash"]).key_prefix("?").is_err());
        assert!(matches!(table(&["number"]).key_prefix("1").unwrap_err(), KeyError::NoPrefix { .. }));
        assert_eq!(by_room.key_prefix("").unwrap().as_bytes(), b"");
    }

    #[test]
    fn records_beyond_the_tables_limit_are_refused() {
        let mut table = table(&["room"]);
        let values =
            [Value::List(vec![]), "r".into(), Value::U64(9), Value::Null, Value::Bytes(vec![0; 100])];
        let record = table.shape.encode(&values).unwrap();
        assert!(table.check_record(&record).is_ok());
        table.options.record_bytes_max = Some(100);
        assert!(matches!(
            table.check_record(&record),
            Err(RecordError::TooLarge { bytes: 106, bytes_max: 100 })
        ));
    }
}
