//! Claims: what a provider says, untyped until it is asked for.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// Of a verified token, or of userinfo.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims(pub(super) Map<String, Value>);

// === impl Claims ===

impl Claims {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// `true`, or `"true"` as some providers write it.
    pub(super) fn is_true(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(yes)) => *yes,
            Some(Value::String(text)) => text == "true",
            _ => false,
        }
    }

    /// Seconds since 1970, fractions dropped.
    pub(super) fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        let seconds = self.0.get(name)?.as_f64()?;
        let plausible = (0.0..1e11).contains(&seconds);
        #[expect(clippy::cast_possible_truncation, reason = "in range, as was just checked")]
        plausible.then(|| DateTime::from_timestamp(seconds as i64, 0))?
    }

    /// One text or a list of texts; `None` for anything else.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<&str>> {
        texts(self.0.get(name)?)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// `groups`, or `realm_access.roles` inside of objects.
    pub(super) fn at(&self, path: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(path) {
            return Some(value);
        }
        let (first, rest) = path.split_once('.')?;
        rest.split('.')
            .try_fold(self.0.get(first)?, |value, name| value.get(name))
    }

    /// Those that can be shown.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.0.keys().map(String::as_str);
        names.filter(|name| name.len() <= 100 && !name.contains(char::is_control))
    }
}

pub(super) fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => many.iter().map(Value::as_str).collect(),
        _ => None,
    }
}
