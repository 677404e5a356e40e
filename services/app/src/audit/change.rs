//! What a change changed, fit to be kept for ever and read by every owner. Pure.
//!
//! Only what differs is shown. Secrets are not shown at all: a key that sounds like one has its text hidden, addresses
//! lose the password within them, and a use case names what else is secret. That a secret changed stays visible.

use std::collections::HashSet;

use serde_json::{Map, Value};

const HIDDEN: &str = "(hidden)";

/// Parts of keys whose texts are hidden.
const SECRETS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "private_key",
    "api_key",
    "fernet",
    "_conn",
    "credential",
    "ciphertext",
];

/// What was and what is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    before: Option<Value>,
    after: Option<Value>,
    hidden: HashSet<String>,
}

// === impl Change ===

impl Change {
    /// The action says it all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn made(after: Value) -> Self {
        Self {
            after: Some(after),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn removed(before: Value) -> Self {
        Self {
            before: Some(before),
            ..Self::default()
        }
    }

    /// All of both: what was, if anything, and what is, if anything.
    #[must_use]
    pub fn replaced(before: Option<Value>, after: Option<Value>) -> Self {
        Self {
            before,
            after,
            ..Self::default()
        }
    }

    /// Of objects, only what differs.
    #[must_use]
    pub fn between(before: Value, after: Value) -> Self {
        let (before, after) = differences(before, after);
        Self {
            before: Some(before),
            after: Some(after),
            ..Self::default()
        }
    }

    /// Hides the values of these keys too, wherever they are.
    #[must_use]
    pub fn hiding(mut self, keys: impl IntoIterator<Item = String>) -> Self {
        self.hidden.extend(keys);
        self
    }

    pub(super) fn shown(self) -> (Option<Value>, Option<Value>) {
        let hidden = self.hidden;
        let show = |value: Value| mask(value, &hidden);
        (self.before.map(show), self.after.map(show))
    }
}

fn differences(before: Value, after: Value) -> (Value, Value) {
    match (before, after) {
        (Value::Object(before), Value::Object(mut after)) => {
            let (mut was, mut is) = (Map::new(), Map::new());
            for (key, old) in before {
                match after.remove(&key) {
                    Some(new) if new == old => {}
                    Some(new) => {
                        let (old, new) = differences(old, new);
                        was.insert(key.clone(), old);
                        is.insert(key, new);
                    }
                    None => {
                        was.insert(key, old);
                    }
                }
            }
            is.extend(after);
            (Value::Object(was), Value::Object(is))
        }
        other => other,
    }
}

fn mask(value: Value, hidden: &HashSet<String>) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| {
                let shown = if is_secret(&key, hidden) {
                    hide(value)
                } else {
                    mask(value, hidden)
                };
                (key, shown)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| mask(item, hidden)).collect(),
        Value::String(text) => Value::String(without_userinfo(text)),
        plain => plain,
    }
}

fn is_secret(key: &str, hidden: &HashSet<String>) -> bool {
    let lower = key.to_lowercase();
    hidden.contains(key) || SECRETS.iter().any(|part| lower.contains(part))
}

/// Whether and how many is no secret: only texts are.
fn hide(value: Value) -> Value {
    match value {
        Value::String(_) => HIDDEN.into(),
        Value::Array(items) => items.into_iter().map(hide).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, hide(value)))
            .collect(),
        plain => plain,
    }
}

/// `scheme://user:password@host` without what is before the `@`.
fn without_userinfo(text: String) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text;
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}{}", &rest[at..]),
        // A password may hold a slash: when there is an `@` further on, better hide too much.
        None => match rest.rfind('@') {
            Some(at) if rest[..at].contains(':') => format!("{scheme}://{HIDDEN}{}", &rest[at..]),
            _ => text,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Change;

    fn between(before: Value, after: Value) -> (Value, Value) {
        let (before, after) = Change::between(before, after).shown();
        (before.unwrap(), after.unwrap())
    }

    #[test]
    fn only_what_differs_is_shown_however_deep() {
        let before = json!({"workers": 1, "runtime": "a", "config": {"core.x": "1", "core.y": "2"}});
        let after = json!({"workers": 2, "runtime": "a", "config": {"core.x": "1", "core.z": "3"}});
        assert_eq!(
            between(before, after),
            (
                json!({"workers": 1, "config": {"core.y": "2"}}),
                json!({"workers": 2, "config": {"core.z": "3"}})
            )
        );
    }

    #[test]
    fn a_changed_secret_is_seen_to_change_and_not_seen() {
        let (before, after) = between(
            json!({"smtp.smtp_password": "planted-one", "kept_secret": "planted"}),
            json!({"smtp.smtp_password": "planted-two", "kept_secret": "planted"}),
        );
        assert_eq!(before, json!({"smtp.smtp_password": "(hidden)"}));
        assert_eq!(after, before);
    }

    #[test]
    fn secrets_are_hidden_by_key_in_addresses_and_where_the_use_case_says() {
        let made = Change::made(json!({
            "list": [{"client_secret": "planted"}],
            "secrets": {"a": ["planted"]},
            "database.sql_alchemy_conn": "planted",
            "broker": "redis://user:planted@host:6379/0",
            "odd": "http://user:pl/planted@host",
            "own": "planted",
            "password_sign_in": true,
            "page": "https://example.com/@ada",
        }));
        let (_, after) = made.hiding(["own".to_owned()]).shown();
        let after = after.unwrap();
        assert!(!after.to_string().contains("planted"), "{after}");
        assert_eq!(after["broker"], "redis://(hidden)@host:6379/0");
        assert_eq!(
            (&after["password_sign_in"], &after["page"]),
            (&json!(true), &json!("https://example.com/@ada"))
        );
    }
}
