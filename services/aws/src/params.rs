//! The parameters of a Query API call, in the order they were given: the same call is the same bytes.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

/// `Filter.1.Name=…`; a list is numbered from 1.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(Vec<(String, String)>);

// === impl Params ===

impl Params {
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Display) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    /// `name.1`, `name.2`, …
    #[must_use]
    pub fn with_list<V: Display>(self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        let numbered = values.into_iter().zip(1..);
        numbered.fold(self, |all, (value, number)| {
            all.with(format!("{name}.{number}"), value)
        })
    }

    /// The next `Filter`.
    #[must_use]
    pub fn with_filter<V: Display>(self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        let is_name = |(key, _): &&(String, String)| key.starts_with("Filter.") && key.ends_with(".Name");
        let number = self.0.iter().filter(is_name).count() + 1;
        self.with(format!("Filter.{number}.Name"), name)
            .with_list(&format!("Filter.{number}.Value"), values)
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Names alone: a value may be user data, with a token in it.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn lists_and_filters_are_numbered() {
        let params = Params::default()
            .with_list("InstanceId", ["i-1", "i-2"])
            .with_filter("tag:a", ["1"])
            .with_filter("tag:b", ["2", "3"]);
        assert_eq!(params.get("InstanceId.2"), Some("i-2"));
        assert_eq!(params.get("Filter.2.Name"), Some("tag:b"));
        assert_eq!(params.get("Filter.2.Value.2"), Some("3"));
    }

    #[test]
    fn values_are_never_printed() {
        let params = Params::default().with("UserData", "token");
        assert_eq!(format!("{params:?}"), r#"{"UserData"}"#);
    }
}
