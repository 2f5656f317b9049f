//! Conditions on records, as a caller writes them.

use std::fmt;

use tabularaft_schema::Value;

/// A condition on records: on fields, and combined with `and`, `or` and `not`.
///
/// ```
/// use tabularaft::query::field;
///
/// let filter = field("city").eq("Bern").and(field("age").between(18, 65).or(field("guest").eq(true)));
/// assert_eq!(filter.to_string(), r#"city = "Bern" and (age between 18 and 65 or guest = true)"#);
/// ```
///
/// A field without a value is equal to `None` and to nothing else, and neither less nor greater than anything.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these hold; none: always.
    All(Vec<Filter>),
    /// One of these holds; none: never.
    Any(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// A value meets a condition.
    Test(Subject, Condition),
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The value of this field.
    Field(String),
    /// Any of the values that this secondary index finds in the record.
    Index(String),
}

/// What a value is asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// It is this value.
    Eq(Value),
    /// It is less.
    Lt(Value),
    /// It is less or equal.
    Le(Value),
    /// It is greater.
    Gt(Value),
    /// It is greater or equal.
    Ge(Value),
    /// It is neither less than the first nor greater than the second.
    Between(Value, Value),
    /// It is one of these.
    In(Vec<Value>),
    /// It is a text that starts so.
    Prefix(String),
    /// It is a list with this item, or a text with this text in it.
    Contains(Value),
}

/// Begins a condition on the field of this name.
#[must_use]
pub fn field(name: impl Into<String>) -> Asked {
    Asked(Subject::Field(name.into()))
}

/// Begins a condition on what the secondary index of this name finds in a record: for indexes over functions.
#[must_use]
pub fn by_index(name: impl Into<String>) -> Asked {
    Asked(Subject::Index(name.into()))
}

/// A field or an index, about to be asked for something.
#[derive(Debug, Clone)]
pub struct Asked(Subject);

impl Asked {
    /// It is this value; `None` for a missing one.
    #[must_use]
    pub fn eq(self, value: impl Into<Value>) -> Filter {
        self.test(Condition::Eq(value.into()))
    }

    /// It is another value, or none.
    #[must_use]
    pub fn ne(self, value: impl Into<Value>) -> Filter {
        self.eq(value).negated()
    }

    /// It is less.
    #[must_use]
    pub fn lt(self, value: impl Into<Value>) -> Filter {
        self.test(Condition::Lt(value.into()))
    }

    /// It is less or equal.
    #[must_use]
    pub fn le(self, value: impl Into<Value>) -> Filter {
        self.test(Condition::Le(value.into()))
    }

    /// It is greater.
    #[must_use]
    pub fn gt(self, value: impl Into<Value>) -> Filter {
        self.test(Condition::Gt(value.into()))
    }

    /// It is greater or equal.
    #[must_use]
    pub fn ge(self, value: impl Into<Value>) -> Filter {
        self.test(Condition::Ge(value.into()))
    }

    /// It is neither less than `low` nor greater than `high`.
    #[must_use]
    pub fn between(self, low: impl Into<Value>, high: impl Into<Value>) -> Filter {
        self.test(Condition::Between(low.into(), high.into()))
    }

    /// It is one of these.
    #[must_use]
    #[expect(
        clippy::wrong_self_convention,
        reason = "a filter reads as a sentence, and a field's name is used up by it"
    )]
    pub fn is_in<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Filter {
        self.test(Condition::In(values.into_iter().map(Into::into).collect()))
    }

    /// It is a text that starts so.
    #[must_use]
    pub fn prefix(self, prefix: impl Into<String>) -> Filter {
        self.test(Condition::Prefix(prefix.into()))
    }

    /// It is a list with this item, or a text with this text in it.
    #[must_use]
    pub fn contains(self, item: impl Into<Value>) -> Filter {
        self.test(Condition::Contains(item.into()))
    }

    /// It has no value.
    #[must_use]
    #[expect(
        clippy::wrong_self_convention,
        reason = "a filter reads as a sentence, and a field's name is used up by it"
    )]
    pub fn is_none(self) -> Filter {
        self.eq(Value::Null)
    }

    fn test(self, condition: Condition) -> Filter {
        Filter::Test(self.0, condition)
    }
}

impl Filter {
    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match self {
            Self::All(mut all) => {
                all.push(other);
                Self::All(all)
            }
            first => Self::All(vec![first, other]),
        }
    }

    /// One of both holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Any(mut any) => {
                any.push(other);
                Self::Any(any)
            }
            first => Self::Any(vec![first, other]),
        }
    }

    /// It does not hold.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// The conditions that all have to hold.
    pub(super) fn conjuncts(&self) -> Vec<&Self> {
        match self {
            Self::All(all) => all.iter().flat_map(Self::conjuncts).collect(),
            other => vec![other],
        }
    }
}

impl Subject {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Field(name) | Self::Index(name) => name,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(all) if all.is_empty() => f.write_str("always"),
            Self::Any(any) if any.is_empty() => f.write_str("never"),
            Self::All(all) => joined(f, all, " and "),
            Self::Any(any) => joined(f, any, " or "),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Test(subject, condition) => write!(f, "{} {condition}", subject.name()),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str) -> fmt::Result {
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            f.write_str(word)?;
        }
        match part {
            Filter::All(inner) | Filter::Any(inner) if inner.len() > 1 => write!(f, "({part})")?,
            _ => write!(f, "{part}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eq(value) => write!(f, "= {}", text(value)),
            Self::Lt(value) => write!(f, "< {}", text(value)),
            Self::Le(value) => write!(f, "<= {}", text(value)),
            Self::Gt(value) => write!(f, "> {}", text(value)),
            Self::Ge(value) => write!(f, ">= {}", text(value)),
            Self::Between(low, high) => write!(f, "between {} and {}", text(low), text(high)),
            Self::In(values) => {
                write!(f, "in ({})", values.iter().map(text).collect::<Vec<_>>().join(", "))
            }
            Self::Prefix(prefix) => write!(f, "starts with {prefix:?}"),
            Self::Contains(item) => write!(f, "contains {}", text(item)),
        }
    }
}

/// A value as JSON.
pub(super) fn text(value: &Value) -> String {
    value.to_json().map_or_else(|_| format!("{value:?}"), |json| json.to_string())
}
