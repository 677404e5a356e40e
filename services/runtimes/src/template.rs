//! `{name}` in a string is replaced by a variable; every other brace stays, so JSON needs no escaping.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

/// What templates are filled with. Secret values live here too: not printable.
#[derive(Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
}

/// A template names a variable that nobody set: a mistake in `runtime.toml` or in the caller.
#[derive(Debug, Error)]
#[error("the runtime's template names `{{{name}}}`, which has no value")]
pub struct MissingVariable {
    pub name: String,
}

// === impl Variables ===

impl Variables {
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn fill(&self, template: &str) -> Result<String, MissingVariable> {
        let mut filled = String::with_capacity(template.len());
        for part in parts(template) {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Name(name) => match self.values.get(name) {
                    Some(value) => filled.push_str(value),
                    None => {
                        return Err(MissingVariable {
                            name: name.to_owned(),
                        });
                    }
                },
            }
        }
        Ok(filled)
    }
}

/// The variables that a template names.
pub(crate) fn names(template: &str) -> BTreeSet<&str> {
    parts(template)
        .into_iter()
        .filter_map(|part| match part {
            Part::Name(name) => Some(name),
            Part::Text(_) => None,
        })
        .collect()
}

enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut rest = template;
    let mut from = 0;
    while let Some(open) = rest[from..].find('{').map(|at| at + from) {
        let inside = &rest[open + 1..];
        let name_len = inside.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        match name_len {
            Some(len) if len > 0 && inside[len..].starts_with('}') => {
                found.push(Part::Text(&rest[..open]));
                found.push(Part::Name(&inside[..len]));
                rest = &inside[len + 1..];
                from = 0;
            }
            _ => from = open + 1,
        }
    }
    found.push(Part::Text(rest));
    found
}

#[cfg(test)]
mod tests {
    use super::{Variables, names};

    #[test]
    fn only_names_in_braces_are_replaced() {
        let variables = Variables::default().with("address", "127.65.0.1").with("x", "1");
        let filled = variables
            .fill(r#"{"a": {"b": "{address}"}, "c": {}, "d": "{X}{x}"}"#)
            .unwrap();
        assert_eq!(filled, r#"{"a": {"b": "127.65.0.1"}, "c": {}, "d": "{X}1"}"#);
    }

    #[test]
    fn a_name_without_value_is_an_error() {
        assert_eq!(Variables::default().fill("{dsn}").unwrap_err().name, "dsn");
        assert!(names("redis://:{broker_password}@{address}").contains("broker_password"));
    }
}
