//! The one strict reader: JSON or TOML bytes to a tree, a tree to named fields.
//!
//! Requests, configuration, slot values and token replies all come through here, so that an unknown key,
//! a key given twice, or a value of the wrong type is found the same way everywhere, and named. Nothing
//! of a value ever enters an error: it may be a token (I6).

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::text::Escaped;

/// A parsed value. No `Debug`: it may hold secrets.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// JSON `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number that fits 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A JSON array.
    List(Vec<Value>),
    /// A JSON object or TOML table, in the order written, each key once.
    Map(Vec<(String, Value)>),
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    /// The field's name, dotted where nested; empty for the document itself. Not escaped.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a field.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// The bytes are no JSON, or end too early; counted from one.
    Malformed {
        /// Line of the fault.
        line: usize,
        /// Column of the fault, in bytes.
        column: usize,
    },
    /// The key is given twice.
    Duplicate,
    /// The key is not one this document knows.
    Unknown,
    /// The key is required.
    Missing,
    /// The value has another type than this one.
    Wanted(&'static str),
    /// The value is over this limit.
    Over(usize),
    /// The value breaks a rule, said in words of ours.
    Invalid(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "`{}`: ", Escaped(&self.field))?;
        }
        match self.problem {
            Problem::Malformed { line, column } => {
                write!(f, "not valid JSON at line {line}, column {column}")
            }
            Problem::Duplicate => f.write_str("given twice"),
            Problem::Unknown => f.write_str("not a known key"),
            Problem::Missing => f.write_str("required but missing"),
            Problem::Wanted(kind) => write!(f, "must be {kind}"),
            Problem::Over(limit) => write!(f, "over the limit of {limit}"),
            Problem::Invalid(why) => f.write_str(why),
        }
    }
}

impl Error {
    /// An error about one field.
    #[must_use]
    pub fn new(field: &str, problem: Problem) -> Self {
        Self { field: field.to_owned(), problem }
    }
}

/// Reads one JSON document (RFC 8259, UTF-8, no byte order mark, nothing after it, at most 127 levels deep).
pub fn json(bytes: &[u8]) -> Result<Value, Error> {
    let path = Path::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Node(&path).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| match path.duplicate.take() {
        Some(field) => Error { field, problem: Problem::Duplicate },
        None => Error {
            field: path.keys.take().join("."),
            problem: Problem::Malformed { line: error.line(), column: error.column() },
        },
    })
}

/// Where the reader stands, so that a fault inside a value can name the field it is in.
#[derive(Default)]
struct Path {
    keys: RefCell<Vec<String>>,
    duplicate: RefCell<Option<String>>,
}

#[derive(Clone, Copy)]
struct Node<'a>(&'a Path);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The value of a key. It is read behind the colon: what no colon follows is no key but may be a value, one
/// comma or bracket too far, and is not to be named.
struct Entry<'a>(Node<'a>, &'a str);

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Self(node, key) = self;
        node.0.keys.borrow_mut().push(key.to_owned());
        node.deserialize(deserializer)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "beyond i64 it is only ever refused as too large")]
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map: Vec<(String, Value)> = Vec::new();
        // A set, for a hostile document may hold a hundred thousand keys.
        let mut known = HashSet::new();
        // A key stays in the path until the next one is read: what follows its value is its fault too.
        while let Some(key) = entries.next_key::<String>()? {
            if !map.is_empty() {
                self.0.keys.borrow_mut().pop();
            }
            if !known.insert(key.clone()) {
                self.0.keys.borrow_mut().push(key);
                *self.0.duplicate.borrow_mut() = Some(self.0.keys.borrow().join("."));
                return Err(A::Error::custom("duplicate key"));
            }
            let value = entries.next_value_seed(Entry(self, &key))?;
            map.push((key, value));
        }
        if !map.is_empty() {
            self.0.keys.borrow_mut().pop();
        }
        Ok(Value::Map(map))
    }
}

/// The fields of one object, taken out one by one; [`Fields::done`] refuses what is left.
pub struct Fields {
    within: String,
    map: Vec<(String, Value)>,
}

impl Fields {
    /// The fields of a document that must be an object.
    pub fn of(value: Value) -> Result<Self, Error> {
        Self::nested("", value)
    }

    fn nested(within: &str, value: Value) -> Result<Self, Error> {
        match value {
            Value::Map(map) => Ok(Self { within: within.to_owned(), map }),
            _ => Err(Error::new(within, Problem::Wanted("an object"))),
        }
    }

    /// The full, dotted name of a key in here.
    #[must_use]
    pub fn name(&self, key: &str) -> String {
        match (self.within.as_str(), key) {
            ("", key) => key.to_owned(),
            (within, "") => within.to_owned(),
            (within, key) => format!("{within}.{key}"),
        }
    }

    /// An error about a key in here.
    #[must_use]
    pub fn error(&self, key: &str, problem: Problem) -> Error {
        Error { field: self.name(key), problem }
    }

    /// Takes a value of whatever type.
    pub fn any(&mut self, key: &str) -> Option<Value> {
        let at = self.map.iter().position(|(known, _)| known == key)?;
        Some(self.map.swap_remove(at).1)
    }

    /// Gives a key a value if it has none.
    pub fn stand_in(&mut self, key: &str, value: Value) {
        if !self.map.iter().any(|(known, _)| known == key) {
            self.map.push((key.to_owned(), value));
        }
    }

    /// Takes a nested object.
    pub fn object(&mut self, key: &str) -> Result<Option<Self>, Error> {
        let name = self.name(key);
        self.any(key).map(|value| Self::nested(&name, value)).transpose()
    }

    /// Takes every nested object left in here, with its name.
    pub fn objects(&mut self) -> Result<Vec<(String, Self)>, Error> {
        let entries = std::mem::take(&mut self.map);
        entries
            .into_iter()
            .map(|(key, value)| Ok((key.clone(), Self::nested(&self.name(&key), value)?)))
            .collect()
    }

    /// Takes every text left in here, with its name.
    pub fn texts(&mut self, limit: usize) -> Result<Vec<(String, String)>, Error> {
        let keys: Vec<String> = self.map.iter().map(|(key, _)| key.clone()).collect();
        keys.into_iter().map(|key| Ok((key.clone(), self.required_text(&key, limit)?))).collect()
    }

    /// Takes a text of at most `limit` bytes.
    pub fn text(&mut self, key: &str, limit: usize) -> Result<Option<String>, Error> {
        match self.any(key) {
            None => Ok(None),
            Some(Value::Text(text)) if text.len() > limit => Err(self.error(key, Problem::Over(limit))),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(key, Problem::Wanted("a string"))),
        }
    }

    /// Takes a text that must be there.
    pub fn required_text(&mut self, key: &str, limit: usize) -> Result<String, Error> {
        self.text(key, limit)?.ok_or_else(|| self.error(key, Problem::Missing))
    }

    /// Takes a text and reads it with `parse`, whose complaint becomes the field's.
    pub fn parsed<T>(
        &mut self,
        key: &str,
        limit: usize,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Result<Option<T>, Error> {
        let text = self.text(key, limit)?;
        text.map(|text| parse(&text).map_err(|why| self.error(key, Problem::Invalid(why)))).transpose()
    }

    /// Takes a truth value.
    pub fn truth(&mut self, key: &str) -> Result<Option<bool>, Error> {
        match self.any(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(_) => Err(self.error(key, Problem::Wanted("true or false"))),
        }
    }

    /// Takes a whole number from 0 to `limit`.
    pub fn count(&mut self, key: &str, limit: i64) -> Result<Option<i64>, Error> {
        const KIND: &str = "a whole number, zero or more";
        match self.any(key) {
            None => Ok(None),
            Some(Value::Int(number)) if number < 0 => Err(self.error(key, Problem::Wanted(KIND))),
            Some(Value::Int(number)) if number <= limit => Ok(Some(number)),
            Some(Value::Int(_)) => {
                Err(self.error(key, Problem::Over(usize::try_from(limit).unwrap_or(usize::MAX))))
            }
            Some(_) => Err(self.error(key, Problem::Wanted(KIND))),
        }
    }

    /// Takes a list of texts: at most `items` of them, each at most `limit` bytes.
    pub fn list(&mut self, key: &str, items: usize, limit: usize) -> Result<Option<Vec<String>>, Error> {
        let Some(value) = self.any(key) else { return Ok(None) };
        let Value::List(list) = value else {
            return Err(self.error(key, Problem::Wanted("a list of strings")));
        };
        if list.len() > items {
            return Err(self.error(key, Problem::Over(items)));
        }
        let texts = list.into_iter().map(|item| match item {
            Value::Text(text) if text.len() <= limit => Ok(text),
            Value::Text(_) => Err(self.error(key, Problem::Over(limit))),
            _ => Err(self.error(key, Problem::Wanted("a list of strings"))),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Refuses a key that is none of these, before a required one is missed: most often it is that one,
    /// misspelt.
    pub fn only(&self, known: &[&str]) -> Result<(), Error> {
        match self.map.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => Err(self.error(key, Problem::Unknown)),
        }
    }

    /// Refuses whatever key has not been taken.
    pub fn done(&self) -> Result<(), Error> {
        match self.map.first() {
            None => Ok(()),
            Some((key, _)) => Err(self.error(key, Problem::Unknown)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        json(text.as_bytes()).err().unwrap().to_string()
    }

    #[test]
    fn a_fault_inside_a_value_names_the_field() {
        assert_eq!(fault(r#"{"a":{"b":1e400}}"#), "`a.b`: not valid JSON at line 1, column 15");
        assert_eq!(fault(r#"{"service":"\ud800"}"#), "`service`: not valid JSON at line 1, column 19");
        assert_eq!(fault(r#"{"a":1,"a":2}"#), "`a`: given twice");
        assert_eq!(fault(r#"{"scopes":"a","RT-secret"],"b":1}"#), "not valid JSON at line 1, column 26");
        assert_eq!(fault(""), "not valid JSON at line 1, column 0");
        assert_eq!(fault("{} {}"), "not valid JSON at line 1, column 4");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(fault(&deep).starts_with("`a`: not valid JSON"));
    }

    #[test]
    fn types_are_never_converted() {
        let fields = || {
            Fields::of(json(br#"{"n":"1","b":1,"t":true,"l":["a",1],"f":1.5}"#).ok().unwrap()).ok().unwrap()
        };
        assert!(fields().count("n", 10).is_err());
        assert!(fields().truth("b").is_err());
        assert!(fields().text("t", 10).is_err());
        assert!(fields().list("l", 10, 10).is_err());
        assert!(fields().count("f", 10).is_err());
        assert_eq!(fields().done().unwrap_err().problem, Problem::Unknown);
    }
}
