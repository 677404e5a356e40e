//! `PATCH` (RFC 7644 section 3.5.2) on a resource as JSON, in the forms that Okta and Entra send: with and without a path,
//! dotted names and paths as keys, words in any case, truth values as strings.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::path::{Path, shown};
use super::refusal::{Refused, ScimType};

const MOST_OPERATIONS: usize = 1_000;

#[derive(Clone, Debug, Deserialize)]
pub struct PatchRequest {
    #[serde(alias = "operations")]
    #[serde(rename = "Operations")]
    operations: Vec<Operation>,
}

#[derive(Clone, Debug, Deserialize)]
struct Operation {
    op: String,
    path: Option<String>,
    value: Option<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// Attributes that a client does not set (RFC 7643 section 3.1): Entra sends `id` now and then, which is let pass when a
/// whole resource comes, and refused here.
const READ_ONLY: [&str; 4] = ["id", "meta", "groups", "schemas"];

/// Applies all operations in order, or none.
///
/// # Errors
/// `invalidSyntax`, `invalidPath`, `invalidValue`, `noTarget` or `mutability`.
pub fn apply(resource: &Value, patch: &PatchRequest) -> Result<Value, Refused> {
    if patch.operations.is_empty() || patch.operations.len() > MOST_OPERATIONS {
        let detail = format!("Send 1 to {MOST_OPERATIONS} operations at once.");
        return Err(Refused::new(ScimType::InvalidSyntax, detail));
    }
    let mut changed = resource.as_object().cloned().unwrap_or_default();
    for operation in &patch.operations {
        operation.apply(&mut changed)?;
    }
    Ok(Value::Object(changed))
}

// === impl Operation ===

impl Operation {
    fn apply(&self, resource: &mut Map<String, Value>) -> Result<(), Refused> {
        let verb = self.verb()?;
        let path = self
            .path
            .as_deref()
            .map(str::trim)
            .filter(|path| !path.is_empty());
        match (path, verb, &self.value) {
            (Some(path), Verb::Remove, value) => remove(resource, &Path::parse(path)?, value.as_ref()),
            (Some(path), _, Some(value)) => set(resource, &Path::parse(path)?, verb, value),
            (None, Verb::Add | Verb::Replace, Some(Value::Object(values))) => values
                .iter()
                .try_for_each(|(key, value)| set_key(resource, key, verb, value)),
            (None, Verb::Remove, _) => Err(Refused::new(ScimType::NoTarget, "`remove` needs a path.")),
            (_, _, None) => Err(Refused::value("value", "`add` and `replace` need one")),
            (None, _, Some(_)) => Err(Refused::value(
                "value",
                "without a path it is an object of attributes",
            )),
        }
    }

    fn verb(&self) -> Result<Verb, Refused> {
        match self.op.to_ascii_lowercase().as_str() {
            "add" => Ok(Verb::Add),
            "replace" => Ok(Verb::Replace),
            "remove" => Ok(Verb::Remove),
            _ => {
                let detail = format!(
                    "`{}` is no operation: use add, replace or remove.",
                    shown(&self.op)
                );
                Err(Refused::new(ScimType::InvalidSyntax, detail))
            }
        }
    }
}

/// A key of an object without a path: an attribute, a path (Entra), or an extension with its attributes in it.
fn set_key(resource: &mut Map<String, Value>, key: &str, verb: Verb, value: &Value) -> Result<(), Refused> {
    match value {
        Value::Object(inner) if key.eq_ignore_ascii_case(super::ENTERPRISE_SCHEMA) => {
            for (name, value) in inner {
                set(
                    resource,
                    &Path::parse(&format!("{}:{name}", super::ENTERPRISE_SCHEMA))?,
                    verb,
                    value,
                )?;
            }
            Ok(())
        }
        // Okta repeats what is read-only when it sends a whole resource.
        _ if READ_ONLY.iter().any(|name| name.eq_ignore_ascii_case(key)) => Ok(()),
        _ => set(resource, &Path::parse(key)?, verb, value),
    }
}

fn set(resource: &mut Map<String, Value>, path: &Path, verb: Verb, value: &Value) -> Result<(), Refused> {
    changeable(path)?;
    let holder = holder(resource, path)?;
    let name = name_in(holder, &path.attribute);
    match (&path.which, &path.sub) {
        (Some(which), sub) => set_chosen(holder, &name, which, sub.as_deref(), value),
        (None, Some(sub)) => {
            let slot = holder.entry(name).or_insert_with(|| Value::Object(Map::new()));
            match slot {
                Value::Object(inner) => {
                    let sub = name_in(inner, sub);
                    inner.insert(sub, value.clone());
                    Ok(())
                }
                _ => Err(Refused::new(
                    ScimType::InvalidPath,
                    format!("`{}` has no parts.", path.attribute),
                )),
            }
        }
        (None, None) => {
            match (verb, value, holder.get_mut(&name)) {
                (Verb::Add, Value::Array(new), Some(Value::Array(old))) => add_all(old, new),
                (Verb::Add, Value::Object(_), Some(Value::Array(old))) => {
                    add_all(old, std::slice::from_ref(value));
                }
                (_, Value::Object(new), Some(Value::Object(old))) => old.extend(new.clone()),
                _ => {
                    holder.insert(name, value.clone());
                }
            }
            Ok(())
        }
    }
}

/// Sets what a filter chooses. A value that is not there is made, as Entra expects of `emails[type eq "work"].value`.
fn set_chosen(
    holder: &mut Map<String, Value>,
    name: &str,
    (key, wanted): &(String, String),
    sub: Option<&str>,
    value: &Value,
) -> Result<(), Refused> {
    let slot = holder.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(values) = slot else {
        return Err(Refused::new(
            ScimType::InvalidPath,
            format!("`{name}` is a single value."),
        ));
    };
    let fresh = !values.iter().any(|value| has(value, key, wanted));
    if fresh {
        let mut made = Map::new();
        made.insert(key.clone(), Value::String(wanted.clone()));
        values.push(Value::Object(made));
    }
    for chosen in values.iter_mut().filter(|value| has(value, key, wanted)) {
        if let Value::Object(chosen) = chosen {
            match (sub, value) {
                (Some(sub), value) => {
                    let sub = name_in(chosen, sub);
                    chosen.insert(sub, value.clone());
                }
                (None, Value::Object(new)) => chosen.extend(new.clone()),
                (None, _) => return Err(Refused::value(name, "one of several values is an object")),
            }
        }
    }
    Ok(())
}

fn remove(resource: &mut Map<String, Value>, path: &Path, value: Option<&Value>) -> Result<(), Refused> {
    changeable(path)?;
    let holder = holder(resource, path)?;
    let name = name_in(holder, &path.attribute);
    match (&path.which, &path.sub, value, holder.get_mut(&name)) {
        (_, _, _, None) => {}
        (Some((key, wanted)), None, _, Some(Value::Array(values))) => {
            values.retain(|value| !has(value, key, wanted));
        }
        (Some((key, wanted)), Some(sub), _, Some(Value::Array(values))) => {
            for chosen in values.iter_mut().filter(|value| has(value, key, wanted)) {
                if let Value::Object(chosen) = chosen {
                    let sub = name_in(chosen, sub);
                    chosen.remove(&sub);
                }
            }
        }
        (None, Some(sub), _, Some(Value::Object(inner))) => {
            let sub = name_in(inner, sub);
            inner.remove(&sub);
        }
        // Entra takes single members out this way: {"op": "remove", "path": "members", "value": [{"value": "…"}]}
        (None, None, Some(Value::Array(gone)), Some(Value::Array(values))) => {
            values.retain(|value| !gone.iter().any(|gone| same(gone, value)));
        }
        (None, None, _, Some(_)) => {
            holder.remove(&name);
        }
        (..) => {
            return Err(Refused::new(
                ScimType::InvalidPath,
                format!("`{name}` has no such part."),
            ));
        }
    }
    Ok(())
}

fn changeable(path: &Path) -> Result<(), Refused> {
    if READ_ONLY.iter().any(|name| path.is(name)) {
        let detail = format!("`{}` is set by the server alone.", path.attribute);
        return Err(Refused::new(ScimType::Mutability, detail));
    }
    Ok(())
}

/// The resource itself, or its extension.
fn holder<'a>(
    resource: &'a mut Map<String, Value>,
    path: &Path,
) -> Result<&'a mut Map<String, Value>, Refused> {
    let Some(extension) = path.extension else {
        return Ok(resource);
    };
    let slot = resource
        .entry(extension)
        .or_insert_with(|| Value::Object(Map::new()));
    let bad = || Refused::value(extension, "an extension is an object");
    slot.as_object_mut().ok_or_else(bad)
}

/// The spelling that is there already.
fn name_in(holder: &Map<String, Value>, name: &str) -> String {
    let there = holder.keys().find(|key| key.eq_ignore_ascii_case(name));
    there.cloned().unwrap_or_else(|| name.to_owned())
}

fn add_all(old: &mut Vec<Value>, new: &[Value]) {
    for value in new {
        if !old.iter().any(|known| same(value, known)) {
            old.push(value.clone());
        }
    }
}

/// Of values with an id, the id decides.
fn same(one: &Value, other: &Value) -> bool {
    match (text_of(one, "value"), text_of(other, "value")) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn has(value: &Value, key: &str, wanted: &str) -> bool {
    text_of(value, key).is_some_and(|found| found.eq_ignore_ascii_case(wanted))
}

fn text_of(value: &Value, key: &str) -> Option<String> {
    let object = value.as_object()?;
    match object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?.1 {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
