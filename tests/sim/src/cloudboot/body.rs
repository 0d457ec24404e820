//! A request's body as a Go decoder reads it: the case of a key does not matter, unknown keys are ignored, a wrong type refuses the whole.

use serde_json::{Map, Value};

use super::refused;
use crate::call::{Answer, Call};

pub(super) struct Item(Map<String, Value>);

/// One object. An empty body is refused, even where nothing is required.
pub(super) fn object(call: &Call) -> Result<Item, Answer> {
    Item::of(call.json())
}

/// The array of a `batch` call; an object is refused, an empty array is not.
pub(super) fn batch(call: &Call) -> Result<Vec<Item>, Answer> {
    match call.json() {
        Value::Array(items) => items.into_iter().map(Item::of).collect(),
        _ => Err(wrong()),
    }
}

impl Item {
    fn of(value: Value) -> Result<Self, Answer> {
        match value {
            Value::Object(fields) => {
                Ok(Self(fields.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect()))
            }
            _ => Err(wrong()),
        }
    }

    /// Empty when absent; trimmed.
    pub(super) fn text(&self, key: &str) -> Result<String, Answer> {
        match self.0.get(&key.to_lowercase()) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            Some(_) => Err(wrong()),
        }
    }

    /// Zero when absent; a number in a string, a negative one and a fraction are refused.
    pub(super) fn number(&self, key: &str) -> Result<u64, Answer> {
        match self.0.get(&key.to_lowercase()) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => value.as_u64().ok_or_else(wrong),
        }
    }

    pub(super) fn value(&self, key: &str) -> Value {
        self.0.get(&key.to_lowercase()).cloned().unwrap_or_default()
    }
}

fn wrong() -> Answer {
    refused("参数错误")
}
