//! A JSON patch as Ironic takes it: `add`, `replace` and `remove`, on the paths that may be changed. `test` is refused, so there is no
//! compare-and-set.

use serde_json::{Map, Value};

use super::create::SETTABLE;
use super::errors;
use crate::call::Answer;

pub(super) struct Operation {
    kind: Kind,
    /// The path's parts, unescaped; at least one.
    path: Vec<String>,
    value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Add,
    Replace,
    Remove,
}

/// Reads a patch; 400 for what is none.
pub(super) fn operations(body: &Value) -> Result<Vec<Operation>, Answer> {
    let items = body.as_array().ok_or_else(|| errors::bad_request("Schema error for patch: not of type 'array'"))?;
    items.iter().map(operation).collect()
}

fn operation(item: &Value) -> Result<Operation, Answer> {
    let kind = match item["op"].as_str() {
        Some("add") => Kind::Add,
        Some("replace") => Kind::Replace,
        Some("remove") => Kind::Remove,
        _ => {
            return Err(errors::bad_request(&format!(
                "Schema error for patch: {} is not one of ['add', 'replace', 'remove']",
                item["op"]
            )));
        }
    };
    let path = item["path"].as_str().unwrap_or_default();
    let parts: Vec<String> = path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    match parts.first() {
        Some(root) if SETTABLE.contains(&root.as_str()) || root == "maintenance" => {
            Ok(Operation { kind, path: parts, value: item["value"].clone() })
        }
        _ => Err(errors::bad_request(&format!(
            "Cannot patch {path}. Only the following can be updated: {}",
            SETTABLE.join(", ")
        ))),
    }
}

/// Applies a patch to a node's document. `maintenance` is kept beside the document.
pub(super) fn apply(
    document: &mut Map<String, Value>,
    maintenance: &mut bool,
    operations: &[Operation],
) -> Result<(), Answer> {
    for operation in operations {
        if operation.path[0] == "maintenance" {
            *maintenance = operation.kind != Kind::Remove && operation.value.as_bool().unwrap_or(false);
        } else {
            operation.apply(document)?;
        }
    }
    Ok(())
}

impl Operation {
    fn apply(&self, document: &mut Map<String, Value>) -> Result<(), Answer> {
        let (last, parents) = self.path.split_last().ok_or_else(|| self.missing())?;
        let mut map = document;
        for part in parents {
            map = map.get_mut(part).and_then(Value::as_object_mut).ok_or_else(|| self.missing())?;
        }
        let there = map.get(last).is_some_and(|value| !value.is_null());
        match self.kind {
            Kind::Add => drop(map.insert(last.clone(), self.value.clone())),
            // A top-level field that is null is there all the same for replace, as every node has it.
            Kind::Replace if there || parents.is_empty() => drop(map.insert(last.clone(), self.value.clone())),
            Kind::Remove if there => drop(map.remove(last)),
            Kind::Replace | Kind::Remove => return Err(self.missing()),
        }
        Ok(())
    }

    fn missing(&self) -> Answer {
        let path = self.path.join("/");
        errors::bad_request(&format!(
            "Couldn't apply patch to node. Reason: can't remove or replace a non-existent object '/{path}'"
        ))
    }
}
