//! What the measuring process and a node process tell each other: one line of words each way,
//! `verb name=value name=value`. Every peer's node speaks it, in Rust or in Erlang, so that one driver drives them all.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use crate::Failure;

/// A command or a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What to do, or what came of it.
    pub verb: String,
    fields: BTreeMap<String, String>,
}

impl Line {
    /// A line without fields.
    pub fn new(verb: impl Into<String>) -> Self {
        Self { verb: verb.into(), fields: BTreeMap::new() }
    }

    /// The line with one more field. Values have no spaces.
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.fields.insert(name.to_owned(), value.to_string());
        self
    }

    /// The field's text.
    ///
    /// # Errors
    ///
    /// When the line has no such field.
    pub fn text(&self, name: &str) -> Result<&str, Failure> {
        let text = self.fields.get(name).map(String::as_str);
        text.ok_or_else(|| format!("`{self}` has no field {name}").into())
    }

    /// The field as a number.
    ///
    /// # Errors
    ///
    /// When the line has no such field, or it is no number.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<T, Failure> {
        let text = self.text(name)?;
        text.parse().map_err(|_| format!("`{self}`: {name} is not such a number").into())
    }

    /// The field as a number, or `otherwise` without it.
    ///
    /// # Errors
    ///
    /// When it is no number.
    pub fn number_or<T: FromStr>(&self, name: &str, otherwise: T) -> Result<T, Failure> {
        if self.fields.contains_key(name) { self.number(name) } else { Ok(otherwise) }
    }

    /// The whole numbers of a field `1,2,3`.
    ///
    /// # Errors
    ///
    /// When the line has no such field, or it holds something else.
    pub fn numbers(&self, name: &str) -> Result<Vec<i64>, Failure> {
        let numbers = self.text(name)?.split(',').map(str::parse).collect::<Result<_, _>>();
        numbers.map_err(|_| format!("`{self}`: {name} is no list of whole numbers").into())
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.verb)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

impl FromStr for Line {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let (verb, fields) = text.split_once(' ').unwrap_or((text, ""));
        let mut line = Self::new(verb);
        // What went wrong is said in a sentence, not in fields.
        if verb == "failed" {
            return Ok(line.with("why", fields));
        }
        for field in fields.split_whitespace() {
            let (name, value) =
                field.split_once('=').ok_or_else(|| format!("`{text}` is no line of fields"))?;
            line = line.with(name, value);
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let line = Line::new("run").with("callers", 16).with("seconds", 0.5);
        let read: Line = line.to_string().parse().expect("it was written as a line");
        assert_eq!(read, line);
        assert_eq!(read.number::<f64>("seconds").expect("a number"), 0.5);
    }

    #[test]
    fn a_failure_keeps_its_sentence() {
        let read: Line = "failed table t is full".parse().expect("any sentence is one");
        assert_eq!(read.text("why").expect("the sentence"), "table t is full");
    }
}
